"""Members' points: earned by a sale once, taken back by its refund, locked for a reward.

Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.records import PointsEarned
from hq.books import HqBooks
from hq.holdings import Cause, Vault
from hq.leases import DAY_MS
from hq.standing import StandingPlan

LOCK_REWARD_BP = 1_500
"""15 % for points that rest 90 days (row P12; a reward, no interest: it is no deposit)."""


class PointsDesk:
    """Credits, reverses, locks."""

    def __init__(self, books: HqBooks, vault: Vault, standing: StandingPlan) -> None:
        self._db = books.connection
        self._vault = vault
        self._standing = standing

    def earned(self, body: PointsEarned, cause: Cause) -> str | None:
        """Book what a sale earned, or what its refund takes back; return what is wrong.

        A refund takes from the very bucket that the sale filled. What was spent of it in the
        meantime is a debt there, which other points cover until it is paid.
        """
        if body.points > 0 and body.reason == "sale":
            return self._credit(body, cause)
        if body.points < 0 and body.reason == "refund":
            return self._reverse(body, cause)
        return "points_senseless"

    def _credit(self, body: PointsEarned, cause: Cause) -> str | None:
        added = self._db.execute(
            "INSERT OR IGNORE INTO points_sale (station, sale_id, member_ref, points, expires_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (cause.station, body.sale_id, body.member_ref, body.points, body.expires_ms),
        )
        if added.rowcount != 1:
            return "points_twice"
        self._vault.credit("points", body.member_ref, body.points, cause, body.expires_ms)
        self._standing.wake("points", body.member_ref)
        return None

    def _reverse(self, body: PointsEarned, cause: Cause) -> str | None:
        found = self._db.execute(
            "UPDATE points_sale SET reversed = 1 WHERE station = ? AND sale_id = ?"
            " AND member_ref = ? AND points = ? AND reversed = 0 RETURNING expires_ms",
            (cause.station, body.sale_id, body.member_ref, -body.points),
        ).fetchone()
        if found is None:
            return "points_reversal_differs"
        self._vault.move(
            "points", body.member_ref, -body.points, ("free", "world"), cause, expires_ms=found[0]
        )
        return "points_debt" if self._vault.debt("points", body.member_ref) else None

    def lock(self, member: str, points: int, days: int, now_ms: int) -> int:
        """Let points rest for so many days; return the reward that comes with them then (row P12).

        Locked points are in no lease. Those that expire last are taken, since none may expire
        before they are free again.

        Raises:
            ConfigRefused: not so many points are free for so long.
        """
        until_ms = now_ms + days * DAY_MS
        buckets = [b for b in self._vault.buckets("points", member) if b.expires_ms > until_ms]
        free = min(sum(b.free for b in buckets), self._vault.free("points", member))
        if not 0 < points <= free or days <= 0:
            raise _refused(f"{member}: {free} points are free beyond {days} days")
        reward, left = points * LOCK_REWARD_BP // 10_000, points
        for bucket in reversed(buckets):
            part = min(bucket.free, left)
            if part:
                left -= part
                # The last part carries what rounding left of the reward.
                bonus = reward - left * LOCK_REWARD_BP // 10_000
                reward -= bonus
                self._rest(member, bucket.expires_ms, (part, bonus), until_ms, now_ms)
        return points * LOCK_REWARD_BP // 10_000

    def _rest(
        self, member: str, expires_ms: int, part: tuple[int, int], until_ms: int, now_ms: int
    ) -> None:
        cause = Cause(now_ms, "lock")
        self._vault.move(
            "points", member, part[0], ("free", "locked"), cause, expires_ms=expires_ms
        )
        self._db.execute(
            "INSERT INTO points_lock (member_ref, expires_ms, points, bonus, until_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (member, expires_ms, *part, until_ms),
        )

    def release(self, now_ms: int, most: int) -> int:
        """Free points that have rested, with their reward; return how many parts there were."""
        rows = self._db.execute(
            "SELECT id, member_ref, expires_ms, points, bonus FROM points_lock"
            " WHERE until_ms <= ? ORDER BY until_ms, id LIMIT ?",
            (now_ms, most),
        ).fetchall()
        for lock_id, member, expires_ms, points, bonus in rows:
            cause = Cause(now_ms, "unlock")
            self._vault.move(
                "points", member, points, ("locked", "free"), cause, expires_ms=expires_ms
            )
            if bonus:
                reward = Cause(now_ms, "lock_reward")
                self._vault.credit("points", member, bonus, reward, expires_ms)
            self._db.execute("DELETE FROM points_lock WHERE id = ?", (lock_id,))
            self._standing.wake("points", member)
        return len(rows)


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("points_refused", "积分不能锁定", "the points may not be locked"), detail
    )
