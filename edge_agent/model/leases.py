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

    def available(self, now_ms: int) -> int:
        """Return what may be drawn now: nothing once it has expired, and no expired points."""
        if self.terms.expires_ms <= now_ms:
            return 0
        if self.terms.asset != "points":
            return self.left
        return min(self.left, sum(each.points for each in self.buckets_left(now_ms)))

    def buckets_left(self, now_ms: int) -> tuple[PointsBucket, ...]:
        """Return what is left of each bucket of points that has not expired, soonest first."""
        drawn: dict[int, int] = {}
        for bucket in self.drawn:
            drawn[bucket.expires_ms] = drawn.get(bucket.expires_ms, 0) + bucket.points
        rest: list[PointsBucket] = []
        for bucket in sorted(self.terms.buckets, key=lambda each: each.expires_ms):
            taken = min(bucket.points, drawn.get(bucket.expires_ms, 0))
            drawn[bucket.expires_ms] = drawn.get(bucket.expires_ms, 0) - taken
            if bucket.points > taken and bucket.expires_ms > now_ms:
                rest.append(
                    PointsBucket(expires_ms=bucket.expires_ms, points=bucket.points - taken)
                )
        return tuple(rest)


@dataclass(frozen=True, slots=True)
class Holding:
    """All open leases of one asset and holder, soonest expiry first."""

    asset: Asset
    holder: str
    leases: tuple[Lease, ...]

    def available(self, now_ms: int) -> int:
        """Return what may be spent now."""
        return sum(lease.available(now_ms) for lease in self.leases)
