"""What was acknowledged is there after `kill -9`, whole; who reads meanwhile sees whole moments."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from edge_agent.store.database import connect_reader
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books

OpenStore = Callable[..., StationStore]
KILLS = 24
CHILD = Path(__file__).with_name("killed.py")


def test_acknowledged_records_survive_kill_9(tmp_path: Path, bodies: Any) -> None:
    path = tmp_path / "books.db"
    killing = subprocess.run(
        [sys.executable, CHILD, path, bodies.completed().model_dump_json(), "12", str(KILLS)],
        check=True,
        capture_output=True,
        text=True,
    )
    lives = [json.loads(line) for line in killing.stdout.splitlines()]
    assert len(lives) == KILLS
    acknowledged = [tuple(pair) for life in lives for pair in life]
    assert len(acknowledged) >= KILLS
    # Later lives went on from where the earlier had come: nothing was given out twice.
    assert len(set(acknowledged)) == len(acknowledged)

    report = verify_books(path)
    assert report.ok, report
    with closing(connect_reader(path)) as reader:
        kept = set(reader.execute("SELECT seq, hash FROM ledger").fetchall())
    assert set(acknowledged) <= kept
    # What was written and not acknowledged any more: at most what two tills had in hand each time.
    assert len(kept) - len(acknowledged) <= KILLS * (1 + 3) * 2


async def test_readers_see_whole_moments_while_appends_go_on(
    store: StationStore, bodies: Any, tmp_path: Path
) -> None:
    done = asyncio.Event()

    def look() -> int:
        with closing(connect_reader(tmp_path / "books.db")) as reader:
            reader.execute("BEGIN")
            (last,) = reader.execute("SELECT coalesce(max(position), 0) FROM ledger").fetchone()
            count, sold = reader.execute(
                "SELECT count(*), count(*) FILTER (WHERE kind = 'sale.settled') FROM ledger"
            ).fetchone()
            sums = reader.execute("SELECT fuellings, sales FROM standing").fetchone()
            assert count == last
            assert sums == (count - sold, sold)
            assert sums[0] == sums[1]  # each append holds a fuelling and its sale
            return int(last)

    async def read() -> list[int]:
        seen = []
        while not done.is_set():
            seen.append(await asyncio.to_thread(look))
        return seen

    async def sell() -> None:
        for _ in range(60):
            completed = bodies.completed()
            await store.books.append([completed, bodies.settled(completed)])

    reading = asyncio.create_task(read())
    await asyncio.gather(sell(), sell())
    done.set()
    seen = await reading
    assert seen == sorted(seen)
    assert store.books.head().seq == 240
