"""What the author of a policy may want to think over: nothing of it refuses the policy."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.offers import STAGES
from edge_agent.model.policy.soundness_margins import share_of

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Grade, Policy

_ALONE_IN_STAGE = ("pump", "tender")


def advice(policy: Policy) -> list[Breach]:
    """Return what may not be meant, in the order of the policy."""
    return [*_stacks(policy)]


def _stacks(policy: Policy) -> Iterator[Breach]:
    """Yield the grades whose automatic offers, if all came together, the limits would cut.

    Times, members and permissions to stack are left aside, so the true worst case may be dearer.
    """
    for grade in policy.grades:
        left = _left_by_all(policy, grade)
        net = int(left * grade.reference_price_milli)
        floor = policy.limits.price_floors_milli.get(grade.code, 0)
        least = Fraction(10_000 - policy.limits.max_discount_bp, 10_000)
        if net < floor or left < least:
            bound = max(floor, int(least * grade.reference_price_milli))
            yield Breach(
                "margin_stack",
                f"grades.{grade.code}",
                f"{grade.label_zh}：自动优惠全部叠加可低至每升{net / 1000:.2f}元，"
                f"将被限制在{bound / 1000:.2f}元",
                f"{grade.label_en}: all automatic offers together could sell at {net / 1000:.2f}"
                f" a litre; the limits would cut them at {bound / 1000:.2f}",
            )


def _left_by_all(policy: Policy, grade: Grade) -> Fraction:
    """Return the share of the list price that is left when every slot takes its dearest offer."""
    slots: dict[tuple[str, str], Fraction] = {}
    for offer in policy.offers:
        named = offer.conditions.grades
        stage = getattr(offer, "stage", None)
        if stage is None or (named is not None and grade.code not in named):
            continue
        slot = stage if stage in _ALONE_IN_STAGE else offer.group or f"offer {offer.id}"
        share = share_of(offer, grade.reference_price_milli)
        slots[stage, slot] = max(slots.get((stage, slot), Fraction(0)), share)
    left = Fraction(1)
    for stage in STAGES:
        taken = sum((share for (at, _), share in slots.items() if at == stage), Fraction(0))
        left *= 1 - min(taken, Fraction(1))
    return left
