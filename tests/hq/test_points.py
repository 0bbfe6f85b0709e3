"""Points at headquarters: once for a sale, taken back by its refund, resting for a reward."""

from __future__ import annotations

import pytest

from edge_agent.core import leases as rules
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.records import AssetMoved, PointsEarned
from tests.hq_kit import NOW, STATION
from tests.lease_kit import DAY_MS, LeaseStation, banking, codes, enrol, quiet

SOON, LATE = NOW + 40 * DAY_MS, NOW + 400 * DAY_MS


def earned(points: int, sale: str = "s-1", **more: object) -> PointsEarned:
    fields: dict[str, object] = {
        "member_ref": "m-1", "sale_id": sale, "points": points, "expires_ms": LATE,
        "reason": "sale" if points > 0 else "refund",
    }  # fmt: skip
    return PointsEarned.model_validate(fields | more)


def redeemed(station: LeaseStation, points: int, sale: str = "s-9") -> list[AssetMoved]:
    draws = rules.draw(station.holding("points", "m-1"), points, station.now_ms)
    return rules.movements("points", "m-1", draws, sale)


def station_of(**more: object) -> LeaseStation:
    station = LeaseStation(banking(**more))
    station.come_up()
    return station


def buckets(station: LeaseStation) -> dict[int, int]:
    found = station.hq.vault.buckets("points", "m-1")
    return {b.expires_ms: b.free + b.leased - b.debt for b in found}


def told(station: LeaseStation, *bodies: PointsEarned) -> list[str]:
    for body in bodies:
        station.write(body)
    station.tell()
    return found(station)


def found(station: LeaseStation) -> list[str]:
    """The alarms, but those about points without a sale: these tests write none."""
    return [code for code in codes(station.hq) if code != "movements_differ"]


def test_row_a12_points_of_a_sale_are_credited_once_whatever_is_said_twice() -> None:
    station = station_of()
    assert told(station, earned(40), earned(40)) == ["points_twice"]
    assert buckets(station) == {LATE: 40}


def test_row_p6_points_are_spendable_at_a_station_once_headquarters_leased_them() -> None:
    station = station_of()
    told(station, earned(40))
    station.publish()
    assert station.available("points", "m-1") == 40


def test_row_v5_a_refund_takes_points_from_the_bucket_that_the_sale_filled() -> None:
    station = station_of(opening_points=[(SOON, 500)])
    told(station, earned(40))
    # The expiry beside a refund is that of the rules now in force: headquarters goes by the sale.
    told(station, earned(-40, expires_ms=LATE + DAY_MS))
    assert buckets(station) == {SOON: 500, LATE: 0}
    assert found(station) == []


@pytest.mark.parametrize(
    "wrong",
    [
        earned(-40, "s-2"),
        earned(-39),
        earned(-40, member_ref="m-2"),
        earned(40, reason="refund"),
        earned(-40, reason="sale"),
    ],
)
def test_a_reversal_that_fits_no_sale_takes_nothing(wrong: PointsEarned) -> None:
    station = station_of()
    told(station, earned(40), wrong)
    (code,) = found(station)
    assert code in {"points_reversal_differs", "points_senseless"}
    assert buckets(station) == {LATE: 40}


def test_points_that_were_spent_before_their_refund_are_a_debt_that_the_next_ones_pay() -> None:
    station = station_of()
    told(station, earned(40))
    station.publish()
    station.append(*redeemed(station, 30))
    told(station, earned(-40))
    assert found(station) == ["points_debt"]
    assert station.hq.vault.debt("points", "m-1") == 40, "ten lie at the station still"
    assert station.hq.vault.held("points", "m-1") == -30
    told(station, earned(50, "s-3"))
    assert station.hq.vault.free("points", "m-1") == 10
    assert station.hq.vault.differences() == []


def test_row_p8_leases_are_made_of_what_expires_first() -> None:
    hq = banking(opening_points=[(LATE, 300), (SOON, 200)], stations=[])
    station = LeaseStation(hq)
    station.come_up()
    assert station.ask("points", "m-1", 250).granted == 250
    (lease,) = station.leases.values()
    assert [(b.expires_ms, b.points) for b in lease.terms.buckets] == [(SOON, 200), (LATE, 50)]
    station.append(*redeemed(station, 220))
    station.tell()
    assert buckets(station) == {SOON: 0, LATE: 280}


def test_points_given_back_go_to_their_very_buckets() -> None:
    station = station_of(opening_points=[(LATE, 300), (SOON, 200)])
    taken = redeemed(station, 250)
    station.append(*taken)
    station.append(*rules.given_back(taken))
    station.write(quiet())
    station.tell()
    assert buckets(station) == {SOON: 200, LATE: 300}
    assert station.available("points", "m-1") == 500
    assert station.hq.vault.differences() == []


def test_buckets_that_do_not_add_up_are_booked_and_shown() -> None:
    station = station_of(opening_points=[(SOON, 200)])
    (body,) = redeemed(station, 50)
    (bucket,) = body.buckets
    for buckets_said in ([], [bucket, bucket], [bucket.model_copy(update={"points": 20})]):
        station.write(body.model_copy(update={"buckets": buckets_said}))
    station.tell()
    assert codes(station.hq).count("overspent") == 3
    assert station.hq.vault.held("points", "m-1") == 50
    assert station.hq.vault.differences() == []


def test_one_bucket_named_twice_draws_no_more_than_it_has() -> None:
    station = station_of(opening_points=[(SOON, 60)])
    (body,) = redeemed(station, 50)
    (bucket,) = body.buckets
    twice = body.model_copy(update={"buckets": [bucket, bucket], "delta": -100})
    station.write(twice)
    station.tell()
    assert codes(station.hq) == ["overspent", "debt"]
    assert station.hq.vault.held("points", "m-1") == -40


def test_row_p12_locked_points_are_in_no_lease_and_come_back_with_a_reward() -> None:
    hq = banking(opening_points=[(SOON, 100), (LATE, 1_000)])
    with hq.books.transaction():
        assert hq.points.lock("m-1", 999, 90, NOW) == 149
    station = LeaseStation(hq)
    station.come_up()
    assert station.available("points", "m-1") == 101
    station.now_ms += 90 * DAY_MS - 1
    station.close_due()
    station.tell()
    station.publish()
    assert hq.vault.held("points", "m-1") == 1_000, "the hundred that expired are gone"
    station.now_ms += 1
    station.publish()
    assert hq.vault.held("points", "m-1") == 1_149
    assert hq.vault.differences() == []


@pytest.mark.parametrize(("points", "days"), [(1_001, 90), (0, 90), (-1, 90), (10, 401), (10, 0)])
def test_only_points_that_last_may_rest(points: int, days: int) -> None:
    hq = banking(opening_points=[(SOON, 100), (LATE, 1_000)])
    with hq.books.transaction(), pytest.raises(ConfigRefused):
        hq.points.lock("m-1", points, days, NOW)


def test_a_member_who_is_known_opens_with_nothing_again() -> None:
    hq = banking(opening_points=[(LATE, 100)])
    enrol(hq, opening_points=[(LATE, 100)], opening_fen=5)
    assert hq.vault.held("points", "m-1") == 100
    assert hq.vault.held("balance", "a-1") == 100_000
    assert hq.standing.first_home("points", "m-1") == STATION
