"""A backup is one whole moment of the books; a restore continues them under a new epoch."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model.catalogues import LeaseEntry, MemberEntry
from edge_agent.model.errors import BooksRefused, CorruptionError, StorageUnavailable
from edge_agent.model.ids import MemberRef
from edge_agent.model.records import EpochOpened
from edge_agent.store import backup as backup_module
from edge_agent.store.backup import backup_books, restore_books
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books
from tests.store.conftest import FAR_MS

OpenStore = Callable[..., StationStore]


def names(folder: Path, prefix: str) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{prefix}*"))


async def sell(store: StationStore, bodies: Any) -> None:
    completed = bodies.completed()
    await store.books.append([completed])
    await store.books.append([bodies.settled(completed)])


async def test_backup_is_whole_and_one_file(
    store: StationStore, bodies: Any, tmp_path: Path
) -> None:
    await sell(store, bodies)
    target = tmp_path / "copy.db"
    report = backup_books(tmp_path / "books.db", target)
    assert report.head == store.books.head()
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path, "copy.db") == ["copy.db"]


async def test_backup_neither_waits_for_the_writer_nor_starts_over(
    store: StationStore, bodies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "STEP_PAGES", 2)
    await store.books.append([bodies.completed() for _ in range(200)])
    head = store.books.head()
    loop = asyncio.get_running_loop()
    left: list[int] = []

    def progress(remaining: int, _total: int) -> None:
        # A sale between every two steps, each of them committed before the copy goes on.
        left.append(remaining)
        asyncio.run_coroutine_threadsafe(sell(store, bodies), loop).result(timeout=20)

    report = await asyncio.to_thread(
        backup_books, tmp_path / "books.db", tmp_path / "copy.db", progress=progress
    )
    assert len(left) > 10
    assert left == sorted(left, reverse=True)
    assert report.head == head
    assert store.books.head().seq == 200 + 2 * len(left)


async def test_backup_never_overwrites(store: StationStore, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_bytes(b"yesterday's")
    with pytest.raises(BooksRefused):
        backup_books(tmp_path / "books.db", target)
    assert target.read_bytes() == b"yesterday's"


async def test_backup_of_damaged_books_is_not_kept(
    open_store: OpenStore, bodies: Any, tmp_path: Path
) -> None:
    store = open_store()
    await sell(store, bodies)
    store.close()
    with closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER ledger_no_update")
        connection.execute("UPDATE ledger SET at_ms = 1 WHERE seq = 1")
    with pytest.raises(CorruptionError):
        backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    assert names(tmp_path, "copy.db") == []


async def test_restore_continues_under_a_new_epoch(
    open_store: OpenStore, bodies: Any, clock: Any, entropy: Any, tmp_path: Path
) -> None:
    store = open_store()
    await sell(store, bodies)
    old = store.books.head()
    await store.books.move_acked(old.epoch, 1)
    sums = store.books.sums()
    backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    await sell(store, bodies)  # lost with the disk
    store.close()

    clock.advance(-500_000_000_000)  # a PC that boots with a clock of years ago
    head = restore_books(tmp_path / "copy.db", tmp_path / "new.db", clock=clock, entropy=entropy)
    assert head.epoch > old.epoch
    assert head.seq == 1
    report = verify_books(tmp_path / "new.db")
    assert (report.ok, report.epochs, report.head) == (True, 2, head)

    again = open_store("new.db")
    assert (again.books.head(), again.books.acked_seq()) == (head, 0)
    assert again.books.sums() == sums
    (first,) = again.books.records_after(0, 10)
    assert EpochOpened.model_validate_json(first.body) == EpochOpened(
        reason="restore",
        previous_epoch=old.epoch,
        previous_seq=old.seq,
        previous_hash=old.hash,
    )
    earlier, present = again.books.epochs()
    assert (earlier.epoch, earlier.last_seq, earlier.acked_seq) == (old.epoch, 2, 1)
    assert (present.epoch, present.last_seq) == (head.epoch, 1)
    # What HQ had not acknowledged of the old epoch can still be sent, and acknowledged.
    (unsent,) = again.books.records_of(earlier, earlier.acked_seq, 10)
    assert (unsent.epoch, unsent.seq, unsent.hash) == (old.epoch, old.seq, old.hash)
    await again.books.move_acked(old.epoch, old.seq)
    assert again.books.epochs()[0].acked_seq == 2
    assert again.books.acked_seq() == 0
    await sell(again, bodies)
    assert again.books.head().seq == 3
    assert verify_books(tmp_path / "new.db").ok


async def test_restored_restores_keep_every_epoch(
    open_store: OpenStore, bodies: Any, clock: Any, entropy: Any, tmp_path: Path
) -> None:
    store = open_store()
    await sell(store, bodies)
    store.close()
    for turn in range(3):
        source = tmp_path / ("books.db" if turn == 0 else f"life{turn - 1}.db")
        backup_books(source, tmp_path / f"copy{turn}.db")
        restore_books(
            tmp_path / f"copy{turn}.db",
            tmp_path / f"life{turn}.db",
            clock=clock,
            entropy=entropy,
        )
    report = verify_books(tmp_path / "life2.db")
    assert (report.ok, report.epochs) == (True, 4)
    epochs = [standing.epoch for standing in open_store("life2.db").books.epochs()]
    assert epochs == sorted(set(epochs))


async def test_books_without_a_record_can_be_restored(
    open_store: OpenStore, clock: Any, entropy: Any, tmp_path: Path
) -> None:
    open_store().close()
    backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    restore_books(tmp_path / "copy.db", tmp_path / "new.db", clock=clock, entropy=entropy)
    assert verify_books(tmp_path / "new.db").ok


async def test_a_restore_ends_every_lease_and_asks_for_new_ones(
    open_store: OpenStore, bodies: Any, clock: Any, entropy: Any, tmp_path: Path
) -> None:
    """What was spent after the backup is known to headquarters alone."""

    def lease(lease_id: str) -> LeaseEntry:
        return LeaseEntry(
            lease_id=lease_id, asset="balance", holder="A", amount=10_000, expires_ms=FAR_MS
        )

    member = MemberEntry(
        ref="M", tier="gold", masked_name="王**", account="A", plate_pay=True, indexes={}
    )
    store = open_store()
    await store.catalogues.accept_members(4, 9, [member], replaced=True, sha256="0" * 64)
    await store.catalogues.accept_leases(5, 9, [lease("L1")], [], sha256="0" * 64)
    completed = bodies.completed()
    sale = bodies.settled(completed, [bodies.stored_value("A", completed.amount_fen)])
    moved = [bodies.drawn(sale, "A", completed.amount_fen, lease_id="L1")]
    await store.books.append([completed, sale, *moved])
    backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    store.close()
    restore_books(tmp_path / "copy.db", tmp_path / "new.db", clock=clock, entropy=entropy)
    again = open_store("new.db")
    assert again.books.open_leases() == []
    assert again.catalogues.member(MemberRef("M")) is not None
    assert again.catalogues.versions() == {"leases": 0, "members": 4}
    # A sale of before can be refunded: headquarters credits what goes back to a lease that is over.
    await again.books.append([bodies.refunded(sale), *bodies.given_back(moved)])
    # A late catalogue of the old life opens nothing again.
    await again.catalogues.accept_leases(6, 10, [lease("L1"), lease("L2")], [], sha256="0" * 64)
    assert [each.terms.lease_id for each in again.books.open_leases()] == ["L2"]
    assert verify_books(tmp_path / "new.db").ok


@pytest.mark.parametrize("left", ["new.db", "new.db-wal", "new.db-journal"])
async def test_restore_never_takes_the_place_of_other_books(
    open_store: OpenStore, clock: Any, entropy: Any, tmp_path: Path, left: str
) -> None:
    open_store().close()
    backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    (tmp_path / left).write_bytes(b"")
    with pytest.raises(BooksRefused):
        restore_books(tmp_path / "copy.db", tmp_path / "new.db", clock=clock, entropy=entropy)


async def test_restore_of_a_damaged_backup_makes_nothing(
    open_store: OpenStore, bodies: Any, clock: Any, entropy: Any, tmp_path: Path
) -> None:
    store = open_store()
    await sell(store, bodies)
    store.close()
    backup_books(tmp_path / "books.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER ledger_no_update")
        connection.execute("UPDATE ledger SET body = '{}' WHERE seq = 1")
    with pytest.raises(CorruptionError) as caught:
        restore_books(tmp_path / "copy.db", tmp_path / "new.db", clock=clock, entropy=entropy)
    assert "seq 1" in caught.value.detail
    assert not (tmp_path / "new.db").exists()
    with pytest.raises(StorageUnavailable):
        restore_books(tmp_path / "none.db", tmp_path / "new.db", clock=clock, entropy=entropy)
