"""The station's whole store: one database file, opened, born or brought up to date."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_agent.model.ledger import EpochStanding
from edge_agent.ports import Clock, Entropy, Sealer
from edge_agent.store.books import LedgerBooks
from edge_agent.store.catalogues import StationCatalogues
from edge_agent.store.database import (
    DatabaseLock,
    connect_reader,
    connect_writer,
    new_epoch,
    prepare,
    storage_errors,
    transaction,
)
from edge_agent.store.health import BALLAST_BYTES, Ballast, StorageHealth
from edge_agent.store.ledger import open_epoch, read_epochs, read_head, read_latest_ms
from edge_agent.store.members import lay_aside_unreadable
from edge_agent.store.posting import Opening, Posting
from edge_agent.store.rebuild import ensure_projected
from edge_agent.store.writer import InlineWriter, WriterThread


class StationStore:
    """Books and catalogues over one file, held by this process alone until `close`."""

    def __init__(
        self,
        books: LedgerBooks,
        catalogues: StationCatalogues,
        writer: WriterThread | InlineWriter,
        held: ExitStack,
    ) -> None:
        self.books = books
        self.catalogues = catalogues
        self.writer = writer
        self._held = held

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        entropy: Entropy,
        sealer: Sealer,
        inline: bool = False,
        durable: bool = True,
        ballast_bytes: int = BALLAST_BYTES,
    ) -> Self:
        """Open the station's database, or give birth to it under a new epoch.

        Takes no longer for a full ledger than for an empty one, unless a new version of this
        program computes the projections differently and has to rebuild them.

        Args:
            path: the database file; its folder must exist.
            clock: for the times of records and of probes.
            entropy: for the epoch at a birth.
            sealer: for what is personal of members. Members that another key sealed are laid
                aside until headquarters sends them again.
            inline: write on the event loop's own thread, for virtual time.
            durable: False leaves out every fsync, for the simulator only.
            ballast_bytes: room kept aside for the day when the disk is full; 0 for none.

        Raises:
            StorageUnavailable: another agent has it open, or the disk cannot be written.
            BooksRefused: a newer version of this program wrote it.
            CorruptionError: the file is damaged.
        """
        with ExitStack() as held:
            lock = DatabaseLock(path)
            held.callback(lock.release)
            connection = connect_writer(path, durable=durable)
            writer = _begin_writing(connection, clock, inline=inline, held=held)
            with storage_errors():
                prepare(connection)
                ensure_projected(connection)
            lay_aside_unreadable(connection, sealer)
            opening = _opening(connection, _standing(connection, clock, entropy))
            reader = connect_reader(path)
            held.callback(reader.close)
            ballast = Ballast(path.with_name(path.name + ".ballast"), ballast_bytes)
            health = StorageHealth(writer, clock, ballast)
            health.start()
            posting = Posting(writer, clock, health, opening)
            return cls(
                LedgerBooks(posting, reader, health),
                StationCatalogues(posting, reader, sealer),
                writer,
                held.pop_all(),
            )

    def close(self) -> None:
        """Finish what was asked for and give the file free. Closing twice is harmless."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()


def _begin_writing(
    connection: sqlite3.Connection, clock: Clock, *, inline: bool, held: ExitStack
) -> WriterThread | InlineWriter:
    writer = InlineWriter(connection, clock) if inline else WriterThread(connection, clock)
    held.callback(writer.close)
    return writer


def _standing(connection: sqlite3.Connection, clock: Clock, entropy: Entropy) -> EpochStanding:
    with storage_errors():
        epochs = read_epochs(connection)
        if epochs:
            return epochs[-1]
        with transaction(connection):
            return open_epoch(connection, new_epoch(clock, entropy), clock.wall_ms())


def _opening(connection: sqlite3.Connection, standing: EpochStanding) -> Opening:
    with storage_errors():
        (heard_ms,) = connection.execute("SELECT heard_ms FROM headquarters").fetchone()
        return Opening(
            standing,
            read_head(connection, standing.epoch),
            read_latest_ms(connection),
            heard_ms,
        )
