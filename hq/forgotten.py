"""What a station spent and no longer knows of, after its database came from a backup or is new.

A station knows the rows of its present epoch and of those that it descends from, each up to the
record from which it was continued. Whatever else headquarters holds of it, the station forgot.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from pydantic import ValidationError

from edge_agent.model.records import EpochOpened, StoredValueMoved

_SPENT = (
    "SELECT body ->> '$.account_ref', body ->> '$.delta_fen' FROM ledger"
    " WHERE stream = ? AND seq <= ? AND kind = ? AND json_valid(body)"
)
MOST_EPOCHS = 1000


def forgotten(database: sqlite3.Connection, station: str, epoch: int) -> dict[str, int]:
    """Return by account the fen that a station in this epoch has spent without knowing it."""
    spent: Counter[str] = Counter()
    for stream, up_to_seq in database.execute(
        "SELECT id, up_to_seq FROM stream WHERE station = ?", (station,)
    ).fetchall():
        spent.update(_spent(database, stream, up_to_seq))
    known: Counter[str] = Counter()
    place: tuple[int, int] | None = (epoch, 2**62)
    for _ in range(MOST_EPOCHS):
        if place is None:
            break
        stream, first = _stream(database, station, place[0])
        known.update(_spent(database, stream, place[1]))
        place = _continued(first)
    return {account: fen - known[account] for account, fen in spent.items()}


def _stream(database: sqlite3.Connection, station: str, epoch: int) -> tuple[int, str | None]:
    row = database.execute(
        "SELECT s.id, l.body FROM stream s LEFT JOIN ledger l ON l.stream = s.id AND l.seq = 1"
        " AND l.kind = ? WHERE s.station = ? AND s.epoch = ?",
        (EpochOpened.kind, station, epoch),
    ).fetchone()
    return (row[0], row[1]) if row else (-1, None)


def _continued(first: str | None) -> tuple[int, int] | None:
    """Return the epoch that the first record of another says it continues, and up to where."""
    if first is None:
        return None
    try:
        opened = EpochOpened.model_validate_json(first)
    except ValidationError:
        return None
    return opened.previous_epoch, opened.previous_seq


def _spent(database: sqlite3.Connection, stream: int, up_to_seq: int) -> Counter[str]:
    spent: Counter[str] = Counter()
    for account, delta_fen in database.execute(_SPENT, (stream, up_to_seq, StoredValueMoved.kind)):
        if isinstance(account, str) and isinstance(delta_fen, int):
            spent[account] -= delta_fen
    return spent
