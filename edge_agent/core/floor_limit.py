"""What may be spent of an account offline, beyond every lease: the owner's accepted loss (S26)."""

from __future__ import annotations

from edge_agent.model.policy import ClassLimits
from edge_agent.model.units import NO_MONEY, Money


def allowance(limits: ClassLimits, spent_today: Money, cache_age_s: int) -> Money:
    """Return what one sale may spend beyond the leases.

    Args:
        limits: those of the account's class.
        spent_today: what was spent of the account beyond its leases since the station's midnight.
        cache_age_s: how long ago headquarters was last heard from. Past the policy's grace there
            is no allowance at all (row S06).
    """
    if cache_age_s > limits.grace_s:
        return NO_MONEY
    left_fen = limits.floor_per_day_fen - max(spent_today.fen, 0)
    return Money(max(0, min(limits.floor_per_sale_fen, left_fen)))
