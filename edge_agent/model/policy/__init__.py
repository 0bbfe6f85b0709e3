"""What a station's policy may say: tiers, offers, coupons, points, limits. Strict and versioned.

A policy is data that headquarters publishes as JSON. It says *what* holds; `core.promotions` says
how a price follows from it.

Money is in fen, volume in millilitres, prices in thousandths of a yuan per litre, shares in basis
points (1 bp = 0.01 %), wall time in milliseconds since 1970 UTC; weekdays, days and hours are the
station's own.
"""

from edge_agent.model.policy.advice import advice
from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.calendar import Calendar, DayKind
from edge_agent.model.policy.comparison import Change, compared
from edge_agent.model.policy.coupons import CouponTemplate
from edge_agent.model.policy.limits import (
    STANDARD_CLASS,
    AutoAuthorise,
    ClassLimits,
    Limits,
    PlatePay,
    Referral,
    StoredValue,
)
from edge_agent.model.policy.offers import (
    OFFER_KINDS,
    STAGES,
    AmountOff,
    Benefit,
    Conditions,
    Experiment,
    FixedPrice,
    FreeItem,
    ItemOff,
    Offer,
    PercentOff,
    PerLitreOff,
    PointsFixed,
    PointsTimes,
    PriceOffer,
    SpendSave,
    Stage,
    VisitRule,
)
from edge_agent.model.policy.parts import Hours, minute_of_day
from edge_agent.model.policy.points import Points, Redemption
from edge_agent.model.policy.policy import (
    MAX_OFFERS,
    NO_POLICY,
    NO_POLICY_VERSION,
    Good,
    Grade,
    Policy,
    Tier,
)
from edge_agent.model.policy.reading import (
    MAX_ERRORS_NAMED,
    MAX_POLICY_BYTES,
    Examination,
    accept_policy,
    examine_policy,
    load_policy,
)
from edge_agent.model.policy.schema import policy_schema
from edge_agent.model.policy.soundness import breaches

__all__ = [
    "MAX_ERRORS_NAMED",
    "MAX_OFFERS",
    "MAX_POLICY_BYTES",
    "NO_POLICY",
    "NO_POLICY_VERSION",
    "OFFER_KINDS",
    "STAGES",
    "STANDARD_CLASS",
    "AmountOff",
    "AutoAuthorise",
    "Benefit",
    "Breach",
    "Calendar",
    "Change",
    "ClassLimits",
    "Conditions",
    "CouponTemplate",
    "DayKind",
    "Examination",
    "Experiment",
    "FixedPrice",
    "FreeItem",
    "Good",
    "Grade",
    "Hours",
    "ItemOff",
    "Limits",
    "Offer",
    "PerLitreOff",
    "PercentOff",
    "PlatePay",
    "Points",
    "PointsFixed",
    "PointsTimes",
    "Policy",
    "PriceOffer",
    "Redemption",
    "Referral",
    "SpendSave",
    "Stage",
    "StoredValue",
    "Tier",
    "VisitRule",
    "accept_policy",
    "advice",
    "breaches",
    "compared",
    "examine_policy",
    "load_policy",
    "minute_of_day",
    "policy_schema",
]
