"""The ledger's own statements: appending sealed records, reading them, epochs, acknowledgements."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.core.chain import genesis, seal
from edge_agent.model.canonical import canonical_json_of_record
from edge_agent.model.errors import invariant
from edge_agent.model.ledger import GENESIS_HASH, EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import BODIES, RecordBody
from edge_agent.store.movements import moved_by
from edge_agent.store.projections import pass_time, project
from edge_agent.store.refusals import refuse
from edge_agent.store.rules import Moment, judge

MAX_BODY_BYTES: Final = 128 * 1024
"""A record must fit into one message to headquarters, with room for the message's own parts."""

_COLUMNS = "epoch, seq, kind, at_ms, body, prev_hash, hash"
_INSERT = f"INSERT INTO ledger (position, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_AFTER = f"SELECT {_COLUMNS} FROM ledger WHERE position > ? AND position <= ? ORDER BY position"  # noqa: S608
_LAST = "SELECT epoch, seq, hash FROM ledger ORDER BY position DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class End:
    """Where the ledger ends."""

    base: int
    """Position before the first record of the epoch."""
    head: LedgerHead
    latest_ms: int
    """Latest wall time of any record of the epoch."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A body on its way into the ledger, with its canonical JSON."""

    body: RecordBody
    text: str


def encode(bodies: Sequence[RecordBody]) -> list[Entry]:
    """Render bodies as canonical JSON.

    Raises:
        CorruptionError: a body is no record of its own but a part of one.
        SaleRefused: a body is too large to travel (`figure_out_of_range`).
    """
    entries = []
    for body in bodies:
        invariant(BODIES.get(body.kind) is type(body), f"{type(body).__name__} is no record")
        text = canonical_json_of_record(body.model_dump())
        if len(text) > MAX_BODY_BYTES:
            raise refuse("figure_out_of_range", f"{body.kind} of {len(text)} bytes")
        entries.append(Entry(body, text.decode()))
    return entries


def post(
    connection: sqlite3.Connection, end: End, at_ms: int, entries: Sequence[Entry]
) -> tuple[LedgerRecord, ...]:
    """Judge, seal, write and project records, within the caller's write transaction.

    `end` is where the ledger ends now; the tables refuse a record that does not continue it.

    Raises:
        SaleRefused: a rule forbids one of them; the caller's transaction must not commit.
    """
    moved = moved_by([entry.body for entry in entries])
    head = end.head
    now_ms = max(at_ms, end.latest_ms)
    pass_time(connection, at_ms)
    records = []
    for entry, own in zip(entries, moved, strict=True):
        judge(connection, entry.body, Moment(now_ms, own))
        record = seal(head.epoch, head.seq + 1, entry.body.kind, at_ms, entry.text, head.hash)
        position = end.base + record.seq
        try:
            connection.execute(_INSERT, (position, *_values(record)))
            project(connection, position, at_ms, entry.body)
        except OverflowError:
            # SQLite counts to 2^63; no dispenser and no till does.
            raise refuse("figure_out_of_range", entry.body.kind) from None
        head = LedgerHead(head.epoch, record.seq, record.hash)
        records.append(record)
    return tuple(records)


def read_head(connection: sqlite3.Connection, epoch: int) -> LedgerHead:
    """Return the end of the chain of the last epoch."""
    found = connection.execute(_LAST).fetchone()
    if found is None or found[0] != epoch:
        return genesis(epoch)
    return LedgerHead(*found)


def read_latest_ms(connection: sqlite3.Connection) -> int:
    """Return the latest wall time of any record of the last epoch; 0 before the first."""
    return int(connection.execute("SELECT latest_ms FROM standing").fetchone()[0])


def read_after(
    connection: sqlite3.Connection, standing: EpochStanding, seq: int, limit: int
) -> list[LedgerRecord]:
    """Return up to `limit` records of an epoch that follow `seq`, in order."""
    first = standing.base + max(seq, 0)
    last = min(first + max(limit, 0), standing.base + standing.last_seq)
    return [LedgerRecord(*row) for row in connection.execute(_AFTER, (first, last))]


def read_hash(connection: sqlite3.Connection, standing: EpochStanding, seq: int) -> str | None:
    """Return the hash of a record of an epoch; the genesis hash for 0; None if unknown."""
    if seq == 0:
        return GENESIS_HASH
    if not 0 < seq <= standing.last_seq:
        return None
    position = standing.base + seq
    found = connection.execute("SELECT hash FROM ledger WHERE position = ?", (position,)).fetchone()
    return None if found is None else str(found[0])


def read_all(connection: sqlite3.Connection) -> Iterator[tuple[int, LedgerRecord]]:
    """Yield every record of every epoch with its position, in order."""
    rows = connection.execute(f"SELECT position, {_COLUMNS} FROM ledger ORDER BY position")  # noqa: S608
    for position, *values in rows:
        yield position, LedgerRecord(*values)


def read_last(connection: sqlite3.Connection, count: int) -> list[LedgerRecord]:
    """Return the last records of whatever epoch, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM ledger ORDER BY position DESC LIMIT ?",  # noqa: S608
        (max(count, 0),),
    )
    return [LedgerRecord(*row) for row in rows][::-1]


def read_epochs(connection: sqlite3.Connection) -> list[EpochStanding]:
    """Return every epoch of these books, the present one last. Touches a handful of pages."""
    rows = connection.execute("SELECT epoch, base, acked_seq FROM epoch ORDER BY number").fetchall()
    end = connection.execute("SELECT coalesce(max(position), 0) FROM ledger").fetchone()[0]
    # An epoch ends where the next one begins, the last one at the end of the ledger.
    ends = [*(base for _, base, _ in rows), end][1:]
    return [
        EpochStanding(epoch, base, last - base, acked)
        for (epoch, base, acked), last in zip(rows, ends, strict=True)
    ]


def open_epoch(connection: sqlite3.Connection, epoch: int, born_ms: int) -> EpochStanding:
    """Begin an epoch after all records there are, within the caller's write transaction."""
    connection.execute(
        "INSERT INTO epoch (epoch, base, born_ms)"
        " VALUES (?, (SELECT coalesce(max(position), 0) FROM ledger), ?)",
        (epoch, born_ms),
    )
    return read_epochs(connection)[-1]


def move_acked(connection: sqlite3.Connection, epoch: int, up_to_seq: int) -> None:
    """Note what HQ has committed of an epoch, within the caller's transaction; never goes back.

    Raises:
        CorruptionError: the epoch is none of this file's, or the record does not exist.
    """
    standing = next((s for s in read_epochs(connection) if s.epoch == epoch), None)
    if standing is None or up_to_seq > standing.last_seq:
        invariant(False, f"acknowledged beyond the books: epoch {epoch} seq {up_to_seq}")
    connection.execute(
        "UPDATE epoch SET acked_seq = ? WHERE epoch = ? AND acked_seq < ?",
        (up_to_seq, epoch, up_to_seq),
    )


def _values(record: LedgerRecord) -> tuple[int, int, str, int, str, str, str]:
    return (
        record.epoch,
        record.seq,
        record.kind,
        record.at_ms,
        record.body,
        record.prev_hash,
        record.hash,
    )
