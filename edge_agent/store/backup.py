"""Copies of the books: taken while the agent sells, and brought back under a new epoch."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from edge_agent.core.chain import genesis
from edge_agent.model.errors import BooksRefused, CorruptionError, Problem
from edge_agent.model.ledger import LedgerHead
from edge_agent.model.records import EpochOpened
from edge_agent.ports import Clock, Entropy
from edge_agent.store.database import (
    DatabaseLock,
    connect_reader,
    connect_writer,
    new_epoch,
    prepare,
    storage_errors,
    transaction,
)
from edge_agent.store.ledger import (
    End,
    encode,
    open_epoch,
    post,
    read_epochs,
    read_head,
    read_latest_ms,
)
from edge_agent.store.rebuild import rebuild
from edge_agent.store.verify import BooksReport, verify_books

STEP_PAGES: Final = 256
"""Pages copied at a time: one mebibyte."""

_NOT_WHOLE: Final = Problem(
    "backup_not_whole",
    "账本副本校验失败，未被采用",
    "a copy of the books does not verify; it was not used",
)

Progress = Callable[[int, int], None]
"""Told pages still to copy and pages in all after each step."""


def backup_books(
    path: Path, target: Path, *, pause_ms: int = 0, progress: Progress | None = None
) -> BooksReport:
    """Copy the books at `path`, which an agent may be writing, into a new file; verify the copy.

    The copy is one moment's books. It is read from a snapshot, so the writer never waits for it
    and its commits never start it over; `pause_ms` between steps leaves the disk to the pumps.

    Raises:
        BooksRefused: `target` exists.
        StorageUnavailable: a file cannot be read or written.
        CorruptionError: the copy does not verify, so the books do not either; it was removed.
    """
    _must_be_new(target)
    partial = _emptied(target.with_name(target.name + ".partial"))
    with storage_errors():
        with closing(connect_reader(path)) as source:
            _copy(source, partial, pause_ms=pause_ms, progress=progress)
        report = _must_verify(partial)
        _publish(partial, target)
    return report


def restore_books(backup: Path, target: Path, *, clock: Clock, entropy: Entropy) -> LedgerHead:
    """Bring a backup back as the station's books, under a new epoch; return the new head.

    The first record of the new epoch names the end of the old one. What the station wrote after
    the backup was taken is unknown here, so what members spent meanwhile is too: with the old epoch
    every lease is over, and headquarters, which has its records, lends anew.

    Raises:
        BooksRefused: `target` or a journal of it exists; move it away first, never delete it.
        StorageUnavailable: an agent holds `target`, or a file cannot be read or written.
        CorruptionError: the backup does not verify; nothing was made of it.
    """
    _must_be_whole(verify_books(backup))
    lock = DatabaseLock(target)
    try:
        _must_be_new(target)
        partial = _emptied(target.with_name(target.name + ".restoring"))
        with storage_errors():
            with closing(connect_reader(backup)) as source:
                _copy(source, partial, pause_ms=0, progress=None)
            with closing(connect_writer(partial)) as connection:
                prepare(connection)
                rebuild(connection)
                head = _begin_epoch(connection, clock, entropy)
            _must_verify(partial)
            _publish(partial, target)
        return head
    finally:
        lock.release()


def _begin_epoch(connection: sqlite3.Connection, clock: Clock, entropy: Entropy) -> LedgerHead:
    epochs = read_epochs(connection)
    previous = read_head(connection, epochs[-1].epoch) if epochs else genesis(0)
    born_ms = clock.wall_ms()
    epoch = new_epoch(clock, entropy, after=max((s.epoch for s in epochs), default=0))
    opened = EpochOpened(
        reason="restore",
        previous_epoch=previous.epoch,
        previous_seq=previous.seq,
        previous_hash=previous.hash,
    )
    with transaction(connection):
        # Leases follow one another from the first one of an epoch on.
        connection.execute("UPDATE catalogue_version SET version = 0 WHERE dataset = 'leases'")
        standing = open_epoch(connection, epoch, born_ms)
        end = End(standing.base, genesis(epoch), read_latest_ms(connection))
        (record,) = post(connection, end, born_ms, encode([opened]))
    return LedgerHead(record.epoch, record.seq, record.hash)


def _copy(
    source: sqlite3.Connection, target: Path, *, pause_ms: int, progress: Progress | None
) -> None:
    def stepped(_status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(remaining, total)
        if pause_ms and remaining:
            time.sleep(pause_ms / 1000)

    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    # A read transaction held over all steps pins one snapshot. Without it every commit of the
    # agent would start the copy over, and a busy station would never get one.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.backup(copy, pages=STEP_PAGES, progress=stepped)
        # One file without a journal beside it, so that it can be carried anywhere.
        copy.execute("PRAGMA journal_mode = DELETE")
    source.execute("COMMIT")


def _must_verify(copy: Path) -> BooksReport:
    report = verify_books(copy)
    if not report.ok:
        copy.unlink(missing_ok=True)
    _must_be_whole(report)
    if report.differences:
        raise CorruptionError(_NOT_WHOLE, "; ".join(report.differences))
    return report


def _must_be_whole(report: BooksReport) -> None:
    """Refuse a broken ledger; projections that differ can be computed again."""
    if report.problem is not None:
        raise CorruptionError(_NOT_WHOLE, report.problem)


def _must_be_new(target: Path) -> None:
    # A journal left beside a file that takes another's place would be played into it.
    for name in (target.name, target.name + "-wal", target.name + "-journal"):
        if target.with_name(name).exists():
            raise BooksRefused(
                Problem(
                    "file_exists",
                    "目标文件已存在，请先移走（不要删除）",
                    "the target exists already: move it away first, do not delete it",
                ),
                str(target.with_name(name)),
            )


def _emptied(partial: Path) -> Path:
    """Remove what an interrupted earlier try left behind."""
    with storage_errors():
        for suffix in ("", "-wal", "-shm", "-journal"):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)
    return partial


def _publish(partial: Path, target: Path) -> None:
    """Give a finished file its name, durably."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
