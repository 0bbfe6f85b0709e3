"""What lies ready at which station: fair shares, renewed in time, back when it is needed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hq.headquarters import Headquarters
from hq.leases import LEASE_MS
from hq.standing import LEAST_TIME_MS, LOOK_AGAIN_MS, MOST_AT_ONCE, MOST_READY_FEN
from tests.hq_kit import NOW, STATION, headquarters
from tests.lease_kit import DAY_MS, LeaseStation, banking, codes, enrol, lent

BUDGET = {
    "id": "campaign", "kind": "amount_off", "off_fen": 100, "text_zh": "减1元",
    "text_en": "1 yuan off", "budget_fen": 1_000,
}  # fmt: skip


def policy(version: int, **changes: object) -> str:
    return json.dumps({"format": 1, "version": version, "offers": [BUDGET | changes]})


def up(hq: Headquarters, *names: str) -> list[LeaseStation]:
    stations = [LeaseStation(hq, name) for name in names]
    for station in stations:
        station.come_up()
    return stations


@pytest.mark.parametrize(
    ("opening", "homes", "ready"),
    [
        (100_000, 1, MOST_READY_FEN),
        (60_000, 2, 30_000),
        (60_001, 2, 30_001),
        (7, 1, 7),
        (0, 1, 0),
    ],
)
def test_an_account_is_shared_between_homes_up_to_what_lies_ready(
    opening: int, homes: int, ready: int
) -> None:
    names = [STATION, "S-2"][:homes]
    hq = banking(opening_fen=opening, stations=names)
    stations = up(hq, *names)
    assert stations[0].available("balance", "a-1") == ready
    assert sum(lent(hq)) == opening


def test_what_the_import_says_is_honoured_as_far_as_there_is_something() -> None:
    hq = banking(set_aside_fen={STATION: 70_000, "S-2": 70_000}, stations=[])
    first, second = up(hq, STATION, "S-2")
    assert first.available("balance", "a-1") == 70_000
    assert second.available("balance", "a-1") == 30_000


def test_a_lease_is_renewed_when_half_is_spent_and_not_before() -> None:
    hq = banking()
    (station,) = up(hq, STATION)
    station.spend("a-1", 25_000)
    station.tell()
    station.publish()
    assert station.available("balance", "a-1") == 25_000
    station.spend("a-1", 1)
    station.tell()
    station.publish()
    assert station.available("balance", "a-1") == 50_000
    assert len(station.holding("balance", "a-1").leases) == 2


def test_a_lease_is_renewed_before_a_third_of_its_time_is_left() -> None:
    hq = banking()
    (station,) = up(hq, STATION)
    station.now_ms += LEASE_MS - LEAST_TIME_MS - 1
    station.publish()
    assert len(station.leases) == 1
    station.now_ms += 1
    station.publish()
    assert len(station.leases) == 2
    station.now_ms += LEAST_TIME_MS
    station.close_due()
    station.tell()
    assert lent(hq) == (50_000, 50_000)


def test_a_station_that_is_away_gets_no_leases_that_it_could_not_hear_of() -> None:
    hq = banking()
    made = hq.publish(NOW)
    assert (made, lent(hq)) == ([], (100_000, 0))
    (station,) = up(hq, STATION)
    with hq.books.transaction():
        hq.books.station_gone(STATION, "b1", NOW)
    station.spend("a-1", 40_000)
    station.tell()
    hq.publish(NOW + 60_000)
    assert lent(hq) == (50_000, 10_000)


def test_one_turn_makes_so_many_leases_and_every_station_has_its_turn() -> None:
    hq = banking(stations=[])
    stations = up(hq, "S-1", "S-2", "S-3")
    for station in stations:
        for number in range(2 * MOST_AT_ONCE):
            enrol(hq, f"m-{station.name}-{number}", stations=[station.name])
    before = 0
    for _ in stations:
        messages = hq.publish(NOW)
        for station in stations:
            station.take(messages)
        made = sum(len(station.leases) for station in stations)
        assert made - before <= MOST_AT_ONCE
        before = made
    assert [len(station.leases) for station in stations] == [MOST_AT_ONCE] * 3


def test_what_is_free_again_lies_ready_soon() -> None:
    hq = banking(opening_fen=0)
    (station,) = up(hq, STATION)
    with hq.books.transaction():
        hq.enrolment.pay_in("a-1", 9_000, hq.desk.policy_in_force().stored_value, NOW)
    station.publish()
    assert station.available("balance", "a-1") == 9_000


def test_a_home_that_was_left_lets_its_lease_run_out() -> None:
    hq = banking()
    first, second = up(hq, STATION, "S-2")
    enrol(hq, stations=["S-2"])
    second.publish()
    assert second.available("balance", "a-1") == 50_000
    first.now_ms += 8 * DAY_MS
    first.close_due()
    first.tell()
    first.publish()
    assert first.available("balance", "a-1") == 0


def test_s27_a_station_that_lives_in_the_future_is_not_lent_to_over_and_over() -> None:
    hq = banking()
    enrol(hq, "m-2")
    (station,) = up(hq, STATION)
    for _ in range(10):
        station.now_ms += 400 * DAY_MS
        station.close_due()
        station.tell_at(NOW + 60_000)
        station.take(hq.publish(NOW + 60_000))
        station.now_ms -= 400 * DAY_MS
    assert len(station.leases) == 2
    assert codes(hq) == ["lease_closed_early"], "once, however many leases"
    assert lent(hq) == (100_000, 0)


def test_row_r5_nothing_is_set_aside_for_a_locked_member_and_what_was_is_called_back() -> None:
    hq = banking(opening_points=[(NOW + 90 * DAY_MS, 500)])
    (station,) = up(hq, STATION)
    with hq.books.transaction():
        hq.enrolment.lock("m-1", "lost", NOW)
    station.publish()
    station.tell()
    station.publish()
    assert station.available("balance", "a-1") == station.available("points", "m-1") == 0
    assert hq.vault.free("balance", "a-1") == 100_000
    with hq.books.transaction():
        hq.enrolment.unlock("m-1")
    station.publish()
    assert station.available("balance", "a-1") == 50_000
    assert codes(hq) == []


def test_row_m21_a_lost_card_does_not_lock_its_familys_account() -> None:
    hq = banking(account="family")
    enrol(hq, "m-2", account="family")
    (station,) = up(hq, STATION)
    with hq.books.transaction():
        hq.enrolment.lock("m-1", "lost", NOW)
    station.publish()
    assert station.available("balance", "family") == 50_000


# --- campaigns -----------------------------------------------------------------------------------


def test_row_c5_a_campaigns_budget_is_split_over_the_stations_and_never_exceeded() -> None:
    hq = headquarters()
    first, second = up(hq, "S-1", "S-2")
    with hq.books.transaction():
        hq.publish_policy(policy(1), NOW)
    first.publish()
    second.come_up()
    assert first.available("budget", "campaign") == second.available("budget", "campaign") == 500
    (third,) = up(hq, "S-3")
    assert third.available("budget", "campaign") == 0, "it is all set aside"
    assert third.ask("budget", "campaign", 50).reason == "elsewhere"


def test_a_later_policy_changes_what_is_left_of_a_budget() -> None:
    hq = headquarters()
    (station,) = up(hq, "S-1")
    with hq.books.transaction():
        hq.publish_policy(policy(1), NOW)
        hq.publish_policy(policy(2), NOW)
    assert hq.vault.held("budget", "campaign") == 1_000
    with hq.books.transaction():
        hq.publish_policy(policy(3, budget_fen=1_500), NOW)
    assert hq.vault.held("budget", "campaign") == 1_500
    station.publish()
    with hq.books.transaction():
        hq.publish_policy(policy(4, budget_fen=100), NOW)
    assert hq.vault.held("budget", "campaign") == 100
    assert hq.vault.free("budget", "campaign") == 0
    assert hq.vault.differences() == []


def test_a_campaign_of_some_stations_is_split_over_them() -> None:
    hq = headquarters()
    first, second = up(hq, "S-1", "S-2")
    with hq.books.transaction():
        hq.publish_policy(policy(1, conditions={"stations": ["S-2"]}), NOW)
    first.publish()
    second.come_up()
    assert first.available("budget", "campaign") == 0
    assert second.available("budget", "campaign") == 1_000


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["spend", "wait", "tell", "publish", "close", "pay"]),
            st.integers(0, 1),
            st.integers(1, 40_000),
        ),
        max_size=30,
    )
)
def test_whatever_happens_shares_never_exceed_what_is_held(
    steps: list[tuple[str, int, int]],
) -> None:
    hq = banking(stations=[STATION, "S-2"], opening_fen=60_000)
    stations = up(hq, STATION, "S-2")
    for what, place, amount in steps:
        station = stations[place]
        if what == "spend" and station.available("balance", "a-1"):
            station.spend("a-1", min(amount, station.available("balance", "a-1")))
        elif what == "wait":
            for each in stations:
                each.now_ms += amount * LOOK_AGAIN_MS // 1_000
        elif what == "pay":
            with hq.books.transaction():
                hq.enrolment.pay_in("a-1", 100, hq.desk.policy_in_force().stored_value, NOW)
        elif what == "tell":
            station.tell()
        elif what == "close":
            station.close_due()
        else:
            stations[0].publish()
            stations[1].come_up()
    assert hq.vault.differences() == []
    assert codes(hq) == []
    spendable = sum(each.available("balance", "a-1") for each in stations)
    assert spendable <= hq.vault.held("balance", "a-1")
