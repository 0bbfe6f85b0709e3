"""What headquarters holds for others, in double entry: every movement has a source and a target.

Something is in one of these places: `free` at headquarters, `leased` to a station, `locked`,
`spent`, or in the `world` from which it came and to which what expires goes. The balance of `free`
may fall below zero where a station spent beyond every lease: that is the holder's debt, which
whatever comes next pays first. Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_agent.model.canonical import Json
from edge_agent.model.errors import invariant
from edge_agent.model.records import Asset
from hq.books import HqBooks

Place: TypeAlias = Literal["world", "free", "leased", "locked", "spent"]

_CHANGES = {
    # What leaves or enters a place, as a change of the holding's row. What was spent or has to be
    # given back may exceed what is free; what is promised to somebody may not.
    ("source", "free"): "free = max(0, free - ?4), debt = debt + max(0, ?4 - free)",
    ("promised", "free"): "free = free - ?4",
    ("target", "free"): "free = free + max(0, ?4 - debt), debt = max(0, debt - ?4)",
    ("source", "leased"): "leased = leased - ?4",
    ("target", "leased"): "leased = leased + ?4",
    ("source", "locked"): "locked = locked - ?4",
    ("target", "locked"): "locked = locked + ?4",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something moved: a row of a station's ledger, or our own doing (`station` empty)."""

    at_ms: int
    reason: str
    station: str = ""
    epoch: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """A part of a holding: points that expire at one instant, or all of it (`expires_ms` 0)."""

    expires_ms: int
    free: int
    leased: int
    locked: int
    debt: int


class Vault:
    """Holdings and their journal."""

    def __init__(self, books: HqBooks) -> None:
        self._db: sqlite3.Connection = books.connection

    def move(
        self,
        asset: Asset,
        holder: str,
        amount: int,
        way: tuple[Place, Place],
        cause: Cause,
        *,
        expires_ms: int = 0,
        lease_id: str = "",
    ) -> None:
        """Move an amount from one place to another, with its line in the journal.

        Raises:
            CorruptionError: the amount is not above zero.
            sqlite3.IntegrityError: there is not so much in the place that it comes from; only for
                what was `spent` or goes back to the `world` may `free` fall below zero.
        """
        invariant(amount > 0, f"{asset} of {holder} moves by {amount}")
        key = (asset, holder, expires_ms)
        self._db.execute(
            "INSERT OR IGNORE INTO holding (asset, holder, expires_ms) VALUES (?, ?, ?)", key
        )
        promised = way[0] == "free" and way[1] in {"leased", "locked"}
        leaving = "promised" if promised else "source"
        for side, place in ((leaving, way[0]), ("target", way[1])):
            changes = _CHANGES.get((side, place))
            if changes is not None:
                self._db.execute(
                    f"UPDATE holding SET {changes}"  # noqa: S608 -- our own words
                    " WHERE asset = ?1 AND holder = ?2 AND expires_ms = ?3",
                    (*key, amount),
                )
        self._db.execute(
            "INSERT INTO journal (asset, holder, expires_ms, source, target, amount, at_ms, reason,"
            " station, epoch, seq, lease_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *key, *way, amount, cause.at_ms, cause.reason, cause.station, cause.epoch,
                cause.seq, lease_id,
            ),
        )  # fmt: skip

    def credit(
        self, asset: Asset, holder: str, amount: int, cause: Cause, expires_ms: int = 0
    ) -> None:
        """Take in something new: paid in, issued, earned."""
        self.move(asset, holder, amount, ("world", "free"), cause, expires_ms=expires_ms)

    def free(self, asset: Asset, holder: str) -> int:
        """Return what may be set aside: free, less the debt of any other bucket; never below 0."""
        (net,) = self._db.execute(
            "SELECT coalesce(sum(free) - sum(debt), 0) FROM holding WHERE asset = ? AND holder = ?",
            (asset, holder),
        ).fetchone()
        return max(0, int(net))

    def held(self, asset: Asset, holder: str) -> int:
        """Return all that is held for somebody, wherever it lies; below zero for a debtor."""
        (held,) = self._db.execute(
            "SELECT coalesce(sum(free) + sum(leased) + sum(locked) - sum(debt), 0) FROM holding"
            " WHERE asset = ? AND holder = ?",
            (asset, holder),
        ).fetchone()
        return int(held)

    def debt(self, asset: Asset, holder: str) -> int:
        """Return by how much a holder's spending exceeds what is free."""
        (debt,) = self._db.execute(
            "SELECT coalesce(sum(debt) - sum(free), 0) FROM holding WHERE asset = ? AND holder = ?",
            (asset, holder),
        ).fetchone()
        return max(0, int(debt))

    def knows(self, asset: Asset, holder: str) -> bool:
        """Whether anything of this was ever held."""
        row = self._db.execute(
            "SELECT 1 FROM holding WHERE asset = ? AND holder = ? LIMIT 1", (asset, holder)
        ).fetchone()
        return row is not None

    def buckets(self, asset: Asset, holder: str) -> list[Bucket]:
        """Return the parts of a holding, soonest expiry first."""
        rows = self._db.execute(
            "SELECT expires_ms, free, leased, locked, debt FROM holding"
            " WHERE asset = ? AND holder = ? ORDER BY expires_ms",
            (asset, holder),
        )
        return [Bucket(*row) for row in rows]

    def expire(self, now_ms: int, most: int) -> int:
        """Let points go that have expired and lie here; return how many buckets there were.

        What a station holds of them comes back when its lease is closed, and goes then.
        """
        rows = self._db.execute(
            "SELECT asset, holder, expires_ms, free FROM holding"
            " WHERE expires_ms > 0 AND expires_ms <= ? AND free > 0 ORDER BY expires_ms LIMIT ?",
            (now_ms, most),
        ).fetchall()
        for asset, holder, expires_ms, free in rows:
            cause = Cause(now_ms, "expired")
            self.move(asset, holder, free, ("free", "world"), cause, expires_ms=expires_ms)
        return len(rows)

    # --- proof (row V6) --------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """Hold every holding against its journal and its open leases; nothing is what is wanted."""
        wrong = self._db.execute(_JOURNAL_DIFFERS).fetchall()
        found = [f"{asset} of {holder}: the journal says otherwise" for asset, holder in wrong]
        wrong = self._db.execute(_LEASES_DIFFER).fetchall()
        found += [
            f"{asset} of {holder}: {a} leased, {b} in leases" for asset, holder, a, b in wrong
        ]
        (parts,) = self._db.execute(_PARTS_DIFFER).fetchone()
        return [*found, *([f"{parts} leases differ from their parts"] if parts else [])]

    def funds(self, from_ms: int, to_ms: int) -> list[Json]:
        """Return what moved between two wall times, by asset, way and reason."""
        cursor = self._db.execute(
            "SELECT asset, source, target, reason, count(*) AS movements, sum(amount) AS amount"
            " FROM journal WHERE at_ms >= ? AND at_ms < ? GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            (from_ms, to_ms),
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


_JOURNAL_DIFFERS = """
SELECT h.asset, h.holder FROM holding h LEFT JOIN (
    SELECT asset, holder, expires_ms,
        sum(iif(target = 'free', amount, 0) - iif(source = 'free', amount, 0)) AS free,
        sum(iif(target = 'leased', amount, 0) - iif(source = 'leased', amount, 0)) AS leased,
        sum(iif(target = 'locked', amount, 0) - iif(source = 'locked', amount, 0)) AS locked
    FROM journal GROUP BY 1, 2, 3
) AS j ON j.asset = h.asset AND j.holder = h.holder AND j.expires_ms = h.expires_ms
WHERE h.free - h.debt <> coalesce(j.free, 0) OR h.leased <> coalesce(j.leased, 0)
    OR h.locked <> coalesce(j.locked, 0)
"""
_LEASES_DIFFER = """
SELECT h.asset, h.holder, sum(h.leased) AS held, (
    SELECT coalesce(sum(l.amount - l.spent), 0) FROM lease l
    WHERE l.asset = h.asset AND l.holder = h.holder AND l.state = 'open'
) AS set_aside
FROM holding h GROUP BY 1, 2 HAVING held <> set_aside
"""
_PARTS_DIFFER = """
SELECT count(*) FROM lease l WHERE (l.amount, l.spent) IS NOT (
    SELECT sum(p.amount), sum(p.spent) FROM lease_part p WHERE p.lease_id = l.lease_id
)
"""
