"""A backlog brought to headquarters, durable at both ends, and a restart on a long one."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from edge_agent.app.downlink import Downlink
from edge_agent.app.sync import StationIdentity, Sync
from edge_agent.model import topics
from edge_agent.model.ids import StationId
from edge_agent.model.records import OperatorAction
from edge_agent.model.wire import Death, encode
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.ports import Uplink
from edge_agent.security.signatures import TrustedKeys
from edge_agent.sim.live.broker import LocalBroker
from edge_agent.store.station import StationStore
from edge_agent.uplink.mqtt import MqttUplink
from edge_agent.uplink.settings import MqttSettings
from hq.keys import HqKeys
from hq.service import DATABASE
from scripts.benchmarks.bridge import bridged
from scripts.benchmarks.outside import POLICY, NoParking, NoUplink, folder, open_store
from scripts.benchmarks.row import Row, Scale, median, say
from scripts.benchmarks.till import BusyTill

STATION: Final = StationId("bench-1")
AT_ONCE: Final = 600
DRAIN_S: Final = 300.0
BOOK_ALARMS: Final = frozenset({"ledger_fork", "chain_broken"})
"""What headquarters may find wrong with rows. It also finds, rightly, that nobody granted these
members money."""


def measure(scale: Scale) -> list[Row]:
    """Measure the drain beside mosquitto's bridge, then the restart."""
    with folder() as path:
        drained = _drain_row(path, scale.of(100_000, 10_000, 300))
    with folder() as path:
        restarted = _restart_row(path, scale.of(1_000_000, 50_000, 500))
    return [drained, restarted]


# --- the drain ----------------------------------------------------------------------------------


def _drain_row(path: Path, rows: int) -> Row:
    with open_store(path) as store:
        waiting = asyncio.run(_filled(store, rows))
        say(f"backlog: {waiting} records wait")
        payloads = [
            record.body.encode() for record in store.books.records_after(0, min(waiting, rows))
        ]
        with headquarters(path) as (broker, keys):
            took_s, cpu_s = asyncio.run(_drained(store, broker.port, keys))
        flaws = _compared(store, path / "hq" / DATABASE)
    ours = waiting / took_s
    peer = bridged(path, payloads)
    peers = {} if peer is None else {"mosquitto's own bridge, rows/s": peer.rate}
    flaws += [] if peer is None or not peer.missing else [f"the bridge lost {peer.missing}"]
    return Row(
        name="backlog_to_hq", value=ours, unit="rows/s", limit=50_000, limit_name="promised",
        sense="at_least", goal_ratio=1.0,
        goal="50,000 rows/s, 3 x mosquitto's own bridge, none lost, none twice",
        peers=peers,
        details={
            "rows": waiting, "seconds": took_s, "mean_body_bytes": sum(map(len, payloads)) / rows,
            "station_processor_s": cpu_s, "station_rows_per_processor_s": waiting / cpu_s,
            **({} if peer is None else {
                "times_the_bridge": ours / peer.rate, "bridge_messages_twice": peer.twice}),
        },
        flaws=tuple(flaws),
    )  # fmt: skip


async def _filled(store: StationStore, rows: int) -> int:
    till = BusyTill(store)
    await till.open()
    return await till.fill(rows, AT_ONCE)


@contextmanager
def headquarters(path: Path) -> Iterator[tuple[LocalBroker, HqKeys]]:
    """Run a broker and headquarters in processes of their own."""
    root = path / "hq"
    root.mkdir()
    keys = HqKeys.open(root / "keys")
    command = [sys.executable, "-m", "hq"]
    subprocess.run(
        [*command, "policy", "--root", str(root), str(POLICY)], check=True, stdout=subprocess.PIPE
    )
    broker = LocalBroker()
    broker.start()
    serving = subprocess.Popen(
        [*command, "serve", "--root", str(root), "--broker", f"127.0.0.1:{broker.port}"]
    )
    try:
        yield broker, keys
    finally:
        serving.terminate()
        serving.wait(timeout=60)
        broker.stop()


async def _drained(store: StationStore, port: int, keys: HqKeys) -> tuple[float, float]:
    """Drain; return the seconds from the first word until HQ had committed all, and of processor.

    The connection is made before: what is measured is the backlog, not the broker's start.
    """
    uplink = MqttUplink(
        MqttSettings("127.0.0.1", port, STATION), topics.station_filters(STATION),
        (topics.up(STATION, "birth"), encode(Death(station=STATION, boot_id="bench"))),
        SystemEntropy(),
    )  # fmt: skip
    sync = sync_of(store, uplink, keys)
    async with running(uplink.run()), asyncio.timeout(DRAIN_S):
        while not uplink.connected:  # noqa: ASYNC110 - nobody tells of it but to the one who reads
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)  # headquarters subscribes meanwhile
        began, cpu = time.perf_counter(), time.process_time()
        async with running(sync.run()):
            await sync.drained()
            took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return took_s, cpu_s


def sync_of(store: StationStore, uplink: Uplink, keys: HqKeys) -> Sync:
    """Return the station's side of the conversation over its real books."""
    clock, entropy = SystemClock(), SystemEntropy()
    downlink = Downlink(
        STATION, store.books, store.catalogues, store.catalogues,
        TrustedKeys({keys.key_id: keys.public}), NoParking(), clock,
    )  # fmt: skip
    identity = StationIdentity(STATION, "bench", "bench")
    return Sync(identity, store.books, uplink, downlink, clock=clock, entropy=entropy)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let something run beside."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _compared(store: StationStore, hq_database: Path) -> list[str]:
    """Hold headquarters' rows against the ledger, row by row."""
    ours = [record.hash for record in store.books.records_after(0, store.books.head().seq)]
    with closing(sqlite3.connect(hq_database)) as connection:
        theirs = [row[0] for row in connection.execute("SELECT hash FROM ledger ORDER BY seq")]
        alarms = connection.execute("SELECT DISTINCT code FROM alarm").fetchall()
    acked = store.books.acked_seq()
    flaws = [f"alarm {code}" for (code,) in alarms if code in BOOK_ALARMS]
    if len(theirs) != len(set(theirs)):
        flaws.append(f"{len(theirs) - len(set(theirs))} rows twice")
    if theirs[:acked] != ours[:acked]:
        flaws.append("headquarters holds other rows than the station")
    return flaws


# --- the restart --------------------------------------------------------------------------------


def _restart_row(path: Path, rows: int) -> Row:
    with open_store(path) as store:
        asyncio.run(_many(store, rows))
    say(f"backlog: {rows} records wait for a restart")
    times_ms = [_restart_ms(path, rows) for _ in range(5)]
    return Row(
        name="restart_with_backlog", value=median(times_ms) / 1000, unit="s", limit=1.0,
        limit_name="promised", sense="at_most", goal_ratio=1.0,
        goal="from opening the books to a window ready to send, 1,000,000 records waiting: 1 s",
        details={"records_waiting": rows, "first_open_ms": times_ms[0], "worst_ms": max(times_ms),
                 "database_mib": (path / "ledger.db").stat().st_size / 2**20},
    )  # fmt: skip


async def _many(store: StationStore, rows: int) -> None:
    for first in range(0, rows, 5_000):
        await store.books.append(
            [
                OperatorAction(action="bench", fp=None, operator="bench", detail=f"number {number}")
                for number in range(first, min(first + 5_000, rows))
            ]
        )


def _restart_ms(path: Path, rows: int) -> float:
    began = time.perf_counter()
    with open_store(path) as store:
        sync = sync_of(store, NoUplink(), HqKeys(bytes(32), bytes(32)))
        waiting = sync.view().waiting
        first = store.books.records_after(0, 100)
        took_ms = (time.perf_counter() - began) * 1000
    if waiting != rows or len(first) != min(rows, 100):
        raise RuntimeError(f"{waiting} records wait, {rows} were written")
    return took_ms
