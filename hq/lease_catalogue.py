"""Composes what a station was not told of its leases yet: dataset "leases", always as changes.

A piece holds everything after the version that the station said it has, and only what belongs to
the epoch that its books are in: so a piece that was lost, doubled or cut short by a crash on either
side is made up for by the next one. Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.canonical import canonical_json
from edge_agent.model.catalogues import BucketEntry, LeaseEntry, LeasesPayload
from hq.books import HqBooks
from hq.content import Content
from hq.leases import LeaseDesk

LEASES_IN_ONE = 200
"""So that even leases of 256 buckets each stay well below the largest message."""


class LeaseCatalogue:
    """The leases of each station, as they are published."""

    def __init__(self, books: HqBooks, desk: LeaseDesk) -> None:
        self._db = books.connection
        self._desk = desk

    def version(self, station: str) -> int:
        """Return the newest version of a station's leases."""
        return self._desk.version(station)

    def lacking(self, station: str, in_force: int, now_ms: int) -> Content | None:
        """Return what was granted and recalled after the version that a station has.

        Leases that it took in the meantime are in it as well; it takes none twice.
        """
        epoch = self._desk.epoch(station)
        if epoch is None:
            return None
        if in_force > self._desk.version(station):
            self._number_anew(station, epoch, in_force, now_ms)
        granted = self._changed("granted_version", station, epoch, in_force)
        recalled = self._changed("recalled_version", station, epoch, in_force)
        cuts = [rows[-1][1] for rows in (granted, recalled) if len(rows) == LEASES_IN_ONE]
        versions = [version for _, version in (*granted, *recalled)]
        if not versions:
            return None
        last = min(cuts, default=max(versions))
        payload = LeasesPayload(
            base=in_force,
            epoch=epoch,
            granted=[self._entry(lease_id) for lease_id, version in granted if version <= last],
            recalled=[lease_id for lease_id, version in recalled if version <= last],
        )
        return Content("leases", last, canonical_json(payload.model_dump()).decode())

    def _changed(self, what: str, station: str, epoch: int, in_force: int) -> list[tuple[str, int]]:
        return self._db.execute(
            f"SELECT lease_id, {what} FROM lease WHERE station = ? AND epoch = ?"  # noqa: S608
            f" AND state = 'open' AND {what} > ? ORDER BY {what} LIMIT ?",
            (station, epoch, in_force, LEASES_IN_ONE),
        ).fetchall()

    def _entry(self, lease_id: str) -> LeaseEntry:
        row = self._db.execute(
            "SELECT asset, holder, amount, expires_ms, template, member_ref, from_ms, until_ms,"
            " holding FROM lease WHERE lease_id = ?",
            (lease_id,),
        ).fetchone()
        parts = self._db.execute(
            "SELECT expires_ms, amount FROM lease_part WHERE lease_id = ? AND expires_ms > 0"
            " ORDER BY expires_ms",
            (lease_id,),
        )
        return LeaseEntry(
            lease_id=lease_id,
            asset=row[0],
            holder=row[1],
            amount=row[2],
            expires_ms=row[3],
            template=row[4],
            member_ref=row[5],
            from_ms=row[6],
            until_ms=row[7],
            buckets=[BucketEntry(expires_ms=at_ms, points=points) for at_ms, points in parts],
            holding=row[8],
        )

    def _number_anew(self, station: str, epoch: int, beyond: int, now_ms: int) -> None:
        """Number what is open beyond what a station has: these books came back from a backup."""
        self._db.execute("UPDATE lease_book SET version = ? WHERE station = ?", (beyond, station))
        for what in ("granted_version", "recalled_version"):
            rows = self._db.execute(
                f"SELECT lease_id FROM lease WHERE station = ? AND epoch = ?"  # noqa: S608
                f" AND state = 'open' AND {what} IS NOT NULL ORDER BY {what}",
                (station, epoch),
            ).fetchall()
            for (lease_id,) in rows:
                self._db.execute(
                    f"UPDATE lease SET {what} = ? WHERE lease_id = ?",  # noqa: S608 -- our names
                    (self._desk.next_version(station, now_ms), lease_id),
                )
