"""Records of fuel: authorised, cancelled, completed, disputed, and of totalisers."""

from __future__ import annotations

from typing import ClassVar, Literal

from edge_agent.model.records.body import Fen, Millilitres, PriceMilli, RecordBody

FuellingOrigin = Literal["observed", "recovered", "offline"]
"""observed: watched from start to end. recovered: authorised by us, its end reconstructed after a
restart or a lost link. offline: sold while no agent was watching, found by the totalisers."""


class NozzleTotals(RecordBody):
    """Totalisers of one nozzle. `amount_fen` is None where the dispenser keeps none."""

    kind: ClassVar[str] = "-"
    nozzle: int
    volume_ml: Millilitres
    amount_fen: Fen | None


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
    plate_colour: str | None = None
    """Of the vehicle, where a camera saw it."""
    odometer_km: int | None = None
    """As the driver of a fleet's vehicle said."""
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
    plate_colour: str | None = None
    """Of the vehicle, where a camera saw it."""
    odometer_km: int | None = None
    """As the driver of a fleet's vehicle said."""
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
