"""Coupon templates: what every coupon of a kind gives, and how coupons of it may be handed out.

A coupon itself (serial, holder, validity) is headquarters' and reaches a station as a lease, so
that it is used once, ever. A template is an offer that only a coupon brings into a sale.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_agent.model.policy.offers import Offer
from edge_agent.model.policy.parts import Amount, PolicyPart


class CouponTemplate(PolicyPart):
    """One kind of coupon. `offer.id` is the template's code."""

    offer: Offer
    valid_days: Annotated[int, Field(ge=1, le=3660)]
    """From the day of issue."""
    total: Amount | None = None
    """Coupons that may ever be issued."""
    per_member: Amount | None = None
    """Coupons that one member may ever get."""

    @property
    def code(self) -> str:
        """What coupons of this kind name."""
        return self.offer.id
