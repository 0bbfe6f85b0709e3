"""The policy as a whole: what holds at a station under one version.

Every `Policy` object is lawful and consistent by construction: what pydantic cannot see in one
value (an offer of an unknown tier, percentages that stack to 100 %) is refused here. What makes no
sense (an offer that can never apply, one that sells below its margin floor) is refused when a
policy is published or accepted: `edge_agent.model.policy.soundness` names the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from edge_agent.model.policy.breach import PolicyUnlawful
from edge_agent.model.policy.calendar import Calendar
from edge_agent.model.policy.coupons import CouponTemplate
from edge_agent.model.policy.law import unlawful
from edge_agent.model.policy.limits import (
    STANDARD_CLASS,
    AutoAuthorise,
    ClassLimits,
    Limits,
    PlatePay,
    Referral,
    StoredValue,
)
from edge_agent.model.policy.offers import FreeItem, ItemOff, Offer, PercentOff
from edge_agent.model.policy.parts import Amount, Code, Count, GradeCode, PolicyPart, Text
from edge_agent.model.policy.points import Points

MAX_OFFERS: Final = 200
NO_POLICY_VERSION: Final = 0


class Tier(PolicyPart):
    """A level of membership. Headquarters decides who is in it; the station only looks it up."""

    code: Code
    label_zh: Text
    label_en: Text
    text_zh: Text
    """How it is reached and what it gives, for the screen."""
    text_en: Text
    reached_at_fen: Count | None = None
    """What has to be spent for it, where that is how it is reached; for the progress line."""
    greeting_zh: Text | None = None
    greeting_en: Text | None = None


class Grade(PolicyPart):
    """A grade of fuel as the policy's author reckoned with it."""

    code: GradeCode
    label_zh: Text
    label_en: Text
    reference_price_milli: Amount
    """The lowest list price that the offers were made for: margin floors are proved against it."""


class Good(PolicyPart):
    """Something sold or given away beside fuel."""

    code: Code
    label_zh: Text
    label_en: Text
    price_fen: Amount
    floor_fen: Count = 0
    """The lowest net price of a piece."""
    suggest_with: tuple[GradeCode, ...] = ()
    """Grades whose buyers are offered it: urea solution with diesel (row C28)."""


class Policy(PolicyPart):
    """The policy of a station, in force as a whole under one version."""

    format: Literal[1]
    version: Count
    tiers: tuple[Tier, ...] = ()
    """From the lowest to the highest."""
    grades: tuple[Grade, ...] = ()
    goods: tuple[Good, ...] = ()
    offers: Annotated[tuple[Offer, ...], Field(max_length=MAX_OFFERS)] = ()
    coupon_templates: Annotated[tuple[CouponTemplate, ...], Field(max_length=MAX_OFFERS)] = ()
    calendar: Calendar = Calendar()
    points: Points = Points()
    limits: Limits = Limits()
    classes: dict[Code, ClassLimits] = Field(default_factory=dict)
    """Limits by class of account; `standard` is what holds for a class that is not named."""
    stored_value: StoredValue = StoredValue()
    referral: Referral = Referral()
    plate_pay: PlatePay = PlatePay()
    auto_authorise: AutoAuthorise = AutoAuthorise()
    unpaid_limit: Annotated[int, Field(ge=1, le=9)] = 2
    """Payable transactions that may wait at one fuelling point."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _refuse_repeated("tiers", "code", [tier.code for tier in self.tiers])
        _refuse_repeated("grades", "code", [grade.code for grade in self.grades])
        _refuse_repeated("goods", "code", [good.code for good in self.goods])
        _refuse_repeated("offers", "id", [offer.id for _, offer in self.all_offers()])
        self._refuse_torn_groups()
        self._refuse_free_fuel()
        self._refuse_unknown_names()
        found = list(unlawful(self))
        if found:
            raise PolicyUnlawful(found)
        return self

    def all_offers(self) -> Iterator[tuple[str, Offer]]:
        """Yield every offer with its place, those that need a coupon included."""
        for index, offer in enumerate(self.offers):
            yield f"offers[{index}]", offer
        for index, template in enumerate(self.coupon_templates):
            yield f"coupon_templates[{index}].offer", template.offer

    def _refuse_torn_groups(self) -> None:
        stages: dict[str, str] = {}
        for place, offer in self.all_offers():
            stage = getattr(offer, "stage", "benefit")
            if offer.group is not None and stages.setdefault(offer.group, stage) != stage:
                raise ValueError(f"{place}.stage: group {offer.group!r} has offers of two stages")

    def _refuse_free_fuel(self) -> None:
        highest: dict[tuple[str, str], int] = {}
        for _, offer in self.all_offers():
            if isinstance(offer, PercentOff):
                slot = offer.stage, offer.group or f"offer {offer.id}"
                highest[slot] = max(highest.get(slot, 0), offer.off_bp)
        for stage in ("line", "basket", "tender"):
            if sum(off_bp for (where, _), off_bp in highest.items() if where == stage) >= 10_000:
                raise ValueError(f"offers: the percentages of stage {stage!r} stack up to 100 %")

    def _refuse_unknown_names(self) -> None:
        tiers, goods = [tier.code for tier in self.tiers], [good.code for good in self.goods]
        grades = [grade.code for grade in self.grades]
        for place, offer in self.all_offers():
            conditions = offer.conditions
            _refuse_unknown(f"{place}.conditions.tiers", "tier", conditions.tiers or (), tiers)
            if grades:
                named = conditions.grades or ()
                _refuse_unknown(f"{place}.conditions.grades", "grade", named, grades)
            if isinstance(offer, ItemOff | FreeItem):
                _refuse_unknown(f"{place}.good", "good", (offer.good,), goods)

    def tier(self, code: str) -> Tier | None:
        """Return the tier of this code, or None when this policy does not know it."""
        return next((tier for tier in self.tiers if tier.code == code), None)

    def good(self, code: str) -> Good | None:
        """Return the good of this code, or None when this policy does not know it."""
        return next((good for good in self.goods if good.code == code), None)

    def template(self, code: str) -> CouponTemplate | None:
        """Return the coupon template of this code, or None when this policy does not know it."""
        return next((each for each in self.coupon_templates if each.code == code), None)

    def limits_of(self, account_class: str) -> ClassLimits:
        """Return the limits of a class of accounts."""
        standard = self.classes.get(STANDARD_CLASS, ClassLimits())
        return self.classes.get(account_class, standard)


def _refuse_repeated(table: str, key: str, values: Sequence[str]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{table}[{index}].{key}: {value!r} is there already")


def _refuse_unknown(place: str, what: str, named: Sequence[str], known: Sequence[str]) -> None:
    for name in named:
        if name not in known:
            near = get_close_matches(name, list(known), n=1)
            hint = f"; nearest known is {near[0]!r}" if near else ""
            raise ValueError(f"{place}: unknown {what} {name!r}{hint}")


NO_POLICY: Final = Policy(format=1, version=NO_POLICY_VERSION)
"""What holds until headquarters published a policy: the list price for everybody, no points."""
