"""What a fuelling is priced by: coupons, goods, points, tenders; never another than was shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from edge_agent.core.promotions import requote
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import FuellingId, MemberRef, SaleId
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.policy import load_policy
from edge_agent.model.records import QuoteBody, RecordBody
from edge_agent.model.units import Money
from edge_agent.model.wishes import GoodsWish, SaleWish, TenderOffer
from tests.app.shop import CASH, DAY_MS, NOW_MS, POLICY, STORED, Shop, code_of, member, refused

GOLD = MemberRef("gold")
BANK_CARD = TenderOffer("bank_card", reference="T-0042")


def applied(quoted: QuoteBody) -> dict[str, int]:
    return {line.offer: line.amount_fen for line in quoted.applied}


def refused_quote(shop: Shop, fuelling: FuellingId, wish: SaleWish) -> str:
    with pytest.raises(SaleRefused) as caught:
        shop.pos.quote(fuelling, wish)
    return code_of(caught)


# --- facts --------------------------------------------------------------------------------------


async def test_row_m17_row_m18_the_facts_of_the_member_are_in_the_question(shop: Shop) -> None:
    week = ("11-01", "11-07")
    await shop.enrol(member("gold", "gold", tags=["night"], birthday_week=week, fills=0))
    fuelling = await shop.deliver(20_000, member_ref="gold", plate_colour="green")
    quoted = shop.pos.quote(fuelling)
    assert (quoted.tags, quoted.birthday_week, quoted.first_fill) == (["night"], True, True)
    assert (quoted.visit_number, quoted.station) == (1, "kunming-1")
    assert quoted.plate_colour == "green"
    await shop.settle(fuelling, by="gold")
    second = shop.pos.quote(await shop.deliver(20_000, member_ref="gold"))
    assert (second.first_fill, second.visit_number) == (False, 2)


async def test_a_new_month_counts_visits_anew(shop: Shop) -> None:
    await shop.settle(await shop.deliver(20_000), by="gold")
    shop.clock.pass_by(30 * DAY_MS)
    quoted = shop.pos.quote(await shop.deliver(20_000), SaleWish(member=GOLD))
    assert quoted.visit_number == 1


# --- coupons ------------------------------------------------------------------------------------


async def test_row_c2_row_c16_a_coupon_is_used_once_and_its_serial_is_on_the_sale(
    shop: Shop,
) -> None:
    await shop.coupon("C-1", "cash-20")
    sale = await shop.settle(await shop.deliver(25_000), by="gold", key="k1")
    assert [line.coupon for line in sale.settled.quote.applied if line.coupon] == ["C-1"]
    moved = shop.books.movements(SaleId(sale.settled.sale_id))
    assert [(body.asset, body.holder, body.delta) for body in moved] == [("coupon", "C-1", -1)]
    assert shop.books.coupons_of(GOLD) == []
    again = SaleWish(member=GOLD, coupons=("C-1",))
    assert refused_quote(shop, await shop.deliver(25_000), again) == "coupon_not_here"


async def test_row_v5_a_refund_freezes_the_coupon(shop: Shop) -> None:
    await shop.coupon("C-1", "cash-20")
    sale = await shop.settle(await shop.deliver(25_000), by="gold", key="k1")
    await shop.refund(sale)
    quoted = shop.pos.quote(await shop.deliver(25_000), SaleWish(member=GOLD))
    assert quoted.coupons == []


async def test_row_v4_the_coupon_that_expires_soonest_is_taken(shop: Shop) -> None:
    for serial, days in (("C-late", 20), ("C-soon", 2), ("C-later", 30)):
        await shop.coupon(serial, "cash-20", until_ms=NOW_MS + days * DAY_MS)
    quoted = shop.pos.quote(await shop.deliver(25_000), SaleWish(member=GOLD))
    assert [line.coupon for line in quoted.applied if line.coupon] == ["C-soon"]


async def test_a_wish_may_leave_coupons_out_or_name_them(shop: Shop) -> None:
    await shop.coupon("C-1", "cash-20")
    fuelling = await shop.deliver(40_000)
    without = shop.pos.quote(fuelling, SaleWish(member=GOLD, coupons=()))
    named = shop.pos.quote(fuelling, SaleWish(member=GOLD, coupons=("C-1",)))
    assert without.payable_fen - named.payable_fen == 2_000
    assert shop.pos.quote(fuelling, SaleWish(member=MemberRef("poor"))).coupons == []
    other = SaleWish(member=MemberRef("poor"), coupons=("C-1",))
    assert refused_quote(shop, fuelling, other) == "coupon_not_here"


async def test_s27_a_coupon_that_was_over_stays_over(shop: Shop) -> None:
    await shop.coupon("C-1", "cash-20", until_ms=NOW_MS + 1_000)
    fuelling = await shop.deliver(15_000)
    assert len(shop.pos.quote(fuelling, SaleWish(member=GOLD)).coupons) == 1
    shop.clock.pass_by(2_000)
    await shop.deliver(100)  # a record of the later hour
    shop.clock.wall -= 10_000
    assert shop.pos.quote(fuelling, SaleWish(member=GOLD)).coupons == []


# --- goods, points, budgets ---------------------------------------------------------------------


async def test_goods_are_sold_at_the_policys_price(shop: Shop) -> None:
    good = load_policy(POLICY).good("washer-fluid")
    assert good is not None
    fuelling = await shop.deliver(10_000)
    wish = SaleWish(goods=(GoodsWish("washer-fluid", 2),))
    quoted = shop.pos.quote(fuelling, wish)
    assert quoted.list_amount_fen == 10_000 + 2 * good.price_fen
    sale = await shop.settle(fuelling, wish=wish)
    assert sum(tender.amount_fen for tender in sale.settled.tenders) == quoted.payable_fen


@pytest.mark.parametrize(
    ("goods", "code"),
    [
        ((GoodsWish("caviar", 1),), "goods_unknown"),
        ((GoodsWish("washer-fluid", 0),), "goods_invalid"),
        ((GoodsWish("washer-fluid", 100),), "goods_invalid"),
        ((GoodsWish("washer-fluid", 1), GoodsWish("washer-fluid", 2)), "goods_invalid"),
    ],
)
async def test_goods_that_make_no_sense_are_refused(shop: Shop, goods: Any, code: str) -> None:
    assert refused_quote(shop, await shop.deliver(), SaleWish(goods=goods)) == code


async def test_row_p6_points_pay_a_part_and_earn_none(shop: Shop) -> None:
    await shop.points(3_000)
    fuelling = await shop.deliver(15_000)
    wish = SaleWish(member=GOLD, redeem_points=2_000)
    sale = await shop.settle(fuelling, CASH, wish=wish)
    parts = {tender.means: tender.amount_fen for tender in sale.settled.tenders}
    assert parts["points"] == 2_000, "2,000 points are 20 yuan"
    assert sale.settled.quote.points_earned == parts["cash"] // 100
    assert shop.books.holding("points", "gold").available(NOW_MS) == 1_000
    await shop.refund(sale)
    assert shop.books.holding("points", "gold").available(NOW_MS) == 3_000
    earned = shop.bodies("points.earned")
    assert [body.points for body in earned] == [parts["cash"] // 100, -(parts["cash"] // 100)]


async def test_points_that_are_not_here_or_of_nobody_pay_nothing(shop: Shop) -> None:
    fuelling = await shop.deliver(15_000)
    wish = SaleWish(member=GOLD, redeem_points=2_000)
    assert await refused(shop.settle(fuelling, wish=wish)) == "points_insufficient"
    assert shop.hq.asked == [("points", "gold", 2_000)]
    assert refused_quote(shop, fuelling, SaleWish(redeem_points=100)) == "points_no_member"


async def test_the_same_points_wish_again_is_the_same_sale(shop: Shop) -> None:
    await shop.points(3_000)
    fuelling = await shop.deliver(15_000)
    wish = SaleWish(member=GOLD, redeem_points=2_000)
    sale = await shop.settle(fuelling, wish=wish)
    assert await shop.settle(fuelling, wish=wish) == sale
    assert await shop.settle(fuelling, TenderOffer("points"), CASH, wish=wish) == sale
    other = SaleWish(member=GOLD, redeem_points=1_000)
    assert await refused(shop.settle(fuelling, wish=other)) == "idempotency_conflict"


async def budgeted(shop: Shop, budget_fen: int) -> None:
    policy = json.loads(POLICY) | {"version": 2}
    campaign = {
        "id": "campaign", "kind": "amount_off", "off_fen": 1_000, "text_zh": "活动",
        "text_en": "campaign", "budget_fen": 100_000,
    }  # fmt: skip
    await shop.publish(json.dumps(policy | {"offers": [campaign]}), version=2)
    await shop.grant("budget", "campaign", budget_fen)


async def test_row_c2_a_campaign_is_spent_within_its_lease(shop: Shop) -> None:
    await budgeted(shop, 1_700)
    sales = [await shop.settle(await shop.deliver(9_000), key=f"k{n}") for n in range(3)]
    took = [applied(sale.settled.quote).get("campaign", 0) for sale in sales]
    assert took == [1_000, 700, 0]
    assert shop.books.holding("budget", "campaign").available(NOW_MS) == 0
    for number, sale in enumerate(sales):
        await shop.refund(sale, key=f"r{number}")
    assert shop.books.holding("budget", "campaign").available(NOW_MS) == 1_700


async def test_two_tills_never_overspend_a_campaign(shop: Shop) -> None:
    await budgeted(shop, 1_000)
    fuellings = [await shop.deliver(9_000) for _ in range(4)]
    tills = [shop.pos, shop.open_till(seed=8)]
    wishes = [
        shop.settle(fuelling, key=fuelling, pos=tills[n % 2])
        for n, fuelling in enumerate(fuellings)
    ]
    sales = await asyncio.gather(*wishes)
    took = sorted(applied(sale.settled.quote).get("campaign", 0) for sale in sales)
    assert took == [0, 0, 0, 1_000]


async def test_what_another_sale_took_meanwhile_is_looked_at_again(shop: Shop) -> None:
    await budgeted(shop, 1_000)
    first, second = await shop.deliver(9_000), await shop.deliver(9_000)

    class Overtaken:
        """Books that another sale comes to just before."""

        def __init__(self) -> None:
            self.appends = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(shop.books, name)

        async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
            self.appends += 1
            if self.appends == 1:
                await shop.settle(first, key="k1")
            return await shop.books.append(bodies)

    overtaken: Any = Overtaken()
    sale = await shop.settle(second, key="k2", pos=shop.open_till(overtaken, seed=9))
    assert (applied(sale.settled.quote), overtaken.appends) == ({}, 2)
    shown = SaleWish(shown=Money(8_000))
    third = await shop.deliver(9_000)
    assert await refused(shop.settle(third, wish=shown, key="k3")) == "price_changed"


# --- the tenders, and what was shown ------------------------------------------------------------


async def test_row_c20_what_is_charged_is_what_the_tenders_earn(shop: Shop) -> None:
    await shop.coupon("C-1", "bank-card-15")
    fuelling = await shop.deliver(30_000)
    dear = shop.pos.quote(fuelling, SaleWish(member=GOLD, paying="cash")).payable_fen
    cheap = shop.pos.quote(fuelling, SaleWish(member=GOLD, paying="bank_card")).payable_fen
    assert dear - cheap == 1_500
    sale = await shop.settle(fuelling, BANK_CARD, by="gold")
    assert sale.settled.quote.payable_fen == cheap
    assert sale.settled.tenders[0].reference == "T-0042"
    body = sale.settled.quote
    assert requote(body, load_policy(POLICY)).payable_fen == cheap


async def test_nobody_is_charged_another_amount_than_was_shown(shop: Shop) -> None:
    await shop.coupon("C-1", "bank-card-15")
    fuelling = await shop.deliver(30_000)
    shown = Money(shop.pos.quote(fuelling, SaleWish(member=GOLD, paying="cash")).payable_fen)
    wish = SaleWish(member=GOLD, paying="cash", shown=shown)
    with pytest.raises(SaleRefused) as caught:
        await shop.settle(fuelling, BANK_CARD, wish=wish)
    assert code_of(caught) == "price_changed"
    assert caught.value.detail == str(Money(shown.fen - 1_500)), "the new price, to be shown"
    sale = await shop.settle(fuelling, CASH, wish=wish)
    assert sale.settled.quote.payable_fen == shown.fen
    again = SaleWish(member=GOLD, paying="cash", shown=Money(1))
    assert await shop.settle(fuelling, CASH, wish=again) == sale, "the same key, the same sale"


async def test_a_split_is_priced_as_it_is_paid(shop: Shop) -> None:
    await shop.coupon("C-1", "bank-card-15")
    fuelling = await shop.deliver(30_000)
    part = TenderOffer("cash", Money(10_000))
    wish = SaleWish(member=GOLD, paying="bank_card", paid_otherwise=Money(10_000))
    shown = shop.pos.quote(fuelling, wish)
    sale = await shop.settle(
        fuelling, part, BANK_CARD,
        wish=SaleWish(
            member=GOLD, paying="bank_card", paid_otherwise=Money(10_000),
            shown=Money(shown.payable_fen),
        ),
    )  # fmt: skip
    assert sale.settled.quote.paid_otherwise_fen == 10_000
    assert {tender.means: tender.amount_fen for tender in sale.settled.tenders} == {
        "cash": 10_000,
        "bank_card": shown.payable_fen - 10_000,
    }


async def test_a_prepayment_counts_among_what_is_paid_otherwise(shop: Shop) -> None:
    fuelling = await shop.deliver(30_000, prepaid_fen=20_000)
    quoted = shop.pos.quote(fuelling, SaleWish(member=GOLD, paying="stored_value"))
    assert quoted.paid_otherwise_fen == 20_000
    sale = await shop.settle(fuelling, STORED, by="gold")
    parts = {tender.means: tender.amount_fen for tender in sale.settled.tenders}
    assert parts == {"stored_value": quoted.payable_fen - 20_000, "cash": 20_000}


async def test_a_prepayment_that_pays_all_leaves_the_account_alone(shop: Shop) -> None:
    fuelling = await shop.deliver(10_000, prepaid_fen=20_000)
    sale = await shop.settle(fuelling, STORED, by="gold")
    assert [tender.means for tender in sale.settled.tenders] == ["cash"]
    assert sale.settled.change_fen == 20_000 - sale.settled.quote.payable_fen
    assert shop.available() == 50_000
