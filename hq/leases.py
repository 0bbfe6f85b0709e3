"""Leases: what is set aside for one station, in one epoch of its books, until when.

A lease is taken from what is free and never from anything else, so the sum of all leases never
exceeds what is held. What is left of one comes back only when the station's own `lease.closed` was
read, or its books began a new epoch. Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_agent.model.errors import invariant
from edge_agent.model.records import Asset, EpochOpened, LeaseTerms
from hq.books import HqBooks
from hq.holdings import Cause, Vault

DAY_MS = 86_400_000
LEASE_MS = 7 * DAY_MS
"""How long a station may spend what lies ready for it without hearing from headquarters."""
ASKED_MS = 3_600_000
"""How long it may spend what it asked for: the customer stands at the till."""
BUCKETS_IN_ONE = 256

Part: TypeAlias = tuple[int, int]
"""When points expire (0: never), and how many."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease as headquarters holds it."""

    lease_id: str
    station: str
    epoch: int
    asset: Asset
    holder: str
    amount: int
    spent: int
    state: str
    expires_ms: int
    member_ref: str | None


_HELD = (
    "SELECT lease_id, station, epoch, asset, holder, amount, spent, state, expires_ms, member_ref"
    " FROM lease"
)


class LeaseDesk:
    """Makes leases and ends them."""

    def __init__(self, books: HqBooks, vault: Vault) -> None:
        self._books = books
        self._db = books.connection
        self._vault = vault

    # --- a station's books -----------------------------------------------------------------------

    def epoch(self, station: str) -> int | None:
        """Return the epoch that a station's books are in, as far as it has said; None if never."""
        row = self._db.execute(
            "SELECT epoch FROM lease_book WHERE station = ?", (station,)
        ).fetchone()
        return None if row is None else int(row[0])

    def trusts(self, station: str) -> bool:
        """Whether a station may be lent to: it came up, and its books do not contradict themselves.

        Of a fork no rows are read any more, so what it spends of a lease would be lent out again.
        """
        row = self._db.execute(
            "SELECT coalesce(s.forked, 0) FROM lease_book b LEFT JOIN stream s"
            " ON s.station = b.station AND s.epoch = b.epoch WHERE b.station = ?",
            (station,),
        ).fetchone()
        return row is not None and not row[0]

    def station_is_in(self, station: str, epoch: int) -> bool:
        """Note the epoch that a station speaks of; return whether it is a new one.

        Epochs of a station grow (a restored one begins above its backup's), so a late word of an
        earlier one changes nothing.
        """
        known = self.epoch(station)
        if known is not None and epoch <= known:
            return False
        self._db.execute(
            "INSERT INTO lease_book (station, epoch) VALUES (?1, ?2)"
            " ON CONFLICT (station) DO UPDATE SET epoch = ?2",
            (station, epoch),
        )
        return True

    # --- making and ending -----------------------------------------------------------------------

    def grant(
        self, station: str, asset: Asset, holder: str, amount: int, expires_ms: int, now_ms: int
    ) -> HeldLease:
        """Set an amount aside for a station whose epoch is known; return the lease.

        The caller has seen that so much is free (`Vault.free`). Points in very many buckets make a
        smaller lease.
        """
        epoch = self.epoch(station)
        if epoch is None:
            raise ValueError(f"{station} never said which epoch its books are in")
        parts = self._parts(asset, holder, amount)
        amount = sum(points for _, points in parts)
        invariant(amount > 0, f"nothing of {asset} of {holder} is free")
        lease_id = f"L{self._books.number('lease', now_ms)}"
        held = max(0, self._vault.held(asset, holder))
        coupon = self._coupon(holder) if asset == "coupon" else (None, None, 0, 0)
        self._db.execute(
            "INSERT INTO lease (lease_id, station, epoch, asset, holder, amount, granted_ms,"
            " expires_ms, granted_version, template, member_ref, from_ms, until_ms, holding)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                lease_id, station, epoch, asset, holder, amount, now_ms, expires_ms,
                self.next_version(station, now_ms), *coupon, held,
            ),
        )  # fmt: skip
        self._set_aside(lease_id, asset, holder, parts, Cause(now_ms, "lease", station))
        return HeldLease(
            lease_id, station, epoch, asset, holder, amount, 0, "open", expires_ms, coupon[1]
        )

    def _set_aside(
        self, lease_id: str, asset: Asset, holder: str, parts: Sequence[Part], cause: Cause
    ) -> None:
        for expires_ms, part in parts:
            self._vault.move(
                asset, holder, part, ("free", "leased"), cause,
                expires_ms=expires_ms, lease_id=lease_id,
            )  # fmt: skip
        self._add_parts(lease_id, parts)
        if asset == "coupon":
            self._mark(holder, "reserved")

    def _mark(self, serial: str, state: str) -> None:
        self._db.execute("UPDATE coupon SET state = ? WHERE serial = ?", (state, serial))

    def _add_parts(self, lease_id: str, parts: Sequence[Part]) -> None:
        self._db.executemany(
            "INSERT INTO lease_part (lease_id, expires_ms, amount) VALUES (?, ?, ?)",
            [(lease_id, *part) for part in parts],
        )

    def _parts(self, asset: Asset, holder: str, amount: int) -> list[Part]:
        """Return what a lease is made of: points first in, first out (row P8)."""
        parts: list[Part] = []
        for bucket in self._vault.buckets(asset, holder):
            part = min(bucket.free, amount)
            if part and len(parts) < BUCKETS_IN_ONE:
                parts.append((bucket.expires_ms, part))
                amount -= part
        return parts

    def _coupon(self, serial: str) -> tuple[str | None, str | None, int, int]:
        row = self._db.execute(
            "SELECT template, member_ref, from_ms, until_ms FROM coupon WHERE serial = ?", (serial,)
        ).fetchone()
        return row[0], row[1], row[2], row[3]

    def topped_up(
        self, lease_id: str, account: str, fen: int, expires_ms: int, cause: Cause
    ) -> None:
        """Note money that was paid in at a station's till, and is a lease there from the start."""
        self._db.execute(
            "INSERT INTO lease (lease_id, station, epoch, asset, holder, amount, granted_ms,"
            " expires_ms, taken) VALUES (?, ?, ?, 'balance', ?, ?, ?, ?, 1)",
            (lease_id, cause.station, cause.epoch, account, fen, cause.at_ms, expires_ms),
        )
        self._vault.move("balance", account, fen, ("world", "leased"), cause, lease_id=lease_id)
        self._add_parts(lease_id, [(0, fen)])

    def adopt(self, terms: LeaseTerms, cause: Cause, now_ms: int) -> bool:
        """Take up a lease that a station has and these books, from a backup, do not know.

        It is recalled at once. Where not so much is free any more, it stays unknown.
        """
        parts = [(each.expires_ms, each.points) for each in terms.buckets] or [(0, terms.amount)]
        free = {
            each.expires_ms: each.free for each in self._vault.buckets(terms.asset, terms.holder)
        }
        fits = all(part > 0 and free.get(expires_ms, 0) >= part for expires_ms, part in parts)
        if not fits or sum(part for _, part in parts) != terms.amount:
            return False
        if len(dict(parts)) != len(parts):
            return False
        self._db.execute(
            "INSERT INTO lease (lease_id, station, epoch, asset, holder, amount, granted_ms,"
            " expires_ms, taken, template, member_ref, from_ms, until_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)",
            (
                terms.lease_id, cause.station, cause.epoch, terms.asset, terms.holder, terms.amount,
                cause.at_ms, terms.expires_ms, terms.template, terms.member_ref, terms.from_ms,
                terms.until_ms,
            ),
        )  # fmt: skip
        self._set_aside(terms.lease_id, terms.asset, terms.holder, parts, cause)
        self.recall(terms.lease_id, now_ms)
        return True

    def recall(self, lease_id: str, now_ms: int) -> None:
        """Ask a station to close a lease at once; nothing is free until it says so."""
        lease = self.find(lease_id)
        if lease is None or lease.state != "open" or self.epoch(lease.station) is None:
            return
        self._db.execute(
            "UPDATE lease SET recalled_version = ? WHERE lease_id = ? AND recalled_version IS NULL",
            (self.next_version(lease.station, now_ms), lease_id),
        )

    def end(self, lease: HeldLease, state: str, cause: Cause) -> None:
        """End an open lease; what is left of it is free again."""
        parts = self._db.execute(
            "SELECT expires_ms, amount - spent FROM lease_part WHERE lease_id = ?",
            (lease.lease_id,),
        ).fetchall()
        for expires_ms, left in parts:
            if left:
                self._vault.move(
                    lease.asset, lease.holder, left, ("leased", "free"), cause,
                    expires_ms=expires_ms, lease_id=lease.lease_id,
                )  # fmt: skip
        self._db.execute("UPDATE lease SET state = ? WHERE lease_id = ?", (state, lease.lease_id))
        if lease.asset == "coupon" and lease.spent < lease.amount:
            self._mark(lease.holder, "held")

    def count(self, lease: HeldLease, expires_ms: int, change: int) -> None:
        """Count what was spent of a part of a lease, or given back (negative)."""
        self._db.execute(
            "UPDATE lease_part SET spent = spent + ? WHERE lease_id = ? AND expires_ms = ?",
            (change, lease.lease_id, expires_ms),
        )
        self._db.execute(
            "UPDATE lease SET spent = spent + ? WHERE lease_id = ?", (change, lease.lease_id)
        )

    # --- looking ---------------------------------------------------------------------------------

    def find(self, lease_id: str) -> HeldLease | None:
        """Return a lease, open or not."""
        row = self._db.execute(f"{_HELD} WHERE lease_id = ?", (lease_id,)).fetchone()
        return None if row is None else HeldLease(*row)

    def parts_left(self, lease: HeldLease) -> dict[int, int]:
        """Return what is left of each part, soonest expiry first."""
        rows = self._db.execute(
            "SELECT expires_ms, amount - spent FROM lease_part WHERE lease_id = ?"
            " ORDER BY expires_ms",
            (lease.lease_id,),
        )
        return dict(rows.fetchall())

    def open_leases(self, asset: Asset, holder: str) -> list[HeldLease]:
        """Return the open leases of something, at every station; what is left decides the order."""
        rows = self._db.execute(
            f"{_HELD} WHERE asset = ? AND holder = ? AND state = 'open'"
            " ORDER BY amount - spent DESC, lease_id",
            (asset, holder),
        )
        return [HeldLease(*row) for row in rows]

    def ready(self, station: str, asset: Asset, holder: str, after_ms: int) -> tuple[int, int]:
        """Return what a station may spend beyond a wall time, and when the first of it ends."""
        left, ends_ms = self._db.execute(
            "SELECT coalesce(sum(amount - spent), 0), coalesce(min(expires_ms), 0) FROM lease"
            " WHERE asset = ? AND holder = ? AND state = 'open' AND station = ? AND epoch = ?"
            " AND expires_ms > ? AND recalled_version IS NULL AND amount > spent",
            (asset, holder, station, self.epoch(station), after_ms),
        ).fetchone()
        return int(left), int(ends_ms)

    def on_the_way(self, station: str, asset: Asset, holder: str, in_force: int) -> int:
        """Return what was set aside for a station that it has not taken yet."""
        (left,) = self._db.execute(
            "SELECT coalesce(sum(amount - spent), 0) FROM lease WHERE asset = ? AND holder = ?"
            " AND state = 'open' AND station = ? AND epoch = ? AND granted_version > ?"
            " AND recalled_version IS NULL",
            (asset, holder, station, self.epoch(station), in_force),
        ).fetchone()
        return int(left)

    # --- epochs ----------------------------------------------------------------------------------

    def end_epochs(self, station: str, now_ms: int) -> list[HeldLease]:
        """End what belongs to a station's earlier epochs, once all their rows were read.

        A restored station still sends what its backup held, so an epoch is over only when as much
        of it was read as the following one says it continues.
        """
        rows = self._db.execute(
            f"{_HELD} WHERE station = ? AND state = 'open' AND epoch < ? ORDER BY lease_id",
            (station, self.epoch(station) or 0),
        ).fetchall()
        leases = [HeldLease(*row) for row in rows]
        over = {
            epoch for epoch in {lease.epoch for lease in leases} if self._is_read(station, epoch)
        }
        ended = [lease for lease in leases if lease.epoch in over]
        for lease in ended:
            self.end(lease, "over", Cause(now_ms, "epoch_over", station))
        return ended

    def _is_read(self, station: str, epoch: int) -> bool:
        row = self._db.execute(
            "SELECT audited_seq, up_to_seq, forked FROM stream WHERE station = ? AND epoch = ?",
            (station, epoch),
        ).fetchone()
        audited, held, forked = row or (0, 0, 0)
        (continued,) = self._db.execute(
            "SELECT coalesce(max(l.body ->> '$.previous_seq'), 0) FROM stream s"
            " JOIN ledger l ON l.stream = s.id AND l.seq = 1 AND l.kind = ?"
            " WHERE s.station = ? AND json_valid(l.body) AND l.body ->> '$.previous_epoch' = ?",
            (EpochOpened.kind, station, epoch),
        ).fetchone()
        (followed,) = self._db.execute(
            "SELECT count(*) FROM stream WHERE station = ? AND epoch > ? AND audited_seq > 0",
            (station, epoch),
        ).fetchone()
        whole = audited == held and (held >= int(continued) or bool(forked))
        return bool(followed) and whole

    # --- versions --------------------------------------------------------------------------------

    def version(self, station: str) -> int:
        """Return the version of a station's leases; it never goes back, whatever the epoch."""
        row = self._db.execute(
            "SELECT version FROM lease_book WHERE station = ?", (station,)
        ).fetchone()
        return int(row[0]) if row else 0

    def next_version(self, station: str, now_ms: int) -> int:
        """Return a new version of the leases of a station whose epoch is known.

        Never below the clock, so that books that came back from a backup use none a second time.
        """
        row = self._db.execute(
            "UPDATE lease_book SET version = max(version + 1, ?) WHERE station = ?"
            " RETURNING version",
            (now_ms, station),
        ).fetchone()
        return int(row[0])
