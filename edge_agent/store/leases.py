"""The projection of leases: what a station may still spend of what headquarters holds.

A lease is there once for ever under its id, whatever became of it, so that a grant which arrives
late or twice opens nothing again.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from edge_agent.model.leases import Lease, LeaseState
from edge_agent.model.records import AssetMoved, LeaseTerms, PointsBucket

COLUMNS: Final = (
    "lease_id, asset, holder, amount, expires_ms, template, member_ref, from_ms, until_ms,"
    " holding, buckets, spent, state, drawn"
)
HOLDING: Final = (
    f"SELECT {COLUMNS} FROM lease WHERE state = 'open' AND asset = ? AND holder = ?"  # noqa: S608
    " ORDER BY expires_ms, lease_id"
)
COUPONS: Final = (
    # One that was used under another lease is used for ever, even if it was leased here again.
    f"SELECT {COLUMNS} FROM lease AS l"  # noqa: S608
    " WHERE state = 'open' AND asset = 'coupon' AND member_ref = ?"
    " AND NOT EXISTS (SELECT 1 FROM lease AS used"
    "   WHERE used.asset = 'coupon' AND used.spent > 0 AND used.holder = l.holder)"
    " ORDER BY expires_ms, lease_id"
)
OPEN: Final = f"SELECT {COLUMNS} FROM lease WHERE state = 'open' ORDER BY expires_ms, lease_id"  # noqa: S608
LENT: Final = (
    "SELECT asset, sum(amount - spent) FROM lease WHERE state = 'open' AND expires_ms > ?"
    " GROUP BY asset"
)
DUE: Final = (
    f"SELECT {COLUMNS} FROM lease WHERE state = 'open' AND expires_ms <= ?"  # noqa: S608
    " ORDER BY expires_ms, lease_id LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the rules ask of a lease."""

    asset: str | None
    """None for a lease that was recalled before it came."""
    holder: str | None
    amount: int
    spent: int
    state: str
    expires_ms: int
    buckets: str
    drawn: str

    def points(self) -> tuple[Counter[int], Counter[int]]:
        """Return the points of each bucket and those drawn from it, by the bucket's expiry."""
        return _counted(self.buckets), _counted(self.drawn)


def standing(connection: sqlite3.Connection, lease_id: str) -> Standing | None:
    """Return how a lease stands, or None when no lease ever had this id."""
    found = connection.execute(
        "SELECT asset, holder, amount, spent, state, expires_ms, buckets, drawn FROM lease"
        " WHERE lease_id = ?",
        (lease_id,),
    ).fetchone()
    return None if found is None else Standing(*found)


def coupon_used(connection: sqlite3.Connection, serial: str) -> bool:
    """Whether a coupon was used here under any lease and not given back."""
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM lease WHERE asset = 'coupon' AND spent > 0 AND holder = ?)",
        (serial,),
    ).fetchone()
    return bool(found[0])


def open_lease(connection: sqlite3.Connection, terms: LeaseTerms) -> None:
    """Make a lease spendable."""
    connection.execute(
        "INSERT INTO lease (lease_id, asset, holder, amount, state, expires_ms, template,"
        " member_ref, from_ms, until_ms, holding, buckets)"
        " VALUES (?, ?, ?, ?, 'open', ?, ?, ?, ?, ?, ?, ?)",
        (
            terms.lease_id,
            terms.asset,
            terms.holder,
            terms.amount,
            terms.expires_ms,
            terms.template,
            terms.member_ref,
            terms.from_ms,
            terms.until_ms,
            terms.holding,
            _written((each.expires_ms, each.points) for each in terms.buckets),
        ),
    )


def close_lease(connection: sqlite3.Connection, lease_id: str) -> None:
    """End a lease; one that never came is remembered as ended."""
    connection.execute(
        "INSERT INTO lease (lease_id, amount, state, expires_ms) VALUES (?, 0, 'closed', 0)"
        " ON CONFLICT (lease_id) DO UPDATE SET state = 'closed'",
        (lease_id,),
    )


def void_all(connection: sqlite3.Connection) -> None:
    """End every lease: these books are in a new epoch, for which headquarters lends anew."""
    connection.execute("UPDATE lease SET state = 'closed' WHERE state <> 'closed'")


def move(connection: sqlite3.Connection, lease_id: str, body: AssetMoved) -> None:
    """Draw from a lease or give back to it. A coupon that comes back is frozen (row V5)."""
    connection.execute(
        "UPDATE lease SET spent = spent - ? WHERE lease_id = ?", (body.delta, lease_id)
    )
    if body.asset == "points":
        _move_points(connection, lease_id, body)
    elif body.asset == "coupon" and body.delta > 0:
        connection.execute(
            "UPDATE lease SET state = 'frozen' WHERE lease_id = ? AND state = 'open'", (lease_id,)
        )


def _move_points(connection: sqlite3.Connection, lease_id: str, body: AssetMoved) -> None:
    found = connection.execute("SELECT drawn FROM lease WHERE lease_id = ?", (lease_id,)).fetchone()
    drawn = _counted("[]" if found is None else found[0])
    for bucket in body.buckets:
        drawn[bucket.expires_ms] += bucket.points if body.delta < 0 else -bucket.points
    connection.execute(
        "UPDATE lease SET drawn = ? WHERE lease_id = ?",
        (
            _written(sorted((expiry, points) for expiry, points in drawn.items() if points)),
            lease_id,
        ),
    )


def read_lease(row: tuple[Any, ...]) -> Lease:
    """Return the lease that a row of `COLUMNS` says."""
    terms = LeaseTerms(
        lease_id=row[0],
        asset=row[1],
        holder=row[2],
        amount=row[3],
        expires_ms=row[4],
        template=row[5],
        member_ref=row[6],
        from_ms=row[7],
        until_ms=row[8],
        holding=row[9],
        buckets=_buckets(row[10]),
    )
    return Lease(terms, row[11], LeaseState(row[12]), tuple(_buckets(row[13])))


def _buckets(text: str) -> list[PointsBucket]:
    if text == "[]":
        return []
    return [PointsBucket(expires_ms=expiry, points=points) for expiry, points in json.loads(text)]


def _counted(text: str) -> Counter[int]:
    points: Counter[int] = Counter()
    for expiry, count in json.loads(text):
        points[expiry] += count
    return points


def _written(pairs: Iterable[tuple[int, int]]) -> str:
    return json.dumps([list(pair) for pair in pairs], separators=(",", ":"))
