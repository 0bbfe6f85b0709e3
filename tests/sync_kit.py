"""A station's side of the uplink and a headquarters, joined by a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from edge_agent.app.downlink import Downlink
from edge_agent.app.lending import Lending
from edge_agent.app.sync import StationIdentity, Sync
from edge_agent.model import topics
from edge_agent.model.errors import LinkLost
from edge_agent.model.ids import StationId
from edge_agent.model.records import OperatorAction
from edge_agent.ports import Inbound
from edge_agent.security.sealing import Sealer
from edge_agent.security.signatures import TrustedKeys
from edge_agent.sim.memory_broker import MemoryBroker
from edge_agent.sim.virtual_time import VirtualClock, VirtualTimeLoop
from edge_agent.store.station import StationStore
from hq.books import HqBooks
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.message import Message

T = TypeVar("T")
STATION = StationId("S-1")
SEALER = Sealer(bytes(32))
KEYS = HqKeys(bytes(range(32)), bytes(range(32, 64)))
POLICY = '{"format":1,"offers":[],"tiers":[],"version":%d}'


class SeededEntropy:
    """Chance from a seed."""

    def __init__(self, seed: object) -> None:
        self._chance = Random(str(seed))

    def token(self, bytes_count: int) -> bytes:
        return self._chance.randbytes(bytes_count)

    def uniform(self) -> float:
        return self._chance.random()


class KeptParking:
    """Remembers what was parked."""

    def __init__(self) -> None:
        self.parked: list[tuple[str, str]] = []

    def park(self, topic: str, reason: str, payload: bytes) -> None:
        self.parked.append((topic, reason))


def action(number: int) -> OperatorAction:
    return OperatorAction(action="test", fp=None, operator="op", detail=f"number {number}")


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


class StationKit:
    """One life of a station's uplink over a database that outlives it."""

    def __init__(
        self, path: Path, broker: MemoryBroker, clock: VirtualClock, life: int = 1
    ) -> None:
        entropy = SeededEntropy(f"{path}-{life}")
        self.store = StationStore.open(
            path, clock=clock, entropy=entropy, sealer=SEALER, inline=True, durable=False,
            ballast_bytes=0,
        )  # fmt: skip
        self.books = self.store.books
        self.uplink = broker.client(STATION)
        self.parking = KeptParking()
        self.downlink = Downlink(
            STATION,
            self.books,
            self.store.catalogues,
            self.store.catalogues,
            TrustedKeys({KEYS.key_id: KEYS.public}),
            self.parking,
            clock,
        )
        self.sync = Sync(
            StationIdentity(STATION, f"boot-{life}", "test"),
            self.books,
            self.uplink,
            self.downlink,
            clock=clock,
            entropy=entropy,
        )
        self.books.subscribe(lambda _: self.sync.notify())
        self.lending = Lending(STATION, self.books, self.uplink, clock, entropy)
        self.sync.on_heard(self.lending.on_heard)
        self.sync.on_reply(self.lending.on_reply)
        self._tasks = [
            asyncio.create_task(self.sync.run()),
            asyncio.create_task(self.lending.run()),
        ]

    async def append(self, count: int) -> None:
        first = self.books.head().seq
        for number in range(count):
            await self.books.append([action(first + number)])

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close()


class HqKit:
    """A headquarters that can be down, and forgets nothing that it committed."""

    def __init__(self, broker: MemoryBroker, clock: VirtualClock) -> None:
        self.books = HqBooks(":memory:")
        self.rules = Headquarters(self.books, KEYS)
        self.desk = self.rules.desk
        self.up = True
        self._clock = clock
        self._uplink = broker.client("hq", [topics.EVERY_UP])
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._publish())]

    async def _listen(self) -> None:
        async for item in self._uplink.messages():
            if isinstance(item, Inbound) and self.up:
                message = Message(item.topic, item.payload)
                await self.send(self.rules.handle([message], self._clock.wall_ms()))

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(30)
            if self.up:
                await self.send(self.rules.publish(self._clock.wall_ms()))
                self.rules.examine(1000, self._clock.wall_ms())

    async def send(self, messages: list[Message]) -> None:
        for message in messages:
            try:
                await self._uplink.publish(message.topic, message.payload)
            except LinkLost:
                return

    def hashes(self, epoch: int) -> list[str]:
        rows = self.books.connection.execute(
            "SELECT l.hash FROM ledger l JOIN stream s ON s.id = l.stream"
            " WHERE s.epoch = ? ORDER BY l.seq",
            (epoch,),
        )
        return [row[0] for row in rows]

    def alarms(self) -> list[str]:
        rows = self.books.connection.execute("SELECT code FROM alarm ORDER BY id")
        return [row[0] for row in rows]

    def parked(self) -> list[str]:
        rows = self.books.connection.execute("SELECT reason FROM parked ORDER BY id")
        return [row[0] for row in rows]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.books.close()
