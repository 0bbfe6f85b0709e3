"""A price question and its answer, and how both are written into a sale's record.

The question holds facts only; with the policy of the version that the answer names, the answer
follows from it anywhere and at any time. A fact that a later offer needs (a tag, a coupon, a
tender) is a field added to `QuoteRequest` and to `records.QuoteBody`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from edge_agent.model.ids import GradeId, MemberRef, OfferId
from edge_agent.model.records import AppliedOffer, NextStep, QuoteBody, RejectedOffer
from edge_agent.model.units import Money, UnitPrice, Volume


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What pricing may know of a member."""

    ref: MemberRef
    tier: str


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """The facts that a price is decided by. Figures are the dispenser's own."""

    grade: GradeId
    volume: Volume
    amount: Money
    """The list amount as the dispenser shows it, from which every offer counts."""
    unit_price: UnitPrice
    at_ms: int
    utc_offset_minutes: int
    """Where the station's midnight is, for weekdays and hours."""
    member: MemberFacts | None

    def __post_init__(self) -> None:
        if self.volume.ml < 0 or self.amount.fen < 0:
            raise ValueError("a dispenser's volume and amount are never negative")


@unique
class RejectReason(StrEnum):
    """Why an offer did not apply. What `missing` counts stands beside each."""

    MEMBERS_ONLY = "members_only"
    TIER = "tier"
    GRADE = "grade"
    NOT_YET = "not_yet"  # seconds until it begins
    EXPIRED = "expired"
    WEEKDAY = "weekday"  # seconds until the next day that counts
    HOURS = "hours"  # seconds until the next window
    MIN_VOLUME = "min_volume"  # millilitres
    MIN_AMOUNT = "min_amount"  # fen, on the list amount
    SPEND = "spend"  # fen, on the amount that its stage counts from
    GROUP_TAKEN = "group_taken"
    LIMIT_REACHED = "limit_reached"
    NO_EFFECT = "no_effect"
    NOT_BEST = "not_best"


@dataclass(frozen=True, slots=True)
class AppliedLine:
    """An offer that lowers the price, and by how much."""

    offer: OfferId
    amount: Money
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """An offer that does not apply, and what is missing, in the unit that the reason names."""

    offer: OfferId
    reason: RejectReason
    missing: int | None
    text_zh: str
    text_en: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A price decided: payable = list amount - sum of `applied` (in order of application)."""

    request: QuoteRequest
    policy_version: int
    payable: Money
    applied: tuple[AppliedLine, ...]
    rejected: tuple[RejectedLine, ...]
    points_earned: int
    next_step: NextStep | None


def body_of(quote: Quote) -> QuoteBody:
    """Write a quote down as part of a record."""
    request, member = quote.request, quote.request.member
    return QuoteBody(
        policy_version=quote.policy_version,
        grade=request.grade,
        volume_ml=request.volume.ml,
        unit_price_milli=request.unit_price.milli,
        at_ms=request.at_ms,
        utc_offset_minutes=request.utc_offset_minutes,
        member_ref=None if member is None else member.ref,
        tier=None if member is None else member.tier,
        list_amount_fen=request.amount.fen,
        payable_fen=quote.payable.fen,
        applied=[
            AppliedOffer(
                offer=line.offer,
                amount_fen=line.amount.fen,
                text_zh=line.text_zh,
                text_en=line.text_en,
            )
            for line in quote.applied
        ],
        rejected=[
            RejectedOffer(
                offer=line.offer,
                reason=line.reason.value,
                missing=line.missing,
                text_zh=line.text_zh,
                text_en=line.text_en,
            )
            for line in quote.rejected
        ],
        points_earned=quote.points_earned,
        next_step=quote.next_step,
    )


def request_of(body: QuoteBody) -> QuoteRequest:
    """Return the question that a written quote answers."""
    known = body.member_ref is not None and body.tier is not None
    return QuoteRequest(
        grade=GradeId(body.grade),
        volume=Volume(body.volume_ml),
        amount=Money(body.list_amount_fen),
        unit_price=UnitPrice(body.unit_price_milli),
        at_ms=body.at_ms,
        utc_offset_minutes=body.utc_offset_minutes,
        member=MemberFacts(MemberRef(body.member_ref or ""), body.tier or "") if known else None,
    )
