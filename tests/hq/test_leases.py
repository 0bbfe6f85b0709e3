"""Leases: set aside from what is free, freed by the station's own word, never spent twice."""

from __future__ import annotations

import sqlite3

import pytest

from edge_agent.model.errors import CorruptionError
from edge_agent.model.records import AssetMoved, LeaseClosed, LeasesTaken, StoredValueToppedUp
from hq.headquarters import Headquarters
from hq.holdings import Cause
from tests.hq_kit import NOW, STATION, audit_all, completed, settled
from tests.lease_kit import (
    DAY_MS,
    LeaseStation,
    banking,
    beyond,
    codes,
    enrol,
    lent,
    quiet,
)


def proved(hq: Headquarters) -> bool:
    return hq.vault.differences() == []


def up(hq: Headquarters, name: str = STATION) -> LeaseStation:
    station = LeaseStation(hq, name)
    station.come_up()
    return station


def only_lease(station: LeaseStation) -> str:
    (lease_id,) = station.leases
    return lease_id


def topped_up(fen: int, **more: object) -> StoredValueToppedUp:
    fields: dict[str, object] = {
        "top_up_id": "t-1", "account_ref": "a-1", "member_ref": "m-1", "amount_fen": fen,
        "means": "cash", "confirmed_by": "member_pin", "second_operator": None,
        "idempotency_key": "k", "operator": "op", "expires_ms": NOW + 7 * DAY_MS,
    }  # fmt: skip
    return StoredValueToppedUp.model_validate(fields | more)


# --- making and spending -------------------------------------------------------------------------


def test_row_v19_what_lies_ready_at_a_station_is_free_nowhere_else() -> None:
    hq = banking()
    station = up(hq)
    assert station.available("balance", "a-1") == 50_000
    assert lent(hq) == (50_000, 50_000)
    station.spend("a-1", 20_000)
    assert lent(hq) == (50_000, 50_000), "headquarters has not read it yet"
    station.tell()
    assert lent(hq) == (50_000, 30_000)
    assert (hq.vault.held("balance", "a-1"), codes(hq), proved(hq)) == (80_000, [], True)


def test_no_more_is_set_aside_than_is_free() -> None:
    hq = banking()
    up(hq)
    with hq.books.transaction(), pytest.raises(sqlite3.IntegrityError):
        hq.vault.move("balance", "a-1", 50_001, ("free", "leased"), Cause(NOW, "lease"))
    lease = None
    with hq.books.transaction():
        lease = hq.leases.grant(STATION, "balance", "a-1", 10**9, NOW + 1, NOW)
    assert lease.amount == 50_000
    with hq.books.transaction(), pytest.raises(CorruptionError):
        hq.leases.grant(STATION, "balance", "a-1", 1, NOW + 1, NOW)


def test_a_refund_makes_an_open_lease_spendable_again() -> None:
    hq = banking()
    station = up(hq)
    sale = station.spend("a-1", 50_000)
    station.tell()
    assert lent(hq) == (50_000, 0)
    station.refund(sale)
    station.tell()
    assert lent(hq) == (50_000, 50_000)
    assert station.available("balance", "a-1") == 50_000
    assert (codes(hq), proved(hq)) == ([], True)


def test_a_refund_after_the_lease_was_closed_is_the_holders_at_headquarters() -> None:
    hq = banking(set_aside_fen={STATION: 0})
    station = up(hq)
    station.ask("balance", "a-1", 30_000)
    sale = station.spend("a-1", 30_000)
    station.now_ms += DAY_MS
    station.close_due()
    station.tell()
    assert lent(hq) == (70_000, 0)
    station.refund(sale)
    station.tell()
    assert lent(hq) == (100_000, 0)
    assert (codes(hq), proved(hq)) == ([], True)


def test_a_refund_told_twice_gives_back_once() -> None:
    hq = banking()
    station = up(hq)
    sale = station.spend("a-1", 10_000)
    station.refund(sale)
    again = station.records[-2]
    station.write(AssetMoved.model_validate_json(again.body))
    station.write(quiet())
    station.tell()
    assert hq.vault.held("balance", "a-1") == 100_000
    assert codes(hq) == ["refund_beyond_sale", "movements_differ"]
    assert proved(hq)


def test_what_a_station_draws_beyond_a_lease_is_booked_and_shown() -> None:
    hq = banking()
    station = up(hq)
    sale = settled_for(station, 60_000)
    station.write(
        AssetMoved(
            asset="balance", holder="a-1", delta=-60_000, sale_id=sale, reason="sale",
            lease_id=only_lease(station),
        )
    )  # fmt: skip
    station.tell()
    assert lent(hq) == (40_000, 0)
    assert "overspent" in codes(hq)
    assert proved(hq)


def settled_for(station: LeaseStation, fen: int) -> str:
    """Write a sale without its movements; return its id."""
    fuelling = completed(900).model_copy(update={"amount_fen": fen})
    sale = settled(fuelling, account="a-1")
    station.write(fuelling)
    station.write(sale)
    return sale.sale_id


def test_a_sale_that_moved_nothing_is_shown() -> None:
    hq = banking()
    station = up(hq)
    settled_for(station, 10_000)
    station.tell()
    assert codes(hq) == [], "its movements may still come"
    station.write(quiet())
    station.tell()
    assert codes(hq) == ["movements_differ"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lease_id": "nobody's"}, "lease_unknown"),
        ({"holder": "a-2"}, "lease_misused"),
        ({"asset": "points"}, "lease_misused"),
        ({"lease_id": None, "asset": "points"}, "movement_without_lease"),
        ({"delta": 5}, "movement_senseless"),
        ({"delta": 0}, "movement_senseless"),
    ],
)
def test_a_draw_that_no_lease_covers_is_booked_and_shown(
    changes: dict[str, object], code: str
) -> None:
    hq = banking()
    enrol(hq, "m-2", stations=[])
    station = up(hq)
    honest = {
        "asset": "balance", "holder": "a-1", "delta": -5, "sale_id": "s-1", "reason": "sale",
        "lease_id": only_lease(station),
    }  # fmt: skip
    station.write(AssetMoved.model_validate(honest | changes))
    station.tell()
    assert code in codes(hq)
    assert proved(hq)


def test_a_late_draw_is_booked_and_shown() -> None:
    """A station judges expiry by its own clock; what it spent late is spent all the same."""
    hq = banking()
    station = up(hq)
    sale = settled_for(station, 100)
    station.now_ms += 8 * DAY_MS
    station.write(
        AssetMoved(
            asset="balance", holder="a-1", delta=-100, sale_id=sale, reason="sale",
            lease_id=only_lease(station),
        )
    )  # fmt: skip
    station.tell()
    assert (codes(hq), lent(hq)) == (["lease_expired"], (50_000, 49_900))


# --- ending --------------------------------------------------------------------------------------


def test_only_the_stations_own_word_frees_what_is_left() -> None:
    hq = banking(set_aside_fen={STATION: 40_000})
    station = up(hq)
    station.spend("a-1", 10_000)
    station.now_ms += 30 * DAY_MS
    station.publish()
    assert hq.vault.free("balance", "a-1") == 20_000, "another one was set aside meanwhile"
    station.close_due()
    station.publish()
    station.tell()
    assert lent(hq) == (50_000, 40_000)
    assert (codes(hq), proved(hq)) == ([], True)


def test_a_recall_takes_effect_when_the_station_has_closed_the_lease() -> None:
    hq = banking()
    station = up(hq)
    station.spend("a-1", 15_000)
    with hq.books.transaction():
        hq.leases.recall(only_lease(station), NOW)
    assert lent(hq) == (50_000, 50_000)
    station.publish()
    assert station.available("balance", "a-1") == 0
    station.tell()
    assert hq.vault.held("balance", "a-1") == 85_000
    assert lent(hq)[1] == 0
    assert (codes(hq), proved(hq)) == ([], True)


def test_a_lease_that_is_recalled_before_it_came_is_closed_unseen() -> None:
    hq = banking()
    station = LeaseStation(hq)
    station.deaf = lambda message: True
    station.come_up()
    (lease_id,) = [lease.lease_id for lease in hq.leases.open_leases("balance", "a-1")]
    with hq.books.transaction():
        hq.leases.recall(lease_id, NOW)
        hq.standing.settle("balance", "a-1", {})
    station.deaf = lambda message: False
    station.come_up()
    station.tell()
    assert (lent(hq), codes(hq)) == ((100_000, 0), [])


def test_what_is_said_of_a_lease_must_be_what_is_known_of_it() -> None:
    hq = banking()
    station = up(hq)
    lease_id = only_lease(station)
    station.write(LeaseClosed(lease_id=lease_id, spent=7, reason="recalled"))
    station.write(LeaseClosed(lease_id=lease_id, spent=7, reason="recalled"))
    station.write(LeaseClosed(lease_id="nobody's", spent=0, reason="recalled"))
    station.tell()
    assert codes(hq) == ["lease_spent_differs", "lease_closed_twice", "lease_unknown"]
    assert proved(hq)


def test_a_closed_lease_pays_no_more() -> None:
    hq = banking()
    station = up(hq)
    lease_id = only_lease(station)
    station.write(LeaseClosed(lease_id=lease_id, spent=0, reason="recalled"))
    sale = settled_for(station, 30)
    station.write(
        AssetMoved(
            asset="balance", holder="a-1", delta=-30, sale_id=sale, reason="sale",
            lease_id=lease_id,
        )
    )  # fmt: skip
    station.tell()
    assert codes(hq) == ["lease_over"]
    assert (hq.vault.held("balance", "a-1"), proved(hq)) == (99_970, True)


def test_another_station_closes_nothing() -> None:
    hq = banking()
    station, other = up(hq), up(hq, "S-2")
    other.write(LeaseClosed(lease_id=only_lease(station), spent=0, reason="expired"))
    other.write(LeasesTaken(leases=[station.leases[only_lease(station)].terms]))
    other.tell()
    assert codes(hq) == ["lease_misused", "lease_misused"]
    assert lent(hq) == (50_000, 50_000)


# --- epochs --------------------------------------------------------------------------------------


def test_a_restored_station_has_no_leases_and_nothing_is_spent_twice() -> None:
    hq = banking()
    station = up(hq)
    kept = len(station.records)
    station.spend("a-1", 20_000)
    station.tell()
    station.restore(kept)
    station.come_up()
    station.tell()
    assert station.available("balance", "a-1") == 50_000, "a new one, of what was free"
    assert hq.vault.held("balance", "a-1") == 80_000
    assert (lent(hq), proved(hq)) == ((30_000, 50_000), True)
    assert codes(hq) == []


def test_an_earlier_epoch_is_over_only_when_all_its_rows_were_read() -> None:
    """The backup holds a sale that headquarters never saw; it arrives after the restore."""
    hq = banking(set_aside_fen={STATION: 100_000})
    station = up(hq)
    station.tell()
    station.spend("a-1", 60_000)
    kept = len(station.records)
    station.restore(kept)
    station.come_up()
    backup = station.past
    station.past = []
    station.tell()
    assert lent(hq) == (0, 100_000), "its last rows are not here"
    assert "epoch_missing_rows" in codes(hq)
    station.past = backup
    station.tell()
    assert (lent(hq), proved(hq)) == ((40_000, 0), True)


def test_what_a_life_that_is_over_still_spends_is_a_debt() -> None:
    """Two machines with one identity: the old disk is alive."""
    hq = banking(set_aside_fen={STATION: 100_000})
    station = up(hq)
    old = LeaseStation(hq)
    old.records, old.leases, old.in_force = station.records, dict(station.leases), 1
    station.tell()
    old.sent = len(old.records)
    station.restore(len(station.records))
    station.past.clear()
    station.come_up()
    station.tell()
    station.publish()
    assert lent(hq) == (0, 100_000)
    old.spend("a-1", 30_000)
    old.tell()
    assert {"lease_over", "debt"} <= set(codes(hq))
    assert (hq.vault.debt("balance", "a-1"), hq.vault.held("balance", "a-1")) == (30_000, 70_000)
    assert proved(hq)


def test_a_new_disk_without_a_backup_begins_anew() -> None:
    hq = banking()
    station = up(hq)
    station.spend("a-1", 10_000)
    station.tell()
    anew = LeaseStation(hq, epoch=station.epoch + 9)
    anew.sales = 50
    anew.come_up()
    anew.write(quiet())
    anew.tell()
    anew.publish()
    assert (hq.vault.held("balance", "a-1"), anew.available("balance", "a-1")) == (90_000, 50_000)
    assert (codes(hq), proved(hq)) == ([], True)


def test_a_late_word_of_an_earlier_epoch_changes_nothing() -> None:
    hq = banking()
    station = up(hq)
    station.tell()
    before = (list(station.records), station.epoch, station.in_force)
    station.restore(len(station.records))
    station.come_up()
    station.tell()
    station.publish()
    late = LeaseStation(hq)
    late.records, late.epoch, late.in_force = before
    late.come_up()
    assert hq.leases.epoch(STATION) == station.epoch
    assert late.available("balance", "a-1") == 0


# --- what these books do not know ----------------------------------------------------------------


def test_a_lease_of_a_headquarters_that_was_restored_is_taken_up_and_recalled() -> None:
    newer, older = banking(), banking()
    station = up(newer)
    known = set(station.leases)
    station.hq = older
    station.now_ms += 5
    station.come_up()
    station.tell()
    assert codes(older) == ["lease_unknown"]
    assert lent(older) == (0, 100_000), "the one that the station has, and the one of these books"
    station.publish()
    station.tell()
    assert not known & {lease.terms.lease_id for lease in station.holding("balance", "a-1").leases}
    assert (hqs_leases(older), proved(older)) == (1, True)


def hqs_leases(hq: Headquarters) -> int:
    return len(hq.leases.open_leases("balance", "a-1"))


def test_a_lease_that_nothing_covers_is_shown_and_not_taken_up() -> None:
    hq = banking(opening_fen=10)
    station = up(hq)
    terms = station.leases[only_lease(station)].terms
    forged = terms.model_copy(update={"lease_id": "forged", "amount": 5_000})
    station.write(LeasesTaken(leases=[forged]))
    station.tell()
    assert codes(hq) == ["lease_unknown"]
    assert (lent(hq), hqs_leases(hq)) == ((0, 10), 1)


def test_a_station_that_never_came_up_may_have_leases_that_nobody_can_recall() -> None:
    hq = banking()
    station = LeaseStation(hq, "S-9")
    lender = up(hq)
    terms = lender.leases[only_lease(lender)].terms
    station.write(LeasesTaken(leases=[terms.model_copy(update={"lease_id": "L1"})]))
    station.tell()
    assert codes(hq) == ["lease_unknown"]
    assert (lent(hq), proved(hq)) == ((0, 100_000), True)


# --- top-ups -------------------------------------------------------------------------------------


def test_row_v12_a_top_up_at_a_till_is_a_lease_there_and_the_cap_is_watched() -> None:
    hq = banking()
    station = up(hq)
    station.append(topped_up(20_000))
    assert station.available("balance", "a-1") == 70_000
    station.tell()
    assert lent(hq) == (50_000, 70_000)
    station.spend("a-1", 65_000)
    station.tell()
    assert (hq.vault.held("balance", "a-1"), codes(hq), proved(hq)) == (55_000, [], True)
    station.append(topped_up(450_000, top_up_id="t-2"))
    station.tell()
    assert codes(hq) == ["over_cap"]


def test_a_top_up_counts_once_and_needs_an_account() -> None:
    hq = banking()
    station = up(hq)
    for body in (topped_up(5), topped_up(5), topped_up(-5, top_up_id="t-3")):
        station.write(body)
    station.write(topped_up(7, top_up_id="t-4", account_ref="a-9"))
    station.tell()
    assert codes(hq) == ["top_up_twice", "top_up_twice", "account_unknown"]
    assert hq.vault.held("balance", "a-1") == 100_005
    assert proved(hq)


# --- beyond every lease --------------------------------------------------------------------------


def test_what_the_floor_limit_let_through_is_taken_from_what_is_free() -> None:
    hq = banking()
    station = up(hq)
    station.spend("a-1", 60_000, floor_fen=10_000)
    station.tell()
    assert (lent(hq), codes(hq), proved(hq)) == ((40_000, 0), [], True)


def test_what_nobody_has_is_a_debt_that_the_next_money_pays() -> None:
    hq = banking(opening_fen=10_000)
    station = up(hq)
    sale = station.spend("a-1", 30_000, floor_fen=20_000)
    station.tell()
    assert codes(hq) == ["floor_debt"]
    assert (hq.vault.debt("balance", "a-1"), hq.vault.free("balance", "a-1")) == (20_000, 0)
    with hq.books.transaction():
        hq.vault.credit("balance", "a-1", 25_000, Cause(NOW, "top_up"))
    assert lent(hq) == (5_000, 0)
    station.refund(sale)
    station.tell()
    assert hq.vault.held("balance", "a-1") == 35_000
    assert proved(hq)


def test_rows_that_arrive_twice_are_booked_once() -> None:
    hq = banking()
    station = up(hq)
    station.spend("a-1", 5_000)
    station.tell()
    station.sent = 0
    station.tell()
    audit_all(hq)
    assert (hq.vault.held("balance", "a-1"), codes(hq)) == (95_000, [])


def test_a_floor_movement_names_its_age() -> None:
    station = up(banking())
    sale = station.spend("a-1", 60_000, floor_fen=10_000)
    assert beyond(sale, "a-1", 1).cache_age_s == 60


def test_rows_of_the_journal_name_the_row_that_they_come_from() -> None:
    hq = banking()
    station = up(hq)
    station.spend("a-1", 5_000)
    station.tell()
    row = hq.books.connection.execute(
        "SELECT j.station, j.epoch, l.kind FROM journal j JOIN stream s ON s.station = j.station"
        " AND s.epoch = j.epoch JOIN ledger l ON l.stream = s.id AND l.seq = j.seq"
        " WHERE j.reason = 'sale'"
    ).fetchone()
    assert row == (STATION, station.epoch, "asset.moved")
