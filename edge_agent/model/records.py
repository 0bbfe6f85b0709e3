"""Every kind of record that the ledger can hold: all that happens to money, fuel or authority.

A record is written once and read for ever, at the station, at headquarters and by auditors, so a
field is added, never renamed or given another meaning. Bodies carry opaque references only; no
name, phone number or plate may appear in one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Fen = int
Millilitres = int
PriceMilli = int
FuellingOrigin = Literal["observed", "recovered", "offline"]
"""observed: watched from start to end. recovered: authorised by us, its end reconstructed after a
restart or a lost link. offline: sold while no agent was watching, found by the totalisers."""


class RecordBody(BaseModel):
    """Base of all bodies: strict, closed and immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    kind: ClassVar[str]


class NozzleTotals(RecordBody):
    """Totalisers of one nozzle. `amount_fen` is None where the dispenser keeps none."""

    kind: ClassVar[str] = "-"
    nozzle: int
    volume_ml: Millilitres
    amount_fen: Fen | None


class EpochOpened(RecordBody):
    """First record of books that continue others, after a restore: where those ended.

    Binds the chains of both epochs together, since each starts at the genesis hash.
    """

    kind: ClassVar[str] = "epoch.opened"
    reason: Literal["restore"]
    previous_epoch: int
    previous_seq: int
    previous_hash: str


class StationStarted(RecordBody):
    """The agent came up."""

    kind: ClassVar[str] = "station.started"
    version: str
    boot_id: str
    config_sha256: str
    clock_trusted: bool


class StationStopped(RecordBody):
    """The agent was stopped in good order."""

    kind: ClassVar[str] = "station.stopped"
    boot_id: str


class FuellingAuthorised(RecordBody):
    """A fuelling point is about to be released; durable before the dispenser hears of it."""

    kind: ClassVar[str] = "fuelling.authorised"
    fuelling_id: str
    fp: int
    nozzles: list[int]
    by: Literal["attendant", "prepay", "plate", "policy", "dispenser"]
    preset_volume_ml: Millilitres | None
    preset_amount_fen: Fen | None
    price_set: str
    prices: dict[str, PriceMilli]
    """Unit price by logical nozzle number, as text because JSON keys are text."""
    member_ref: str | None
    plate_ref: str | None
    prepaid_fen: Fen
    """Cash taken before fuelling; 0 for postpay."""
    totals_before: list[NozzleTotals]


class FuellingCancelled(RecordBody):
    """An authorisation ended without a drop of fuel; a prepayment has to be handed back."""

    kind: ClassVar[str] = "fuelling.cancelled"
    fuelling_id: str
    fp: int
    reason: str
    prepaid_fen: Fen


class FuellingCompleted(RecordBody):
    """Fuel was delivered; the dispenser's own figures. Becomes payable unless it is a zero sale."""

    kind: ClassVar[str] = "fuelling.completed"
    fuelling_id: str
    fp: int
    nozzle: int
    nozzle_number: int
    grade: str
    price_set: str
    unit_price_milli: PriceMilli
    volume_ml: Millilitres
    amount_fen: Fen
    totals_before: NozzleTotals | None
    totals_after: NozzleTotals | None
    """None where the totalisers could not be read afterwards; the next reading then exceeds
    `totals_before` by this fuelling's own figures."""
    origin: FuellingOrigin
    member_ref: str | None
    plate_ref: str | None
    prepaid_fen: Fen
    started_ms: int | None
    ended_ms: int


class FuellingDisputed(RecordBody):
    """The dispenser's figures and its totalisers disagree beyond tolerance; a person looks."""

    kind: ClassVar[str] = "fuelling.disputed"
    fuelling_id: str
    fp: int
    nozzle: int
    reason: Literal["volume", "amount", "price", "unit_price"]
    expected: int
    found: int


class TotaliserJumped(RecordBody):
    """A totaliser went backwards or jumped beyond belief: rolled over, replaced or swapped."""

    kind: ClassVar[str] = "totaliser.jumped"
    fp: int
    nozzle: int
    before: NozzleTotals
    after: NozzleTotals


class TotaliserBaseline(RecordBody):
    """First sight of a nozzle's totalisers: where this ledger's count of its fuel begins."""

    kind: ClassVar[str] = "totaliser.baseline"
    fp: int
    totals: NozzleTotals


class AppliedOffer(RecordBody):
    """An offer that lowered a price, and by how much."""

    kind: ClassVar[str] = "-"
    offer: str
    amount_fen: Fen
    text_zh: str
    text_en: str


class RejectedOffer(RecordBody):
    """An offer that did not apply, why, and what is missing for it to apply."""

    kind: ClassVar[str] = "-"
    offer: str
    reason: str
    missing: int | None
    """Fen, millilitres or seconds short, by `reason`; None where no amount helps."""
    text_zh: str
    text_en: str


class NextStep(RecordBody):
    """The next best purchase: the preset from which on one more offer applies."""

    kind: ClassVar[str] = "-"
    offer: str
    preset_amount_fen: Fen
    payable_fen: Fen
    text_zh: str
    text_en: str


class QuoteBody(RecordBody):
    """A price decided: payable = list - sum of applied. Facts suffice to decide it again at HQ."""

    kind: ClassVar[str] = "-"
    policy_version: int
    grade: str
    volume_ml: Millilitres
    unit_price_milli: PriceMilli
    at_ms: int
    utc_offset_minutes: int = 480
    """The station's calendar: weekdays and hours of offers are judged by it."""
    member_ref: str | None
    tier: str | None
    list_amount_fen: Fen
    payable_fen: Fen
    applied: list[AppliedOffer]
    rejected: list[RejectedOffer]
    points_earned: int
    next_step: NextStep | None = None


class Tender(RecordBody):
    """One means of payment and its share. Stored value names its account."""

    kind: ClassVar[str] = "-"
    means: Literal["cash", "stored_value"]
    amount_fen: Fen
    account_ref: str | None


class SaleSettled(RecordBody):
    """A fuelling was paid. One per fuelling, ever."""

    kind: ClassVar[str] = "sale.settled"
    sale_id: str
    fuelling_id: str
    quote: QuoteBody
    tenders: list[Tender]
    change_fen: Fen
    """Cash handed back, of a prepayment or of a larger note."""
    member_ref: str | None
    plate_ref: str | None
    receipt_no: str
    idempotency_key: str
    operator: str


class SaleRefunded(RecordBody):
    """A settled sale was paid back, each tender to its source. One per sale, ever."""

    kind: ClassVar[str] = "sale.refunded"
    refund_id: str
    sale_id: str
    fuelling_id: str
    tenders: list[Tender]
    reason: str
    idempotency_key: str
    operator: str


class StoredValueMoved(RecordBody):
    """A stored-value account was charged (negative) or credited (positive) at this station."""

    kind: ClassVar[str] = "stored_value.moved"
    account_ref: str
    delta_fen: Fen
    sale_id: str
    reason: Literal["sale", "refund"]


class PriceApplied(RecordBody):
    """A fuelling point confirmed the unit prices of a price set."""

    kind: ClassVar[str] = "price.applied"
    price_set: str
    fp: int
    prices: dict[str, PriceMilli]


class PriceRefusedByPump(RecordBody):
    """A fuelling point did not take a price set within the bound."""

    kind: ClassVar[str] = "price.refused"
    price_set: str
    fp: int
    reason: str


class CatalogueAccepted(RecordBody):
    """A signed catalogue from headquarters came into force."""

    kind: ClassVar[str] = "catalogue.accepted"
    dataset: str
    version: int
    sha256: str


class DownlinkRefused(RecordBody):
    """A message from headquarters was refused; the payload is parked, its hash is here."""

    kind: ClassVar[str] = "downlink.refused"
    topic: str
    reason: str
    sha256: str
    size_bytes: int


class AlarmRecorded(RecordBody):
    """Something that staff had to see: a dispenser's alarm, phantom flow, a foreign master."""

    kind: ClassVar[str] = "alarm.raised"
    code: str
    fp: int | None
    detail: str


class StopAllOrdered(RecordBody):
    """Everything was stopped at one touch, or released again."""

    kind: ClassVar[str] = "forecourt.stop_all"
    active: bool
    operator: str


class OperatorAction(RecordBody):
    """A person changed something that is neither a sale nor a price: who, what, on which point."""

    kind: ClassVar[str] = "operator.action"
    action: str
    fp: int | None
    operator: str
    detail: str = Field(default="", max_length=200)


BODIES: dict[str, type[RecordBody]] = {
    body.kind: body
    for body in (
        EpochOpened,
        StationStarted,
        StationStopped,
        FuellingAuthorised,
        FuellingCancelled,
        FuellingCompleted,
        FuellingDisputed,
        TotaliserJumped,
        TotaliserBaseline,
        SaleSettled,
        SaleRefunded,
        StoredValueMoved,
        PriceApplied,
        PriceRefusedByPump,
        CatalogueAccepted,
        DownlinkRefused,
        AlarmRecorded,
        StopAllOrdered,
        OperatorAction,
    )
}
"""The body of each kind of record, by the kind's name."""
