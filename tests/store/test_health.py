"""A disk that refuses: appends fail cleanly, health says so, and both recover by themselves."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model.errors import StorageUnavailable
from edge_agent.store import writer as writer_module
from edge_agent.store.health import PROBE_INTERVAL_MS, Ballast
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books

OpenStore = Callable[..., StationStore]
CHILD = Path(__file__).with_name("small_disk.py")


async def limit_pages(store: StationStore, spare: int) -> None:
    """Let the file grow by so many pages only: SQLite then meets its own "disk full"."""

    def job(connection: sqlite3.Connection) -> None:
        count = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {count + spare}")

    await store.writer.submit(job)


async def settled_writer(store: StationStore) -> None:
    """Wait until the jobs that were posted have run."""
    await store.writer.submit(lambda connection: None)


async def append_until_full(store: StationStore, bodies: Any) -> int:
    while store.books.storage_healthy():
        with suppress(StorageUnavailable):
            await store.books.append([bodies.completed()])
    with pytest.raises(StorageUnavailable) as caught:
        await store.books.append([bodies.completed()])
    assert caught.value.problem.code == "storage_full"
    assert "磁盘" in caught.value.problem.text_zh
    return store.books.sums().fuellings


@pytest.mark.parametrize("inline", [False, True])
async def test_full_disk_is_told_and_recovers_by_itself(
    open_store: OpenStore, bodies: Any, clock: Any, tmp_path: Path, inline: bool
) -> None:
    store = open_store(inline=inline)
    assert store.books.storage_healthy()
    await limit_pages(store, 4)
    written = await append_until_full(store, bodies)
    head, sums = store.books.head(), store.books.sums()
    assert head.seq == written == sums.fuellings
    assert not store.books.storage_healthy()

    # Still full: probes fail, and asking often does not probe often.
    for _ in range(3):
        clock.advance(PROBE_INTERVAL_MS)
        assert not store.books.storage_healthy()
        await settled_writer(store)
        assert not store.books.storage_healthy()
    with pytest.raises(StorageUnavailable):
        await store.books.append([bodies.completed()])
    assert (store.books.head(), store.books.sums()) == (head, sums)
    assert verify_books(tmp_path / "books.db").ok

    await limit_pages(store, 1000)
    assert not store.books.storage_healthy()
    clock.advance(PROBE_INTERVAL_MS)
    store.books.storage_healthy()
    await settled_writer(store)
    assert store.books.storage_healthy()
    await store.books.append([bodies.completed()])
    assert store.books.head().seq == written + 1


async def test_ballast_lets_running_fuellings_end(
    open_store: OpenStore, bodies: Any, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(ballast_bytes=64 * 1024)
    ballast = tmp_path / "books.db.ballast"
    assert ballast.stat().st_size == 64 * 1024
    await limit_pages(store, 4)
    give_up = Ballast.give_up

    def frees_pages(self: Ballast) -> bool:
        # What the file gave back, SQLite may use: as a disk would.
        connection: sqlite3.Connection = store.writer._connection
        connection.execute("ROLLBACK") if connection.in_transaction else None
        connection.execute("PRAGMA max_page_count = 1000000")
        return give_up(self)

    monkeypatch.setattr(Ballast, "give_up", frees_pages)
    for _ in range(100):
        await store.books.append([bodies.completed()])
        if not ballast.exists():
            break
    assert not ballast.exists()
    # The append that met the full disk went through, but nothing new may be authorised.
    assert not store.books.storage_healthy()
    await store.books.append([bodies.completed()])
    assert not store.books.storage_healthy()
    clock.advance(PROBE_INTERVAL_MS)
    store.books.storage_healthy()
    await settled_writer(store)
    assert store.books.storage_healthy()
    assert ballast.stat().st_size == 64 * 1024
    assert verify_books(tmp_path / "books.db").ok


async def test_no_room_for_the_ballast_is_a_bad_disk_from_the_start(
    open_store: OpenStore, clock: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        store = open_store(ballast_bytes=4096)
        assert not store.books.storage_healthy()
        await settled_writer(store)
        assert not store.books.storage_healthy()
        assert not (tmp_path / "books.db.ballast").exists()
    clock.advance(PROBE_INTERVAL_MS)
    store.books.storage_healthy()
    await settled_writer(store)
    assert store.books.storage_healthy()


def test_a_file_that_may_not_grow(tmp_path: Path, bodies: Any) -> None:
    """The kernel refuses the write itself, in a child whose files may not grow."""
    lines = [bodies.completed().model_dump_json() for _ in range(500)]
    (tmp_path / "completed.jsonl").write_text("\n".join(lines), encoding="utf-8")
    outcome = json.loads(
        subprocess.run(
            [sys.executable, CHILD, tmp_path / "books.db", tmp_path / "completed.jsonl"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    assert outcome["code"].startswith("storage_")
    assert 0 < outcome["written"] < len(lines) - 1
    assert outcome["healthy"] == [False, False, True]
    report = verify_books(tmp_path / "books.db")
    assert report.ok
    assert report.records == outcome["written"] + 1


async def test_a_disk_that_hangs_refuses_more_work(
    open_store: OpenStore, bodies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_JOBS", 0)
    with pytest.raises(StorageUnavailable) as caught:
        await open_store().books.append([bodies.completed()])
    assert caught.value.problem.code == "storage_overloaded"


@pytest.mark.parametrize("inline", [False, True])
async def test_the_writer_ticks_with_jobs_and_with_beats(
    open_store: OpenStore, clock: Any, inline: bool
) -> None:
    store = open_store(inline=inline)
    clock.advance(5000)
    assert store.writer.ticked_ms == 0
    await settled_writer(store)
    assert store.writer.ticked_ms == 5000
    clock.advance(1000)
    store.writer.beat()
    await settled_writer(store)
    assert store.writer.ticked_ms == 6000


async def test_a_refused_sale_is_no_sign_of_a_bad_disk(store: StationStore, bodies: Any) -> None:
    completed = bodies.completed()
    await store.books.append([completed])
    with pytest.raises(Exception, match="fuelling_already_completed"):
        await store.books.append([completed])
    assert store.books.storage_healthy()
