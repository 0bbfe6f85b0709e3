"""The hardware of a simulated station: pumps, their buses, and what can happen to the cables."""

from __future__ import annotations

import random
from collections.abc import Callable

from drivers import registry
from drivers.contract import PumpSide
from drivers.pump_model import IN_SALE, SimulatedPump
from drivers.pump_runner import PumpTransport
from drivers.transport.faulty import Faults, FaultyTransport
from edge_agent.model.ids import BusId, FpId
from edge_agent.model.station import BusPlan, StationPlan
from edge_agent.model.units import Volume
from edge_agent.ports import Clock, Transport


class Yard:
    """Pumps outlive the agent; each start of the agent opens the buses anew."""

    def __init__(self, plan: StationPlan, clock: Clock, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self.faults = Faults()
        self.pumps: dict[FpId, SimulatedPump] = {
            point.fp: SimulatedPump([nozzle.logical for nozzle in point.nozzles])
            for point in plan.fuelling_points()
        }
        self._sides: dict[BusId, PumpSide] = {
            bus.bus: registry.load(bus.driver).build_simulator(
                bus, {point.fp: self.pumps[point.fp] for point in bus.fuelling_points}
            )
            for bus in plan.buses
        }
        self._lines: dict[BusId, PumpTransport] = {}
        self._cut: set[BusId] = set()

    def open_bus(self, bus: BusPlan) -> Transport:
        """Return a fresh connection to the pumps of a bus, with the faults of the line."""
        line = PumpTransport(self._sides[bus.bus], self._clock)
        if bus.bus in self._cut:
            line.cut()
        self._lines[bus.bus] = line
        return FaultyTransport(line, self.faults, self._chance.random)

    def cut(self, bus: BusId) -> None:
        """Cut a bus until it is mended."""
        self._cut.add(bus)
        if bus in self._lines:
            self._lines[bus].cut()

    def mend(self, bus: BusId) -> None:
        """Join a bus again."""
        self._cut.discard(bus)
        if bus in self._lines:
            self._lines[bus].mend()

    def mend_all(self) -> None:
        """Join every bus and power every pump."""
        for bus in sorted(self._cut):
            self.mend(bus)
        for pump in self.pumps.values():
            if not pump.is_powered:
                pump.power_on(self._clock.monotonic_ms())

    def buses(self) -> list[BusId]:
        """Return the buses, in order."""
        return sorted(self._sides)

    def sell_alone(self, ask: Callable[[FpId], bool]) -> int:
        """Let free pumps that `ask` picks sell without a controller; return how many did."""
        sold = 0
        for fp, pump in sorted(self.pumps.items()):
            free = pump.status not in IN_SALE and pump.lifted_nozzle is None and pump.is_powered
            if free and ask(fp):
                nozzle = self._chance.choice(sorted(pump.hoses))
                if pump.hoses[nozzle].price_milli:
                    pump.sell_offline(nozzle, Volume(self._chance.randint(100, 4_000) * 10))
                    sold += 1
        return sold
