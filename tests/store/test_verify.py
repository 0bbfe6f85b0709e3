"""Verification must name the first record that anybody touched, and projections that differ."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.core.chain import seal
from edge_agent.model.errors import StorageUnavailable
from edge_agent.store.backup import backup_books, restore_books
from edge_agent.store.rebuild import rebuild_books
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books

OpenStore = Callable[..., StationStore]
Books = tuple[Path, StationStore]


@pytest.fixture
async def books(open_store: OpenStore, bodies: Any, tmp_path: Path) -> Books:
    """Closed books with a few sales in them."""
    store = open_store()
    for _ in range(4):
        completed = bodies.completed()
        await store.books.append([bodies.authorised(completed.fuelling_id)])
        await store.books.append([completed])
        await store.books.append([bodies.settled(completed)])
    await store.books.append([bodies.taken(bodies.terms("A", 100))])
    store.close()
    return tmp_path / "books.db", store


@contextmanager
def forging(path: Path) -> Iterator[sqlite3.Connection]:
    """Write into the books as somebody could who holds the disk in his hands."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, statement in triggers:
            connection.execute(statement)


async def test_whole_books_verify(books: Books) -> None:
    report = verify_books(books[0])
    assert report.ok
    assert (report.records, report.epochs, report.first_bad) == (13, 1, None)
    assert report.head == books[1].books.head()


async def test_open_books_verify_while_they_are_written(
    store: StationStore, bodies: Any, tmp_path: Path
) -> None:
    await store.books.append([bodies.completed()])
    report = verify_books(tmp_path / "books.db")
    assert (report.ok, report.records) == (True, 1)


def test_absent_books_are_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        verify_books(tmp_path / "none.db")


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_without_books_is_no_books(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "books.db"
    path.write_bytes(content)
    assert not verify_books(path).ok


@pytest.mark.parametrize("column", ["epoch", "seq", "kind", "at_ms", "body", "prev_hash", "hash"])
async def test_an_altered_column_names_its_record(books: Books, column: str) -> None:
    path, _ = books
    with forging(path) as connection:
        old = connection.execute(f"SELECT {column} FROM ledger WHERE seq = 7").fetchone()[0]
        new = old + 1 if isinstance(old, int) else old[:-1] + ("0" if old[-1] != "0" else "1")
        connection.execute(f"UPDATE ledger SET {column} = ? WHERE position = 7", (new,))
    report = verify_books(path)
    assert not report.ok
    assert report.first_bad is not None
    assert report.first_bad[1] == 7
    assert report.records == 6


async def test_any_mutated_byte_of_a_record_names_it(books: Books) -> None:
    path, store = books
    whole = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT seq, hash, body FROM ledger").fetchall()
    chance = random.Random(12)
    for _ in range(60):
        seq, seal_text, body = chance.choice(rows)
        text: bytes = chance.choice([seal_text, body]).encode()
        # The first place where it stands is its own row: the next row repeats only the hash.
        places = [at for at in range(len(whole)) if whole.startswith(text, at)]
        at = chance.choice(places) + chance.randrange(len(text))
        damaged = bytearray(whole)
        damaged[at] ^= chance.randrange(1, 256)
        path.write_bytes(damaged)
        report = verify_books(path)
        assert not report.ok
        assert report.first_bad is not None
        assert report.first_bad[0] == store.books.head().epoch
        assert report.first_bad[1] in {seq, seq + 1}
    path.write_bytes(whole)
    assert verify_books(path).ok


async def test_a_flipped_byte_anywhere_is_never_taken_for_other_books(books: Books) -> None:
    """Whatever single byte flips, the books verify as what they were, or not at all."""
    path, store = books
    whole = path.read_bytes()
    head = store.books.head()
    chance = random.Random(7)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= chance.randrange(1, 256)
        path.write_bytes(damaged)
        try:
            report = verify_books(path)
        except StorageUnavailable:
            continue
        assert not report.ok or (report.head, report.records) == (head, 13)


async def test_a_missing_middle_is_named(books: Books) -> None:
    with forging(books[0]) as connection:
        connection.execute("DELETE FROM ledger WHERE seq = 5")
    report = verify_books(books[0])
    assert report.first_bad is not None
    assert report.first_bad[1] == 5


async def test_a_cut_tail_shows_once_headquarters_had_it(
    open_store: OpenStore, bodies: Any, tmp_path: Path
) -> None:
    store = open_store()
    await store.books.append([bodies.authorised() for _ in range(5)])
    await store.books.move_acked(store.books.head().epoch, 5)
    store.close()
    path = tmp_path / "books.db"
    with forging(path) as connection:
        connection.execute("DELETE FROM ledger WHERE seq > 3")
    report = verify_books(path)
    assert report.first_bad is not None
    assert report.first_bad[1] == 4


async def test_a_chain_forged_whole_still_contradicts_itself(
    open_store: OpenStore, bodies: Any, tmp_path: Path
) -> None:
    """Who computes every hash again must also tell a story that holds together."""
    store = open_store()
    await store.books.append([bodies.completed("F1")])
    (record,) = await store.books.append([bodies.completed("F2")])
    store.close()
    path = tmp_path / "books.db"
    body = record.body.replace('"F2"', '"F1"')
    forged = seal(record.epoch, 2, record.kind, record.at_ms, body, record.prev_hash)
    with forging(path) as connection:
        connection.execute(
            "UPDATE ledger SET body = ?, hash = ? WHERE seq = 2", (body, forged.hash)
        )
    report = verify_books(path)
    assert report.first_bad == (record.epoch, 2)
    assert "F1" in (report.problem or "")


@pytest.mark.parametrize("change", ["another end", "no joint at all"])
async def test_an_epoch_must_name_the_end_of_the_one_before(
    open_store: OpenStore, bodies: Any, clock: Any, entropy: Any, tmp_path: Path, change: str
) -> None:
    """Otherwise an earlier epoch could be replaced as a whole."""
    store = open_store()
    (old,) = await store.books.append([bodies.completed()])
    store.close()
    backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    path = tmp_path / "new.db"
    head = restore_books(tmp_path / "copy.db", path, clock=clock, entropy=entropy)
    again = open_store("new.db")
    (joint,) = again.books.records_after(0, 1)
    again.close()
    kind, body = joint.kind, joint.body.replace(old.hash, "f" * 64)
    if change == "no joint at all":
        kind, body = "station.stopped", '{"boot_id":"b"}'
    forged = seal(head.epoch, 1, kind, joint.at_ms, body, joint.prev_hash)
    with forging(path) as connection:
        connection.execute(
            "UPDATE ledger SET kind = ?, body = ?, hash = ? WHERE position = 2",
            (kind, body, forged.hash),
        )
    report = verify_books(path)
    assert report.first_bad == (head.epoch, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE standing SET payable_fen = payable_fen + 1",
        "UPDATE fuelling SET state = 'payable' WHERE completed = 2",
        "DELETE FROM sale WHERE ordinal = 2",
        "INSERT INTO idempotency VALUES ('zzz', 1, 'F')",
        "INSERT INTO totaliser VALUES (9, 9, 9, 9)",
        "UPDATE lease SET spent = 5 WHERE lease_id = 'L-A'",
        "UPDATE lease SET state = 'closed'",
        "INSERT INTO usage VALUES ('member:M', 1, 1, 1, 1)",
        "INSERT INTO odometer VALUES ('M', 1)",
        "INSERT INTO member_code VALUES ('n', 1)",
        "INSERT INTO applied_price VALUES (1, 1)",
        "UPDATE standing SET stop_all = 1",
    ],
)
async def test_projections_that_differ_are_shown_and_a_rebuild_mends_them(
    books: Books, statement: str, open_store: OpenStore
) -> None:
    path, _ = books
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount == 1
    report = verify_books(path)
    assert report.problem is None
    assert len(report.differences) == 1
    assert rebuild_books(path) == 13
    assert verify_books(path).ok
    assert open_store().books.sums().sales == 4


async def test_rebuild_needs_the_books_to_itself(
    store: StationStore, tmp_path: Path, bodies: Any
) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        rebuild_books(tmp_path / "books.db")
    assert caught.value.problem.code == "agent_already_running"
