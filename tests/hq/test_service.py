"""The real thing: a station's uplink, a broker and the headquarters process, and their deaths."""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, redirect_stdout
from pathlib import Path

import pytest

from edge_agent.app.downlink import Downlink
from edge_agent.app.lending import Lending
from edge_agent.app.sync import StationIdentity, Sync
from edge_agent.core.uplink_window import WindowLimits
from edge_agent.model import topics
from edge_agent.model.wire import Death, encode
from edge_agent.security.signatures import TrustedKeys
from edge_agent.sim.live.broker import LocalBroker
from edge_agent.store.station import StationStore
from edge_agent.uplink.mqtt import MqttUplink
from edge_agent.uplink.parking import ParkingFolder
from edge_agent.uplink.settings import MqttSettings
from hq.__main__ import main
from hq.keys import TRUSTED_KEYS
from tests.hq_kit import POLICY_1
from tests.sync_kit import SEALER, STATION, action

pytestmark = pytest.mark.broker
ROWS = 20_000
PATIENCE_S = 100
QUICK = WindowLimits(ack_timeout_ms=1000, hello_first_ms=200, hello_most_ms=1000)


class RealClock:
    """The machine's clocks."""

    trusted = True

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class RealEntropy:
    """The machine's chance."""

    def token(self, bytes_count: int) -> bytes:
        return secrets.token_bytes(bytes_count)

    def uniform(self) -> float:
        return secrets.randbelow(1 << 30) / (1 << 30)


def hq(root: Path, command: str, *arguments: str) -> dict[str, object]:
    """Run a command of headquarters and return its answer."""
    said = io.StringIO()
    with redirect_stdout(said):
        assert main([command, "--root", str(root / "hq"), "--json", *arguments]) == 0
    answer = json.loads(said.getvalue())
    assert isinstance(answer, dict)
    return answer


def serve(root: Path, broker: LocalBroker) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "hq", "serve", "--root", str(root / "hq"),
            "--broker", f"127.0.0.1:{broker.port}",
        ]
    )  # fmt: skip


class LiveStation:
    """A station's books and uplink on the real loop."""

    def __init__(self, root: Path, broker: LocalBroker) -> None:
        clock, entropy = RealClock(), RealEntropy()
        self.store = StationStore.open(
            root / "ledger.db", clock=clock, entropy=entropy, sealer=SEALER, ballast_bytes=0
        )
        settings = MqttSettings(
            "127.0.0.1", broker.port, STATION, retry_first_s=0.1, retry_most_s=0.3
        )
        will = (topics.up(STATION, "birth"), encode(Death(station=STATION, boot_id="b")))
        self.uplink = MqttUplink(settings, topics.station_filters(STATION), will, entropy)
        self.downlink = Downlink(
            STATION,
            self.store.books,
            self.store.catalogues,
            self.store.catalogues,
            TrustedKeys.load(root / "keys" / TRUSTED_KEYS),
            ParkingFolder(root / "parked", clock),
            clock,
        )
        self.sync = Sync(
            StationIdentity(STATION, "b", "test"),
            self.store.books,
            self.uplink,
            self.downlink,
            clock=clock,
            entropy=entropy,
            limits=QUICK,
        )
        self.lending = Lending(STATION, self.store.books, self.uplink, clock, entropy)
        self.sync.on_heard(self.lending.on_heard)
        self.sync.on_reply(self.lending.on_reply)
        self.store.books.subscribe(lambda _: self.sync.notify())
        self._tasks = [asyncio.create_task(self.uplink.run()), asyncio.create_task(self.sync.run())]

    async def append(self, count: int) -> None:
        for first in range(0, count, 500):
            bodies = [action(number) for number in range(first, min(first + 500, count))]
            await self.store.books.append(bodies)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds, looking whenever the uplink has news."""
        news = asyncio.Event()
        self.sync.subscribe(news.set)
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                news.clear()
                await news.wait()

    async def drained(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.sync.drained()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close()

    def hashes(self) -> list[str]:
        books = self.store.books
        return [record.hash for record in books.records_after(0, books.head().seq)]


class World:
    """A folder with a station and a headquarters, and a broker between them."""

    def __init__(self, root: Path, broker: LocalBroker) -> None:
        self.root = root
        self.broker = broker
        self.service = serve(root, broker)
        self.station = LiveStation(root, broker)

    async def restart_broker(self) -> None:
        self.broker.kill()
        await asyncio.to_thread(self.broker.start, port=self.broker.port, prefer=self.broker.kind)

    def kill_headquarters(self) -> None:
        os.kill(self.service.pid, signal.SIGKILL)
        self.service.wait()
        self.service = serve(self.root, self.broker)

    async def restart_station(self) -> None:
        await self.station.stop()
        self.station = LiveStation(self.root, self.broker)

    def at_headquarters(self) -> list[str]:
        with closing(sqlite3.connect(self.root / "hq" / "hq.db")) as database:
            rows = database.execute("SELECT hash FROM ledger ORDER BY stream, seq").fetchall()
        return [row[0] for row in rows]


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    hq(root, "provision", "--out", str(root / "keys"))
    broker = LocalBroker()
    await asyncio.to_thread(broker.start)
    made = World(root, broker)
    try:
        yield made
    finally:
        await made.station.stop()
        made.service.terminate()
        made.service.wait(timeout=20)
        broker.stop()


async def test_twenty_thousand_rows_survive_every_death_on_the_way(tmp_path: Path) -> None:
    async with world(tmp_path) as live:
        await live.station.append(ROWS)
        acked = live.station.store.books.acked_seq
        await live.station.until(lambda: acked() > ROWS // 8)
        await live.restart_broker()
        await live.station.until(lambda: acked() > ROWS // 4)
        live.kill_headquarters()
        await live.station.until(lambda: acked() > ROWS // 2)
        await live.restart_station()
        await live.station.drained()
        assert live.at_headquarters() == live.station.hashes()
        assert live.station.store.books.head().seq == ROWS
        answer = hq(tmp_path, "summary")
        assert answer["alarms"] == []
        assert answer["parked"] == 0


async def test_offline_first_then_everything_arrives_and_catalogues_come_down(
    tmp_path: Path,
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(POLICY_1, encoding="utf-8")
    members = {
        "ref": "m-1", "name": "王小明", "tier": "silver", "account": "a-1",
        "phones": ["13900001234"], "opening_fen": 5000,
    }  # fmt: skip
    content = tmp_path / "content.json"
    content.write_text(
        json.dumps(
            {
                "members": [members],
                "price_sets": [{"id": "ps-1", "valid_from_ms": 0, "prices": {"92": 7850}}],
            }
        ),
        encoding="utf-8",
    )
    async with world(tmp_path) as live:
        live.broker.kill()
        await live.station.append(700)
        view = live.station.sync.view()
        assert (view.connected, view.waiting) == (False, 700)
        hq(tmp_path, "import", str(content))
        hq(tmp_path, "policy", str(policy))
        await live.restart_broker()
        versions = live.station.store.catalogues.versions
        await live.station.until(lambda: versions() == {"members": 1, "policy": 1, "prices": 1})
        hq(tmp_path, "lock", "m-1")
        await live.station.until(lambda: versions()["members"] == 2)
        await live.station.drained()
        assert live.at_headquarters() == live.station.hashes()
        answer = hq(tmp_path, "summary")
        stations = answer["stations"]
        assert isinstance(stations, dict)
        told = stations[STATION]
        assert told["acked_seq"] == live.station.store.books.head().seq
        assert told["head_hash"] == live.station.store.books.head().hash
        assert told["alarms"] == 0


async def test_row_v19_more_is_asked_of_headquarters_and_in_force_with_the_answer(
    tmp_path: Path,
) -> None:
    content = tmp_path / "content.json"
    members = [
        {"ref": f"m-{n}", "name": "王", "tier": "s", "account": f"a-{n}", "opening_fen": 50_000}
        for n in range(2)
    ]
    content.write_text(json.dumps({"members": members}), encoding="utf-8")
    async with world(tmp_path) as live:
        hq(tmp_path, "import", str(content))
        station, books = live.station, live.station.store.books
        await station.until(lambda: "members" in station.store.catalogues.versions())
        await station.drained()
        for number in range(20):
            answer = await station.lending.ask("balance", "a-0", 1_000)
            assert (answer.answered, answer.granted) == (True, 1_000)
            held = books.holding("balance", "a-0").available(RealClock().wall_ms())
            assert held == 1_000 * (number + 1)
        both = await asyncio.gather(
            station.lending.ask("balance", "a-0", 5), station.lending.ask("balance", "a-1", 6)
        )
        assert [answer.granted for answer in both] == [5, 6]
        assert books.holding("balance", "a-1").available(RealClock().wall_ms()) == 6
        refused = await station.lending.ask("balance", "a-9", 5)
        assert (refused.granted, refused.reason) == (0, "unknown_holder")
        await station.drained()
        answer_of_hq = hq(tmp_path, "summary")
        assert answer_of_hq["alarms"] == []
        assert hq(tmp_path, "funds")["ok"]


async def test_garbage_from_a_stranger_is_parked_on_both_sides(tmp_path: Path) -> None:
    async with world(tmp_path) as live:
        await live.station.append(1)
        await live.station.drained()
        settings = MqttSettings("127.0.0.1", live.broker.port, "stranger", retry_first_s=0.1)
        stranger = MqttUplink(settings, ["nothing"], ("w", b""), RealEntropy())
        task = asyncio.create_task(stranger.run())
        assert await anext(stranger.messages()) is True
        for topic in (topics.down(STATION, "ack"), topics.up(STATION, "ledger")):
            await stranger.publish(topic, b"garbage")
        await live.station.until(lambda: live.station.downlink.refused > 0)
        await live.station.append(10)
        await live.station.drained()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(list((tmp_path / "parked").glob("*.bin"))) == 1
        assert hq(tmp_path, "summary")["parked"] == 1
