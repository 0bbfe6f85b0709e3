"""Tenders add up to the payable amount, whatever is offered; a refund undoes a sale exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.settlement import (
    SaleIdentity,
    TenderOffer,
    paid_as,
    refund,
    settle,
    shares,
)
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import CorruptionError, SaleRefused
from edge_agent.model.ids import AccountRef
from edge_agent.model.membership import Account
from edge_agent.model.records import (
    AppliedOffer,
    FuellingCompleted,
    QuoteBody,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StoredValueMoved,
)
from edge_agent.model.units import Money

IDENTITY = SaleIdentity("s-1", "261103-7K3M9QXA", "key-1", "till")
CASH = TenderOffer("cash")
STORED = TenderOffer("stored_value")


def cash(fen: int) -> TenderOffer:
    return TenderOffer("cash", Money(fen))


def stored(fen: int) -> TenderOffer:
    return TenderOffer("stored_value", Money(fen))


def fuelling(amount_fen: int, prepaid_fen: int = 0) -> FuellingCompleted:
    return FuellingCompleted(
        fuelling_id="f-1",
        fp=1,
        nozzle=1,
        nozzle_number=3,
        grade="92",
        price_set="p-1",
        unit_price_milli=7850,
        volume_ml=amount_fen * 10_000 // 7850,
        amount_fen=amount_fen,
        totals_before=None,
        totals_after=None,
        origin="observed",
        member_ref=None,
        plate_ref="0123456789abcdef",
        prepaid_fen=prepaid_fen,
        started_ms=None,
        ended_ms=1_790_000_000_000,
    )


def quoted(amount_fen: int, off_fen: int = 0, member_ref: str | None = None) -> QuoteBody:
    line = AppliedOffer(offer="a", amount_fen=off_fen, text_zh="减", text_en="off")
    return QuoteBody(
        policy_version=1,
        grade="92",
        volume_ml=amount_fen * 10_000 // 7850,
        unit_price_milli=7850,
        at_ms=1_790_000_000_000,
        member_ref=member_ref,
        tier=None,
        list_amount_fen=amount_fen,
        payable_fen=amount_fen - off_fen,
        applied=[line] if off_fen else [],
        rejected=[],
        points_earned=0,
    )


def account(granted_fen: int, spent_fen: int = 0) -> Account:
    return Account(AccountRef("a-1"), Money(granted_fen), Money(spent_fen))


def refusal(
    amount_fen: int,
    offers: Sequence[TenderOffer],
    *,
    prepaid_fen: int = 0,
    holds: Account | None = None,
) -> str:
    with pytest.raises(SaleRefused) as caught:
        settle(fuelling(amount_fen, prepaid_fen), quoted(amount_fen), offers, holds, IDENTITY)
    assert caught.value.problem.text_zh
    return caught.value.problem.code


def sold(bodies: Sequence[RecordBody]) -> SaleSettled:
    (sale,) = [body for body in bodies if isinstance(body, SaleSettled)]
    return sale


def paid(sale: SaleSettled | SaleRefunded) -> dict[str, int]:
    return {tender.means: tender.amount_fen for tender in sale.tenders}


def moved(bodies: Sequence[RecordBody]) -> Counter[str]:
    total: Counter[str] = Counter()
    for body in bodies:
        if isinstance(body, StoredValueMoved):
            total[body.account_ref] += body.delta_fen
    return total


# --- by hand ------------------------------------------------------------------------------------


def test_a_larger_note_comes_back_as_change() -> None:
    sale = sold(settle(fuelling(18_300), quoted(18_300), [cash(20_000)], None, IDENTITY))
    assert (paid(sale), sale.change_fen) == ({"cash": 18_300}, 1700)


def test_an_open_tender_pays_what_the_other_leaves() -> None:
    bodies = settle(
        fuelling(20_000), quoted(20_000, 2000), [stored(5000), CASH], account(6000), IDENTITY
    )
    assert paid(sold(bodies)) == {"stored_value": 5000, "cash": 13_000}
    assert moved(bodies) == {"a-1": -5000}


def test_stored_value_left_open_makes_room_for_the_cash_named() -> None:
    bodies = settle(
        fuelling(20_000), quoted(20_000), [STORED, cash(5000)], account(15_000), IDENTITY
    )
    assert paid(sold(bodies)) == {"stored_value": 15_000, "cash": 5000}


def test_a_prepayment_pays_for_itself_and_an_under_run_is_change() -> None:
    sale = sold(settle(fuelling(8700, 10_000), quoted(8700, 300), [], None, IDENTITY))
    assert (paid(sale), sale.change_fen) == ({"cash": 8400}, 1600)


def test_an_over_run_of_a_prepayment_is_paid_on_top() -> None:
    assert refusal(10_002, [], prepaid_fen=10_000) == "tender_short"
    sale = sold(settle(fuelling(10_002, 10_000), quoted(10_002), [cash(100)], None, IDENTITY))
    assert (paid(sale), sale.change_fen) == ({"cash": 10_002}, 98)


def test_nothing_to_pay_takes_no_tender() -> None:
    sale = sold(settle(fuelling(2000), quoted(2000, 2000), [CASH], None, IDENTITY))
    assert (paid(sale), sale.change_fen) == ({}, 0)


@pytest.mark.parametrize(
    ("offers", "code"),
    [
        ([], "tender_short"),
        ([cash(9999)], "tender_short"),
        ([cash(0)], "tender_invalid"),
        ([cash(-1)], "tender_invalid"),
        ([cash(6000), cash(6000)], "tender_repeated"),
        ([CASH, STORED], "tender_open_twice"),
        ([stored(10_001)], "tender_excess"),
        ([stored(10_000), cash(1)], "tender_superfluous"),
        ([stored(9001), CASH], "stored_value_insufficient"),
    ],
)
def test_what_does_not_add_up_is_refused(offers: list[TenderOffer], code: str) -> None:
    assert refusal(10_000, offers, holds=account(10_000, 1000)) == code


def test_a_smaller_note_for_the_same_sale_is_another_wish() -> None:
    sale = sold(settle(fuelling(18_300), quoted(18_300), [cash(20_000)], None, IDENTITY))
    record = SettledSale(1, 1, sale, fuelling(18_300), None)
    assert paid_as(record, [cash(20_000)])
    assert not paid_as(record, [cash(18_300)])
    assert not paid_as(record, [cash(18_299)])


def test_stored_value_needs_an_account() -> None:
    assert refusal(10_000, [STORED]) == "stored_value_no_account"


def test_a_quote_that_does_not_add_up_is_never_settled() -> None:
    wrong = quoted(10_000, 500).model_copy(update={"payable_fen": 9400})
    with pytest.raises(CorruptionError):
        settle(fuelling(10_000), wrong, [CASH], None, IDENTITY)


def test_the_sale_keeps_what_led_to_it() -> None:
    sale = sold(settle(fuelling(100), quoted(100, 0, "m-1"), [CASH], None, IDENTITY))
    assert (sale.sale_id, sale.receipt_no) == ("s-1", "261103-7K3M9QXA")
    assert (sale.idempotency_key, sale.operator) == ("key-1", "till")
    assert (sale.member_ref, sale.plate_ref) == ("m-1", "0123456789abcdef")


# --- refund -------------------------------------------------------------------------------------


def settled_sale(offers: Sequence[TenderOffer], holds: Account | None) -> SettledSale:
    completed = fuelling(10_000)
    sale = sold(settle(completed, quoted(10_000, 500), offers, holds, IDENTITY))
    return SettledSale(1, 1_790_000_000_000, sale, completed, None)


def undo(sale: SettledSale, reason: str = "wrong nozzle") -> list[RecordBody]:
    return refund(sale, refund_id="r-1", reason=reason, idempotency_key="key-2", operator="lead")


def test_each_tender_goes_back_to_its_source() -> None:
    bodies = undo(settled_sale([stored(4000), CASH], account(4000)))
    (refunded,) = [body for body in bodies if isinstance(body, SaleRefunded)]
    assert paid(refunded) == {"stored_value": 4000, "cash": 5500}
    assert (refunded.sale_id, refunded.fuelling_id) == ("s-1", "f-1")
    assert moved(bodies) == {"a-1": 4000}


def test_a_sale_is_refunded_once() -> None:
    sale = settled_sale([CASH], None)
    (first,) = [body for body in undo(sale) if isinstance(body, SaleRefunded)]
    again = SettledSale(sale.seq, sale.at_ms, sale.settled, sale.completed, first)
    with pytest.raises(SaleRefused) as caught:
        undo(again)
    assert caught.value.problem.code == "sale_already_refunded"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 81])
def test_a_refund_has_a_reason(reason: str) -> None:
    with pytest.raises(SaleRefused) as caught:
        undo(settled_sale([CASH], None), reason)
    assert caught.value.problem.code == "refund_reason_missing"


# --- whatever is offered ------------------------------------------------------------------------

amounts = st.integers(0, 30_000)
offered = st.lists(
    st.builds(
        TenderOffer,
        st.sampled_from(["cash", "stored_value"]),
        st.none() | st.integers(-5, 40_000).map(Money),
    ),
    max_size=3,
)


@given(listed=amounts, off=amounts, prepaid=st.just(0) | amounts, offers=offered, holds=amounts)
def test_tenders_sum_to_the_payable_amount_or_nothing_happens(
    listed: int, off: int, prepaid: int, offers: list[TenderOffer], holds: int
) -> None:
    answer = quoted(listed, min(off, listed))
    completed = fuelling(listed, prepaid)
    try:
        bodies = settle(completed, answer, offers, account(holds), IDENTITY)
    except SaleRefused:
        return
    sale = sold(bodies)
    by_means = paid(sale)
    assert sum(by_means.values()) == answer.payable_fen
    assert all(fen > 0 for fen in by_means.values())
    assert by_means.get("stored_value", 0) <= holds
    assert sale.change_fen >= 0
    handed_over = next((o.amount.fen for o in offers if o.means == "cash" and o.amount), None)
    if handed_over is not None:
        assert prepaid + handed_over == by_means.get("cash", 0) + sale.change_fen
    record = SettledSale(1, 1, sale, completed, None)
    assert paid_as(record, offers)
    assert set(moved([*bodies, *undo(record)]).values()) <= {0}


@given(payable=amounts, prepaid=amounts, offers=offered, other=offered)
def test_tenders_with_another_effect_are_another_wish(
    payable: int, prepaid: int, offers: list[TenderOffer], other: list[TenderOffer]
) -> None:
    try:
        one = shares(Money(payable), Money(prepaid), offers)
        two = shares(Money(payable), Money(prepaid), other)
    except SaleRefused:
        return
    completed = fuelling(payable, prepaid)
    bodies = settle(completed, quoted(payable), offers, account(10**6), IDENTITY)
    record = SettledSale(1, 1, sold(bodies), completed, None)
    assert paid_as(record, other) == (one == two)
