"""Leases: what a station may spend of what headquarters holds, without asking.

Headquarters sets an amount aside for one station and signs it; the sum of what is set aside never
exceeds what it holds. The station draws from a lease until it is spent, expires or is recalled,
then writes `lease.closed` and never draws from it again. Only that record, in headquarters' own
hands, frees the rest. So no partition, crash, replay or wrong clock can spend anything twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from edge_agent.model.records import Asset, LeaseTerms, PointsBucket


@unique
class LeaseState(StrEnum):
    """OPEN may be drawn from; FROZEN holds a coupon that a refund gave back; CLOSED is over."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it stands at the station."""

    terms: LeaseTerms
    spent: int
    state: LeaseState
    drawn: tuple[PointsBucket, ...] = ()
    """Of points: what was drawn of each bucket."""

    @property
    def left(self) -> int:
        """What may still be drawn, expiry apart."""
        return self.terms.amount - self.spent if self.state is LeaseState.OPEN else 0


@dataclass(frozen=True, slots=True)
class Holding:
    """All open leases of one asset and holder, soonest expiry first."""

    asset: Asset
    holder: str
    leases: tuple[Lease, ...]

    def available(self, now_ms: int) -> int:
        """Return what may be spent now."""
        return sum(lease.left for lease in self.leases if lease.terms.expires_ms > now_ms)
