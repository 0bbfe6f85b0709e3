"""Charging what headquarters holds: within leases, asked for, then the floor; within limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edge_agent.model.ids import MemberRef, SaleId
from edge_agent.model.units import Money
from edge_agent.model.wishes import SaleWish, TenderOffer
from edge_agent.ports import LeaseAnswer
from tests.app.shop import (
    CASH,
    DAY_MS,
    HOUR_MS,
    PLATE_REF,
    POLICY,
    STORED,
    Shop,
    by_code,
    by_pin,
    by_staff,
    member,
    nothing_left,
    refused,
)


async def with_class(shop: Shop, **limits: Any) -> None:
    """Bring a policy into force with other limits of the standard class."""
    policy = json.loads(POLICY) | {"version": 2}
    policy["stored_value"] |= {"confirm": limits.pop("confirm", "either")}
    policy["classes"]["standard"] |= limits
    await shop.publish(json.dumps(policy), version=2)


# --- leases, headquarters, floor ----------------------------------------------------------------


async def test_row_v19_what_is_short_is_asked_of_headquarters(shop: Shop) -> None:
    async def lend(asset: Any, holder: str, amount: int) -> LeaseAnswer:
        await shop.grant(asset, holder, amount)
        return LeaseAnswer(amount, answered=True)

    shop.hq.answer = lend
    sale = await shop.settle(await shop.deliver(20_000), STORED, by="poor")
    payable = sale.settled.quote.payable_fen
    assert shop.hq.asked == [("balance", "acc-poor", payable - 100)]
    moved = shop.books.movements(SaleId(sale.settled.sale_id))
    assert [(body.delta, body.cache_age_s) for body in moved] == [
        (-100, None),
        (100 - payable, None),
    ]
    assert shop.available("poor") == 0


async def test_s26_while_headquarters_is_out_of_reach_the_floor_limit_holds(shop: Shop) -> None:
    shop.hq.heard_ago_ms = 2 * HOUR_MS
    sale = await shop.settle(await shop.deliver(20_000), STORED, by="poor")
    (leased, beyond) = shop.books.movements(SaleId(sale.settled.sale_id))
    assert (leased.delta, leased.lease_id is None) == (-100, False)
    assert (beyond.delta, beyond.lease_id) == (100 - sale.settled.quote.payable_fen, None)
    assert beyond.cache_age_s == 7_200, "recorded with its age"


async def test_s26_the_floor_is_bounded_by_sale_and_by_day(shop: Shop) -> None:
    shop.clock.pass_by(0)
    dear = await shop.deliver(40_000)
    assert await refused(shop.settle(dear, STORED, by="poor")) == "stored_value_insufficient"
    for number in range(2):
        fuelling = await shop.deliver(29_000)
        await shop.settle(fuelling, STORED, by="poor", key=f"k{number}")
    third = await shop.deliver(29_000)
    shop.clock.pass_by(HOUR_MS)
    code = await refused(shop.settle(third, STORED, by="poor", key="k2"))
    assert code == "stored_value_insufficient", "600 yuan a day"
    shop.clock.pass_by(DAY_MS)
    await shop.settle(third, STORED, by="poor", key="k2")


async def test_headquarters_no_is_not_overruled_by_the_floor(shop: Shop) -> None:
    shop.hq.answer = nothing_left
    fuelling = await shop.deliver(20_000)
    assert await refused(shop.settle(fuelling, STORED, by="poor")) == "stored_value_insufficient"
    assert shop.available("poor") == 100


async def test_s06_after_the_grace_period_only_the_till_sells(shop: Shop) -> None:
    fuelling = await shop.deliver(20_000, member_ref="gold", plate_ref=PLATE_REF)
    shop.hq.heard_ago_ms = 3 * DAY_MS + 1000
    assert await refused(shop.settle(fuelling, STORED, by="gold")) == "offline_too_long"
    assert await refused(shop.pos.settle_by_plate(fuelling)) == "offline_too_long"
    sale = await shop.settle(fuelling, by="gold")
    assert sale.settled.quote.tier == "gold", "member prices go on"


async def test_row_r5_nothing_is_charged_to_a_locked_member(shop: Shop) -> None:
    await shop.enrol(member("gold", "gold", locked="lost"))
    await shop.coupon("C1", "cash-20")
    fuelling = await shop.deliver(20_000)
    assert await refused(shop.settle(fuelling, STORED, by="gold")) == "member_locked"
    sale = await shop.settle(fuelling, by="gold")
    assert sale.settled.quote.coupons == []
    assert shop.books.coupons_of(MemberRef("gold")), "kept for whom it belongs to"


# --- limits -------------------------------------------------------------------------------------


async def test_row_r1_three_payments_a_minute_survive_a_restart(
    shop: Shop, open_shop: Callable[[], Shop]
) -> None:
    for number in range(3):
        await shop.settle(await shop.deliver(1_000), STORED, by="gold", key=f"k{number}")
    fuelling = await shop.deliver(1_000)
    again = shop.open_till(seed=7)  # a new life of the program over the same books
    for _ in range(2):
        wish = shop.settle(fuelling, STORED, by="gold", key="k3", pos=again)
        assert await refused(wish) == "risk_payments_per_minute"
    (flag,) = shop.bodies("risk.flagged")
    assert (flag.rule, flag.decision, flag.account_ref) == (
        "payments_per_minute", "deny", "acc-gold",
    )  # fmt: skip
    shop.clock.pass_by(61_000)
    await shop.settle(fuelling, STORED, by="gold", key="k3", pos=again)


@pytest.mark.parametrize("ref", ["gold", "silver"])  # silver has no account
async def test_row_r1_points_are_payments_and_cash_is_none(shop: Shop, ref: str) -> None:
    await shop.points(5_000, ref)
    for number in range(3):
        await shop.settle(await shop.deliver(10_000), CASH, by=ref, key=f"cash-{number}")
    wish = SaleWish(member=MemberRef(ref), redeem_points=500)
    for number in range(3):
        await shop.settle(await shop.deliver(10_000), CASH, wish=wish, key=f"points-{number}")
    fuelling = await shop.deliver(10_000)
    again = shop.settle(fuelling, CASH, wish=wish, key="more")
    assert await refused(again) == "risk_payments_per_minute"
    await shop.refund(shop.books.recent_sales(1)[0])
    sale = await shop.settle(fuelling, CASH, wish=wish, key="after-the-refund")
    assert sale.settled.quote.points_redeemed == 500


async def test_row_r1_cash_is_nobodys_risk(shop: Shop) -> None:
    for number in range(5):
        await shop.settle(await shop.deliver(1_000), by="gold", key=f"k{number}")


async def test_row_r2_row_r9_the_days_sum_is_bounded_by_class(shop: Shop) -> None:
    await with_class(shop, amount_per_day_fen=20_000)
    await shop.settle(await shop.deliver(15_000), STORED, by="gold", key="k1")
    fuelling = await shop.deliver(15_000)
    wish = shop.settle(fuelling, STORED, by="gold", key="k2")
    assert await refused(wish) == "risk_amount_per_day"
    shop.clock.pass_by(DAY_MS)
    await shop.settle(fuelling, STORED, by="gold", key="k2")


async def test_row_r2_row_m22_lorries_may_pay_more(shop: Shop) -> None:
    await with_class(shop, amount_per_day_fen=20_000)
    await shop.enrol(member("lorry", "regular", limit_class="lorry"))
    await shop.grant("balance", "acc-lorry", 60_000)
    await shop.settle(await shop.deliver(50_000), STORED, by="lorry")


async def test_row_r2_a_refund_takes_its_sale_out_of_the_day(shop: Shop) -> None:
    await with_class(shop, amount_per_day_fen=20_000)
    sale = await shop.settle(await shop.deliver(15_000), STORED, by="gold", key="k1")
    await shop.refund(sale)
    await shop.settle(await shop.deliver(15_000), STORED, by="gold", key="k2")


# --- the second factor --------------------------------------------------------------------------


@pytest.mark.parametrize("second", [by_code("gold"), by_pin(), by_staff()])
async def test_row_r10_a_dear_sale_needs_a_second_factor(shop: Shop, second: Any) -> None:
    await with_class(shop, second_factor_above_fen=10_000)
    fuelling = await shop.deliver(15_000)
    assert await refused(shop.settle(fuelling, STORED, by="gold")) == "second_factor_required"
    sale = await shop.settle(fuelling, STORED, by="gold", second=second)
    (flag,) = shop.bodies("risk.flagged")
    assert (flag.rule, flag.decision) == ("second_factor", "step_up")
    used = shop.bodies("member.code_used")
    assert len(used) == (second.member_code is not None)
    assert await shop.settle(fuelling, STORED, by="gold", second=second) == sale


async def test_a_wrong_second_factor_charges_nothing(shop: Shop) -> None:
    await with_class(shop, second_factor_above_fen=10_000, confirm="member")
    fuelling = await shop.deliver(15_000)
    for second, code in (
        (by_pin("000000"), "pin_wrong"),
        (by_code("poor"), "member_code_other_member"),
        (by_staff(), "second_factor_not_allowed"),
    ):
        assert await refused(shop.settle(fuelling, STORED, by="gold", second=second)) == code
    assert shop.available() == 50_000
    assert shop.bodies("member.code_used") == []


async def test_a_split_below_the_amount_needs_no_second_factor(shop: Shop) -> None:
    await with_class(shop, second_factor_above_fen=10_000)
    part = TenderOffer("stored_value", Money(9_000))
    await shop.settle(await shop.deliver(15_000), part, CASH, by="gold")


async def test_a_plate_never_pays_what_needs_a_second_factor(shop: Shop) -> None:
    await with_class(shop, second_factor_above_fen=10_000)
    unpaid = await shop.deliver(15_000, plate_ref=PLATE_REF, member_ref="gold")
    assert await refused(shop.pos.settle_by_plate(unpaid)) == "second_factor_required"


# --- one wish at a time -------------------------------------------------------------------------


async def test_row_v4_an_attendant_who_leaves_the_balance_out_is_on_record(shop: Shop) -> None:
    await shop.settle(await shop.deliver(10_000), by="gold", key="k1")
    (note,) = shop.bodies("operator.action")
    assert (note.action, note.operator) == ("tender.order_overridden", "till")
    wish = SaleWish(member=MemberRef("gold"), paying="cash")
    await shop.settle(await shop.deliver(10_000), wish=wish, key="k2")
    assert len(shop.bodies("operator.action")) == 1, "the customer's own choice needs no note"


async def test_row_v4_the_plan_is_points_if_asked_then_balance_then_cash(shop: Shop) -> None:
    await shop.points(1_000)
    fuelling = await shop.deliver(70_000)
    wish = SaleWish(member=MemberRef("gold"), redeem_points=500)
    plan = shop.pos.plan(fuelling, wish)
    assert [offer.means for offer in plan] == ["points", "stored_value", "cash"]
    payable = shop.pos.quote(fuelling, wish).payable_fen
    assert [offer.amount for offer in plan[:2]] == [Money(500), Money(50_000)]
    assert sum(offer.amount.fen for offer in plan if offer.amount) == payable
    sale = await shop.settle(fuelling, *plan, wish=wish)
    assert [tender.means for tender in sale.settled.tenders] == ["points", "stored_value", "cash"]
