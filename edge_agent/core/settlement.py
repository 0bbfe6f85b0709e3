"""Settling and refunding a sale: who pays how much by what means, as records for one append.

The tenders of a sale always sum to its payable amount. Cash may be handed over in excess and comes
back as change; stored value may not. A prepayment is cash that lies in the till already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from edge_agent.model.books import SettledSale
from edge_agent.model.errors import Problem, SaleRefused, invariant
from edge_agent.model.membership import Account
from edge_agent.model.records import (
    FuellingCompleted,
    QuoteBody,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StoredValueMoved,
    Tender,
)
from edge_agent.model.units import NO_MONEY, Money

Means: TypeAlias = Literal["cash", "stored_value"]

TENDER_INVALID: Final = Problem(
    "tender_invalid", "付款金额必须大于零", "a tender's amount must be above zero"
)
TENDER_REPEATED: Final = Problem(
    "tender_repeated", "同一种付款方式只能用一次", "each means of payment may be used once"
)
TENDER_OPEN_TWICE: Final = Problem(
    "tender_open_twice", "只能有一种付款方式不填金额", "only one tender may leave its amount open"
)
TENDER_SHORT: Final = Problem("tender_short", "付款金额不足", "the tenders do not cover the sale")
TENDER_EXCESS: Final = Problem(
    "tender_excess", "储值付款超过应付金额", "stored value exceeds what is to be paid"
)
TENDER_SUPERFLUOUS: Final = Problem(
    "tender_superfluous", "已付清，无需再收现金", "nothing is left to pay in cash"
)
NO_ACCOUNT: Final = Problem(
    "stored_value_no_account", "该会员没有储值账户", "there is no stored-value account to charge"
)
INSUFFICIENT: Final = Problem(
    "stored_value_insufficient",
    "储值余额不足，请换其他支付方式",
    "not enough stored value: take another means of payment",
)
REASON_MISSING: Final = Problem(
    "refund_reason_missing",
    "请填写退款原因（80字以内）",
    "a refund needs a reason of up to 80 characters",
)
ALREADY_REFUNDED: Final = Problem(
    "sale_already_refunded", "这笔销售已经退款", "this sale has been refunded already"
)

MAX_REASON_LENGTH: Final = 80


@dataclass(frozen=True, slots=True)
class TenderOffer:
    """A wish to pay by some means. `amount` None is whatever the others leave."""

    means: Means
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """Who pays what: the two sum to the payable amount. `change` is cash to hand back."""

    stored_value: Money
    cash: Money
    change: Money


@dataclass(frozen=True, slots=True)
class SaleIdentity:
    """The names of a sale and of the wish that led to it."""

    sale_id: str
    receipt_no: str
    idempotency_key: str
    operator: str


def shares(payable: Money, prepaid: Money, offers: Sequence[TenderOffer]) -> Shares:
    """Divide the payable amount among the prepayment and the tenders offered.

    Raises:
        SaleRefused: the tenders do not add up (`tender_...`).
    """
    _refuse_malformed(offers)
    left = payable - min(payable, prepaid)
    named = {offer.means: offer.amount for offer in offers}
    cash_named = named.get("cash") or NO_MONEY
    stored = named.get("stored_value", NO_MONEY)
    if stored is None:
        stored = max(left - cash_named, NO_MONEY)
    if stored > left:
        raise SaleRefused(TENDER_EXCESS, f"{stored} of {left}")
    rest = left - stored
    cash_given = rest if "cash" in named and named["cash"] is None else cash_named
    if cash_given < rest:
        raise SaleRefused(TENDER_SHORT, f"{rest - cash_given} missing")
    if cash_given and not rest:
        raise SaleRefused(TENDER_SUPERFLUOUS)
    cash = payable - stored
    return Shares(stored, cash, prepaid + cash_given - cash)


def settle(
    completed: FuellingCompleted,
    quoted: QuoteBody,
    offers: Sequence[TenderOffer],
    account: Account | None,
    identity: SaleIdentity,
) -> list[RecordBody]:
    """Return the records that settle a fuelling, to be appended together.

    Raises:
        SaleRefused: the tenders do not add up, or stored value is not there
            (`stored_value_no_account`, `stored_value_insufficient`).
    """
    parts = shares(Money(quoted.payable_fen), Money(completed.prepaid_fen), offers)
    bodies: list[RecordBody] = []
    tenders: list[Tender] = []
    if parts.stored_value:
        if account is None:
            raise SaleRefused(NO_ACCOUNT)
        if account.available < parts.stored_value:
            raise SaleRefused(INSUFFICIENT, f"{account.available} of {parts.stored_value}")
        tenders.append(_tender("stored_value", parts.stored_value, account.ref))
        bodies.append(_moved(account.ref, -parts.stored_value, identity.sale_id, "sale"))
    if parts.cash:
        tenders.append(_tender("cash", parts.cash, None))
    sale = SaleSettled(
        sale_id=identity.sale_id,
        fuelling_id=completed.fuelling_id,
        quote=quoted,
        tenders=tenders,
        change_fen=parts.change.fen,
        member_ref=quoted.member_ref,
        plate_ref=completed.plate_ref,
        receipt_no=identity.receipt_no,
        idempotency_key=identity.idempotency_key,
        operator=identity.operator,
    )
    _require_whole(sale)
    return [sale, *bodies]


def paid_as(sale: SettledSale, offers: Sequence[TenderOffer]) -> bool:
    """Whether these tenders are the ones that a sale was settled with."""
    settled = sale.settled
    try:
        parts = shares(Money(settled.quote.payable_fen), Money(sale.completed.prepaid_fen), offers)
    except SaleRefused:
        return False
    stored = sum(tender.amount_fen for tender in settled.tenders if tender.means == "stored_value")
    return parts.stored_value.fen == stored and parts.change.fen == settled.change_fen


def refund(
    sale: SettledSale, *, refund_id: str, reason: str, idempotency_key: str, operator: str
) -> list[RecordBody]:
    """Return the records that pay a sale back, each tender to where it came from.

    Raises:
        SaleRefused: it was refunded already, or no reason is given.
    """
    if sale.refunded is not None:
        raise SaleRefused(ALREADY_REFUNDED)
    if not reason.strip() or len(reason) > MAX_REASON_LENGTH:
        raise SaleRefused(REASON_MISSING)
    settled = sale.settled
    refunded = SaleRefunded(
        refund_id=refund_id,
        sale_id=settled.sale_id,
        fuelling_id=settled.fuelling_id,
        tenders=settled.tenders,
        reason=reason.strip(),
        idempotency_key=idempotency_key,
        operator=operator,
    )
    return [
        refunded,
        *(
            _moved(tender.account_ref, Money(tender.amount_fen), settled.sale_id, "refund")
            for tender in settled.tenders
            if tender.account_ref is not None
        ),
    ]


def _refuse_malformed(offers: Sequence[TenderOffer]) -> None:
    if any(offer.amount is not None and offer.amount <= NO_MONEY for offer in offers):
        raise SaleRefused(TENDER_INVALID)
    if len({offer.means for offer in offers}) < len(offers):
        raise SaleRefused(TENDER_REPEATED)
    if sum(offer.amount is None for offer in offers) > 1:
        raise SaleRefused(TENDER_OPEN_TWICE)


def _require_whole(sale: SaleSettled) -> None:
    quoted = sale.quote
    discounts = sum(line.amount_fen for line in quoted.applied)
    invariant(quoted.payable_fen == quoted.list_amount_fen - discounts, "payable and its lines")
    paid = sum(tender.amount_fen for tender in sale.tenders)
    invariant(paid == quoted.payable_fen, "tenders and the payable amount")
    invariant(sale.change_fen >= 0, "change")


def _tender(means: Means, amount: Money, account_ref: str | None) -> Tender:
    return Tender(means=means, amount_fen=amount.fen, account_ref=account_ref)


def _moved(
    account_ref: str, delta: Money, sale_id: str, reason: Literal["sale", "refund"]
) -> StoredValueMoved:
    return StoredValueMoved(
        account_ref=account_ref, delta_fen=delta.fen, sale_id=sale_id, reason=reason
    )
