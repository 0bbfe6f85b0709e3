"""Points that are worth as much as what was paid for them: a money machine."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.offers import PointsFixed, PointsTimes

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy

_ONCE: Final = Fraction(10_000)
_YUAN_FEN: Final = 100


def money_machines(policy: Policy) -> Iterator[Breach]:
    """Yield what earns points worth as much as was paid for them (`points_money_machine`)."""
    redeem = policy.points.redeem
    if redeem is None:
        return
    fen_a_point = Fraction(_YUAN_FEN, redeem.points_per_yuan)
    rate = max(policy.points.grade_rates_bp.values(), default=0)
    if len(policy.points.grade_rates_bp) < max(len(policy.grades), 1):
        rate = max(rate, 10_000)
    earned = policy.points.per_yuan * Fraction(rate, 10_000) * _highest_times(policy)
    if earned * fen_a_point >= _YUAN_FEN:
        yield Breach(
            "points_money_machine",
            "points",
            f"每付1元最多得{float(earned):g}分，抵扣价值不低于所付金额",
            f"a yuan paid earns up to {float(earned):g} points, which redeem for as much or more",
        )
    for index, offer in enumerate(policy.offers):
        if isinstance(offer, PointsFixed) and _is_repeatable(offer):
            worth = offer.points * fen_a_point
            if worth >= _least_paid(offer, policy):
                yield Breach(
                    "points_money_machine",
                    f"offers[{index}].points",
                    "每次加油所得积分的抵扣价值不低于最低消费：请设最低消费",
                    "each fill earns points worth as much as the least amount: demand more",
                )


def _highest_times(policy: Policy) -> Fraction:
    """Return the highest multiplier that the offers of the policy can reach together."""
    slots: dict[str, int] = {}
    for _, offer in policy.all_offers():
        if isinstance(offer, PointsTimes):
            slot = f"offer {offer.id}" if offer.group is None else f"group {offer.group}"
            slots[slot] = max(slots.get(slot, 0), offer.times_bp)
    times = [Fraction(times_bp) / _ONCE for times_bp in slots.values()]
    if policy.points.combine == "max":
        return max(times, default=Fraction(1))
    if policy.points.combine == "add":
        return 1 + sum((each - 1 for each in times), Fraction(0))
    product = Fraction(1)
    for each in times:
        product *= each
    return product


def _is_repeatable(offer: PointsFixed) -> bool:
    """Whether a member gets these points with every fill."""
    conditions = offer.conditions
    return not conditions.first_fill and conditions.visit is None


def _least_paid(offer: PointsFixed, policy: Policy) -> Fraction:
    """Return the least list amount that brings the points, in fen; a fen at least."""
    conditions = offer.conditions
    prices = [
        grade.reference_price_milli
        for grade in policy.grades
        if not conditions.grades or grade.code in conditions.grades
    ]
    by_volume = Fraction((conditions.min_volume_ml or 0) * min(prices, default=0), 10_000)
    return max(Fraction(conditions.min_amount_fen or 1), by_volume)
