"""Opening: the right pragmas, one agent only, every older schema brought up to date, births."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.errors import BooksRefused, CorruptionError, StorageUnavailable
from edge_agent.store import database
from edge_agent.store.database import SCHEMA_VERSION, connect_reader, connect_writer, new_epoch
from edge_agent.store.projections import TABLES
from edge_agent.store.schema import MIGRATIONS, migrate
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books

OpenStore = Callable[..., StationStore]


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_every_commit_reaches_the_disk(
    tmp_path: Path, clock: Any, entropy: Any, sealer: Any
) -> None:
    def read_back(connection: sqlite3.Connection) -> tuple[Any, ...]:
        return tuple(pragma(connection, name) for name in ("journal_mode", "synchronous"))

    path = tmp_path / "books.db"
    with StationStore.open(path, clock=clock, entropy=entropy, sealer=sealer) as store:
        assert await store.writer.submit(read_back) == ("wal", 2)  # 2 is FULL


def test_pragmas_of_both_connections(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with closing(connect_writer(path)) as writer, closing(connect_reader(path)) as reader:
        assert pragma(writer, "foreign_keys") == 1
        assert pragma(writer, "secure_delete") == 1
        assert pragma(writer, "busy_timeout") == database.BUSY_TIMEOUT_MS
        assert pragma(writer, "journal_size_limit") == database.WAL_LIMIT_BYTES
        assert pragma(reader, "query_only") == 1
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("CREATE TABLE t (x)")
    with closing(connect_writer(path, durable=False)) as simulated:
        assert pragma(simulated, "synchronous") == 0


def test_books_are_readable_by_their_owner_only(open_store: OpenStore, tmp_path: Path) -> None:
    open_store()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("books.db*")}
    assert set(modes) >= {"books.db", "books.db-wal", "books.db.lock"}
    assert set(modes.values()) == {0o600}


def test_two_agents_never_share_books(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(StorageUnavailable) as caught:
        open_store()
    assert caught.value.problem.code == "agent_already_running"
    assert str(os.getpid()) in caught.value.detail
    store.close()
    open_store()


def test_a_dead_agents_lock_is_free_again(open_store: OpenStore, tmp_path: Path) -> None:
    holding = (
        "import pathlib, sys\n"
        "from edge_agent.store.database import DatabaseLock\n"
        "lock = DatabaseLock(pathlib.Path(sys.argv[1]))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(tmp_path / "books.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StorageUnavailable) as caught:
            open_store()
        assert str(other.pid) in caught.value.detail
        other.kill()
        other.wait()
    open_store()


@pytest.mark.parametrize("content", [b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_corruption_and_stays_as_it_is(
    open_store: OpenStore, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "books.db"
    path.write_bytes(content)
    with pytest.raises(CorruptionError):
        open_store()
    assert path.read_bytes() == content
    path.unlink()
    open_store()  # nothing was left locked


def test_a_folder_that_is_not_there_is_unavailable(open_store: OpenStore) -> None:
    with pytest.raises(StorageUnavailable):
        open_store("none/books.db")


def test_books_of_a_newer_program_are_refused(open_store: OpenStore, tmp_path: Path) -> None:
    open_store().close()
    with closing(sqlite3.connect(tmp_path / "books.db")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(BooksRefused) as caught:
        open_store()
    assert caught.value.problem.code == "schema_newer"


def names_of_migrations() -> list[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection)
        rows = connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
    return [name for (name,) in rows]


def schema_of(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
        ).fetchall()


def test_migrations_are_numbered_and_counted() -> None:
    names = names_of_migrations()
    assert [name[:4] for name in names] == [f"{n:04d}" for n in range(1, len(names) + 1)]
    assert len(names) == SCHEMA_VERSION
    assert MIGRATIONS.name == "books"


@pytest.mark.parametrize("version", range(SCHEMA_VERSION))
async def test_every_earlier_schema_is_brought_up_to_date(
    open_store: OpenStore, bodies: Any, tmp_path: Path, version: int
) -> None:
    """Older books open with every record they held, and the projections of these records."""
    today = open_store("today.db")
    completed = bodies.completed()
    await today.books.append([bodies.authorised(completed.fuelling_id), completed])
    await today.books.append([bodies.settled(completed), bodies.completed()])
    head, sums, unpaid = today.books.head(), today.books.sums(), today.books.unpaid()
    today.close()

    path = tmp_path / "books.db"
    with closing(connect_writer(path)) as older:
        migrate(older, stop_before=names_of_migrations()[version])
        assert pragma(older, "user_version") == version
        if version > 0:
            older.execute("ATTACH ? AS today", (str(tmp_path / "today.db"),))
            older.execute("INSERT INTO epoch SELECT * FROM today.epoch")
            older.execute("INSERT INTO ledger SELECT * FROM today.ledger ORDER BY position")
    if version > 0:
        assert verify_books(path).head == head

    store = open_store()
    if version > 0:
        assert (store.books.head(), store.books.sums(), store.books.unpaid()) == (
            head,
            sums,
            unpaid,
        )
    await store.books.append([bodies.completed()])
    store.close()
    assert verify_books(path).ok
    assert schema_of(path) == schema_of(tmp_path / "today.db")


async def test_projections_of_an_earlier_program_are_computed_again(
    open_store: OpenStore, bodies: Any, tmp_path: Path
) -> None:
    store = open_store()
    await store.books.append([bodies.completed()])
    sums = store.books.sums()
    store.close()
    with closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as connection:
        connection.execute("UPDATE projection_version SET version = 0")
        connection.execute("UPDATE standing SET fuellings = 77")
    report = verify_books(tmp_path / "books.db")
    assert report.problem is None
    assert len(report.differences) == 1
    assert open_store().books.sums() == sums
    assert verify_books(tmp_path / "books.db").ok


def test_every_projection_is_a_strict_table_with_its_key(
    open_store: OpenStore, tmp_path: Path
) -> None:
    open_store().close()
    with closing(sqlite3.connect(tmp_path / "books.db")) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE ?",
            ("%sqlite_%",),
        )
        tables: dict[str, str] = dict(rows.fetchall())
        assert all("STRICT" in statement for statement in tables.values())
        assert set(TABLES) <= set(tables)
        for table, key in TABLES.items():
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            primary = sorted((c[5], c[1]) for c in columns if c[5])
            assert ", ".join(name for _, name in primary) == key


async def test_opening_takes_no_longer_for_a_long_ledger(
    open_store: OpenStore, bodies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in steps of SQLite's machine: a million rows waiting must not delay a start."""
    steps = 0

    def counted(uri: str, *first: str) -> sqlite3.Connection:
        connection = original(uri, *first)

        def step() -> None:
            nonlocal steps
            steps += 1

        connection.set_progress_handler(step, 1)
        return connection

    original = database._connect
    monkeypatch.setattr(database, "_connect", counted)

    def steps_to_open() -> int:
        nonlocal steps
        steps = 0
        store = open_store()
        store.books.head(), store.books.acked_seq(), store.books.sales_after(0)
        found = steps
        store.close()
        return found

    store = open_store()
    await store.books.append([bodies.completed() for _ in range(10)])
    store.close()
    short = steps_to_open()
    store = open_store()
    for _ in range(10):
        batch = [bodies.completed() for _ in range(100)]
        await store.books.append(batch)
        await store.books.append([bodies.settled(completed) for completed in batch])
    store.close()
    assert steps_to_open() <= short + 50


class Wall:
    trusted = False

    def __init__(self, wall_ms: int) -> None:
        self._wall_ms = wall_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic_ms(self) -> int:
        return 0


class Chance:
    def __init__(self, token: bytes) -> None:
        self._token = token

    def token(self, bytes_count: int) -> bytes:
        assert bytes_count == len(self._token)
        return self._token

    def uniform(self) -> float:
        return 0.5


@given(
    st.integers(-(2**40), 2**50),
    st.binary(min_size=2, max_size=2),
    st.integers(0, 2**48 - 2),
)
def test_an_epoch_fits_48_bits_and_follows_the_one_before(
    wall_ms: int, token: bytes, after: int
) -> None:
    epoch = new_epoch(Wall(wall_ms), Chance(token), after=after)
    assert after < epoch < 2**48
    assert epoch > 0


async def test_births_are_told_apart(open_store: OpenStore, clock: Any) -> None:
    epochs = {open_store(f"books{n}.db").books.head().epoch for n in range(5)}
    assert len(epochs) == 5
    clock.advance(1000)
    assert open_store("later.db").books.head().epoch > max(epochs)
