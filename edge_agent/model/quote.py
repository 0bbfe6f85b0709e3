"""A price question and its answer.

The question holds facts only; with the policy of the version that the answer names, the answer
follows from it anywhere and at any time. `model.quote_record` writes both into a sale's record.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from edge_agent.model.ids import GradeId, MemberRef, OfferId
from edge_agent.model.policy.offers import Stage
from edge_agent.model.records import NextStep
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import NO_MONEY, Money, UnitPrice, Volume


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What pricing may know of a member."""

    ref: MemberRef
    tier: str
    tags: tuple[str, ...] = ()
    birthday_week: bool = False
    """The fuelling ended in the member's birthday week, by the station's calendar."""
    first_fill: bool = False
    """No fill of the member is known, at any station."""
    visit_number: int | None = None
    """This fill's number among the member's fills at this station in this calendar month, from 1;
    None where nobody counted."""


@dataclass(frozen=True, slots=True)
class GoodsLine:
    """Goods that are bought with the fuel, at the policy's price."""

    good: str
    pieces: int
    amount: Money
    """All pieces at their list price."""


@dataclass(frozen=True, slots=True)
class CouponFacts:
    """A coupon that the customer would use in this sale."""

    serial: str
    """Its trace code, unique for ever."""
    template: str
    from_ms: int
    until_ms: int
    """The first instant at which it is over."""


@dataclass(frozen=True, slots=True)
class Paying:
    """How the customer means to pay: `means` takes what the others leave."""

    means: TenderMeans
    others: Money = NO_MONEY
    """What is paid by other means, redeemed points included."""


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """What a station may still spend of a campaign's budget."""

    offer: str
    left: Money


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """The facts that a price is decided by. Figures are the dispenser's own."""

    grade: GradeId
    volume: Volume
    amount: Money
    """The list amount of the fuel as the dispenser shows it."""
    unit_price: UnitPrice
    at_ms: int
    utc_offset_minutes: int
    """Where the station's midnight is, for weekdays, days and hours."""
    member: MemberFacts | None
    station: str = ""
    plate_colour: str | None = None
    """Of the vehicle, where a camera saw it (`model.plates.PlateColour`)."""
    goods: tuple[GoodsLine, ...] = ()
    coupons: tuple[CouponFacts, ...] = ()
    """The best of them are used; the others are kept."""
    paying: Paying | None = None
    """None: not known yet; offers that depend on it are refused with what would help."""
    points_redeemed: int = 0
    """Points that pay a part, at the policy's rate; what they pay earns no points."""
    budgets: tuple[BudgetFacts, ...] = ()
    """Of offers with a budget; one that is not named has nothing left."""

    def __post_init__(self) -> None:
        if self.volume.ml < 0 or self.amount.fen < 0 or self.points_redeemed < 0:
            raise ValueError("a dispenser's volume and amount, and points, are never negative")
        if any(line.pieces < 1 or line.amount.fen < 0 for line in self.goods):
            raise ValueError("goods are at least one piece and never cost less than nothing")
        if len({coupon.serial for coupon in self.coupons}) < len(self.coupons):
            raise ValueError("a coupon is presented once")

    @property
    def listed(self) -> Money:
        """The list amount of fuel and goods, from which every discount is taken."""
        return Money(self.amount.fen + sum(line.amount.fen for line in self.goods))


@unique
class RejectReason(StrEnum):
    """Why an offer did not apply. What `missing` counts stands beside each."""

    MEMBERS_ONLY = "members_only"
    TIER = "tier"
    TAG = "tag"
    GRADE = "grade"
    PLATE = "plate"
    STATION = "station"
    NOT_YET = "not_yet"  # seconds until it begins
    EXPIRED = "expired"
    WEEKDAY = "weekday"  # seconds until the next day that counts
    DAY = "day"  # seconds until the next day that counts, within a year
    HOURS = "hours"  # seconds until the next window
    BIRTHDAY = "birthday"
    FIRST_FILL = "first_fill"
    VISIT = "visit"  # fills until the one that counts
    EXPERIMENT = "experiment"
    TENDER = "tender"
    GOODS = "goods"
    MIN_VOLUME = "min_volume"  # millilitres
    MIN_AMOUNT = "min_amount"  # fen, on the fuel's list amount
    SPEND = "spend"  # fen, on the amount that its stage counts from
    BUDGET_SPENT = "budget_spent"
    GROUP_TAKEN = "group_taken"
    NOT_STACKABLE = "not_stackable"
    LIMIT_REACHED = "limit_reached"
    NO_EFFECT = "no_effect"
    NOT_BEST = "not_best"
    COUPON_KEPT = "coupon_kept"  # it would not have lowered the price: kept for another time
    COUPON_UNKNOWN = "coupon_unknown"  # the policy in force has no such template


@dataclass(frozen=True, slots=True)
class AppliedLine:
    """An offer that lowers the price, and by how much."""

    offer: OfferId
    amount: Money
    text_zh: str
    text_en: str
    stage: Stage
    coupon: str | None = None
    """The serial of the coupon that is used up by it."""


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """An offer that does not apply, and what is missing, in the unit that the reason names."""

    offer: OfferId
    reason: RejectReason
    missing: int | None
    text_zh: str
    text_en: str
    coupon: str | None = None


@dataclass(frozen=True, slots=True)
class BenefitLine:
    """An offer that gives something beside the price: pieces of a good, or points."""

    offer: OfferId
    text_zh: str
    text_en: str
    good: str | None = None
    pieces: int = 0
    points: int = 0
    """Points that this offer adds, as the policy combines it with others."""
    coupon: str | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A price decided: payable = listed - sum of `applied` (in order of application)."""

    request: QuoteRequest
    policy_version: int
    payable: Money
    applied: tuple[AppliedLine, ...]
    rejected: tuple[RejectedLine, ...]
    benefits: tuple[BenefitLine, ...]
    points_earned: int
    next_step: NextStep | None
