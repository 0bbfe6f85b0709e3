"""The one way into the ledger: books and catalogues post through it, a transaction at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeAlias

from edge_agent.model.errors import CorruptionError, StorageUnavailable
from edge_agent.model.ledger import EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import RecordBody
from edge_agent.ports import Clock
from edge_agent.store.database import transaction
from edge_agent.store.health import StorageHealth
from edge_agent.store.ledger import Entry, encode, move_acked, post, read_hash
from edge_agent.store.writer import Writer

Change: TypeAlias = Callable[[sqlite3.Connection], None]
"""What else happens in a transaction, before its records are posted."""


class Posting:
    """Posts to the epoch that these books are in, and knows its head without asking the disk."""

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        health: StorageHealth,
        standing: EpochStanding,
        head: LedgerHead,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._health = health
        self._epoch = standing.epoch
        self._base = standing.base
        self._acked_seq = standing.acked_seq
        self._head = head
        self._listeners: list[Callable[[LedgerHead], None]] = []

    @property
    def head(self) -> LedgerHead:
        """The last record that is on disk."""
        return self._head

    @property
    def standing(self) -> EpochStanding:
        """The present epoch."""
        return EpochStanding(self._epoch, self._base, self._head.seq, self._acked_seq)

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
                change(connection)
            records = post(connection, self._epoch, self._base, at_ms, entries)
        if records:
            last = records[-1]
            self._head = LedgerHead(last.epoch, last.seq, last.hash)
        return records
