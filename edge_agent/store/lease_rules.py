"""What a record may do to a lease: the rules of `core.leases.apply`, asked of the projection.

The tables refuse an overdrawn lease and a coupon used twice once more by themselves.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from edge_agent.model.leases import LeaseState
from edge_agent.model.records import AssetMoved, LeaseClosed, LeaseTerms
from edge_agent.store.leases import Standing, coupon_used, standing
from edge_agent.store.refusals import refuse


def judge_taken(connection: sqlite3.Connection, taken: Sequence[LeaseTerms]) -> None:
    """Check leases that come into force: each once, ever.

    Raises:
        SaleRefused: `lease_known`; `lease_malformed` when its buckets are not its amount.
    """
    seen: set[str] = set()
    for terms in taken:
        if terms.lease_id in seen or standing(connection, terms.lease_id) is not None:
            raise refuse("lease_known", terms.lease_id)
        if terms.amount < 1 or (
            terms.asset == "points" and sum(each.points for each in terms.buckets) != terms.amount
        ):
            raise refuse("lease_malformed", terms.lease_id)
        seen.add(terms.lease_id)


def judge_closed(connection: sqlite3.Connection, body: LeaseClosed) -> None:
    """Check the end of a lease: once, with what was spent of it.

    A lease that is recalled before it came is closed unseen: of it nothing will ever be spent.

    Raises:
        SaleRefused: `lease_unknown`, `lease_over` or `lease_mismatched`.
    """
    found = standing(connection, body.lease_id)
    if found is None:
        if body.reason != "recalled" or body.spent:
            raise refuse("lease_unknown", body.lease_id)
        return
    if found.state == LeaseState.CLOSED:
        raise refuse("lease_over", body.lease_id)
    if found.spent != body.spent:
        raise refuse("lease_mismatched", body.lease_id)


def judge_moved(connection: sqlite3.Connection, body: AssetMoved, now_ms: int) -> None:
    """Check a movement against its lease, or that it may go beyond every lease.

    Raises:
        SaleRefused: `lease_...`, `coupon_used` or `floor_not_allowed`.
    """
    if not body.delta or (body.delta < 0) != (body.reason == "sale"):
        raise refuse("lease_overdrawn", f"a {body.reason} of {body.delta}")
    if body.lease_id is None:
        if body.asset != "balance" or body.cache_age_s is None:
            raise refuse("floor_not_allowed", body.asset)
        return
    found = standing(connection, body.lease_id)
    if found is None:
        raise refuse("lease_unknown", body.lease_id)
    if (found.asset, found.holder) != (body.asset, body.holder):
        raise refuse("lease_mismatched", body.lease_id)
    if body.delta < 0:
        _judge_draw(connection, found, body, now_ms)
    elif found.spent < body.delta:
        raise refuse("lease_overdrawn", body.lease_id)
    if body.asset == "points":
        _judge_buckets(found, body, now_ms)


def _judge_draw(
    connection: sqlite3.Connection, found: Standing, body: AssetMoved, now_ms: int
) -> None:
    if body.asset == "coupon" and coupon_used(connection, body.holder):
        raise refuse("coupon_used", body.holder)
    if found.state != LeaseState.OPEN:
        raise refuse("lease_over", body.lease_id or "")
    if found.expires_ms <= now_ms:
        raise refuse("lease_expired", body.lease_id or "")
    if found.spent - body.delta > found.amount:
        raise refuse("lease_overdrawn", body.lease_id or "")


def _judge_buckets(found: Standing, body: AssetMoved, now_ms: int) -> None:
    """Check that the points come from the lease's buckets, or go back into those they left."""
    room, drawn = found.points()
    room.subtract(drawn)
    asked: Counter[int] = Counter()
    for bucket in body.buckets:
        if bucket.points < 1:
            raise refuse("lease_mismatched", body.lease_id or "")
        asked[bucket.expires_ms] += bucket.points
    if asked.total() != abs(body.delta):
        raise refuse("lease_mismatched", body.lease_id or "")
    for expires_ms, points in asked.items():
        if points > (room if body.delta < 0 else drawn)[expires_ms]:
            raise refuse("lease_mismatched", body.lease_id or "")
        if body.delta < 0 and expires_ms <= now_ms:
            raise refuse("lease_expired", body.lease_id or "")
