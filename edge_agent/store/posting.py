"""The one way into the ledger: books and catalogues post through it, a transaction at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from edge_agent.model.errors import CorruptionError, StorageUnavailable
from edge_agent.model.ledger import EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import RecordBody
from edge_agent.ports import Clock
from edge_agent.store.database import transaction
from edge_agent.store.health import StorageHealth
from edge_agent.store.ledger import End, Entry, encode, move_acked, post, read_hash, read_latest_ms
from edge_agent.store.writer import Writer

Change: TypeAlias = Callable[[sqlite3.Connection], Sequence[RecordBody]]
"""What else happens in a transaction, before its records are posted. Returns the records that
follow from it, which are posted last."""

HEARD_EVERY_MS: Final = 30_000
"""How often it is written down that headquarters was heard from."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How the books stand on disk when they are opened."""

    standing: EpochStanding
    head: LedgerHead
    latest_ms: int
    """Latest wall time of any record of the epoch."""
    heard_ms: int | None
    """When headquarters was last heard from."""


class Posting:
    """Posts to the epoch that these books are in, and knows its head without asking the disk."""

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        health: StorageHealth,
        opening: Opening,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._health = health
        self._epoch = opening.standing.epoch
        self._base = opening.standing.base
        self._acked_seq = opening.standing.acked_seq
        self._head = opening.head
        self._latest_ms = opening.latest_ms
        self._heard_ms = self._heard_on_disk_ms = opening.heard_ms
        self._listeners: list[Callable[[LedgerHead], None]] = []

    @property
    def head(self) -> LedgerHead:
        """The last record that is on disk."""
        return self._head

    @property
    def standing(self) -> EpochStanding:
        """The present epoch."""
        return EpochStanding(self._epoch, self._base, self._head.seq, self._acked_seq)

    @property
    def latest_ms(self) -> int:
        """The latest wall time of any record of the present epoch; 0 before the first."""
        return self._latest_ms

    @property
    def heard_ms(self) -> int | None:
        """The wall time at which headquarters was last heard from; None for never."""
        return self._heard_ms

    def subscribe(self, listener: Callable[[LedgerHead], None]) -> None:
        """Call `listener` on the event loop after every commit that lengthened the ledger."""
        self._listeners.append(listener)

    async def commit(
        self, bodies: Sequence[RecordBody], change: Change | None = None
    ) -> tuple[LedgerRecord, ...]:
        """Make a change and post records in one transaction; return once both are on disk.

        Raises:
            SaleRefused: a rule of the books forbids a record.
            StorageUnavailable: the disk is full, read-only or broken.
            EdgeAgentError: whatever `change` raised.

        Whatever is raised, nothing was written.
        """
        entries = encode(bodies)
        at_ms = self._clock.wall_ms()
        records = await self._writer.submit(
            lambda connection: self._commit(connection, at_ms, entries, change)
        )
        if records:
            for listener in self._listeners:
                listener(self._head)
        return records

    async def move_acked(self, epoch: int, up_to_seq: int) -> None:
        """Note durably what HQ has committed of an epoch of these books."""

        def job(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                move_acked(connection, epoch, up_to_seq)
            if epoch == self._epoch:
                self._acked_seq = max(self._acked_seq, up_to_seq)

        await self._writer.submit(job)

    async def note_heard(self, at_ms: int) -> None:
        """Keep when headquarters was last heard from; on disk to within half a minute."""
        self._heard_ms = at_ms
        last = self._heard_on_disk_ms
        if last is not None and 0 <= at_ms - last < HEARD_EVERY_MS:
            return

        def job(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute("UPDATE headquarters SET heard_ms = ?", (at_ms,))
            self._heard_on_disk_ms = at_ms

        await self._writer.submit(job)

    def hash_at(self, reader: sqlite3.Connection, seq: int) -> str | None:
        """Return the hash of a record of the present epoch, as `Books.hash_at`."""
        head = self._head
        return head.hash if seq == head.seq else read_hash(reader, self.standing, seq)

    def _commit(
        self,
        connection: sqlite3.Connection,
        at_ms: int,
        entries: Sequence[Entry],
        change: Change | None,
    ) -> tuple[LedgerRecord, ...]:
        try:
            return self._once(connection, at_ms, entries, change)
        except StorageUnavailable as error:
            if not self._health.failed(full=error.problem.code == "storage_full"):
                raise
        except CorruptionError:
            self._health.failed(full=False)
            raise
        return self._once(connection, at_ms, entries, change)

    def _once(
        self,
        connection: sqlite3.Connection,
        at_ms: int,
        entries: Sequence[Entry],
        change: Change | None,
    ) -> tuple[LedgerRecord, ...]:
        with transaction(connection):
            if change is not None:
                entries = [*entries, *encode(change(connection))]
            end = End(self._base, self._head, self._latest_ms)
            records = post(connection, end, at_ms, entries)
            latest_ms = read_latest_ms(connection)
        if records:
            last = records[-1]
            self._head = LedgerHead(last.epoch, last.seq, last.hash)
            self._latest_ms = latest_ms
        return records
