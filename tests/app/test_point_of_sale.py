"""The point of sale over the real books: priced as shown, paid once, keys kept."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from edge_agent.core.promotions import requote
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import (
    FuellingId,
    MemberRef,
)
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.policy import NO_POLICY, load_policy
from edge_agent.model.quote_record import explanation_hash, without_words
from edge_agent.model.records import RecordBody, SaleSettled
from edge_agent.model.units import Money
from edge_agent.model.wishes import GoodsWish, SaleWish, TenderOffer
from edge_agent.store.books import LedgerBooks
from tests.app.shop import CASH, POLICY, STORED, Shop, code_of, nothing_left, refused

# --- quote --------------------------------------------------------------------------------------


async def test_the_member_bound_to_the_fuelling_is_priced_by_default(shop: Shop) -> None:
    bound = await shop.deliver(31_400, member_ref="gold")
    assert shop.pos.quote(bound).payable_fen == 28_458
    assert shop.pos.quote(bound, SaleWish(member=MemberRef("silver"))).tier == "silver"
    assert shop.pos.quote(await shop.deliver(31_400)).payable_fen == 31_400


async def test_a_bound_member_that_is_gone_pays_the_list_price(shop: Shop) -> None:
    fuelling = await shop.deliver(31_400, member_ref="erased")
    quoted = shop.pos.quote(fuelling)
    assert (quoted.member_ref, quoted.payable_fen) == (None, 31_400)


async def test_what_cannot_be_quoted_says_why(shop: Shop) -> None:
    fuelling = await shop.deliver()
    with pytest.raises(SaleRefused) as caught:
        shop.pos.quote(fuelling, SaleWish(member=MemberRef("nobody")))
    assert code_of(caught) == "member_unknown"
    with pytest.raises(SaleRefused) as caught:
        shop.pos.quote(FuellingId("f-99"))
    assert code_of(caught) == "fuelling_unknown"
    await shop.settle(fuelling)
    with pytest.raises(SaleRefused) as caught:
        shop.pos.quote(fuelling)
    assert code_of(caught) == "sale_already_settled"


async def test_what_was_shown_is_charged_when_the_policy_changes_meanwhile(
    shop: Shop,
) -> None:
    fuelling = await shop.deliver(31_400)
    shown = shop.pos.quote(fuelling, SaleWish(member=MemberRef("gold"), paying="cash"))
    dearer = json.loads(POLICY) | {"version": 2, "offers": []}
    await shop.publish(json.dumps(dearer))
    sale = await shop.settle(fuelling, by="gold")
    assert sale.settled.quote == without_words(shown)
    assert sale.settled.explanation_sha256 == explanation_hash(shown)
    assert requote(sale.settled.quote, load_policy(POLICY)) == shown
    later = await shop.deliver(31_400)
    assert shop.pos.quote(later, SaleWish(member=MemberRef("gold"))).payable_fen == 31_400


async def test_a_policy_that_cannot_be_read_is_passed_over(shop: Shop) -> None:
    assert shop.pos.policy_problem() is None
    assert shop.pos.policy() is shop.pos.policy(), "read once a version"
    await shop.publish('{"format": 9}')
    assert shop.pos.policy().version == 1
    problem = shop.pos.policy_problem()
    assert problem is not None
    assert problem.code == "policy_value_refused"


async def test_a_station_without_a_policy_sells_at_the_list_price(
    open_shop: Callable[[], Shop],
) -> None:
    shop = open_shop()
    assert shop.pos.policy() is NO_POLICY
    sale = await shop.settle(await shop.deliver(5000))
    assert (sale.settled.quote.payable_fen, sale.settled.quote.policy_version) == (5000, 0)


# --- settle -------------------------------------------------------------------------------------


async def test_a_split_payment_is_one_append(shop: Shop) -> None:
    fuelling = await shop.deliver(31_400)
    before = shop.books.head().seq
    sale = await shop.settle(fuelling, TenderOffer("stored_value", Money(10_000)), CASH, by="gold")
    assert {t.means: t.amount_fen for t in sale.settled.tenders} == {
        "stored_value": 10_000,
        "cash": 18_458,
    }
    assert shop.available() == 40_000
    assert [record.kind for record in shop.books.records_after(before, 9)] == [
        "sale.settled", "asset.moved", "points.earned", "operator.action",
    ]  # fmt: skip
    assert shop.books.unpaid() == []
    assert sale == shop.books.sale_of(fuelling)


async def test_the_same_press_brings_the_same_sale(shop: Shop) -> None:
    fuelling = await shop.deliver()
    first = await shop.settle(fuelling, TenderOffer("cash", Money(30_000)))
    again = await shop.settle(fuelling, TenderOffer("cash", Money(30_000)))
    assert again == first
    assert shop.books.sums().sales == 1


async def test_a_key_belongs_to_one_wish(shop: Shop) -> None:
    fuelling, other = await shop.deliver(), await shop.deliver()
    sale = await shop.settle(fuelling, by="gold")
    assert await refused(shop.settle(other, by="gold")) == "idempotency_conflict"
    assert await refused(shop.settle(fuelling, by="silver")) == "idempotency_conflict"
    assert await refused(shop.settle(fuelling, STORED)) == "idempotency_conflict"
    assert await refused(shop.refund(sale, key="key-1")) == "idempotency_conflict"
    assert await refused(shop.settle(fuelling, key="key-2")) == "sale_already_settled"
    assert await refused(shop.settle(other, key="")) == "idempotency_key_invalid"
    assert await refused(shop.settle(other, key="x" * 129)) == "idempotency_key_invalid"


async def test_a_key_belongs_to_what_was_bought(shop: Shop) -> None:
    good = shop.pos.policy().goods[0].code
    coupon = await shop.coupon("KM26-000001", "none-of-the-policys")
    fuelling = await shop.deliver()
    gold = SaleWish(member=MemberRef("gold"), coupons=())
    first = await shop.settle(fuelling, wish=gold)
    assert await shop.settle(fuelling, wish=gold) == first
    for other in (replace(gold, goods=(GoodsWish(good, 1),)), replace(gold, coupons=(coupon,))):
        assert await refused(shop.settle(fuelling, wish=other)) == "idempotency_conflict"


async def test_a_key_outlives_the_till(shop: Shop) -> None:
    fuelling = await shop.deliver()
    first = await shop.settle(fuelling)
    assert await shop.settle(fuelling, pos=shop.open_till(seed=9)) == first


@pytest.mark.parametrize("seed", range(6))
async def test_however_often_and_wherever_it_is_pressed_it_is_paid_once(
    shop: Shop, seed: int
) -> None:
    """Two screens without a common lock, a few keys, presses that are given up half-way."""
    chance = random.Random(seed)
    fuelling = await shop.deliver(20_300)
    screens = [shop.pos, shop.open_till(seed=seed)]
    tasks = []
    for _ in range(12):
        key = chance.choice(["key-1", "key-2"])
        press = shop.settle(fuelling, STORED, by="gold", key=key, pos=chance.choice(screens))
        task = asyncio.ensure_future(press)
        tasks.append(task)
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    final = await _until_settled(shop, fuelling)
    assert shop.books.sums().sales == 1
    assert shop.available() == 50_000 - 18_300
    for result in results:
        if isinstance(result, SaleRefused):
            assert result.problem.code == "sale_already_settled"
        elif not isinstance(result, asyncio.CancelledError):
            assert result == final


async def _until_settled(shop: Shop, fuelling: FuellingId) -> SettledSale:
    """Press once more under each key: one of them is, or was, the one."""
    for key in ("key-1", "key-2"):
        try:
            return await shop.settle(fuelling, STORED, by="gold", key=key)
        except SaleRefused as refusal:
            code = refusal.problem.code
            if code != "sale_already_settled":
                raise
    raise AssertionError("neither key had settled the fuelling, yet it is settled")


async def test_a_press_that_loses_the_race_to_the_books_finds_the_sale(shop: Shop) -> None:
    """The first press reached the books after its caller had gone; the second asks them too."""
    fuelling = await shop.deliver()

    class LateBooks:
        """Books whose first look-up by key comes too early."""

        def __init__(self, books: LedgerBooks) -> None:
            self.books = books
            self.asked = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.books, name)

        def sale_by_key(self, key: str) -> SettledSale | None:
            self.asked += 1
            return None if self.asked == 1 else self.books.sale_by_key(key)

        async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
            if isinstance(bodies[0], SaleSettled):
                await shop.settle(fuelling)
            return await self.books.append(bodies)

    late: Any = LateBooks(shop.books)
    sale = await shop.settle(fuelling, pos=shop.open_till(late))
    assert sale == shop.books.sale_of(fuelling)
    assert shop.books.sums().sales == 1


async def test_while_it_is_being_paid_a_fuelling_is_locked(shop: Shop) -> None:
    """Later presses wait for the first instead of racing it to the books."""
    fuelling = await shop.deliver()

    class SlowBooks:
        def __init__(self, books: LedgerBooks) -> None:
            self.books = books
            self.appends = 0
            self.go_on = asyncio.Event()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.books, name)

        async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
            self.appends += 1
            await self.go_on.wait()
            return await self.books.append(bodies)

    slow: Any = SlowBooks(shop.books)
    till = shop.open_till(slow)
    presses = [shop.settle(fuelling, key=f"key-{n % 2}", pos=till) for n in range(6)]
    gathered = asyncio.gather(*presses, return_exceptions=True)
    for _ in range(10):
        await asyncio.sleep(0)
    slow.go_on.set()
    results = await gathered
    assert sum(isinstance(result, SettledSale) for result in results) == 3
    assert slow.appends == 1


async def test_one_account_is_never_overspent_by_two_fuellings_at_once(shop: Shop) -> None:
    shop.hq.answer = nothing_left
    fuellings = [await shop.deliver(40_000), await shop.deliver(40_000)]
    wishes = [shop.settle(fuelling, STORED, by="gold", key=fuelling) for fuelling in fuellings]
    results = await asyncio.gather(*wishes, return_exceptions=True)
    refusals = [result for result in results if isinstance(result, SaleRefused)]
    assert [refusal.problem.code for refusal in refusals] == ["stored_value_insufficient"]
    assert shop.available() == 50_000 - 36_800
    assert len(shop.books.unpaid()) == 1


async def test_stored_value_is_the_members_own(shop: Shop) -> None:
    fuelling = await shop.deliver()
    assert await refused(shop.settle(fuelling, STORED)) == "stored_value_no_account"
    by_silver = shop.settle(fuelling, STORED, by="silver")
    assert await refused(by_silver) == "stored_value_no_account"
    shop.hq.answer = nothing_left
    by_poor = shop.settle(fuelling, STORED, by="poor")
    assert await refused(by_poor) == "stored_value_insufficient"
