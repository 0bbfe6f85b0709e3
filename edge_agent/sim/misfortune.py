"""What goes wrong at a simulated station, when, and for how long; all from one seeded source."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.sim.world import World

KINDS: Final = (
    "noise", "loss", "cut", "broker", "network", "hq", "kill", "power", "alone", "prices",
    "clock",
)  # fmt: skip
"""noise, loss: bytes on the buses are garbled or dropped. cut: a bus is cut. broker, hq: gone for a
while. network: messages lost, doubled and reordered. kill: the agent dies at some await. power: a
pump loses its mains. alone: pumps sell by themselves while nobody listens. prices: a new price set
is published. clock: the station's wall clock is set wrong, and right again."""

PER_HOUR: Final = {
    "noise": 0.5, "loss": 0.5, "cut": 0.5, "broker": 0.3, "network": 0.3, "hq": 0.3, "kill": 1.0,
    "power": 0.3, "alone": 0.5, "prices": 0.2, "clock": 0.5,
}  # fmt: skip
CLOCK_OFF_MS: Final = 300_000


@dataclass(slots=True)
class Misfortune:
    """Lets each kind of fault happen, again and again, until a monotonic time."""

    world: World
    chance: random.Random
    kinds: Sequence[str]
    until_ms: int
    severity: float = 1.0
    """How many times as often as `PER_HOUR` says."""
    price_sets: int = 1

    async def run(self) -> None:
        """Run every kind side by side."""
        happen: dict[str, Callable[[], Awaitable[None]]] = {
            "noise": self._noise, "loss": self._loss, "cut": self._cut, "broker": self._broker,
            "network": self._network, "hq": self._hq, "kill": self._kill, "power": self._power,
            "alone": self._alone, "prices": self._prices, "clock": self._clock,
        }  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for kind in self.kinds:
                group.create_task(self._again_and_again(kind, happen[kind]))

    async def _again_and_again(self, kind: str, happen: Callable[[], Awaitable[None]]) -> None:
        while True:
            pause_s = self.chance.expovariate(PER_HOUR[kind] * self.severity / 3600)
            if self.world.clock.monotonic_ms() + pause_s * 1000 >= self.until_ms:
                return
            await asyncio.sleep(pause_s)
            self.world.faults[kind] += 1
            await happen()

    async def _noise(self) -> None:
        self.world.yard.faults.noise = self.chance.uniform(0.001, 0.02)
        await asyncio.sleep(self.chance.uniform(5, 300))
        self.world.yard.faults.noise = 0.0

    async def _loss(self) -> None:
        self.world.yard.faults.loss = self.chance.uniform(0.01, 0.3)
        await asyncio.sleep(self.chance.uniform(5, 120))
        self.world.yard.faults.loss = 0.0

    async def _cut(self) -> None:
        bus = self.chance.choice(self.world.yard.buses())
        self.world.yard.cut(bus)
        await asyncio.sleep(self.chance.uniform(1, 300))
        self.world.yard.mend(bus)

    async def _broker(self) -> None:
        self.world.broker.stop()
        await asyncio.sleep(self.chance.uniform(10, 7_200))
        self.world.broker.start()

    async def _network(self) -> None:
        faults = self.world.broker.faults
        faults.lost, faults.doubled, faults.reordered = 0.2, 0.2, 0.3
        await asyncio.sleep(self.chance.uniform(10, 1_800))
        faults.lost = faults.doubled = faults.reordered = 0.0

    async def _hq(self) -> None:
        self.world.hq.up = False
        await asyncio.sleep(self.chance.uniform(10, 3_600))
        self.world.hq.up = True

    async def _kill(self) -> None:
        self.world.kill_agent(self.chance.randint(1, 2_000))
        await asyncio.sleep(self.chance.uniform(30, 240))
        if self.world.agent is None:
            await self.world.start_agent()

    async def _power(self) -> None:
        pump = self.world.yard.pumps[self.chance.choice(sorted(self.world.yard.pumps))]
        pump.power_off(self.world.clock.monotonic_ms())
        await asyncio.sleep(self.chance.uniform(1, 600))
        pump.power_on(self.world.clock.monotonic_ms())

    async def _alone(self) -> None:
        """Kill the agent, and let the pumps go on without it."""
        if self.world.process is not None:
            self.world.process.kill()
        await asyncio.sleep(self.chance.uniform(5, 60))
        if self.world.agent is None:
            self.world.yard.sell_alone(lambda _: self.chance.random() < 0.5)
        await asyncio.sleep(self.chance.uniform(5, 60))
        if self.world.agent is None:
            await self.world.start_agent()

    async def _prices(self) -> None:
        self.price_sets += 1
        change = self.chance.randint(-30, 30) * 10
        prices = {"92": 7_850 + change, "95": 8_350 + change, "0": 7_500 + change}
        self.world.hq.change_prices(self.world.plan.station, f"ps-{self.price_sets}", prices)

    async def _clock(self) -> None:
        off_ms = self.chance.randint(-CLOCK_OFF_MS, CLOCK_OFF_MS)
        self.world.clock.wall_at_start_ms += off_ms
        self.world.clock.is_trusted = False
        await asyncio.sleep(self.chance.uniform(60, 1_800))
        self.world.clock.wall_at_start_ms -= off_ms
        self.world.clock.is_trusted = True
