"""Prepayment, plate pay, refund and receipt over the real books: balances exact."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import (
    SaleId,
)
from edge_agent.model.records import AssetMoved, RecordBody
from edge_agent.model.units import Money
from edge_agent.model.wishes import TenderOffer
from tests.app.shop import (
    CASH,
    PLATE_REF,
    POLICY,
    STORED,
    Shop,
    code_of,
    member,
    nothing_left,
    refused,
)

# --- prepaid and plate --------------------------------------------------------------------------


async def test_a_prepaid_fuelling_settles_itself_with_change(shop: Shop) -> None:
    fuelling = await shop.deliver(8700, prepaid_fen=10_000, member_ref="silver")
    sale = await shop.pos.settle_prepaid(fuelling)
    assert (sale.settled.quote.payable_fen, sale.settled.change_fen) == (8526, 1474)
    assert await shop.pos.settle_prepaid(fuelling) == sale


async def test_an_over_run_prepaid_fuelling_waits_for_the_rest(shop: Shop) -> None:
    fuelling = await shop.deliver(10_002, prepaid_fen=10_000)
    assert await refused(shop.pos.settle_prepaid(fuelling)) == "tender_short"
    sale = await shop.settle(fuelling, TenderOffer("cash", Money(2)))
    assert (sale.settled.tenders[0].amount_fen, sale.settled.change_fen) == (10_002, 0)


async def test_a_consenting_members_plate_pays_from_stored_value(shop: Shop) -> None:
    fuelling = await shop.deliver(31_400, plate_ref=PLATE_REF, member_ref="gold")
    sale = await shop.pos.settle_by_plate(fuelling)
    assert {t.means: t.amount_fen for t in sale.settled.tenders} == {"stored_value": 28_458}
    assert (sale.settled.plate_ref, sale.settled.operator) == (PLATE_REF, "plate-pay")
    assert shop.available() == 50_000 - 28_458
    assert await shop.pos.settle_by_plate(fuelling) == sale
    assert shop.books.sums().plate_sales == 1


@pytest.mark.parametrize(
    ("fuelling", "changed", "settings", "code"),
    [
        ({}, {"plate_pay": False}, {}, "plate_pay_no_consent"),
        ({}, {"account": "acc-poor"}, {}, "plate_pay_uncovered"),
        ({}, {"account": None}, {}, "plate_pay_uncovered"),
        ({}, {}, {"enabled": False}, "plate_pay_off"),
        ({}, {}, {"enabled": True, "max_amount_fen": 18_000}, "plate_pay_over_limit"),
        ({"plate_ref": None}, {}, {}, "plate_pay_no_member"),
        ({"plate_ref": "f" * 64}, {}, {}, "plate_pay_no_member"),
        ({"member_ref": "silver"}, {}, {}, "plate_pay_other_member"),
    ],
)
async def test_what_a_plate_may_not_pay_stays_unpaid(
    shop: Shop,
    fuelling: dict[str, Any],
    changed: dict[str, Any],
    settings: dict[str, Any],
    code: str,
) -> None:
    shop.hq.answer = nothing_left
    await shop.enrol(member("gold", "gold", indexes={"plate": [PLATE_REF]}, **changed))
    policy = json.loads(POLICY) | {"version": 2}
    await shop.publish(
        json.dumps(policy | {"plate_pay": settings or policy["plate_pay"]}), version=2
    )
    unpaid = await shop.deliver(
        20_300, **({"plate_ref": PLATE_REF, "member_ref": "gold"} | fuelling)
    )
    assert await refused(shop.pos.settle_by_plate(unpaid)) == code
    assert [item.completed.fuelling_id for item in shop.books.unpaid()] == [unpaid]


# --- refund -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_settling_and_refunding_restores_every_balance(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    sales = []
    for number in range(6):
        who = chance.choice(["gold", "poor", None])
        fuelling = await shop.deliver(chance.randrange(100, 12_000))
        tenders = [CASH]
        if who is not None:
            share = min(chance.randrange(1, 100), shop.available(who))
            tenders = [TenderOffer("stored_value", Money(share)), CASH] if share else tenders
        sales.append(await shop.settle(fuelling, *tenders, by=who, key=f"s{number}"))
        shop.clock.pass_by(30_000)  # two a minute: within row R1
    assert shop.available("gold") <= 50_000
    chance.shuffle(sales)
    for sale in sales:
        refunded = await shop.refund(sale, key=f"r-{sale.settled.sale_id}")
        assert refunded.refunded is not None
        assert refunded.refunded.tenders == sale.settled.tenders
    assert (shop.available("gold"), shop.available("poor")) == (50_000, 100)


async def test_a_refund_pressed_twice_is_one_refund(shop: Shop) -> None:
    sale = await shop.settle(await shop.deliver(), STORED, by="gold")
    presses = [shop.refund(sale) for _ in range(3)]
    results = await asyncio.gather(*presses)
    assert results[0] == results[1] == results[2]
    assert shop.available() == 50_000
    assert await refused(shop.refund(sale, key="key-3")) == "sale_already_refunded"
    assert sum(isinstance(b, AssetMoved) for b in _bodies(shop)) == 2


def _bodies(shop: Shop) -> list[RecordBody]:
    return [
        AssetMoved.model_validate_json(record.body)
        for record in shop.books.records_after(0, 1000)
        if record.kind == AssetMoved.kind
    ]


async def test_a_refund_that_loses_the_race_to_the_books_is_the_same_refund(
    shop: Shop,
) -> None:
    sale = await shop.settle(await shop.deliver())
    tills = [shop.pos, shop.open_till(seed=5)]
    presses = [
        till.refund(SaleId(sale.settled.sale_id), reason="x", idempotency_key="k", operator="lead")
        for till in tills
    ]
    one, other = await asyncio.gather(*presses)
    assert one == other


async def test_a_refund_with_another_reason_is_another_wish(shop: Shop) -> None:
    sale = await shop.settle(await shop.deliver())
    await shop.refund(sale)
    other = shop.pos.refund(
        SaleId(sale.settled.sale_id), reason="other", idempotency_key="key-r", operator="lead"
    )
    assert await refused(other) == "idempotency_conflict"


async def test_a_refund_names_its_sale(shop: Shop) -> None:
    wish = shop.pos.refund(SaleId("nope"), reason="x", idempotency_key="k", operator="lead")
    assert await refused(wish) == "sale_unknown"


# --- members and receipts -----------------------------------------------------------------------


async def test_a_member_is_found_by_what_is_shown(shop: Shop) -> None:
    assert (await shop.pos.find_member("card", "6001")).ref == "gold"
    assert (await shop.pos.find_member("plate", "云A12345")).tier == "gold"
    for nothing in ("", "  ", "138 0000 0000"):
        with pytest.raises(SaleRefused) as caught:
            await shop.pos.find_member("phone", nothing)
        assert code_of(caught) == "member_unknown"
        assert nothing.strip() == "" or nothing not in str(caught.value)


async def test_a_receipt_shows_the_ledgers_own_number_and_hash(shop: Shop) -> None:
    fuelling = await shop.deliver(31_400, plate_ref=PLATE_REF, member_ref="gold")
    sale = await shop.pos.settle_by_plate(fuelling)
    text = shop.pos.receipt(SaleId(sale.settled.sale_id))
    sealed = shop.books.hash_at(sale.seq)
    assert sealed is not None
    assert f"{sale.seq} {sealed[:12]}" in text
    for shown in ("演示站", "92#", "云A·**345", "张** 金牌会员", sale.settled.receipt_no):
        assert shown in text
    assert "重打" not in text
    assert "重打" in shop.pos.receipt(SaleId(sale.settled.sale_id), reprint=True)
    refunded = await shop.refund(sale)
    assert "退款凭证" in shop.pos.receipt(SaleId(refunded.settled.sale_id))


async def test_a_receipt_of_a_forgotten_plate_shows_the_beginning_of_its_reference(
    shop: Shop,
) -> None:
    sale = await shop.settle(await shop.deliver(plate_ref="ab" * 32), by="gold")
    text = shop.pos.receipt(SaleId(sale.settled.sale_id))
    assert "#abababab\n" in text
    assert "ab" * 5 not in text


async def test_receipt_numbers_are_the_day_and_eight_unmistakable_characters(
    shop: Shop,
) -> None:
    sales = [await shop.settle(await shop.deliver(), key=f"k{n}") for n in range(3)]
    numbers = {sale.settled.receipt_no for sale in sales}
    assert len(numbers) == 3
    for number in numbers:
        day, digits = number.split("-")
        assert (day, len(digits)) == ("261103", 8)
        assert not set(digits) & set("ILOU")
        assert len(set(digits)) > 2
