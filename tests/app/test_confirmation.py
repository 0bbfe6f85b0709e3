"""The second factor and the dynamic code: believed once, ever; one scan does for one charge."""

from __future__ import annotations

import json

import pytest

from edge_agent.app.confirmation import SHOWN_MS
from edge_agent.model.errors import SaleRefused
from edge_agent.model.wishes import SecondFactor
from hq.keys import HqKeys
from tests.app.shop import (
    NOW_MS,
    POLICY,
    STORED,
    Shop,
    by_code,
    by_staff,
    code_of,
    code_text,
    nothing_left,
    refused,
)

STRANGER = HqKeys(bytes(range(1, 33)), bytes(32))


@pytest.fixture
async def strict(shop: Shop) -> Shop:
    """A shop where every charge needs a second factor."""
    policy = json.loads(POLICY) | {"version": 2}
    policy["classes"]["standard"] |= {"second_factor_above_fen": 1}
    await shop.publish(json.dumps(policy), version=2)
    return shop


async def test_row_v8_a_dynamic_code_finds_its_member_once(shop: Shop) -> None:
    found = await shop.pos.find_member("code", code_text("gold"))
    assert found.ref == "gold"
    (used,) = shop.bodies("member.code_used")
    assert (used.nonce, used.member_ref) == ("00" * 8, "gold")
    again = shop.pos.find_member("code", code_text("gold"))
    assert await refused(again) == "member_code_used"
    elsewhere = shop.open_till(seed=5).find_member("code", code_text("gold"))
    assert await refused(elsewhere) == "member_code_used", "after a restart as well"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FM1nonsense", "member_code_malformed"),
        ("", "member_code_malformed"),
        (code_text("gold", key=STRANGER), "member_code_forged"),
        (code_text("gold", issued_ms=NOW_MS - 3_600_000), "member_code_expired"),
        (code_text("gold", issued_ms=NOW_MS + 3_600_000), "member_code_not_yet_valid"),
        (code_text("nobody"), "member_unknown"),
    ],
)
async def test_a_code_that_is_not_to_be_believed_finds_nobody(
    shop: Shop, text: str, code: str
) -> None:
    with pytest.raises(SaleRefused) as caught:
        await shop.pos.find_member("code", text)
    assert code_of(caught) == code
    assert not text or text not in str(caught.value), "a code is in no message (row S17)"


async def test_one_scan_finds_the_member_and_proves_one_charge(strict: Shop) -> None:
    await strict.pos.find_member("code", code_text("gold"))
    await strict.settle(await strict.deliver(10_000), STORED, by="gold", key="k1")
    second = await strict.deliver(10_000)
    wish = strict.settle(second, STORED, by="gold", key="k2")
    assert await refused(wish) == "second_factor_required"
    assert len(strict.bodies("member.code_used")) == 1


async def test_a_scan_proves_nothing_for_another_member_or_after_a_while(strict: Shop) -> None:
    await strict.pos.find_member("code", code_text("gold"))
    by_other = strict.settle(await strict.deliver(50), STORED, by="poor", key="k1")
    assert await refused(by_other) == "second_factor_required"
    strict.clock.pass_by(SHOWN_MS + 1)
    late = strict.settle(await strict.deliver(10_000), STORED, by="gold", key="k2")
    assert await refused(late) == "second_factor_required"


async def test_the_code_that_was_scanned_may_be_handed_on_as_the_second_factor(
    strict: Shop,
) -> None:
    await strict.pos.find_member("code", code_text("gold"))
    await strict.settle(await strict.deliver(10_000), STORED, by="gold", second=by_code("gold"))
    other = await strict.deliver(10_000)
    again = strict.settle(other, STORED, by="gold", second=by_code("gold"), key="k2")
    assert await refused(again) == "member_code_used"


async def test_a_sale_that_is_refused_leaves_the_code_unused(strict: Shop) -> None:
    strict.hq.answer = nothing_left
    fuelling = await strict.deliver(70_000)
    short = strict.settle(fuelling, STORED, by="gold", second=by_code("gold"))
    assert await refused(short) == "stored_value_insufficient"
    assert strict.bodies("member.code_used") == []


async def test_row_v8_another_member_of_staff_has_to_confirm(strict: Shop) -> None:
    fuelling = await strict.deliver(10_000)
    for second, code in (
        (SecondFactor(operator="till", operator_pin="654321"), "second_factor_same_person"),
        (by_staff(pin="111111"), "pin_wrong"),
        (by_staff(name="nobody"), "pin_wrong"),
        (SecondFactor(), "second_factor_required"),
    ):
        assert await refused(strict.settle(fuelling, STORED, by="gold", second=second)) == code
    await strict.settle(fuelling, STORED, by="gold", second=by_staff())


def test_neither_pin_nor_code_shows_in_a_repr() -> None:
    second = SecondFactor(member_code="FM1secret", member_pin="123456", operator_pin="654321")
    assert "secret" not in repr(second)
    assert "123456" not in repr(second)
    assert "654321" not in repr(second)
