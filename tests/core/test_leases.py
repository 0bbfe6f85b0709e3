"""Leases are drawn soonest expiry first, never beyond, and end for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core import leases
from edge_agent.core.leases import Draw
from edge_agent.model.errors import SaleRefused
from edge_agent.model.leases import Lease, LeaseState
from edge_agent.model.records import (
    Asset,
    AssetMoved,
    EpochOpened,
    LeaseClosed,
    LeasesTaken,
    PointsBucket,
    RecordBody,
    StationStopped,
    StoredValueToppedUp,
)
from tests.core.leasing import (
    DAY_MS,
    NOON_MS,
    after,
    coupon_terms,
    points_terms,
    taken,
    terms,
)

NEW_EPOCH = EpochOpened(reason="restore", previous_epoch=1, previous_seq=9, previous_hash="0" * 64)


def drawn(found: dict[str, Lease], amount: int, now_ms: int = NOON_MS) -> dict[str, int]:
    holding = leases.holding_of(found, "balance", "a-1")
    return {each.lease_id: each.amount for each in leases.draw(holding, amount, now_ms)}


def spend(found: dict[str, Lease], amount: int, sale: str = "s-1") -> list[AssetMoved]:
    holding = leases.holding_of(found, "balance", "a-1")
    return leases.movements("balance", "a-1", leases.draw(holding, amount, NOON_MS), sale)


def refusal(found: dict[str, Lease], body: RecordBody, at_ms: int = NOON_MS) -> str:
    with pytest.raises(SaleRefused) as caught:
        leases.apply(found, body, at_ms)
    return caught.value.problem.code


# --- drawing ------------------------------------------------------------------------------------


def test_row_v19_the_balance_is_drawn_from_the_lease_that_ends_first() -> None:
    found = taken(
        terms("late", 500, expires_ms=NOON_MS + 9), terms("soon", 300, expires_ms=NOON_MS + 5)
    )
    assert drawn(found, 200) == {"soon": 200}
    assert drawn(found, 301) == {"soon": 300, "late": 1}
    assert drawn(found, 800) == {"soon": 300, "late": 500}


def test_row_v19_nothing_is_drawn_beyond_the_leases_or_after_they_end() -> None:
    found = taken(terms("a", 300), terms("b", 500, expires_ms=NOON_MS + 5))
    for amount, now_ms in ((801, NOON_MS), (301, NOON_MS + 5), (1, NOON_MS + DAY_MS)):
        with pytest.raises(SaleRefused, match="lease_insufficient"):
            drawn(found, amount, now_ms)


def test_equal_expiries_are_drawn_in_the_order_of_ids() -> None:
    assert drawn(taken(terms("b", 100), terms("a", 100)), 150) == {"a": 100, "b": 50}


def test_row_p6_points_go_by_the_expiry_of_their_buckets_across_leases() -> None:
    """A lease that ends gives its points back to headquarters; a bucket that ends loses them."""
    ends_first = points_terms("lease 1", [(NOON_MS + 90, 50), (NOON_MS + 300, 50)], NOON_MS + 10)
    holds_older = points_terms("lease 2", [(NOON_MS + 60, 30), (NOON_MS + 90, 40)], NOON_MS + 50)
    holding = leases.holding_of(taken(ends_first, holds_older), "points", "m-1")
    assert leases.draw(holding, 90, NOON_MS) == (
        Draw("lease 2", 40, (_bucket(60, 30), _bucket(90, 10))),
        Draw("lease 1", 50, (_bucket(90, 50),)),
    )


def _bucket(later_ms: int, points: int) -> PointsBucket:
    return PointsBucket(expires_ms=NOON_MS + later_ms, points=points)


def test_expired_points_are_not_there_although_their_lease_is_open() -> None:
    found = taken(points_terms("p", [(NOON_MS, 70), (NOON_MS + 1, 30)]))
    holding = leases.holding_of(found, "points", "m-1")
    assert holding.available(NOON_MS - 1) == 100
    assert holding.available(NOON_MS) == 30
    assert leases.draw(holding, 30, NOON_MS) == (Draw("p", 30, (_bucket(1, 30),)),)


def test_points_of_an_expired_lease_are_not_there_although_they_are_good() -> None:
    over = points_terms("over", [(NOON_MS + 60, 70)], NOON_MS)
    found = taken(over, points_terms("open", [(NOON_MS + 90, 30)]))
    holding = leases.holding_of(found, "points", "m-1")
    assert leases.draw(holding, 30, NOON_MS) == (Draw("open", 30, (_bucket(90, 30),)),)
    with pytest.raises(SaleRefused, match="lease_insufficient"):
        leases.draw(holding, 31, NOON_MS)


# --- what each record does ----------------------------------------------------------------------


def test_a_refund_fills_the_very_lease_and_bucket() -> None:
    found = taken(terms("a", 300), points_terms("p", [(NOON_MS + 60, 30), (NOON_MS + 90, 40)]))
    holding = leases.holding_of(found, "points", "m-1")
    moved = spend(found, 250) + leases.movements(
        "points", "m-1", leases.draw(holding, 50, NOON_MS), "s-1"
    )
    spent = after(found, moved)
    assert (spent["a"].left, spent["p"].left) == (50, 20)
    assert spent["p"].drawn == (_bucket(60, 30), _bucket(90, 20))
    assert after(spent, leases.given_back(moved)) == found


def test_what_was_given_back_is_not_given_back_again() -> None:
    found = taken(terms("a", 300))
    moved = spend(found, 100)
    back = leases.given_back([*moved, *leases.given_back(moved)])
    assert [body.delta for body in back] == [100]


def test_row_v5_row_c16_a_coupon_that_comes_back_is_frozen() -> None:
    found = taken(coupon_terms("C-1"))
    use = leases.movements("coupon", "C-1", (Draw("lease of C-1", 1),), "s-1")
    used = after(found, use)
    frozen = after(used, leases.given_back(use))
    assert (frozen["lease of C-1"].state, frozen["lease of C-1"].spent) == (LeaseState.FROZEN, 0)
    assert refusal(frozen, use[0]) == "lease_over"
    assert leases.due_to_close(frozen.values(), NOON_MS + DAY_MS) == []


def test_row_c2_a_coupon_is_used_once_whatever_lease_brings_it() -> None:
    found = taken(coupon_terms("C-1"), coupon_terms("C-1", lease_id="again"))
    used = after(found, leases.movements("coupon", "C-1", (Draw("lease of C-1", 1),), "s-1"))
    (again,) = leases.movements("coupon", "C-1", (Draw("again", 1),), "s-2")
    assert refusal(used, again) == "coupon_used"


def test_row_v10_a_top_up_is_a_lease_of_what_was_paid_in() -> None:
    body = StoredValueToppedUp(
        top_up_id="t-1",
        account_ref="a-1",
        member_ref="m-1",
        amount_fen=20_000,
        means="cash",
        confirmed_by="member_pin",
        second_operator=None,
        idempotency_key="k",
        operator="till",
        expires_ms=NOON_MS + DAY_MS,
    )
    found = after({}, [body])
    assert drawn(found, 20_000) == {"t-1": 20_000}
    assert refusal(found, body) == "lease_known"


def test_a_lease_closes_when_it_expires_with_what_was_spent() -> None:
    found = taken(terms("a", 300, expires_ms=NOON_MS + 5), terms("b", 100))
    found = after(found, spend(found, 120))
    assert leases.due_to_close(found.values(), NOON_MS + 4) == []
    (closed,) = leases.due_to_close(found.values(), NOON_MS + 5)
    assert closed == LeaseClosed(lease_id="a", spent=120, reason="expired")
    over = after(found, [closed])
    assert leases.due_to_close(over.values(), NOON_MS + 5) == []
    assert refusal(over, closed) == "lease_over"


def test_a_refund_after_the_close_changes_no_state() -> None:
    found = taken(terms("a", 300))
    moved = spend(found, 100)
    over = after(found, [*moved, LeaseClosed(lease_id="a", spent=100, reason="recalled")])
    back = after(over, leases.given_back(moved))
    assert (back["a"].state, back["a"].left) == (LeaseState.CLOSED, 0)


def test_a_lease_recalled_before_it_came_never_opens() -> None:
    found = after({}, [LeaseClosed(lease_id="a", spent=0, reason="recalled")])
    assert refusal(found, LeasesTaken(leases=[terms("a", 300)])) == "lease_known"


def test_a_new_epoch_ends_every_lease() -> None:
    found = after(taken(terms("a", 300), coupon_terms("C-1")), [NEW_EPOCH])
    assert {each.state for each in found.values()} == {LeaseState.CLOSED}
    assert leases.holding_of(found, "balance", "a-1").leases == ()


def test_a_clock_set_back_revives_nothing() -> None:
    found = taken(terms("a", 300, expires_ms=NOON_MS + 5))
    (draw,) = spend(found, 1)
    assert refusal(found, draw, NOON_MS + 5) == "lease_expired"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"lease_id": "x"}, "lease_unknown"),
        ({"holder": "a-2"}, "lease_mismatched"),
        ({"asset": "budget"}, "lease_mismatched"),
        ({"delta": -301}, "lease_overdrawn"),
        ({"delta": 1, "reason": "refund"}, "lease_overdrawn"),
        ({"delta": 1}, "lease_overdrawn"),
        ({"delta": 0}, "lease_overdrawn"),
    ],
)
def test_a_movement_that_contradicts_its_lease_is_refused(
    change: dict[str, object], code: str
) -> None:
    found = taken(terms("a", 300))
    (good,) = spend(found, 300)
    assert refusal(found, good.model_copy(update=change)) == code


@pytest.mark.parametrize(
    ("buckets", "code"),
    [
        ([(60, 29)], "lease_mismatched"),
        ([(60, 31)], "lease_mismatched"),
        ([(61, 30)], "lease_mismatched"),
        ([(60, 31), (90, -1)], "lease_mismatched"),
        ([(0, 30)], "lease_expired"),
    ],
)
def test_points_come_from_buckets_that_hold_them(buckets: list[tuple[int, int]], code: str) -> None:
    found = taken(points_terms("p", [(NOON_MS, 30), (NOON_MS + 60, 30), (NOON_MS + 90, 40)]))
    body = AssetMoved(
        asset="points",
        holder="m-1",
        delta=-30,
        sale_id="s-1",
        reason="sale",
        lease_id="p",
        buckets=[_bucket(later, points) for later, points in buckets],
    )
    assert refusal(found, body) == code


def test_points_without_buckets_are_no_lease() -> None:
    bad = points_terms("p", [(NOON_MS + 60, 30)]).model_copy(update={"amount": 31})
    assert refusal({}, LeasesTaken(leases=[bad])) == "lease_malformed"


def test_other_records_leave_leases_alone() -> None:
    found = taken(terms("a", 300))
    assert leases.apply(found, StationStopped(boot_id="b"), NOON_MS) == found


def test_row_v12_what_an_account_may_hold_counts_top_ups_beside_what_headquarters_knew() -> None:
    found = taken(
        # Lent for an hour while a customer waited: it ends first and may yet be the newest.
        terms("asked", 100, holding=90_000, expires_ms=NOON_MS + 1),
        terms("new", 100, holding=70_000, expires_ms=NOON_MS + 2),
        terms("top-up", 5_000, expires_ms=NOON_MS + 9),
    )
    holding = leases.holding_of(found, "balance", "a-1")
    assert leases.held_at_headquarters(holding) == 70_000
    assert leases.held_at_most(holding) == 95_000
    nothing = leases.holding_of({}, "balance", "a-1")
    assert (leases.held_at_headquarters(nothing), leases.held_at_most(nothing)) == (None, 0)


# --- whatever happens in whatever order ---------------------------------------------------------


@dataclass
class Station:
    """A station that keeps its books by `apply`, and a plain count of what it ought to hold."""

    leases: dict[str, Lease] = field(default_factory=dict)
    high_ms: int = NOON_MS
    sales: list[list[AssetMoved]] = field(default_factory=list)
    granted: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)

    def write(self, body: RecordBody, at_ms: int) -> None:
        self.high_ms = max(self.high_ms, at_ms)
        self.leases = leases.apply(self.leases, body, self.high_ms)
        if isinstance(body, AssetMoved) and body.lease_id is not None:
            self.spent[body.lease_id] = self.spent.get(body.lease_id, 0) - body.delta


steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 500), st.integers(1, 40)),
        st.tuples(st.just("sell"), st.integers(1, 900), st.integers(-30, 30)),
        st.tuples(st.just("redeem"), st.integers(1, 900), st.integers(-30, 30)),
        st.tuples(st.just("refund"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("close"), st.just(0), st.integers(-10, 30)),
        st.tuples(st.just("recall"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("epoch"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@given(steps=steps)
def test_row_v6_row_v19_no_interleaving_overdraws_a_lease(
    steps: list[tuple[str, int, int]],
) -> None:
    station = Station()
    for number, (what, amount, later) in enumerate(steps):
        before = dict(station.leases)
        _play(station, number, what, amount, NOON_MS + later)
        for lease_id, lease in station.leases.items():
            assert 0 <= lease.spent <= station.granted[lease_id]
            assert lease.spent == station.spent.get(lease_id, 0)
            if lease.terms.asset == "points":
                assert sum(bucket.points for bucket in lease.drawn) == lease.spent
            was = before.get(lease_id)
            if was is not None and was.state is LeaseState.CLOSED:
                assert lease.state is LeaseState.CLOSED
                assert lease.spent <= was.spent


def _play(station: Station, number: int, what: str, amount: int, at_ms: int) -> None:
    if what == "take":
        made = [
            terms(f"b{number}", amount, expires_ms=at_ms),
            points_terms(f"p{number}", [(at_ms + 5, amount), (at_ms - 5, 7)], at_ms),
        ]
        station.granted |= {each.lease_id: each.amount for each in made}
        station.write(LeasesTaken(leases=made), NOON_MS)
    elif what == "sell":
        _sell(station, "balance", "a-1", f"s{number}", amount, at_ms)
    elif what == "redeem":
        _sell(station, "points", "m-1", f"s{number}", amount, at_ms)
    elif what == "refund" and station.sales:
        for body in leases.given_back(station.sales.pop(amount % len(station.sales))):
            station.write(body, at_ms)
    elif what == "close":
        for closed in leases.due_to_close(station.leases.values(), max(at_ms, station.high_ms)):
            station.write(closed, at_ms)
    elif what == "recall":
        names = [n for n, each in station.leases.items() if each.state is not LeaseState.CLOSED]
        for name in names[amount : amount + 1]:
            spent = station.leases[name].spent
            station.write(LeaseClosed(lease_id=name, spent=spent, reason="recalled"), at_ms)
    elif what == "epoch":
        station.write(NEW_EPOCH, at_ms)


def _sell(station: Station, asset: Asset, holder: str, sale: str, amount: int, at_ms: int) -> None:
    """What can be drawn can be written; what cannot leaves everything as it was."""
    holding = leases.holding_of(station.leases, asset, holder)
    now_ms = max(at_ms, station.high_ms)
    if amount > holding.available(now_ms):
        with pytest.raises(SaleRefused):
            leases.draw(holding, amount, now_ms)
        return
    moved = leases.movements(asset, holder, leases.draw(holding, amount, now_ms), sale)
    assert -sum(body.delta for body in moved) == amount
    for body in moved:
        station.write(body, at_ms)
    station.sales.append(moved)
