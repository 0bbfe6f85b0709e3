"""What should lie ready at which station, so that it can be spent there without asking.

Members name the stations that they fill up at. Each of them keeps an open lease on the account and
on the points, the first one on the coupons; campaigns are split over all stations. A lease is made
anew when less than half of what should be ready is left, or less than a third of its time. Every
method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.model.records import Asset
from hq.books import HqBooks
from hq.holdings import Vault
from hq.leases import LEASE_MS, LeaseDesk
from hq.members import is_locked

MOST_READY_FEN = 50_000
"""500 yuan: what lies ready of an account at one station unless it was said otherwise."""
LEAST_TIME_MS = LEASE_MS // 3
LOOK_AGAIN_MS = 3_600_000
"""When nothing is free now. What becomes free is looked at sooner (`wake`)."""
RECALL_HOLD_MS = 120_000
"""So long what was recalled for another station is not set aside here again."""
MOST_AT_ONCE = 100
"""Leases made in one turn, whatever is due: a customer may be waiting for the next one."""


class StandingPlan:
    """Where what should lie ready, and who keeps it so."""

    def __init__(self, books: HqBooks, vault: Vault, leases: LeaseDesk) -> None:
        self._db = books.connection
        self._vault = vault
        self._leases = leases

    # --- where -----------------------------------------------------------------------------------

    def settle(self, asset: Asset, holder: str, stations: Mapping[str, int | None]) -> None:
        """Say where something should lie ready, first place first, and how much; None is a fair
        share.

        Stations that are not named any more let their leases run out.
        """
        known = self._db.execute(
            "SELECT station FROM home WHERE asset = ? AND holder = ?", (asset, holder)
        ).fetchall()
        for (station,) in known:
            if station not in stations:
                self._db.execute(
                    "DELETE FROM home WHERE asset = ? AND holder = ? AND station = ?",
                    (asset, holder, station),
                )
        self._db.executemany(
            "INSERT INTO home (asset, holder, station, place, target) VALUES (?1, ?2, ?3, ?4, ?5)"
            " ON CONFLICT (asset, holder, station) DO UPDATE"
            " SET place = ?4, target = ?5, check_ms = 0",
            [
                (asset, holder, station, place, target)
                for place, (station, target) in enumerate(stations.items())
            ],
        )

    def first_home(self, asset: Asset, holder: str) -> str | None:
        """Return the first station at which something should lie ready."""
        row = self._db.execute(
            "SELECT station FROM home WHERE asset = ? AND holder = ? ORDER BY place LIMIT 1",
            (asset, holder),
        ).fetchone()
        return row[0] if row else None

    # --- when to look ----------------------------------------------------------------------------

    def wake(self, asset: Asset, holder: str) -> None:
        """Look soon: something became free, or was spent."""
        self._db.execute(
            "UPDATE home SET check_ms = 0 WHERE asset = ? AND holder = ? AND check_ms > 0",
            (asset, holder),
        )

    def wake_station(self, station: str) -> None:
        """Look soon at everything at a station: it has no leases any more."""
        self._db.execute(
            "UPDATE home SET check_ms = 0 WHERE station = ? AND check_ms > 0", (station,)
        )

    def hold(self, asset: Asset, holder: str, until_ms: int) -> None:
        """Set nothing aside until then: somebody is waiting for it."""
        self._db.execute(
            "UPDATE home SET hold_ms = max(hold_ms, ?) WHERE asset = ? AND holder = ?",
            (until_ms, asset, holder),
        )

    # --- keeping it so ---------------------------------------------------------------------------

    def keep(self, station: str, now_ms: int, most: int = MOST_AT_ONCE) -> int:
        """Make the leases that a station should have and has not, so many at most; return how many
        were made."""
        if not self._leases.trusts(station):
            return 0
        due = self._db.execute(
            "SELECT asset, holder, target FROM home WHERE station = ? AND check_ms <= ?"
            " AND hold_ms <= ? ORDER BY check_ms, asset, holder LIMIT ?",
            (station, now_ms, now_ms, most),
        ).fetchall()
        made = 0
        for asset, holder, target in due:
            granted, again_ms = self._renew(station, asset, holder, target, now_ms)
            made += granted
            self._db.execute(
                "UPDATE home SET check_ms = ? WHERE asset = ? AND holder = ? AND station = ?",
                (again_ms, asset, holder, station),
            )
        return made

    def _renew(
        self, station: str, asset: Asset, holder: str, target: int | None, now_ms: int
    ) -> tuple[int, int]:
        """Return whether a lease was made, and when to look again."""
        free = self._vault.free(asset, holder)
        wanted = self._share(asset, holder) if target is None else target
        ready, ends_ms = self._leases.ready(station, asset, holder, now_ms + LEAST_TIME_MS)
        expires_ms = now_ms + LEASE_MS
        if asset == "coupon":
            expires_ms = min(expires_ms, self._coupon_until(holder))
        missing = min(wanted - ready, free)
        enough = ready * 2 >= wanted
        if enough or missing <= 0 or expires_ms <= now_ms or is_locked(self._db, asset, holder):
            return 0, max(now_ms + LOOK_AGAIN_MS, ends_ms - LEAST_TIME_MS if enough else 0)
        lease = self._leases.grant(station, asset, holder, missing, expires_ms, now_ms)
        return 1, max(now_ms + LOOK_AGAIN_MS, lease.expires_ms - LEAST_TIME_MS)

    def _share(self, asset: Asset, holder: str) -> int:
        (homes,) = self._db.execute(
            "SELECT count(*) FROM home WHERE asset = ? AND holder = ?", (asset, holder)
        ).fetchone()
        share = -(-max(0, self._vault.held(asset, holder)) // max(1, int(homes)))
        return min(share, MOST_READY_FEN) if asset == "balance" else share

    def _coupon_until(self, serial: str) -> int:
        row = self._db.execute(
            "SELECT until_ms FROM coupon WHERE serial = ? AND state = 'held'", (serial,)
        ).fetchone()
        return int(row[0]) if row else 0
