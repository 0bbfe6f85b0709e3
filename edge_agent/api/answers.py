"""What the API answers where no view of the model says it already."""

from __future__ import annotations

from pydantic import BaseModel

from edge_agent.model.ledger import LedgerRecord


class AuthoriseAnswer(BaseModel):
    """The fuelling that was begun."""

    fuelling_id: str


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
