"""What the API answers where no view of the model says it already."""

from __future__ import annotations

from pydantic import BaseModel

from edge_agent.model.books import SettledSale
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import AppliedOffer, NextStep, QuoteBody, RejectedOffer, Tender


class AuthoriseAnswer(BaseModel):
    """The fuelling that was begun."""

    fuelling_id: str


class MemberAnswer(BaseModel):
    """A member, as far as a screen may know one."""

    ref: str
    tier: str
    tier_zh: str
    tier_en: str
    masked_name: str
    plate_pay: bool
    available_fen: int | None
    """What the stored-value account can pay at this station now; None without an account."""


class QuoteAnswer(BaseModel):
    """A price decided: payable = list - sum of applied."""

    fuelling_id: str
    list_amount_fen: int
    payable_fen: int
    applied: list[AppliedOffer]
    rejected: list[RejectedOffer]
    points_earned: int
    next_step: NextStep | None
    prepaid_fen: int
    member: MemberAnswer | None

    @classmethod
    def of(
        cls, fuelling_id: str, quote: QuoteBody, prepaid_fen: int, member: MemberAnswer | None
    ) -> QuoteAnswer:
        """Make the answer out of a quote."""
        return cls(
            fuelling_id=fuelling_id,
            list_amount_fen=quote.list_amount_fen,
            payable_fen=quote.payable_fen,
            applied=quote.applied,
            rejected=quote.rejected,
            points_earned=quote.points_earned,
            next_step=quote.next_step,
            prepaid_fen=prepaid_fen,
            member=member,
        )


class SaleAnswer(BaseModel):
    """A settled sale."""

    sale_id: str
    fuelling_id: str
    receipt_no: str
    seq: int
    at_ms: int
    fp: int
    nozzle_number: int
    grade: str
    unit_price_milli: int
    volume_ml: int
    list_amount_fen: int
    payable_fen: int
    applied: list[AppliedOffer]
    tenders: list[Tender]
    change_fen: int
    member: bool
    plate: bool
    operator: str
    refunded: bool
    refund_reason: str | None

    @classmethod
    def of(cls, sale: SettledSale) -> SaleAnswer:
        """Make the answer out of a sale in the books."""
        settled, completed, quote = sale.settled, sale.completed, sale.settled.quote
        return cls(
            sale_id=settled.sale_id,
            fuelling_id=settled.fuelling_id,
            receipt_no=settled.receipt_no,
            seq=sale.seq,
            at_ms=sale.at_ms,
            fp=completed.fp,
            nozzle_number=completed.nozzle_number,
            grade=completed.grade,
            unit_price_milli=completed.unit_price_milli,
            volume_ml=completed.volume_ml,
            list_amount_fen=quote.list_amount_fen,
            payable_fen=quote.payable_fen,
            applied=quote.applied,
            tenders=settled.tenders,
            change_fen=settled.change_fen,
            member=settled.member_ref is not None,
            plate=settled.plate_ref is not None,
            operator=settled.operator,
            refunded=sale.refunded is not None,
            refund_reason=sale.refunded.reason if sale.refunded else None,
        )


class TotalAnswer(BaseModel):
    """The totalisers of one nozzle as last recorded; no amount where a dispenser has none."""

    fp: int
    nozzle_number: int
    logical: int
    volume_ml: int
    amount_fen: int | None


class HeadAnswer(BaseModel):
    """The end of the ledger's chain."""

    epoch: int
    seq: int
    hash: str


class RecordAnswer(BaseModel):
    """One record of the ledger. `body` is its canonical JSON text, as it was hashed."""

    epoch: int
    seq: int
    kind: str
    at_ms: int
    body: str
    prev_hash: str
    hash: str

    @classmethod
    def of(cls, record: LedgerRecord) -> RecordAnswer:
        """Make the answer out of a record."""
        return cls(
            epoch=record.epoch,
            seq=record.seq,
            kind=record.kind,
            at_ms=record.at_ms,
            body=record.body,
            prev_hash=record.prev_hash,
            hash=record.hash,
        )


class LedgerTailAnswer(BaseModel):
    """The last records of the ledger, oldest first."""

    head: HeadAnswer
    acked_seq: int
    records: list[RecordAnswer]


class DrainAnswer(BaseModel):
    """Whether headquarters has acknowledged everything, and what still waits."""

    drained: bool
    waiting: int


class HealthAnswer(BaseModel):
    """Whether the agent serves. Degraded: it sells, but something is wrong or missing."""

    status: str
    version: str
    problems: list[str]


class SessionAnswer(BaseModel):
    """Whether this screen may be used, and whether the station is a demonstration."""

    enrolled: bool
    demo: bool


class EnrolmentAnswer(BaseModel):
    """A one-time code that enrols a screen, and the path that uses it."""

    code: str
    path: str
    valid_s: int


class ReasonAnswer(BaseModel):
    """The text of a code that a view carries alone."""

    code: str
    text_zh: str
    text_en: str
