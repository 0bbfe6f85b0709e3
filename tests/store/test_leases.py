"""Leases in the books: spent once, never beyond, never after their end, given back exactly."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import AccountRef, MemberRef, SaleId
from edge_agent.model.leases import LeaseState
from edge_agent.model.member_code import CLOCK_ALLOWANCE_MS
from edge_agent.model.records import (
    EpochOpened,
    GivenBenefit,
    LeaseClosed,
    MemberCodeUsed,
    PointsBucket,
    StationStopped,
    Tender,
)
from edge_agent.model.units import Money
from edge_agent.store.rebuild import rebuild_books
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books
from tests.store.conftest import FAR_MS, NOW_MS

OpenStore = Callable[..., StationStore]
DAY_MS = 86_400_000


async def refused(store: StationStore, *bodies: Any) -> str:
    """Append, expect a refusal, see that nothing was written, return the code."""
    before = store.books.head(), store.books.open_leases(), store.books.unpaid()
    with pytest.raises(SaleRefused) as caught:
        await store.books.append(bodies)
    assert (store.books.head(), store.books.open_leases(), store.books.unpaid()) == before
    assert caught.value.problem.text_zh
    return caught.value.problem.code


class Till:
    """Delivers fuel and makes sales of it."""

    def __init__(self, store: StationStore, bodies: Any) -> None:
        self.store = store
        self.bodies = bodies

    async def sale(self, *tenders: Tender, amount_fen: int = 7_850, **more: Any) -> Any:
        """Deliver fuel; return the record that settles it, not yet written."""
        completed = self.bodies.completed(volume_ml=amount_fen * 1000 // 785)
        await self.store.books.append([completed])
        quote = self.bodies.quote(
            completed, member_ref=more.get("member_ref"), **more.pop("quote", {})
        )
        return self.bodies.settled(completed, list(tenders) or None, quote=quote, **more)

    async def stored(self, account: str = "A", amount_fen: int = 7_850, **more: Any) -> Any:
        """Deliver fuel that stored value pays."""
        tender = self.bodies.stored_value(account, amount_fen)
        return await self.sale(tender, amount_fen=amount_fen, **more)

    def left(self, holder: str = "A", asset: Any = "balance") -> int:
        leases = self.store.books.holding(asset, holder).leases
        return sum(lease.left for lease in leases)


@pytest.fixture
def till(store: StationStore, bodies: Any) -> Till:
    return Till(store, bodies)


async def take(till: Till, *terms: Any) -> None:
    await till.store.books.append([till.bodies.taken(*terms)])


# --- stored value -------------------------------------------------------------------------------


async def test_row_v19_a_balance_is_spent_within_its_leases(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    one = await till.stored()
    assert await refused(till.store, one, *bodies.moved(one)) == "lease_unknown"
    await take(till, bodies.terms("A", 10_000))
    await books.append([one, *bodies.moved(one)])
    (lease,) = books.holding("balance", "A").leases
    assert (lease.spent, lease.left, lease.state) == (7_850, 2_150, LeaseState.OPEN)
    assert books.holding("balance", "A").available(NOW_MS) == 2_150
    assert books.movements(SaleId(one.sale_id)) == bodies.moved(one)
    two = await till.stored()
    assert await refused(till.store, two, *bodies.moved(two)) == "lease_overdrawn"
    back = bodies.given_back(bodies.moved(one))
    await books.append([bodies.refunded(one), *back])
    assert till.left() == 10_000
    await books.append([two, *bodies.moved(two)])
    assert till.left() == 2_150
    assert till.left("B") == 0
    assert books.holding("balance", "B").leases == ()


async def test_row_v19_what_is_lent_is_summed_without_what_is_over(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    assert books.lent(NOW_MS) == {}
    over = bodies.terms("A", 500, lease_id="over", expires_ms=NOW_MS)
    await take(till, bodies.terms("A", 10_000), bodies.terms("B", 300, lease_id="b"), over)
    one = await till.stored()
    await books.append([one, *bodies.moved(one)])
    assert books.lent(NOW_MS) == {"balance": 10_000 + 300 - 7_850}


async def test_a_sale_draws_on_several_leases(till: Till) -> None:
    bodies = till.bodies
    soon = bodies.terms("A", 5_000, lease_id="soon", expires_ms=NOW_MS + DAY_MS)
    await take(till, bodies.terms("A", 5_000, lease_id="late"), soon)
    assert [each.terms.lease_id for each in till.store.books.holding("balance", "A").leases] == [
        "soon",
        "late",
    ]
    sale = await till.stored()
    draws = [
        bodies.drawn(sale, "A", 5_000, lease_id="soon"),
        bodies.drawn(sale, "A", 2_850, lease_id="late"),
    ]
    await till.store.books.append([sale, *draws])
    assert till.left() == 2_150
    assert till.store.books.movements(SaleId(sale.sale_id)) == draws


async def test_a_lease_is_taken_once_ever(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    terms = bodies.terms("A", 5_000)
    await take(till, terms)
    assert await refused(till.store, bodies.taken(terms)) == "lease_known"
    other = bodies.terms("B", 5_000, lease_id="twice")
    assert await refused(till.store, bodies.taken(other, other)) == "lease_known"
    await books.append([LeaseClosed(lease_id="L-A", spent=0, reason="recalled")])
    assert await refused(till.store, bodies.taken(terms)) == "lease_known"
    assert await refused(till.store, bodies.topped_up("A", 100, top_up_id="L-A")) == ("lease_known")


@pytest.mark.parametrize("amount", [0, -1])
async def test_a_lease_is_of_something(till: Till, amount: int) -> None:
    assert await refused(till.store, till.bodies.taken(till.bodies.terms("A", amount))) == (
        "lease_malformed"
    )


async def test_a_lease_ends_once_with_what_was_spent(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    await take(till, bodies.terms("A", 10_000))
    sale = await till.stored()
    moved = bodies.moved(sale)
    await books.append([sale, *moved])

    def closed(lease_id: str, spent: int, reason: Any = "expired") -> LeaseClosed:
        return LeaseClosed(lease_id=lease_id, spent=spent, reason=reason)

    assert await refused(till.store, closed("L-A", 0)) == "lease_mismatched"
    assert await refused(till.store, closed("none", 0)) == "lease_unknown"
    await books.append([closed("L-A", 7_850)])
    assert books.open_leases() == []
    assert await refused(till.store, closed("L-A", 7_850)) == "lease_over"
    # A refund still goes back to where it came from: headquarters credits the holder.
    await books.append([bodies.refunded(sale), *bodies.given_back(moved)])
    assert till.left() == 0
    again = await till.stored(amount_fen=785)
    assert await refused(till.store, again, *bodies.moved(again)) == "lease_over"


async def test_an_expired_lease_is_not_drawn_from_even_when_the_clock_is_set_back(
    till: Till, clock: Any
) -> None:
    bodies, books = till.bodies, till.store.books
    await take(till, bodies.terms("A", 10_000, expires_ms=NOW_MS + 1_000))
    sale = await till.stored()
    assert books.due_leases(NOW_MS + 999, 9) == []
    clock.advance(1_000)
    assert await refused(till.store, sale, *bodies.moved(sale)) == "lease_expired"
    await books.append([StationStopped(boot_id="b")])
    assert books.time_floor_ms() == NOW_MS + 1_000
    clock.advance(-DAY_MS)
    assert await refused(till.store, sale, *bodies.moved(sale)) == "lease_expired"
    assert books.time_floor_ms() == NOW_MS + 1_000
    (due,) = books.due_leases(books.time_floor_ms(), 9)
    assert due.terms.lease_id == "L-A"


async def test_the_latest_time_outlives_a_restart(
    open_store: OpenStore, bodies: Any, clock: Any
) -> None:
    store = open_store()
    assert store.books.time_floor_ms() == 0
    await store.books.append([bodies.taken(bodies.terms("A", 10_000, expires_ms=NOW_MS + 5))])
    clock.advance(DAY_MS)
    await store.books.append([StationStopped(boot_id="b")])
    store.close()
    clock.advance(-DAY_MS)
    again = Till(open_store(), bodies)
    assert again.store.books.time_floor_ms() == NOW_MS + DAY_MS
    sale = await again.stored()
    assert await refused(again.store, sale, *bodies.moved(sale)) == "lease_expired"


async def test_a_movement_is_of_its_lease(till: Till) -> None:
    bodies = till.bodies
    await take(till, bodies.terms("A", 10_000), bodies.terms("B", 10_000))
    sale = await till.stored()
    foreign = bodies.drawn(sale, "A", 7_850, lease_id="L-B")
    assert await refused(till.store, sale, foreign) == "lease_mismatched"
    unknown = bodies.drawn(sale, "A", 7_850, lease_id="L-C")
    assert await refused(till.store, sale, unknown) == "lease_unknown"
    more = [bodies.drawn(sale, "A", 7_851), bodies.drawn(sale, "A", -1)]
    assert await refused(till.store, sale, *more) == "lease_overdrawn"


async def test_a_new_epoch_ends_every_lease(till: Till, clock: Any) -> None:
    bodies, books = till.bodies, till.store.books
    clock.advance(DAY_MS)  # ahead of the real time
    await take(till, bodies.terms("A", 10_000), bodies.terms("K", 1, "coupon", member_ref="M"))
    sale = await till.stored()
    await books.append([sale, *bodies.moved(sale)])
    clock.advance(-DAY_MS)
    head = books.head()
    opened = EpochOpened(
        reason="restore",
        previous_epoch=head.epoch,
        previous_seq=head.seq,
        previous_hash=head.hash,
    )
    await books.append([opened])
    assert books.open_leases() == []
    assert books.coupons_of(MemberRef("M")) == []
    again = await till.stored(amount_fen=785)
    assert await refused(till.store, again, *bodies.moved(again)) == "lease_over"
    assert await refused(till.store, bodies.taken(bodies.terms("A", 5))) == "lease_known"
    # The clock that ran ahead is forgiven: what is lent from here on counts by the right time.
    await take(till, bodies.terms("A", 785, lease_id="new", expires_ms=NOW_MS + 1_000))
    await books.append([again, bodies.drawn(again, "A", 785, lease_id="new")])


# --- what a sale moves --------------------------------------------------------------------------


async def test_row_v3_stored_value_moves_only_with_its_sale(till: Till) -> None:
    bodies = till.bodies
    await take(till, bodies.terms("A", 100_000), bodies.terms("B", 100_000))
    sale = await till.stored()
    (moved,) = bodies.moved(sale)
    assert await refused(till.store, sale) == "movements_unbalanced"
    assert await refused(till.store, moved) == "movement_without_sale"
    assert await refused(till.store, moved, sale) == "movement_without_sale"
    apart = [sale, StationStopped(boot_id="b"), moved]
    assert await refused(till.store, *apart) == "movement_without_sale"
    other = moved.model_copy(update={"sale_id": "S-other"})
    assert await refused(till.store, sale, other) == "movement_without_sale"
    back = moved.model_copy(update={"delta": 1, "reason": "refund"})
    assert await refused(till.store, sale, moved, back) == "movement_without_sale"
    less = moved.model_copy(update={"delta": moved.delta + 1})
    assert await refused(till.store, sale, less) == "movements_unbalanced"
    stranger = bodies.drawn(sale, "B", 7_850)
    assert await refused(till.store, sale, stranger) == "movements_unbalanced"
    await till.store.books.append([sale, moved])
    assert await refused(till.store, back) == "movement_without_sale"


async def test_cash_moves_nothing(till: Till) -> None:
    bodies = till.bodies
    await take(till, bodies.terms("A", 100_000))
    sale = await till.sale()
    assert await refused(till.store, sale, bodies.drawn(sale, "A", 1)) == "movements_unbalanced"


async def test_row_p1_row_p19_points_earned_are_those_of_the_quote(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    sale = await till.sale(member_ref="M", quote={"points_earned": 78})
    assert await refused(till.store, sale) == "movements_unbalanced"
    assert await refused(till.store, sale, bodies.earned(sale, 77)) == "movements_unbalanced"
    foreign = bodies.earned(sale, 78, member_ref="N")
    assert await refused(till.store, sale, foreign) == "movements_unbalanced"
    twice = [bodies.earned(sale, 80), bodies.earned(sale, -2)]
    assert await refused(till.store, sale, *twice) == "figure_out_of_range"
    earned = bodies.earned(sale, 78)
    await books.append([sale, earned])
    assert books.holding("points", "M").leases == ()  # headquarters has to lease them first
    assert await refused(till.store, bodies.refunded(sale)) == "refund_differs_from_sale"
    await books.append([bodies.refunded(sale), *bodies.given_back([earned])])
    stranger = await till.sale(quote={"points_earned": 78})
    assert await refused(till.store, stranger) == "movements_unbalanced"


async def test_row_v5_a_refund_mirrors_what_the_sale_moved(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    await take(
        till,
        bodies.terms("A", 5_000, lease_id="one"),
        bodies.terms("A", 5_000, lease_id="two"),
    )
    sale = await till.stored()
    moved = [
        bodies.drawn(sale, "A", 5_000, lease_id="one"),
        bodies.drawn(sale, "A", 2_850, lease_id="two"),
    ]
    await books.append([sale, *moved])
    first, second = bodies.given_back(moved)

    async def differs(*back: Any, **more: Any) -> bool:
        refund = bodies.refunded(sale, **more)
        return await refused(till.store, refund, *back) == "refund_differs_from_sale"

    assert await differs()
    assert await differs(first)
    assert await differs(first, second, second)
    assert await differs(first.model_copy(update={"delta": 7_850}))
    assert await differs(first, second.model_copy(update={"lease_id": "one"}))
    cash = Tender(means="cash", amount_fen=7_850, account_ref=None)
    assert await differs(first, second, tenders=[cash])
    more = bodies.stored_value("A", 7_851)
    assert await differs(first, second, tenders=[more])
    await books.append([bodies.refunded(sale), second, first])
    assert till.left() == 10_000
    assert books.movements(SaleId(sale.sale_id)) == moved


async def test_a_refund_on_a_terminal_has_another_reference(till: Till) -> None:
    card = Tender(means="bank_card", amount_fen=7_850, account_ref=None, reference="0001")
    sale = await till.sale(card)
    await till.store.books.append([sale])
    back = card.model_copy(update={"reference": "0002"})
    await till.store.books.append([till.bodies.refunded(sale, tenders=[back])])


async def test_a_sale_and_its_refund_in_one_append(till: Till) -> None:
    bodies = till.bodies
    await take(till, bodies.terms("A", 10_000))
    sale = await till.stored()
    moved = bodies.moved(sale)
    refund = bodies.refunded(sale)
    await till.store.books.append([sale, *moved, refund, *bodies.given_back(moved)])
    assert till.left() == 10_000


# --- points -------------------------------------------------------------------------------------


def points_tender(member: str, points: int) -> Tender:
    return Tender(means="points", amount_fen=points, account_ref=member, points=points)


async def test_row_p6_row_p8_points_are_drawn_from_buckets_that_hold_them(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    soon, late, over = NOW_MS + DAY_MS, FAR_MS, NOW_MS
    buckets = [
        PointsBucket(expires_ms=expires_ms, points=points)
        for expires_ms, points in ((over, 100), (soon, 300), (late, 600))
    ]
    await take(till, bodies.terms("M", 1_000, "points", buckets=buckets))
    assert await refused(
        till.store, bodies.taken(bodies.terms("N", 999, "points", buckets=buckets))
    ) == ("lease_malformed")
    sale = await till.sale(points_tender("M", 500), amount_fen=500, member_ref="M")

    async def refusal(parts: dict[int, int], amount: int = 500) -> str:
        return await refused(
            till.store, sale, bodies.drawn(sale, "M", amount, "points", buckets=parts)
        )

    assert await refusal({}) == "lease_mismatched"
    assert await refusal({soon: 300, late: 199}) == "lease_mismatched"
    assert await refusal({soon: 301, late: 199}) == "lease_mismatched"
    assert await refusal({soon: 300, late + 1: 200}) == "lease_mismatched"
    assert await refusal({soon: 300, late: 201, late + 1: -1}) == "lease_mismatched"
    assert await refusal({over: 100, soon: 300, late: 100}) == "lease_expired"
    assert await refusal({soon: 300, late: 100}, 400) == "movements_unbalanced"
    taken = bodies.drawn(sale, "M", 500, "points", buckets={soon: 300, late: 200})
    await books.append([sale, taken])
    (lease,) = books.holding("points", "M").leases
    assert (lease.spent, lease.drawn) == (500, tuple(taken.buckets))
    assert lease.available(NOW_MS) == 400

    (back,) = bodies.given_back([taken])
    swapped = back.model_copy(
        update={
            "buckets": [
                PointsBucket(expires_ms=soon, points=200),
                PointsBucket(expires_ms=late, points=300),
            ]
        }
    )
    assert await refused(till.store, bodies.refunded(sale), swapped) == "refund_differs_from_sale"
    await books.append([bodies.refunded(sale), back])
    (lease,) = books.holding("points", "M").leases
    assert (lease.spent, lease.drawn) == (0, ())


async def test_row_p6_points_that_pay_are_the_members(till: Till) -> None:
    bodies = till.bodies
    buckets = [PointsBucket(expires_ms=FAR_MS, points=500)]
    await take(till, bodies.terms("M", 500, "points", buckets=buckets))
    sale = await till.sale(points_tender("N", 500), amount_fen=500, member_ref="N")
    taken = bodies.drawn(sale, "M", 500, "points", buckets={FAR_MS: 500})
    assert await refused(till.store, sale, taken) == "movements_unbalanced"


# --- coupons ------------------------------------------------------------------------------------


def coupon(bodies: Any, serial: str, **more: Any) -> Any:
    values = {"template": "T", "member_ref": "M", "from_ms": NOW_MS, "until_ms": FAR_MS}
    return bodies.terms(serial, 1, "coupon", **(values | more))


async def couponed(till: Till, serial: str, **more: Any) -> list[Any]:
    """Return a sale in which a coupon takes off one yuan, with what it moves."""
    applied = [till.bodies.applied("T", 100, serial)]
    quote = {"applied": applied, "payable_fen": 7_750}
    cash = Tender(means="cash", amount_fen=7_750, account_ref=None)
    sale = await till.sale(cash, member_ref="M", quote=quote)
    return [sale, till.bodies.drawn(sale, serial, 1, "coupon", **more)]


async def test_row_c16_a_coupon_is_used_once_ever(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    await take(till, coupon(bodies, "K1"), coupon(bodies, "K2", expires_ms=NOW_MS + DAY_MS))
    held = [lease.terms.holder for lease in books.coupons_of(MemberRef("M"))]
    assert held == ["K2", "K1"]
    assert books.coupons_of(MemberRef("N")) == []
    (lease,) = books.holding("coupon", "K1").leases
    assert (lease.terms, lease.left) == (coupon(bodies, "K1"), 1)
    first = await couponed(till, "K1")
    assert await refused(till.store, first[0]) == "movements_unbalanced"
    await books.append(first)
    assert [lease.terms.holder for lease in books.coupons_of(MemberRef("M"))] == ["K2"]
    assert await refused(till.store, *await couponed(till, "K1")) == "coupon_used"
    # Not even when headquarters should lend it once more by mistake.
    await take(till, coupon(bodies, "K1", lease_id="again"))
    assert [lease.terms.holder for lease in books.coupons_of(MemberRef("M"))] == ["K2"]
    assert await refused(till.store, *await couponed(till, "K1", lease_id="again")) == (
        "coupon_used"
    )


async def test_row_v5_a_refund_freezes_the_coupon(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    await take(till, coupon(bodies, "K1"))
    sale, moved = await couponed(till, "K1")
    await books.append([sale, moved])
    await books.append([bodies.refunded(sale), *bodies.given_back([moved])])
    assert books.coupons_of(MemberRef("M")) == []
    assert books.open_leases() == []
    assert books.due_leases(FAR_MS, 9) == []
    assert await refused(till.store, *await couponed(till, "K1")) == "lease_over"
    # Headquarters looks at it and lends it anew: then it can be used again.
    await take(till, coupon(bodies, "K1", lease_id="anew"))
    await books.append(await couponed(till, "K1", lease_id="anew"))


async def test_a_coupon_for_a_gift_is_used_like_any_other(till: Till) -> None:
    bodies = till.bodies
    await take(till, coupon(bodies, "K1"))
    gift = GivenBenefit(
        offer="T", text_zh="礼", text_en="gift", good="water", pieces=1, points=0, coupon="K1"
    )
    sale = await till.sale(member_ref="M", quote={"benefits": [gift]})
    assert await refused(till.store, sale) == "movements_unbalanced"
    await till.store.books.append([sale, bodies.drawn(sale, "K1", 1, "coupon")])


async def test_row_c2_an_offer_with_a_budget_spends_it(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    await take(till, bodies.terms("summer", 150, "budget"))

    async def sale() -> Any:
        applied = [bodies.applied("summer", 100), bodies.applied("always", 50)]
        quote = {"applied": applied, "payable_fen": 7_700, "budgets": {"summer": 150}}
        cash = Tender(means="cash", amount_fen=7_700, account_ref=None)
        return await till.sale(cash, quote=quote)

    first = await sale()
    assert await refused(till.store, first) == "movements_unbalanced"
    await books.append([first, bodies.drawn(first, "summer", 100, "budget")])
    assert till.left("summer", "budget") == 50
    second = await sale()
    assert await refused(till.store, second, bodies.drawn(second, "summer", 100, "budget")) == (
        "lease_overdrawn"
    )


# --- beyond leases ------------------------------------------------------------------------------


async def test_a_balance_alone_goes_beyond_leases_and_says_how_old_the_news_is(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    await take(till, bodies.terms("A", 5_000))
    sale = await till.stored()
    leased = bodies.drawn(sale, "A", 5_000)
    floor = bodies.drawn(sale, "A", 2_850, lease_id=None, cache_age_s=60)
    without_age = floor.model_copy(update={"cache_age_s": None})
    assert await refused(till.store, sale, leased, without_age) == "floor_not_allowed"
    await books.append([sale, leased, floor])
    assert books.floor_spent(AccountRef("A"), NOW_MS) == Money(2_850)
    assert books.floor_spent(AccountRef("A"), NOW_MS + 1) == Money(0)
    assert books.floor_spent(AccountRef("B"), 0) == Money(0)
    await books.append([bodies.refunded(sale), *bodies.given_back([leased, floor])])
    assert books.floor_spent(AccountRef("A"), 0) == Money(0)
    assert till.left() == 5_000

    used = await couponed(till, "K1", lease_id=None, cache_age_s=60)
    assert await refused(till.store, *used) == "floor_not_allowed"


# --- top-ups ------------------------------------------------------------------------------------


async def test_row_v10_a_top_up_is_a_lease_of_what_was_paid_in(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    topped_up = bodies.topped_up("A", 10_000)
    await books.append([topped_up])
    assert books.top_up_by_key(topped_up.idempotency_key) == topped_up
    assert books.top_up_by_key("none") is None
    assert books.sale_by_key(topped_up.idempotency_key) is None
    (lease,) = books.holding("balance", "A").leases
    assert (lease.terms.lease_id, lease.left) == (topped_up.top_up_id, 10_000)
    sale = await till.stored()
    await books.append([sale, bodies.drawn(sale, "A", 7_850, lease_id=topped_up.top_up_id)])
    assert till.left() == 2_150


async def test_row_v8_a_top_up_is_made_once_for_a_key(till: Till) -> None:
    bodies, books = till.bodies, till.store.books
    first = bodies.topped_up("A", 10_000, idempotency_key="K")
    await books.append([first])
    again = bodies.topped_up("A", 10_000, idempotency_key="K")
    assert await refused(till.store, again) == "top_up_already_made"
    for other in (
        bodies.topped_up("A", 20_000, idempotency_key="K"),
        bodies.topped_up("B", 10_000, idempotency_key="K"),
    ):
        assert await refused(till.store, other) == "idempotency_conflict"
    sale = await till.sale(idempotency_key="K")
    assert await refused(till.store, sale) == "idempotency_conflict"
    assert till.left() == 10_000


@pytest.mark.parametrize("amount_fen", [0, -5])
async def test_a_top_up_pays_something_in(till: Till, amount_fen: int) -> None:
    topped_up = till.bodies.topped_up("A", amount_fen)
    assert await refused(till.store, topped_up) == "figure_out_of_range"


async def test_figures_beyond_all_bounds_are_refused(till: Till) -> None:
    bodies = till.bodies
    assert await refused(till.store, bodies.taken(bodies.terms("A", 2**70))) == (
        "figure_out_of_range"
    )
    sale = await till.stored()
    huge = bodies.stored_value("A", 2**70)
    sale = sale.model_copy(update={"tenders": [huge]})
    floor = bodies.drawn(sale, "A", 2**70, lease_id=None, cache_age_s=1)
    assert await refused(till.store, sale, floor) == "figure_out_of_range"


# --- dynamic codes ------------------------------------------------------------------------------


async def test_a_dynamic_code_is_believed_once(till: Till, clock: Any) -> None:
    books = till.store.books
    expires_ms = NOW_MS + 120_000

    def used(nonce: str, expires_ms: int) -> MemberCodeUsed:
        return MemberCodeUsed(nonce=nonce, member_ref="M", expires_ms=expires_ms)

    assert not books.code_used("n1")
    await books.append([used("n1", expires_ms)])
    assert books.code_used("n1")
    assert await refused(till.store, used("n1", expires_ms)) == "member_code_used"
    await books.append([used("n2", expires_ms)])
    # A day later nobody remembers it, and it is refused for its age, even at an earlier hour.
    clock.advance(2 * DAY_MS)
    await books.append([used("n3", NOW_MS + 2 * DAY_MS + 60_000)])
    assert not books.code_used("n1")
    clock.advance(-2 * DAY_MS)
    assert await refused(till.store, used("n1", expires_ms)) == "member_code_expired"
    late = NOW_MS + 2 * DAY_MS - CLOCK_ALLOWANCE_MS
    assert await refused(till.store, used("n4", late)) == "member_code_expired"
    await books.append([used("n4", late + 1)])


# --- the books as a whole -----------------------------------------------------------------------


async def test_leases_outlive_restart_and_rebuild(
    open_store: OpenStore, bodies: Any, tmp_path: Path
) -> None:
    till = Till(open_store(), bodies)
    buckets = [PointsBucket(expires_ms=FAR_MS, points=500)]
    await take(
        till,
        bodies.terms("A", 10_000, holding=50_000),
        bodies.terms("M", 500, "points", buckets=buckets),
        coupon(bodies, "K1"),
    )
    await till.store.books.append([bodies.topped_up("A", 1_000)])
    await till.store.books.append([LeaseClosed(lease_id="gone", spent=0, reason="recalled")])
    sale = await till.stored(member_ref="M")
    await till.store.books.append([sale, *bodies.moved(sale)])
    points = await till.sale(points_tender("M", 500), amount_fen=500, member_ref="M")
    taken = bodies.drawn(points, "M", 500, "points", buckets={FAR_MS: 500})
    await till.store.books.append([points, taken])

    def said(store: StationStore) -> list[object]:
        return [
            store.books.open_leases(),
            store.books.coupons_of(MemberRef("M")),
            store.books.usage("member", "M", 0),
            store.books.usage("account", "A", 0),
            store.books.time_floor_ms(),
        ]

    before = said(till.store)
    assert len(till.store.books.open_leases()) == 4
    till.store.close()
    again = open_store()
    assert said(again) == before
    again.close()
    rebuild_books(tmp_path / "books.db")
    assert said(open_store()) == before
    assert verify_books(tmp_path / "books.db").ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lease SET spent = amount + 1",
        "UPDATE lease SET spent = -1",
        "UPDATE lease SET spent = 1 WHERE asset = 'coupon'",
    ],
)
async def test_the_tables_themselves_refuse_to_overspend(
    till: Till, bodies: Any, tmp_path: Path, statement: str
) -> None:
    await take(till, coupon(bodies, "K1"), coupon(bodies, "K1", lease_id="twin"))
    with (
        closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as outside,
        pytest.raises(sqlite3.IntegrityError),
    ):
        outside.execute(statement)
