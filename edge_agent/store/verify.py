"""Proving the books whole: the chain, its gaplessness, and the projections against a rebuild.

Works on a snapshot of a database that an agent may be writing, and changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from edge_agent.core.chain import broken, genesis, verify
from edge_agent.model.errors import CorruptionError
from edge_agent.model.ledger import EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import EpochOpened
from edge_agent.store.database import connect_reader, storage_errors
from edge_agent.store.ledger import read_all, read_epochs
from edge_agent.store.projections import (
    PROJECTED_KINDS,
    PROJECTION_VERSION,
    TABLES,
    pass_time,
    project,
    reset,
)
from edge_agent.store.rebuild import read_body


@dataclass(frozen=True, slots=True)
class BooksReport:
    """What a verification found. `ok` when there is neither a problem nor a difference."""

    records: int
    """Records that verified, from the first one on."""
    epochs: int
    head: LedgerHead | None
    """The last record that verified; None for books without any epoch."""
    first_bad: tuple[int, int] | None
    """Epoch and seq of the first record that is missing, altered or contradicts those before."""
    problem: str | None
    """What is wrong there, or with the file."""
    differences: tuple[str, ...]
    """Projections that are not what the ledger says; a rebuild mends these."""

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return self.problem is None and not self.differences


def verify_books(path: Path) -> BooksReport:
    """Verify the books at `path`.

    Raises:
        StorageUnavailable: the file is absent or cannot be read.
    """
    try:
        reader = connect_reader(path)
    except CorruptionError as error:
        return BooksReport(0, 0, None, None, error.detail, ())
    # Bytes that are no UTF-8 any more shall not match their hash instead of stopping the walk.
    reader.text_factory = lambda raw: raw.decode("utf-8", "replace")
    with closing(reader), closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        return _Verification(reader, scratch).run()


class _Verification:
    """One walk over the ledger that keeps count of how far it came."""

    def __init__(self, reader: sqlite3.Connection, scratch: sqlite3.Connection) -> None:
        self._reader = reader
        self._scratch = scratch
        self._records = 0
        self._epochs: list[EpochStanding] = []
        self._head: LedgerHead | None = None
        self._version: int = 0
        """Of the projections; 0 for none."""

    def run(self) -> BooksReport:
        try:
            with storage_errors():
                self._reader.execute("BEGIN")  # one snapshot for everything that follows
                if not self._holds_books():
                    return self._report(problem="the file holds no books")
                self._epochs = read_epochs(self._reader)
                self._copy_tables()
                self._walk()
                damage = self._reader.execute("PRAGMA integrity_check(1)").fetchone()[0]
                if damage != "ok":
                    return self._report(problem=f"the file is damaged: {damage}")
                return self._report(differences=tuple(self._differences()))
        except CorruptionError as error:  # a broken chain is one of these
            return self._report(problem=error.detail, bad=True)

    def _holds_books(self) -> bool:
        tables = {
            name
            for (name,) in self._reader.execute("SELECT tbl_name FROM sqlite_schema").fetchall()
        }
        # Older books have other projections, or none; their chain is whole or not all the same.
        if "projection_version" in tables:
            self._version = self._reader.execute(
                "SELECT version FROM projection_version"
            ).fetchone()[0]
        return {"epoch", "ledger"} <= tables

    def _walk(self) -> None:
        rows = read_all(self._reader)
        previous: LedgerHead | None = None
        for standing in self._epochs:
            self._head = genesis(standing.epoch)
            for seq in range(1, standing.last_seq + 1):
                row = next(rows, None)
                if row is None:
                    raise broken(standing.epoch, seq, "missing")
                self._take(standing, previous, *row)
            if self._head.seq < standing.acked_seq:
                raise broken(
                    standing.epoch, self._head.seq + 1, "missing, though headquarters has it"
                )
            previous = self._head
        if (left := next(rows, None)) is not None:
            raise broken(left[1].epoch, left[1].seq, "belongs to no epoch of this file")

    def _take(
        self,
        standing: EpochStanding,
        previous: LedgerHead | None,
        position: int,
        record: LedgerRecord,
    ) -> None:
        head = verify([record], self._head or genesis(standing.epoch))
        if position != standing.base + head.seq:
            raise broken(head.epoch, head.seq, f"stands at position {position}")
        if head.seq == 1 and previous is not None:
            _check_joint(record, previous)
        if self._version == PROJECTION_VERSION:
            pass_time(self._scratch, record.at_ms)
            if record.kind in PROJECTED_KINDS:
                project(self._scratch, position, record.at_ms, read_body(record))
        self._head = head
        self._records += 1

    def _copy_tables(self) -> None:
        if self._version != PROJECTION_VERSION:
            return
        for name, statement in self._reader.execute(
            "SELECT tbl_name, sql FROM sqlite_schema WHERE type = 'table'"
        ).fetchall():
            if name in TABLES:
                self._scratch.execute(statement)
        reset(self._scratch)

    def _differences(self) -> Iterator[str]:
        if self._version != PROJECTION_VERSION:
            yield (
                f"projections of version {self._version},"
                f" this program computes {PROJECTION_VERSION}"
            )
            return
        for table, key in TABLES.items():
            query = f"SELECT * FROM {table} ORDER BY {key}"  # noqa: S608  # names are our own
            for stored, rebuilt in zip_longest(
                self._reader.execute(query), self._scratch.execute(query)
            ):
                if stored != rebuilt:
                    yield f"{table}: the books say {stored}, the ledger says {rebuilt}"
                    break

    def _next_place(self) -> tuple[int, int]:
        return (self._head.epoch, self._head.seq + 1) if self._head else (0, 1)

    def _report(
        self, *, problem: str | None = None, bad: bool = False, differences: tuple[str, ...] = ()
    ) -> BooksReport:
        return BooksReport(
            records=self._records,
            epochs=len(self._epochs),
            head=self._head,
            first_bad=self._next_place() if bad else None,
            problem=problem,
            differences=differences,
        )


def _check_joint(record: LedgerRecord, previous: LedgerHead) -> None:
    joint = read_body(record)
    ends = isinstance(joint, EpochOpened) and LedgerHead(
        joint.previous_epoch, joint.previous_seq, joint.previous_hash
    )
    if ends != previous:
        raise broken(record.epoch, record.seq, "does not name the end of the epoch before it")
