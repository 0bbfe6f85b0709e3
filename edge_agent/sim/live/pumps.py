"""The demo's pumps: simulated dispensers behind real serial devices and a real TCP port."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from drivers import registry
from drivers.modbus.codec import Framing
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.server import ModbusPumpServer
from drivers.pump_model import SimulatedPump
from drivers.pump_runner import PumpRunner
from drivers.transport.pty import PtyTransport
from edge_agent.model.ids import FpId
from edge_agent.model.station import BusPlan, StationPlan
from edge_agent.ports import Clock


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where the pumps of a bus are to be reached: a device, or a loopback port."""

    device: str = ""
    port: int = 0


class LivePumps:
    """Every pump of a station. They outlive the agent, as real ones do."""

    def __init__(self, plan: StationPlan, clock: Clock, flow_ml_per_s: int) -> None:
        self._plan = plan
        self._clock = clock
        self.pumps: dict[FpId, SimulatedPump] = {
            point.fp: SimulatedPump(
                [nozzle.logical for nozzle in point.nozzles], flow_ml_per_s=flow_ml_per_s
            )
            for point in plan.fuelling_points()
        }
        self.lines: dict[str, PtyTransport] = {}
        """The pumps' end of each serial bus; whoever writes there is noise on the line."""
        self._serving: list[asyncio.Task[None]] = []
        self._servers: list[ModbusPumpServer] = []

    async def start(self, devices: Path) -> dict[str, Wiring]:
        """Start every bus; serial devices get a stable name in the folder `devices`."""
        return {bus.bus: await self._start_bus(bus, devices) for bus in self._plan.buses}

    async def stop(self) -> None:
        """Take every bus away."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for server in self._servers:
            await server.stop()

    def delivered(self) -> tuple[int, int]:
        """Return what all pumps together really delivered: millilitres and fen."""
        pumps = self.pumps.values()
        return sum(pump.delivered_ml for pump in pumps), sum(pump.delivered_fen for pump in pumps)

    async def _start_bus(self, bus: BusPlan, devices: Path) -> Wiring:
        pumps = {point.fp: self.pumps[point.fp] for point in bus.fuelling_points}
        driver = registry.load(bus.driver)
        if bus.options.get("framing") == "tcp":
            images = cast("ModbusDriver", driver).build_images(bus, pumps)
            server = ModbusPumpServer(Framing.TCP, images, self._clock)
            await server.start()
            self._servers.append(server)
            return Wiring(port=server.port)
        far_end = self.lines[bus.bus] = PtyTransport()
        runner = PumpRunner(driver.build_simulator(bus, pumps), far_end, self._clock)
        self._serving.append(asyncio.create_task(runner.run(), name=f"pumps {bus.bus}"))
        link = devices / f"{bus.bus}.tty"
        link.unlink(missing_ok=True)
        link.symlink_to(far_end.device)
        return Wiring(device=str(link))
