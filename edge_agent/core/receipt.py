"""The receipt as plain text: 32 columns, Chinese first, English beside it.

A Chinese character takes two columns, as on every receipt printer; so does a character whose width
Unicode calls ambiguous, since printers take it from the Chinese font. Members and plates appear
masked. The ledger's number and the head of its hash let a driver hold evidence of the books.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from unicodedata import east_asian_width

from edge_agent.model.books import SettledSale
from edge_agent.model.records import QuoteBody, SaleRefunded, SaleSettled, Tender
from edge_agent.model.units import Money, UnitPrice, Volume

COLUMNS: Final = 32
HASH_DIGITS: Final = 12
_RULE: Final = "-" * COLUMNS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MEANS: Final = {"cash": "现金 Cash", "stored_value": "储值 Stored value"}


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


def render(sale: SettledSale, facts: ReceiptFacts, *, reprint: bool = False) -> str:
    """Return the receipt of a sale, or the refund slip of one that was refunded."""
    lines = [*_heading(sale, facts, reprint), _RULE, *_fuel(sale, facts), _RULE]
    if sale.refunded is None:
        lines += [*_price(sale.settled.quote), _RULE, *_payment(sale.settled)]
    else:
        lines += [*_given_back(sale.refunded)]
    lines += [_RULE, *_references(sale, facts)]
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


def _price(quote: QuoteBody) -> Iterator[str]:
    for line in quote.applied:
        yield from _wrapped(line.text_zh)
        yield from _pair(line.text_en, str(Money(-line.amount_fen)))
    yield from _pair("应付 To pay", str(Money(quote.payable_fen)))


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


def _given_back(refunded: SaleRefunded) -> Iterator[str]:
    for tender in refunded.tenders:
        yield from _tendered(tender, Money(-tender.amount_fen))
    total = sum(tender.amount_fen for tender in refunded.tenders)
    yield from _pair("退款 Refunded", str(Money(-total)))
    yield from _pair("原因 Reason", refunded.reason)


def _tendered(tender: Tender, amount: Money) -> Iterator[str]:
    yield from _pair(_MEANS[tender.means], str(amount))


def _references(sale: SettledSale, facts: ReceiptFacts) -> Iterator[str]:
    settled = sale.settled
    if facts.member is not None:
        yield from _pair("会员 Member", f"{facts.member} {facts.tier or ''}".rstrip())
        sign = "+" if sale.refunded is None else "-"
        yield from _pair("积分 Points", f"{sign}{settled.quote.points_earned}")
    if facts.plate is not None:
        yield from _pair("车牌 Plate", facts.plate)
    yield from _pair("价格 Price set", sale.completed.price_set)
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
