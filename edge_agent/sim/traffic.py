"""Drivers and the attendant of a simulated station: who comes when, and what they do.

Everything is drawn from one seeded source per concern. What people do to pumps they do for real;
what they ask of the agent goes through `Till`, and a dead agent simply does not answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from drivers.pump_model import IN_SALE, SimulatedPump
from edge_agent.app.station import Station
from edge_agent.model.dispenser import DispenserStatus, Preset
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import BayId, CameraId, FpId, FuellingId
from edge_agent.model.plates import PlateSighting, parse_plate
from edge_agent.model.units import Money, Volume
from edge_agent.ports import Clock
from edge_agent.sim.customers import Customers, Till
from edge_agent.sim.members import SimMember

CARS_PER_FP_PER_HOUR: Final = (
    1, 1, 1, 1, 1, 2, 4, 8, 9, 6, 5, 5, 6, 5, 5, 5, 6, 9, 9, 7, 5, 4, 2, 1,
)  # fmt: skip
"""Arrivals at one fuelling point by hour of the day: two peaks, quiet nights."""

CHINA_HOURS: Final = 8

PATIENCE_S: Final = 120.0


@dataclass(slots=True)
class Traffic:
    """The people at one station."""

    pumps: dict[FpId, SimulatedPump]
    bays: dict[FpId, BayId | None]
    members: Sequence[SimMember]
    till: Till
    customers: Customers
    clock: Clock
    chance: random.Random
    busy_factor: float = 1.0
    served: int = 0

    async def run(self, until_ms: int) -> None:
        """Let customers come until a monotonic time, then wait for the last to leave."""
        async with asyncio.TaskGroup() as group:
            for fp in sorted(self.pumps):
                group.create_task(self._lane(fp, until_ms))

    async def _lane(self, fp: FpId, until_ms: int) -> None:
        while True:
            hour = (self.clock.wall_ms() // 3_600_000 + CHINA_HOURS) % 24
            rate = CARS_PER_FP_PER_HOUR[hour] * self.busy_factor / 3600
            pause_s = self.chance.expovariate(rate)
            if self.clock.monotonic_ms() + pause_s * 1000 >= until_ms:
                return
            await asyncio.sleep(pause_s)
            await self._customer(fp)

    async def _customer(self, fp: FpId) -> None:
        pump, chance = self.pumps[fp], self.chance
        if pump.lifted_nozzle is not None or pump.status in IN_SALE or not pump.is_powered:
            return
        member = chance.choice(self.members) if chance.random() < 0.6 else None
        bay = self.bays[fp]
        if member is not None and bay is not None and chance.random() < 0.7:
            await self._seen(member, bay)
        if member is not None and member.has_account and chance.random() < 0.1:
            await self.customers.top_up(member)
        pump.lift(self._now(), chance.choice(sorted(pump.hoses)))
        await asyncio.sleep(chance.uniform(2, 15))
        if pump.status not in IN_SALE:
            await self._authorise(fp, member)
        if await self._released(pump):
            await self._fuel(fp)
        if chance.random() < 0.01:
            await asyncio.sleep(3600)  # lunch, with the nozzle in the tank
        await asyncio.sleep(chance.uniform(1, 5))
        pump.hang(self._now())
        self.served += 1
        await asyncio.sleep(chance.uniform(10, 90))
        if chance.random() > 0.02:
            await self._pay(fp, member)

    async def _seen(self, member: SimMember, bay: BayId) -> None:
        plate = parse_plate(member.plate)
        sighting = PlateSighting(CameraId("cam"), bay, plate, 0.99, 3, True, self.clock.wall_ms())

        async def tell(station: Station) -> None:
            station.self_service.on_sighting(sighting)

        await self.till.ask(tell)
        await asyncio.sleep(self.chance.uniform(1, 10))

    async def _authorise(self, fp: FpId, member: SimMember | None) -> None:
        kind, preset, prepaid = self.chance.random(), None, Money(0)
        if kind < 0.2:
            preset = Preset(amount=Money(self.chance.choice((5_000, 10_000, 20_000, 30_000))))
        elif kind < 0.3:
            preset = Preset(volume=Volume(self.chance.randint(5, 40) * 1000))
        elif kind < 0.4:
            prepaid = Money(20_000)
        named = member is not None and (member.in_fleet or self.chance.random() < 0.5)
        request = AuthoriseRequest(
            fp, "prepay" if prepaid else "attendant", preset,
            member.ref if member is not None and named else None, None, prepaid,
            odometer_km=self._odometer_km() if self.chance.random() < 0.8 else None,
        )  # fmt: skip
        second = None
        if member is not None and member.in_fleet:
            second = self.customers.proof(member, by_member=True)
        released = await self.till.ask(lambda station: station.authorise(request, second, "till"))
        if released is None and named:  # the fleet forbids it, say: then like everybody else
            anybody = replace(request, member=None)
            await self.till.ask(lambda station: station.authorise(anybody, None, "till"))

    def _odometer_km(self) -> int:
        """What a car shows: more every minute, whichever car it is."""
        return 10_000 + self._now() // 60_000

    async def _released(self, pump: SimulatedPump) -> bool:
        """Wait to be released; people give up after a while."""
        give_up_ms = self._now() + int(PATIENCE_S * 1000)
        while self._now() < give_up_ms:
            if pump.status in IN_SALE:
                return True
            await asyncio.sleep(1)
        return False

    async def _stop(self, fp: FpId) -> None:
        """Somebody presses stop; one in five times the big red one, released soon after."""
        if self.chance.random() < 0.8:
            await self.till.ask(lambda station: station.forecourt.stop(fp, "till"))
            return
        await self.till.ask(lambda station: station.forecourt.stop_all("till"))
        await asyncio.sleep(self.chance.uniform(2, 60))
        for _ in range(100):
            released = await self.till.ask(self._release_all)
            if released:
                return
            await asyncio.sleep(10)

    @staticmethod
    async def _release_all(station: Station) -> bool:
        await station.forecourt.release_stop_all("till")
        return True

    async def _fuel(self, fp: FpId) -> None:
        pump = self.pumps[fp]
        if self.chance.random() < 0.05:
            return  # lifted, released, and thought better of it
        wish_ml = round(min(max(self.chance.gauss(32_000, 14_000), 1_000), 90_000))
        pump.squeeze(self._now(), wish_ml)
        if self.chance.random() < 0.05:
            await asyncio.sleep(self.chance.uniform(0, 20))
            await self._stop(fp)
        for _ in range(600):
            due_ms = pump.flow_ends_ms()
            if pump.status is not DispenserStatus.FUELLING or due_ms is None:
                return
            await asyncio.sleep(max(due_ms - self._now(), 0) / 1000 + 0.01)
            pump.advance(self._now())

    async def _pay(self, fp: FpId, member: SimMember | None) -> None:
        """Pay everything that waits at this point."""

        async def waiting(station: Station) -> list[str]:
            unpaid = station.books.unpaid()
            return [u.completed.fuelling_id for u in unpaid if u.completed.fp == fp]

        for fuelling_id in await self.till.ask(waiting) or []:
            await self.customers.pay(FuellingId(fuelling_id), member)

    def _now(self) -> int:
        return self.clock.monotonic_ms()
