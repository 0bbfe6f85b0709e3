"""An online authorisation: more is asked of headquarters until the granted lease is in force.

The station is the real one (sync, downlink, lending, books with fsync), headquarters and broker are
processes of their own, everything is on loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from edge_agent.app.lending import Lending
from edge_agent.app.sync import Sync
from edge_agent.model import topics
from edge_agent.model.errors import invariant
from edge_agent.model.wire import Death, encode
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.ports import Inbound
from edge_agent.store.station import StationStore
from edge_agent.uplink.mqtt import MqttUplink
from edge_agent.uplink.settings import MqttSettings
from hq.keys import HqKeys
from scripts.benchmarks.backlog import STATION, headquarters, running, sync_of
from scripts.benchmarks.outside import folder, open_store
from scripts.benchmarks.row import Row, Scale, median, percentile, say

ACCOUNT: Final = "acc-bench"
ECHO: Final = f"{topics.ROOT}/echo/up/telemetry"
READY_S: Final = 60.0
BYTES: Final = 400
"""About as long as a request or its answer."""


def measure(scale: Scale) -> list[Row]:
    """Measure authorisations one after the other, then what broker and disk need alone."""
    asks = scale.of(2_000, 400, 20)
    with folder() as path, open_store(path) as store, headquarters(path) as (broker, keys):
        _enrol(path)
        took_ms = asyncio.run(_asked(store, broker.port, keys, asks))
        hops_ms = asyncio.run(_echoed(broker.port, asks))
        synced_ms = _synced(path, asks)
    return [
        Row(
            name="online_authorisation", value=median(took_ms), unit="ms median",
            limit=2.0, limit_name="promised p50", sense="at_most", goal_ratio=1.0,
            goal="asking headquarters on loopback until the lease is in force: p50 at most 2 ms",
            peers={
                "the broker alone, there and back": 2 * median(hops_ms),
                "the broker there and back, and an fsync at each end":
                    2 * median(hops_ms) + 2 * median(synced_ms),
            },
            details={
                "p99_ms": percentile(took_ms, 0.99), "worst_ms": max(took_ms),
                "broker_hop_p99_ms": percentile(hops_ms, 0.99),
                "fsync_median_ms": median(synced_ms), "asks": asks,
            },
        )
    ]  # fmt: skip


def _enrol(path: Path) -> None:
    """Let headquarters hold a fleet's account, which no station has anything of."""
    member = {
        "ref": "m-bench", "name": "测试", "tier": "regular", "account": ACCOUNT,
        "account_kind": "fleet", "cards": ["90000001"], "opening_fen": 10**12,
    }  # fmt: skip
    file = path / "members.json"
    file.write_text(json.dumps({"members": [member]}), encoding="utf-8")
    root = str(path / "hq")
    subprocess.run(
        [sys.executable, "-m", "hq", "import", "--root", root, str(file)],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip


async def _asked(store: StationStore, port: int, keys: HqKeys, asks: int) -> list[float]:
    uplink = _uplink(port, STATION, topics.station_filters(STATION))
    sync = sync_of(store, uplink, keys)
    lending = Lending(STATION, store.books, uplink, SystemClock(), SystemEntropy())
    sync.on_reply(lending.on_reply)
    store.books.subscribe(lambda _: sync.notify())
    async with running(uplink.run()), running(sync.run()), asyncio.timeout(READY_S + asks):
        await _acquainted(sync, lending)
        say(f"authorising: {asks} questions, one after the other")
        took_ms = []
        for number in range(asks):
            began = time.perf_counter()
            answer = await lending.ask("balance", ACCOUNT, 1_000 + number)
            took_ms.append((time.perf_counter() - began) * 1000)
            invariant(answer.granted >= 1_000 + number, f"granted {answer}")
            # What stands between two customers is not measured: rows go to headquarters.
            await sync.drained()
        now_ms = SystemClock().wall_ms()
        here = store.books.holding("balance", ACCOUNT).available(now_ms)
        invariant(here >= sum(1_000 + number for number in range(asks)), "leases are in force")
    return took_ms


async def _acquainted(sync: Sync, lending: Lending) -> None:
    """Wait until headquarters knows this station's books and answers."""
    while True:
        if lending.linked():
            answer = await lending.ask("balance", ACCOUNT, 1)
            if answer.granted:
                await sync.drained()
                return
        await asyncio.sleep(0.2)


def _uplink(port: int, name: str, filters: tuple[str, ...]) -> MqttUplink:
    will = (topics.up(name, "birth"), encode(Death(station=name, boot_id="bench")))
    return MqttUplink(MqttSettings("127.0.0.1", port, name), filters, will, SystemEntropy())


# --- what is needed at the least ----------------------------------------------------------------


async def _echoed(port: int, times: int) -> list[float]:
    """Return how long one message takes through the broker, from this process to itself."""
    uplink = _uplink(port, "echo", (ECHO,))
    payload, took_ms = os.urandom(BYTES), list[float]()
    async with running(uplink.run()), _listening(uplink) as arrived, asyncio.timeout(READY_S):
        while not uplink.connected:  # noqa: ASYNC110 - nobody tells of it but to the one who reads
            await asyncio.sleep(0.01)
        for _ in range(times):
            began = time.perf_counter()
            await uplink.publish(ECHO, payload)
            await arrived.get()
            took_ms.append((time.perf_counter() - began) * 1000)
    return took_ms


@asynccontextmanager
async def _listening(uplink: MqttUplink) -> AsyncIterator[asyncio.Queue[Inbound]]:
    arrived: asyncio.Queue[Inbound] = asyncio.Queue()

    async def listen() -> None:
        async for item in uplink.messages():
            if isinstance(item, Inbound):
                arrived.put_nowait(item)

    async with running(listen()):
        yield arrived


def _synced(path: Path, times: int) -> list[float]:
    """Return how long the disk takes to make a page's worth of log durable."""
    took_ms = []
    descriptor = os.open(path / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(times):
            began = time.perf_counter()
            os.write(descriptor, os.urandom(4096))
            os.fdatasync(descriptor)
            took_ms.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(descriptor)
    return took_ms
