"""Offers: when one applies, what it takes off or gives, and what it goes together with.

Stages, in the order in which they are counted (`docs/pricing.md` is the specification):

* `pump`: the price per litre is lowered, as the pump would show it. One offer at most applies.
* `line`: counts from the fuel's amount that the pump stage leaves (or from one kind of goods).
* `basket`: counts from the subtotal of fuel and goods that the line offers leave.
* `tender`: counts from what is paid by the chosen means. One offer at most applies.

Benefits (points, gifts) lower no price and have no stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from edge_agent.model.policy.calendar import DayKind
from edge_agent.model.policy.parts import (
    Amount,
    Code,
    Count,
    GradeCode,
    Hours,
    PolicyPart,
    Share,
    StationCode,
    Text,
)
from edge_agent.model.tenders import TenderMeans

Stage: TypeAlias = Literal["pump", "line", "basket", "tender"]
STAGES: Final[tuple[Stage, ...]] = ("pump", "line", "basket", "tender")
PlateColourName: TypeAlias = Literal[
    "blue", "yellow", "green", "yellow-green", "white", "black", "unknown"
]


class VisitRule(PolicyPart):
    """The n-th fill of a member at this station in a calendar month, or every n-th."""

    number: Amount | None = None
    every: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.number is None) == (self.every is None):
            raise ValueError("either number or every")
        return self


class Experiment(PolicyPart):
    """A share of the members, the same ones everywhere and always.

    A member's bucket is SHA-256(name ‖ "\\0" ‖ member reference) modulo 10,000, so that a station
    without a network decides as headquarters does. It takes part from `from_bp` to just before
    `until_bp`.
    """

    name: Code
    from_bp: Share = 0
    until_bp: Share

    @model_validator(mode="after")
    def _has_members(self) -> Self:
        if self.from_bp >= self.until_bp:
            raise ValueError("from_bp is not below until_bp: it can never apply")
        return self


class Conditions(PolicyPart):
    """What must hold for an offer. What is absent is no condition; of a list, one is enough."""

    grades: Annotated[tuple[GradeCode, ...], Field(min_length=1)] | None = None
    tiers: Annotated[tuple[Code, ...], Field(min_length=1)] | None = None
    tags: Annotated[tuple[Code, ...], Field(min_length=1)] | None = None
    """Of these, the member must have one."""
    plate_colours: Annotated[tuple[PlateColourName, ...], Field(min_length=1)] | None = None
    stations: Annotated[tuple[StationCode, ...], Field(min_length=1)] | None = None
    valid_from_ms: Count | None = None
    valid_until_ms: Count | None = None
    """The first instant at which the offer is over."""
    weekdays: (
        Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1)] | None
    ) = None
    """ISO weekdays: 1 is Monday, 7 is Sunday."""
    days: Annotated[tuple[DayKind, ...], Field(min_length=1)] | None = None
    hours: Annotated[tuple[Hours, ...], Field(min_length=1, max_length=8)] | None = None
    birthday_week: Literal[True] | None = None
    first_fill: Literal[True] | None = None
    """The member has never filled up before, at any station."""
    visit: VisitRule | None = None
    experiment: Experiment | None = None
    tenders: Annotated[tuple[TenderMeans, ...], Field(min_length=1)] | None = None
    """Paid by one of these. Before the stage `tender`, all of the sale must be."""
    min_volume_ml: Amount | None = None
    min_amount_fen: Amount | None = None
    """On the dispenser's own amount, before any offer."""

    @model_validator(mode="after")
    def _has_a_time(self) -> Self:
        start, end = self.valid_from_ms, self.valid_until_ms
        if start is not None and end is not None and start >= end:
            raise ValueError("valid_from_ms is not before valid_until_ms: it can never apply")
        return self


ANY: Final = Conditions()


class _AnyOffer(PolicyPart):
    id: Code
    text_zh: Text
    text_en: Text
    group: Code | None = None
    """Of one group, one offer applies at most, and all are of one stage; None: no group."""
    priority: Annotated[int, Field(ge=0, le=999)] = 100
    """Lower comes first on the bill."""
    conditions: Conditions = ANY


class _PriceOffer(_AnyOffer):
    """What all offers share that lower the price."""

    stacks_with: tuple[Code, ...] | None = None
    """Groups and offers that it goes together with; () for none, None for all. Both offers of a
    pair have to allow the other."""
    cap_fen: Amount | None = None
    """It never takes off more."""
    budget_fen: Amount | None = None
    """A campaign's money for all stations; a station spends it within a lease."""
    floor_milli: Amount | None = None
    """Its margin floor: it takes off no more than leaves this price per litre of fuel, counted
    from the amount that its stage begins with."""


class PercentOff(_PriceOffer):
    """A share of the amount. Percent offers exclude one another by default."""

    kind: Literal["percent_off"]
    stage: Literal["line", "basket", "tender"] = "line"
    group: Code | None = "percent"
    off_bp: Annotated[int, Field(ge=1, lt=10_000)]


class PerLitreOff(_PriceOffer):
    """So much off each litre that the dispenser delivered."""

    kind: Literal["per_litre_off"]
    stage: Literal["pump", "line"] = "line"
    off_milli: Amount


class FixedPrice(_PriceOffer):
    """A litre costs so much, where it would cost more."""

    kind: Literal["fixed_price"]
    stage: Literal["pump", "line"] = "pump"
    price_milli: Amount


class AmountOff(_PriceOffer):
    """A fixed amount off (代金券), as far as there is something to take it off."""

    kind: Literal["amount_off"]
    stage: Literal["line", "basket", "tender"] = "basket"
    off_fen: Amount


class SpendSave(_PriceOffer):
    """Spend X, save Y (满减); stepwise: for each full X."""

    kind: Literal["spend_save"]
    stage: Literal["line", "basket", "tender"] = "basket"
    spend_fen: Amount
    save_fen: Amount
    stepwise: bool = False

    @model_validator(mode="after")
    def _saves_less_than_spent(self) -> Self:
        if self.save_fen >= self.spend_fen:
            raise ValueError("save_fen is not below spend_fen: the fuel would be free")
        return self


class ItemOff(_PriceOffer):
    """Goods that are bought with the fuel become cheaper, or free (换购)."""

    kind: Literal["item_off"]
    stage: Literal["line"] = "line"
    good: Code
    off_fen: Amount
    """Off each piece; no piece costs less than nothing."""
    max_pieces: Amount = 1


class FreeItem(_AnyOffer):
    """A gift that is handed out and not charged."""

    kind: Literal["free_item"]
    good: Code
    pieces: Amount = 1


class PointsTimes(_AnyOffer):
    """The points of the sale, so many times. How several combine, `Points.combine` says."""

    kind: Literal["points_times"]
    times_bp: Annotated[int, Field(gt=10_000, le=100_000)]
    """20,000 is twice."""


class PointsFixed(_AnyOffer):
    """So many points beside those that are earned on the amount."""

    kind: Literal["points_fixed"]
    points: Amount


PriceOffer: TypeAlias = PercentOff | PerLitreOff | FixedPrice | AmountOff | SpendSave | ItemOff
Benefit: TypeAlias = FreeItem | PointsTimes | PointsFixed
Offer: TypeAlias = Annotated[PriceOffer | Benefit, Field(discriminator="kind")]
OFFER_KINDS: Final[Mapping[str, type[PolicyPart]]] = {
    "percent_off": PercentOff,
    "per_litre_off": PerLitreOff,
    "fixed_price": FixedPrice,
    "amount_off": AmountOff,
    "spend_save": SpendSave,
    "item_off": ItemOff,
    "free_item": FreeItem,
    "points_times": PointsTimes,
    "points_fixed": PointsFixed,
}
