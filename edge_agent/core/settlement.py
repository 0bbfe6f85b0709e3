"""Settling a sale: who pays how much by what means, as records for one append.

The tenders of a sale always sum to its payable amount. Cash may be handed over in excess and comes
back as change; nothing else may. A prepayment is cash that lies in the till already. What
headquarters holds (stored value, points, coupons, budgets) is drawn from leases, and a little
beyond from the floor limit while offline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.core import points, spending
from edge_agent.core.purse import Purse
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import Problem, SaleRefused, invariant
from edge_agent.model.policy import Points
from edge_agent.model.quote import Paying
from edge_agent.model.quote_record import explanation_hash, without_words
from edge_agent.model.records import (
    FuellingCompleted,
    PointsEarned,
    QuoteBody,
    RecordBody,
    SaleSettled,
    Tender,
)
from edge_agent.model.tenders import TENDER_MEANS, TenderMeans
from edge_agent.model.units import NO_MONEY, Money
from edge_agent.model.wishes import TenderOffer

MAX_REFERENCE_LENGTH: Final = 64
TERMINAL_MEANS: Final = frozenset({"bank_card", "wallet"})
"""Taken on a terminal beside the till: the attendant types in what it printed."""

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
    "tender_excess",
    "非现金付款超过应付金额",
    "what is not cash exceeds what is to be paid",
)
TENDER_SUPERFLUOUS: Final = Problem(
    "tender_superfluous", "已付清，无需再收现金", "nothing is left to pay in cash"
)
TENDER_REFERENCE: Final = Problem(
    "tender_reference_missing",
    "请输入终端凭证号（64字以内）",
    "enter what the terminal printed, up to 64 characters",
)
TENDER_DIFFERS: Final = Problem(
    "tender_differs_from_quote",
    "付款方式与报价不符，请重新计算价格",
    "the tenders are not those that the price was made for: price it again",
)


@dataclass(frozen=True, slots=True)
class Shares:
    """Who pays what, by means: the parts sum to the payable amount and none is zero.

    `change` is cash to hand back.
    """

    parts: tuple[tuple[TenderMeans, Money], ...]
    change: Money

    def of(self, means: TenderMeans) -> Money:
        """Return what is paid by a means."""
        return next((amount for name, amount in self.parts if name == means), NO_MONEY)


@dataclass(frozen=True, slots=True)
class SaleIdentity:
    """The names of a sale and of the wish that led to it."""

    sale_id: str
    receipt_no: str
    idempotency_key: str
    operator: str


def shares(payable: Money, prepaid: Money, offers: Sequence[TenderOffer]) -> Shares:
    """Divide the payable amount among the prepayment and the tenders offered.

    The one tender that leaves its amount open pays what the others leave.

    Raises:
        SaleRefused: the tenders do not add up, or a terminal's reference is missing (`tender_...`).
    """
    _refuse_malformed(offers)
    left = payable - min(payable, prepaid)
    named = {offer.means: offer.amount for offer in offers if offer.amount is not None}
    cash_named = named.pop("cash", NO_MONEY)
    given = dict(named)
    beside = sum(given.values(), NO_MONEY)
    if beside > left:
        raise SaleRefused(TENDER_EXCESS, f"{beside} of {left}")
    open_means = next((offer.means for offer in offers if offer.amount is None), None)
    if open_means is not None and open_means != "cash":
        given[open_means] = max(left - beside - cash_named, NO_MONEY)
        beside = beside + given[open_means]
    rest = left - beside
    cash_given = rest if open_means == "cash" else cash_named
    if cash_given < rest:
        raise SaleRefused(TENDER_SHORT, f"{rest - cash_given} missing")
    if cash_given and not rest:
        raise SaleRefused(TENDER_SUPERFLUOUS)
    given["cash"] = payable - beside
    _refuse_unproved(offers, given)
    parts = tuple((means, given[means]) for means in TENDER_MEANS if given.get(means))
    return Shares(parts, prepaid + cash_given - given["cash"])


def paying_of(payable: Money, prepaid: Money, offers: Sequence[TenderOffer]) -> Paying:
    """Return how a sale is paid, as pricing wants to know it.

    The means that takes what the others leave is the tender whose amount is open; else cash, which
    can give change; else the largest.

    Raises:
        SaleRefused: as `shares`.
    """
    divided = shares(payable, prepaid, offers)
    opened = next((offer.means for offer in offers if offer.amount is None), None)
    if opened is None or (divided.parts and not divided.of(opened)):
        if divided.of("cash") or not divided.parts:
            opened = "cash"
        else:
            opened = max(divided.parts, key=lambda part: part[1].fen)[0]
    return Paying(opened, payable - divided.of(opened))


def settle(
    completed: FuellingCompleted,
    quoted: QuoteBody,
    offers: Sequence[TenderOffer],
    purse: Purse,
    identity: SaleIdentity,
    rules: Points,
    now_ms: int,
) -> list[RecordBody]:
    """Return the records that settle a fuelling, to be appended together.

    Args:
        completed: the fuelling; its prepayment pays first.
        quoted: its price with all words (`quote_record.body_of`).
        offers: the tenders. One for points that leaves its amount open pays what the quote
            redeems.
        purse: what may be drawn from.
        identity: the names of the sale.
        rules: of points, in the policy that the price was made with.
        now_ms: by which leases are judged; it never goes back (row S27).

    Raises:
        SaleRefused: the tenders do not add up (`tender_...`) or are not those of the quote
            (`tender_differs_from_quote`); stored value, points, a coupon or a budget is not here
            (`stored_value_...`, `points_...`, `coupon_unavailable`, `budget_spent`).
    """
    payable = Money(quoted.payable_fen)
    redeemed = points.value_of(quoted.points_redeemed, rules.redeem)
    points.require_redeemable(quoted.points_redeemed, payable, rules.redeem)
    divided = shares(payable, Money(completed.prepaid_fen), _resolved(offers, redeemed))
    _require_agreement(quoted, divided, redeemed)
    references = {offer.means: offer.reference for offer in offers}
    sale = SaleSettled(
        sale_id=identity.sale_id,
        fuelling_id=completed.fuelling_id,
        quote=without_words(quoted),
        explanation_sha256=explanation_hash(quoted),
        tenders=[
            _tender(means, amount, quoted, purse, references.get(means, ""))
            for means, amount in divided.parts
        ],
        change_fen=divided.change.fen,
        member_ref=quoted.member_ref,
        plate_ref=completed.plate_ref,
        receipt_no=identity.receipt_no,
        idempotency_key=identity.idempotency_key,
        operator=identity.operator,
    )
    _require_whole(sale)
    return [sale, *spending.movements(sale, purse, now_ms), *_earned(sale, rules)]


def paid_as(sale: SettledSale, offers: Sequence[TenderOffer]) -> bool:
    """Whether these tenders are the ones that a sale was settled with."""
    settled = sale.settled
    recorded = {tender.means: Money(tender.amount_fen) for tender in settled.tenders}
    resolved = _resolved(offers, recorded.get("points", NO_MONEY))
    payable, prepaid = Money(settled.quote.payable_fen), Money(sale.completed.prepaid_fen)
    try:
        divided = shares(payable, prepaid, resolved)
    except SaleRefused:
        return False
    references = {offer.means: offer.reference for offer in offers}
    return (
        dict(divided.parts) == recorded
        and divided.change.fen == settled.change_fen
        and all(
            tender.reference == _reference(tender.means, references.get(tender.means, ""))
            for tender in settled.tenders
        )
    )


# --- the tenders --------------------------------------------------------------------------------


def _refuse_malformed(offers: Sequence[TenderOffer]) -> None:
    if any(offer.amount is not None and offer.amount <= NO_MONEY for offer in offers):
        raise SaleRefused(TENDER_INVALID)
    if len({offer.means for offer in offers}) < len(offers):
        raise SaleRefused(TENDER_REPEATED)
    if sum(offer.amount is None for offer in offers) > 1:
        raise SaleRefused(TENDER_OPEN_TWICE)


def _refuse_unproved(offers: Sequence[TenderOffer], given: Mapping[TenderMeans, Money]) -> None:
    for offer in offers:
        if offer.means in TERMINAL_MEANS and given.get(offer.means):
            reference = offer.reference.strip()
            if not reference or len(reference) > MAX_REFERENCE_LENGTH:
                raise SaleRefused(TENDER_REFERENCE, offer.means)


def _resolved(offers: Sequence[TenderOffer], redeemed: Money) -> list[TenderOffer]:
    """Name the amount of a points tender that leaves it open; drop it when nothing is redeemed."""
    resolved: list[TenderOffer] = []
    for offer in offers:
        if offer.means != "points" or offer.amount is not None:
            resolved.append(offer)
        elif redeemed:
            resolved.append(TenderOffer("points", redeemed))
    return resolved


def _require_agreement(quoted: QuoteBody, divided: Shares, redeemed: Money) -> None:
    """Hold the tenders against what the price was made for, since offers depend on it."""
    if divided.of("points") != redeemed:
        raise SaleRefused(TENDER_DIFFERS, f"points pay {divided.of('points')} of {redeemed}")
    if quoted.paying is None:
        return
    others = quoted.payable_fen - divided.of(quoted.paying).fen
    if others != quoted.paid_otherwise_fen:
        raise SaleRefused(
            TENDER_DIFFERS,
            f"{Money(others)} not by {quoted.paying}, quoted {Money(quoted.paid_otherwise_fen)}",
        )


def _tender(
    means: TenderMeans, amount: Money, quoted: QuoteBody, purse: Purse, reference: str
) -> Tender:
    holder = {"stored_value": purse.account_ref, "points": quoted.member_ref}.get(means)
    if means == "stored_value" and holder is None:
        raise SaleRefused(spending.NO_ACCOUNT)
    return Tender(
        means=means,
        amount_fen=amount.fen,
        account_ref=holder,
        points=quoted.points_redeemed if means == "points" else 0,
        reference=_reference(means, reference),
    )


def _reference(means: TenderMeans, reference: str) -> str:
    return reference.strip() if means in TERMINAL_MEANS else ""


def _require_whole(sale: SaleSettled) -> None:
    quoted = sale.quote
    discounts = sum(line.amount_fen for line in quoted.applied)
    invariant(quoted.payable_fen == quoted.list_amount_fen - discounts, "payable and its lines")
    paid = sum(tender.amount_fen for tender in sale.tenders)
    invariant(paid == quoted.payable_fen, "tenders and the payable amount")
    invariant(sale.change_fen >= 0, "change")


def _earned(sale: SaleSettled, rules: Points) -> Iterator[PointsEarned]:
    quoted = sale.quote
    if quoted.member_ref is None or not quoted.points_earned:
        return
    yield PointsEarned(
        member_ref=quoted.member_ref,
        sale_id=sale.sale_id,
        points=quoted.points_earned,
        expires_ms=points.expires_ms(quoted.at_ms, rules.valid_months, quoted.utc_offset_minutes),
        reason="sale",
    )
