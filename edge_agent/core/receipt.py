"""The receipt as plain text: 32 columns, Chinese first, English beside it.

A Chinese character takes two columns, as on every receipt printer; so does a character whose width
Unicode calls ambiguous, since printers take it from the Chinese font. Members and plates appear
masked. The ledger's number and the head of its hash let a driver hold evidence of the books.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from unicodedata import east_asian_width

from edge_agent.model.books import SettledSale
from edge_agent.model.records import QuoteBody, SaleRefunded, SaleSettled, Tender
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money, UnitPrice, Volume
from edge_agent.model.views import ExpiryView

COLUMNS: Final = 32
HASH_DIGITS: Final = 12
_RULE: Final = "-" * COLUMNS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MEANS: Final[dict[TenderMeans, str]] = {
    "points": "积分 Points",
    "stored_value": "储值 Stored value",
    "bank_card": "银行卡 Bank card",
    "wallet": "扫码 Wallet",
    "cash": "现金 Cash",
}


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt shows beside the sale's own records."""

    station_zh: str
    station_en: str
    utc_offset_minutes: int
    grade_name: str
    member: str | None
    """Masked."""
    tier: str | None
    plate: str | None
    """Masked, or the beginning of its reference."""
    ledger_hash: str
    goods: Mapping[str, str] = field(default_factory=dict)
    """Names of goods by code."""
    progress: tuple[str, str] | None = None
    """How far the member is from the next tier, in Chinese and English
    (`core.membership.TierProgress`)."""
    expiring: tuple[ExpiryView, ...] = ()
    """What the member will lose soon (`core.wallet.expiring`)."""


def render(sale: SettledSale, facts: ReceiptFacts, *, reprint: bool = False) -> str:
    """Return the receipt of a sale, or the refund slip of one that was refunded."""
    quoted = sale.settled.quote
    lines = [*_heading(sale, facts, reprint), _RULE, *_fuel(sale, facts)]
    lines += [*_goods(quoted, facts), _RULE]
    if sale.refunded is None:
        lines += [*_price(quoted, facts), _RULE, *_payment(sale.settled)]
    else:
        lines += [*_given_back(sale.refunded, quoted)]
    lines += [_RULE, *_member(sale, facts), *_references(sale, facts)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def width_of(text: str) -> int:
    """Return the columns that a text takes on a printer."""
    return sum(_columns(character) for character in text)


def _heading(sale: SettledSale, facts: ReceiptFacts, reprint: bool) -> Iterator[str]:
    for text in (facts.station_zh, facts.station_en):
        yield from map(_centred, _wrapped(text))
    yield _centred("退款凭证 REFUND" if sale.refunded else "销售小票 RECEIPT")
    if reprint:
        yield _centred("*** 重打 REPRINT ***")


def _fuel(sale: SettledSale, facts: ReceiptFacts) -> Iterator[str]:
    completed = sale.completed
    yield from _pair("单号 No.", sale.settled.receipt_no)
    yield from _pair("时间 Time", _local_time(sale.at_ms, facts.utc_offset_minutes))
    yield from _pair("枪号 Nozzle", str(completed.nozzle_number))
    yield from _pair("油品 Grade", facts.grade_name)
    yield from _pair("升数 Litres", str(Volume(completed.volume_ml)))
    yield from _pair("单价 Yuan/L", str(UnitPrice(completed.unit_price_milli)))
    yield from _pair("金额 Amount", str(Money(completed.amount_fen)))


def _goods(quoted: QuoteBody, facts: ReceiptFacts) -> Iterator[str]:
    for line in quoted.goods:
        name = facts.goods.get(line.good, line.good)
        yield from _pair(f"{name} x{line.pieces}", str(Money(line.amount_fen)))
    if quoted.goods:
        yield from _pair("合计 Total", str(Money(quoted.list_amount_fen)))


def _price(quoted: QuoteBody, facts: ReceiptFacts) -> Iterator[str]:
    for line in quoted.applied:
        yield from _wrapped(line.text_zh)
        yield from _pair(line.text_en, str(Money(-line.amount_fen)))
        yield from _coupon(line.coupon)
    for gift in quoted.benefits:
        yield from _wrapped(gift.text_zh)
        if gift.good is not None:
            yield from _wrapped(gift.text_en)
            name = facts.goods.get(gift.good, gift.good)
            yield from _pair("赠 Gift", f"{name} x{gift.pieces}")
        else:
            yield from _pair(gift.text_en, f"+{gift.points}")
        yield from _coupon(gift.coupon)
    yield from _pair("应付 To pay", str(Money(quoted.payable_fen)))


def _coupon(serial: str | None) -> Iterator[str]:
    if serial is not None:
        yield from _pair("券号 Coupon", serial)


def _payment(settled: SaleSettled) -> Iterator[str]:
    for tender in settled.tenders:
        given = tender.amount_fen + (settled.change_fen if tender.means == "cash" else 0)
        yield from _tendered(tender, Money(given))
    if settled.change_fen and not any(tender.means == "cash" for tender in settled.tenders):
        yield from _pair(_MEANS["cash"], str(Money(settled.change_fen)))
    if settled.change_fen:
        yield from _pair("找零 Change", str(Money(settled.change_fen)))
    step = settled.quote.next_step
    if step is not None:
        yield from _wrapped(step.text_zh)
        yield from _wrapped(step.text_en)


def _given_back(refunded: SaleRefunded, quoted: QuoteBody) -> Iterator[str]:
    for tender in refunded.tenders:
        yield from _tendered(tender, Money(-tender.amount_fen))
    total = sum(tender.amount_fen for tender in refunded.tenders)
    yield from _pair("退款 Refunded", str(Money(-total)))
    yield from _pair("原因 Reason", refunded.reason)
    for serial in _coupons_used(quoted):
        yield from _pair("券冻结 On hold", serial)


def _coupons_used(quoted: QuoteBody) -> Iterator[str]:
    """Yield the coupons that a refund gave back, which wait for headquarters (row V5)."""
    serials = [line.coupon for line in quoted.applied] + [line.coupon for line in quoted.benefits]
    yield from (serial for serial in serials if serial is not None)


def _tendered(tender: Tender, amount: Money) -> Iterator[str]:
    yield from _pair(_MEANS[tender.means], str(amount))
    if tender.reference:
        yield from _pair("凭证 Ref.", tender.reference)


def _member(sale: SettledSale, facts: ReceiptFacts) -> Iterator[str]:
    if facts.member is None:
        return
    quoted, refunded = sale.settled.quote, sale.refunded is not None
    yield from _pair("会员 Member", f"{facts.member} {facts.tier or ''}".rstrip())
    yield from _pair("积分 Points", f"{'-' if refunded else '+'}{quoted.points_earned}")
    if quoted.points_redeemed:
        sign = "+" if refunded else "-"
        yield from _pair("抵现 Redeemed", f"{sign}{quoted.points_redeemed}")
    if refunded:
        return
    for view in facts.expiring:
        yield from _wrapped(view.text_zh)
        yield from _wrapped(view.text_en)
    for text in facts.progress or ():
        yield from _wrapped(text)


def _references(sale: SettledSale, facts: ReceiptFacts) -> Iterator[str]:
    settled = sale.settled
    if facts.plate is not None:
        yield from _pair("车牌 Plate", facts.plate)
    if sale.completed.odometer_km is not None:
        yield from _pair("里程 Odometer", f"{sale.completed.odometer_km} km")
    yield from _pair("价格 Price set", sale.completed.price_set)
    yield from _pair("计价 Price proof", settled.explanation_sha256[:HASH_DIGITS])
    operator = settled.operator if sale.refunded is None else sale.refunded.operator
    yield from _pair("收银 Operator", operator)
    yield from _pair("账本 Ledger", f"{sale.seq} {facts.ledger_hash[:HASH_DIGITS]}")


def _pair(label: str, value: str) -> Iterator[str]:
    """A label at the left and its value at the right, on as many lines as they need."""
    labels, values = _wrapped(label), _wrapped(value)
    space = COLUMNS - width_of(labels[-1]) - width_of(values[0])
    if space >= 1:
        yield from labels[:-1]
        yield labels[-1] + " " * space + values[0]
        values = values[1:]
    else:
        yield from labels
    for part in values:
        yield " " * (COLUMNS - width_of(part)) + part


def _wrapped(text: str) -> list[str]:
    """Break a text into lines that fit, between words where it has any."""
    lines, line = list[str](), ""
    for character in text:
        if width_of(line) + _columns(character) > COLUMNS:
            head, space, tail = line.rpartition(" ")
            lines.append(head if space and head else line)
            line = tail if space and head else ""
        line += character
    return [*lines, line]


def _centred(text: str) -> str:
    return " " * ((COLUMNS - width_of(text)) // 2) + text


def _columns(character: str) -> int:
    return 2 if east_asian_width(character) in "WFA" else 1


def _local_time(at_ms: int, utc_offset_minutes: int) -> str:
    local = _EPOCH + timedelta(milliseconds=at_ms, minutes=utc_offset_minutes)
    return local.strftime("%Y-%m-%d %H:%M:%S")
