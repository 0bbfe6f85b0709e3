"""Topping up at the till: two confirm it, the law caps it, and it may be spent here at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edge_agent.app.top_up import LEASE_MS
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import MemberRef
from edge_agent.model.records import StoredValueToppedUp
from edge_agent.model.units import Money
from edge_agent.model.wishes import SecondFactor, TopUpWish
from edge_agent.ports import LeaseAnswer
from tests.app.shop import (
    POLICY,
    STORED,
    Shop,
    by_code,
    by_pin,
    by_staff,
    code_text,
    member,
    nothing_left,
    refused,
)


async def top_up(
    shop: Shop,
    amount_fen: int = 20_000,
    *,
    ref: str = "gold",
    second: SecondFactor | None = None,
    key: str = "t-1",
    **more: Any,
) -> StoredValueToppedUp:
    wish = TopUpWish(MemberRef(ref), Money(amount_fen), **({"means": "cash"} | more))
    return await shop.pos.top_up(
        wish, second=second or by_pin(), idempotency_key=key, operator="till"
    )


async def test_row_v8_row_v10_the_money_is_here_and_may_be_spent_at_once(shop: Shop) -> None:
    body = await top_up(shop)
    assert (body.amount_fen, body.confirmed_by, body.operator) == (20_000, "member_pin", "till")
    assert body.expires_ms == shop.clock.wall_ms() + LEASE_MS
    assert shop.available() == 70_000
    await shop.settle(await shop.deliver(70_000), STORED, by="gold")
    assert shop.hq.asked == [], "nobody had to be asked"


@pytest.mark.parametrize(
    ("second", "by", "other"),
    [
        (by_code("gold"), "member_code", None),
        (by_pin(), "member_pin", None),
        (by_staff(), "second_person", "李"),
    ],
)
async def test_row_v8_member_or_second_person_confirm(
    shop: Shop, second: SecondFactor, by: str, other: str | None
) -> None:
    body = await top_up(shop, second=second)
    assert (body.confirmed_by, body.second_operator) == (by, other)
    assert len(shop.bodies("member.code_used")) == (by == "member_code")


@pytest.mark.parametrize(
    ("confirm", "second", "code"),
    [
        ("either", SecondFactor(), "second_factor_required"),
        ("either", by_pin("000000"), "pin_wrong"),
        ("member", by_staff(), "second_factor_not_allowed"),
        ("second_person", by_pin(), "second_factor_not_allowed"),
        ("second_person", by_code("gold"), "second_factor_not_allowed"),
    ],
)
async def test_row_v8_who_may_confirm_is_the_policys_choice(
    shop: Shop, confirm: str, second: SecondFactor, code: str
) -> None:
    policy = json.loads(POLICY) | {"version": 2}
    policy["stored_value"] |= {"confirm": confirm}
    await shop.publish(json.dumps(policy), version=2)
    assert await refused(top_up(shop, second=second)) == code
    assert shop.available() == 50_000


async def test_row_v12_no_account_grows_beyond_what_the_law_allows(shop: Shop) -> None:
    for number in range(2):
        await top_up(shop, 200_000, key=f"t{number}")
    assert await refused(top_up(shop, 100_000, key="t2")) == "top_up_above_cap"
    await top_up(shop, 50_000, key="t3")
    assert shop.available() == 500_000, "5,000 yuan, and not a fen more"
    assert await refused(top_up(shop, 100, key="t4")) == "top_up_above_cap"


async def test_row_v12_a_bearer_card_holds_a_thousand_yuan(shop: Shop) -> None:
    card = member("card", "regular", account_kind="bearer", pin_hash="pin:123456")
    await shop.enrol(card)
    await shop.grant("balance", "acc-card", 100, holding=60_000)
    assert await refused(top_up(shop, 50_000, ref="card")) == "top_up_above_cap"
    await top_up(shop, 20_000, ref="card")


async def test_row_v12_an_account_of_which_nothing_is_known_is_asked_for(shop: Shop) -> None:
    await shop.enrol(member("new", "regular", pin_hash="pin:123456"))
    assert await refused(top_up(shop, ref="new")) == "top_up_balance_unknown"

    async def nearly_full(asset: Any, holder: str, amount: int) -> LeaseAnswer:
        await shop.grant(asset, holder, amount, holding=499_000)
        return LeaseAnswer(amount, answered=True)

    shop.hq.answer = nearly_full
    assert await refused(top_up(shop, ref="new")) == "top_up_above_cap"
    shop.hq.answer = nothing_left
    await shop.enrol(member("empty", "regular", pin_hash="pin:123456"))
    await top_up(shop, ref="empty")


@pytest.mark.parametrize(
    ("amount_fen", "more", "code"),
    [
        (0, {}, "top_up_amount"),
        (20_050, {}, "top_up_amount"),
        (300_100, {}, "top_up_amount"),
        (20_000, {"means": "points"}, "top_up_means"),
        (20_000, {"means": "stored_value"}, "top_up_means"),
        (20_000, {"means": "bank_card"}, "tender_reference_missing"),
        (20_000, {"means": "wallet", "reference": "x" * 65}, "tender_reference_missing"),
    ],
)
async def test_what_is_no_top_up_is_refused(
    shop: Shop, amount_fen: int, more: dict[str, Any], code: str
) -> None:
    assert await refused(top_up(shop, amount_fen, **more)) == code


async def test_a_top_up_needs_an_account_that_is_open_and_a_policy_that_wants_it(
    shop: Shop,
) -> None:
    assert await refused(top_up(shop, ref="silver")) == "stored_value_no_account"
    assert await refused(top_up(shop, ref="nobody")) == "member_unknown"
    await shop.enrol(member("gold", "gold", locked="lost", pin_hash="pin:123456"))
    assert await refused(top_up(shop)) == "member_locked"
    policy = json.loads(POLICY) | {"version": 2}
    policy["stored_value"] |= {"top_up_amounts_fen": []}
    await shop.publish(json.dumps(policy), version=2)
    assert await refused(top_up(shop, ref="poor")) == "top_up_off"


async def test_however_often_it_is_pressed_it_is_paid_in_once(shop: Shop) -> None:
    presses = [top_up(shop, means="bank_card", reference=" 0042 ") for _ in range(4)]
    bodies = await asyncio.gather(*presses)
    assert len({body.top_up_id for body in bodies}) == 1
    assert bodies[0].reference == "0042"
    assert shop.available() == 70_000
    assert await refused(top_up(shop, 50_000)) == "idempotency_conflict"
    assert await refused(top_up(shop, key="")) == "idempotency_key_invalid"


async def test_one_scan_finds_the_member_and_confirms_the_top_up(shop: Shop) -> None:
    code = by_code("gold").member_code
    assert code is not None
    await shop.pos.find_member("code", code)
    body = await top_up(shop, second=SecondFactor(member_code=code))
    assert body.confirmed_by == "member_code"
    again = top_up(shop, second=SecondFactor(member_code=code), key="t-2")
    assert await refused(again) == "member_code_used"


async def test_row_v12_two_of_a_family_at_once_do_not_pass_the_cap_of_their_account(
    shop: Shop,
) -> None:
    family: dict[str, Any] = {
        "account": "acc-gold", "account_kind": "family", "pin_hash": "pin:123456",
    }  # fmt: skip
    await shop.enrol(member("gold", "gold", **family), member("wife", "gold", **family))
    both = await asyncio.gather(
        top_up(shop, 300_000, key="t-1"),
        top_up(shop, 300_000, ref="wife", key="t-2"),
        return_exceptions=True,
    )
    assert [isinstance(each, StoredValueToppedUp) for each in both] == [True, False]


async def test_a_code_that_was_shown_proves_a_charge_or_a_top_up_not_both(shop: Shop) -> None:
    policy = json.loads(POLICY)
    policy["classes"]["standard"]["second_factor_above_fen"] = 10_000
    await shop.publish(json.dumps(policy), version=9)
    await shop.pos.find_member("code", code_text("gold"))
    both = await asyncio.gather(
        shop.settle(await shop.deliver(20_000), STORED, by="gold"),
        top_up(shop, second=SecondFactor()),
        return_exceptions=True,
    )
    assert sum(isinstance(each, SaleRefused) for each in both) == 1
