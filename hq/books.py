"""Headquarters' books in SQLite: what stations sent, where each stream stands, what was found.

Every method runs inside `transaction`, which is durable when it returns (WAL, synchronous FULL);
only then may anything be acknowledged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.model.canonical import canonical_json, sha256_hex
from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.ledger import GENESIS_HASH, LedgerHead
from edge_agent.model.wire import Birth, Telemetry
from hq.intake import Finding, NewRow

SCHEMA_VERSION = 2
"""1 (never written down) knew grants that only grew, and no holdings."""
CHECKPOINT_PAGES = 4000
"""16 MiB of log between checkpoints, each of which waits for the disk twice."""
PARKED_ROWS = 1000
PARKED_BYTES = 64 * 1024
"""Most refused messages that are kept, and most bytes of each."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One epoch of one station's ledger as headquarters holds it."""

    id: int
    station: str
    head: LedgerHead
    forked: bool


class HqBooks:
    """One connection, used by one thread.

    Raises:
        ConfigRefused: the file was made by another version.
    """

    def __init__(self, path: Path | str) -> None:
        # Autocommit mode: transactions begin and end where `transaction` says, nowhere else.
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self.connection.execute(f"PRAGMA {pragma}")
        self.connection.execute("PRAGMA busy_timeout=10000")
        self.connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        self._make_tables()
        self._streams: dict[tuple[str, int], Stream] = {}

    def _make_tables(self) -> None:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and version != SCHEMA_VERSION:
            self.connection.close()
            raise ConfigRefused(
                Problem(
                    "hq_books_version",
                    "总部数据库版本不符，请用本版本重新建立并导入",
                    "these books were made by another version; begin new ones and import again",
                ),
                f"version {version}, this is {SCHEMA_VERSION}",
            )
        for name in ("schema.sql", "holdings.sql"):
            script = Path(__file__).with_name(name).read_text(encoding="utf-8")
            self.connection.executescript(script)
        self.connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do everything within or nothing; durable at the end."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._streams.clear()
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextmanager
    def part(self) -> Iterator[None]:
        """Do everything within or nothing, inside a transaction that goes on either way."""
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._streams.clear()
            self.connection.execute("ROLLBACK TO part")
            raise
        finally:
            self.connection.execute("RELEASE part")

    # --- streams and rows ------------------------------------------------------------------------

    def stream(self, station: str, epoch: int) -> Stream:
        """Return a station's stream, made when it is met for the first time."""
        known = self._streams.get((station, epoch))
        if known is not None:
            return known
        self.connection.execute(
            "INSERT OR IGNORE INTO stream (station, epoch, head_hash) VALUES (?, ?, ?)",
            (station, epoch, GENESIS_HASH),
        )
        row = self.connection.execute(
            "SELECT id, up_to_seq, head_hash, forked FROM stream WHERE station = ? AND epoch = ?",
            (station, epoch),
        ).fetchone()
        stream = Stream(row[0], station, LedgerHead(epoch, row[1], row[2]), bool(row[3]))
        self._streams[station, epoch] = stream
        return stream

    def hashes(self, stream: Stream, first: int, last: int) -> list[str]:
        """Return the hashes of the rows held from `first` (0 is genesis) to `last`."""
        found = [GENESIS_HASH] if first == 0 else []
        rows = self.connection.execute(
            "SELECT hash FROM ledger WHERE stream = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (stream.id, first, last),
        )
        return found + [row[0] for row in rows]

    def add_rows(
        self, stream: Stream, rows: Sequence[NewRow], head: LedgerHead, now_ms: int
    ) -> Stream:
        """Append rows that continue the stream; return where it stands then."""
        self.connection.executemany(
            "INSERT INTO ledger (stream, seq, kind, at_ms, body, hash, received_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(stream.id, *row, now_ms) for row in rows],
        )
        self.connection.execute(
            "UPDATE stream SET up_to_seq = ?, head_hash = ? WHERE id = ?",
            (head.seq, head.hash, stream.id),
        )
        moved = Stream(stream.id, stream.station, head, stream.forked)
        self._streams[stream.station, head.epoch] = moved
        return moved

    def mark_forked(self, stream: Stream) -> Stream:
        """Note that this stream contradicts itself; only a person clears that."""
        self.connection.execute("UPDATE stream SET forked = 1 WHERE id = ?", (stream.id,))
        marked = Stream(stream.id, stream.station, stream.head, True)
        self._streams[stream.station, stream.head.epoch] = marked
        return marked

    # --- stations --------------------------------------------------------------------------------

    def station_seen(self, birth: Birth, now_ms: int) -> None:
        """Note that a station came up."""
        self.connection.execute(
            "INSERT INTO station (station, online, seen_ms, boot_id, version, clock_off_ms)"
            " VALUES (?1, 1, ?2, ?3, ?4, ?5) ON CONFLICT (station) DO UPDATE SET"
            " online = 1, seen_ms = ?2, boot_id = ?3, version = ?4, clock_off_ms = ?5",
            (birth.station, now_ms, birth.boot_id, birth.version, birth.sent_ms - now_ms),
        )

    def station_gone(self, station: str, boot_id: str, now_ms: int) -> None:
        """Note that a start of a station ended; a late word of an earlier start says nothing."""
        self.connection.execute(
            "UPDATE station SET online = 0, seen_ms = ? WHERE station = ? AND boot_id = ?",
            (now_ms, station, boot_id),
        )

    def stations_online(self) -> list[str]:
        """Return the stations that came up and did not leave."""
        rows = self.connection.execute(
            "SELECT station FROM station WHERE online = 1 ORDER BY station"
        ).fetchall()
        return [station for (station,) in rows]

    def note_figures(self, telemetry: Telemetry, now_ms: int) -> None:
        """Keep the latest figures of a station that is known."""
        figures = canonical_json(telemetry.figures).decode()
        self.connection.execute(
            "UPDATE station SET figures = ?, seen_ms = ? WHERE station = ?",
            (figures, now_ms, telemetry.station),
        )

    def other_epochs(self, station: str, epoch: int) -> int:
        """Return how many other epochs of this station have rows here."""
        row = self.connection.execute(
            "SELECT count(*) FROM stream WHERE station = ? AND epoch <> ? AND up_to_seq > 0",
            (station, epoch),
        ).fetchone()
        return int(row[0])

    def number(self, name: str, at_least: int) -> int:
        """Return a number that was never given out before under this name.

        Never below `at_least`, the clock in milliseconds: so none is repeated by books that came
        back from a backup.
        """
        row = self.connection.execute(
            "INSERT INTO numbering (name, last) VALUES (?1, ?2) ON CONFLICT (name)"
            " DO UPDATE SET last = max(last + 1, ?2) RETURNING last",
            (name, at_least),
        ).fetchone()
        return int(row[0])

    def add(self, station: str, **amounts: int) -> None:
        """Add to the sums of a station, by column."""
        self.connection.execute("INSERT OR IGNORE INTO sums (station) VALUES (?)", (station,))
        changes = ", ".join(f"{name} = {name} + ?" for name in amounts)
        self.connection.execute(
            f"UPDATE sums SET {changes} WHERE station = ?",  # noqa: S608 -- our own column names
            (*amounts.values(), station),
        )

    # --- findings --------------------------------------------------------------------------------

    def raise_alarm(self, station: str, epoch: int, finding: Finding, now_ms: int) -> None:
        """Record a finding; the same one again only counts."""
        self.connection.execute(
            "INSERT INTO alarm (station, epoch, seq, code, detail, first_ms, last_ms)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (station, epoch, seq, code)"
            " DO UPDATE SET last_ms = ?6, times = times + 1",
            (station, epoch, finding.seq, finding.code, finding.detail, now_ms),
        )

    def park(self, topic: str, reason: str, payload: bytes, now_ms: int) -> None:
        """Keep what was refused, bounded."""
        self.connection.execute(
            "INSERT INTO parked (at_ms, topic, reason, sha256, size_bytes, payload)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                now_ms,
                topic[:200],
                reason,
                sha256_hex(payload),
                len(payload),
                payload[:PARKED_BYTES],
            ),
        )
        self.connection.execute(
            "DELETE FROM parked WHERE id <= (SELECT max(id) FROM parked) - ?", (PARKED_ROWS,)
        )
