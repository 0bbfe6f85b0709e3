"""Computing the projections again from the ledger alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from edge_agent.core.chain import broken
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import BODIES, RecordBody
from edge_agent.store.database import DatabaseLock, connect_writer, prepare, transaction
from edge_agent.store.ledger import read_all
from edge_agent.store.projections import (
    PROJECTED_KINDS,
    PROJECTION_VERSION,
    pass_time,
    project,
    reset,
)


def read_body(record: LedgerRecord) -> RecordBody:
    """Read a record's body as its kind says.

    Raises:
        ChainBroken: the body is none of its kind; only damage or a later version explains that.
    """
    try:
        return BODIES[record.kind].model_validate_json(record.body)
    except (KeyError, ValidationError):
        raise broken(record.epoch, record.seq, f"its body is no {record.kind}") from None


def replay(connection: sqlite3.Connection, records: Iterable[tuple[int, LedgerRecord]]) -> int:
    """Fill empty projections from records with their positions; return how many were read.

    Kinds that a later version may have written and this one does not know change nothing but the
    time that has passed.
    """
    reset(connection)
    count = 0
    for position, record in records:
        count += 1
        pass_time(connection, record.at_ms)
        if record.kind in PROJECTED_KINDS:
            project(connection, position, record.at_ms, read_body(record))
    return count


def ensure_projected(connection: sqlite3.Connection) -> None:
    """Rebuild the projections if an earlier version of this program computed them."""
    version = connection.execute("SELECT version FROM projection_version").fetchone()[0]
    if version != PROJECTION_VERSION:
        rebuild(connection)


def rebuild(connection: sqlite3.Connection) -> int:
    """Replace all projections by what the ledger says, in one transaction; return the records read.

    Raises:
        ChainBroken: a body cannot be read; nothing was changed.
        StorageUnavailable: the disk cannot be written.
    """
    with transaction(connection):
        count = replay(connection, read_all(connection))
        connection.execute("UPDATE projection_version SET version = ?", (PROJECTION_VERSION,))
    return count


def rebuild_books(path: Path) -> int:
    """Rebuild the projections of the books at `path` while no agent runs; return the records read.

    Raises:
        StorageUnavailable: an agent has the books open, or the disk cannot be written.
    """
    lock = DatabaseLock(path)
    try:
        connection = connect_writer(path)
        try:
            prepare(connection)
            return rebuild(connection)
        finally:
            connection.close()
    finally:
        lock.release()
