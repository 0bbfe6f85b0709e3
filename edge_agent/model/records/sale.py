"""Records of sales: the price decided with all its facts, the tenders, the refund."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from edge_agent.model.policy.offers import Stage
from edge_agent.model.records.body import Fen, Millilitres, PriceMilli, RecordBody
from edge_agent.model.tenders import TenderMeans


class AppliedOffer(RecordBody):
    """An offer that lowered a price, and by how much."""

    kind: ClassVar[str] = "-"
    offer: str
    amount_fen: Fen
    text_zh: str
    text_en: str
    stage: Stage
    coupon: str | None = None
    """Serial of the coupon that it used up."""


class RejectedOffer(RecordBody):
    """An offer that did not apply, why, and what is missing for it to apply."""

    kind: ClassVar[str] = "-"
    offer: str
    reason: str
    missing: int | None
    """Fen, millilitres, seconds or fills short, by `reason`; None where no amount helps."""
    text_zh: str
    """Empty in the ledger, where the reason is enough to make the texts again."""
    text_en: str
    coupon: str | None = None


class GivenBenefit(RecordBody):
    """An offer that gave something beside the price: pieces of a good, or points."""

    kind: ClassVar[str] = "-"
    offer: str
    text_zh: str
    text_en: str
    good: str | None
    pieces: int
    points: int
    coupon: str | None = None


class SoldGoods(RecordBody):
    """Goods that were bought with the fuel, at their list price."""

    kind: ClassVar[str] = "-"
    good: str
    pieces: int
    amount_fen: Fen


class PresentedCoupon(RecordBody):
    """A coupon that could have been used in a sale; `applied` and `benefits` say which were."""

    kind: ClassVar[str] = "-"
    serial: str
    template: str
    from_ms: int
    until_ms: int


class NextStep(RecordBody):
    """The next best purchase: the preset that lowers the price of a litre most."""

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
    tags: list[str] = Field(default_factory=list)
    birthday_week: bool = False
    first_fill: bool = False
    visit_number: int | None = None
    station: str = ""
    plate_colour: str | None = None
    fuel_amount_fen: Fen
    """The dispenser's own amount."""
    goods: list[SoldGoods] = Field(default_factory=list)
    coupons: list[PresentedCoupon] = Field(default_factory=list)
    paying: TenderMeans | None = None
    paid_otherwise_fen: Fen = 0
    points_redeemed: int = 0
    budgets: dict[str, Fen] = Field(default_factory=dict)
    """What the station might still spend of campaign budgets, by offer."""
    list_amount_fen: Fen
    """Fuel and goods before any offer."""
    payable_fen: Fen
    applied: list[AppliedOffer]
    rejected: list[RejectedOffer]
    benefits: list[GivenBenefit] = Field(default_factory=list)
    points_earned: int
    next_step: NextStep | None = None


class Tender(RecordBody):
    """One means of payment and its share. What headquarters holds names its account or member."""

    kind: ClassVar[str] = "-"
    means: TenderMeans
    amount_fen: Fen
    account_ref: str | None
    """The stored-value account, or for points the member."""
    points: int = 0
    """Points redeemed, for the means `points`."""
    reference: str = Field(default="", max_length=64)
    """What the terminal beside the till printed, for a bank card or a wallet."""


class SaleSettled(RecordBody):
    """A fuelling was paid. One per fuelling, ever."""

    kind: ClassVar[str] = "sale.settled"
    sale_id: str
    fuelling_id: str
    quote: QuoteBody
    explanation_sha256: str
    """Of the quote with all its texts (`quote_record.explanation_hash`)."""
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
