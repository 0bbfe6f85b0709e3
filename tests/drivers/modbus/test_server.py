"""The driver against pymodbus's own server, over a loopback socket and over a pseudo terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from drivers.modbus import DRIVER
from drivers.modbus.codec import Framing
from drivers.modbus.pdu import ExceptionCode
from drivers.modbus.server import LOOPBACK, ModbusPumpServer
from drivers.pump_model import SimulatedPump
from drivers.runner import BusRunner
from drivers.transport.serial import SerialTransport
from drivers.transport.tcp import TcpTransport
from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserEvent,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Preset,
    ReadTotals,
    SetPrices,
    TotalsRead,
)
from edge_agent.model.ids import BusId, FpId
from edge_agent.model.units import Money, Volume
from tests.drivers.modbus.bench import ONE, P92, P95, TWO, plan_of

FP = FpId(1)


class RealClock:
    trusted = True

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class NoChance:
    def token(self, bytes_count: int) -> bytes:
        return bytes(bytes_count)

    def uniform(self) -> float:
        return 0.5


class Site:
    """A running bus: the agent's runner on one side, pymodbus's server on the other."""

    def __init__(self, framing: Framing, *, timeout_ms: int = 3_000) -> None:
        self.clock = RealClock()
        self.plan = plan_of(
            framing=framing.value,
            idle_poll_ms=20,
            active_poll_ms=20,
            verify_poll_ms=10,
            gap_ms=2,
            probe_ms=200,
            response_timeout_ms=timeout_ms,
        )
        self.pump = SimulatedPump([ONE, TWO], flow_ml_per_s=100_000)
        images = DRIVER.build_images(self.plan, {FP: self.pump})
        self.server = ModbusPumpServer(framing, images, self.clock)
        self.events: list[DispenserEvent] = []
        self.faults: list[str] = []
        self.news = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        await self.server.start()
        if self.server.port:
            transport: TcpTransport | SerialTransport = TcpTransport(LOOPBACK, self.server.port)
        else:
            transport = SerialTransport(self.server.device, DRIVER.serial_line(self.plan))
        self.runner = BusRunner(
            BusId("south"),
            DRIVER.build_engine(self.plan),
            transport,
            self.clock,
            self.on_event,
            self.on_fault,
            entropy=NoChance(),
        )
        task = asyncio.create_task(self.runner.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.server.stop()

    def on_event(self, event: DispenserEvent) -> None:
        self.events.append(event)
        self.news.set()

    def on_fault(self, _bus: BusId, reason: str, _data: bytes) -> None:
        self.faults.append(reason)
        self.news.set()

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not happened():
                self.news.clear()
                await self.news.wait()

    async def command(self, command: DispenserCommand) -> DispenserEvent:
        asked = len(self.events)
        self.runner.submit(command)

        def answers() -> list[DispenserEvent]:
            kinds = CommandDone | CommandFailed
            later = [event for event in self.events[asked:] if isinstance(event, kinds)]
            return [event for event in later if event.command == command]

        await self.until(lambda: bool(answers()))
        (answer,) = answers()
        return answer

    async def online(self) -> None:
        await self.until(lambda: LinkChanged(FP, online=True) in self.events)


@pytest.fixture(params=list(Framing), ids=str)
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with Site(request.param).running() as running:
        yield running


async def test_a_whole_sale_through_pymodbus(site: Site) -> None:
    await site.online()
    prices = SetPrices(FP, ((ONE, P92), (TWO, P95)))
    assert await site.command(prices) == CommandDone(FP, prices)
    site.pump.lift(site.clock.monotonic_ms(), TWO)
    await site.until(lambda: NozzleChanged(FP, TWO, lifted=True) in site.events)
    authorise = Authorise(FP, (TWO,), Preset(amount=Money(10_000)))
    assert await site.command(authorise) == CommandDone(FP, authorise)
    site.pump.squeeze(site.clock.monotonic_ms())
    await site.until(lambda: any(isinstance(e, FuellingEnded) for e in site.events))
    site.pump.hang(site.clock.monotonic_ms())
    await site.command(ReadTotals(FP, TWO))
    assert isinstance(await site.command(Clear(FP)), CommandDone)
    (ended,) = [event for event in site.events if isinstance(event, FuellingEnded)]
    volume = Volume(site.pump.hoses[TWO].delivered_ml)
    assert ended == FuellingEnded(FP, TWO, volume, Money(10_000), P95)
    assert TotalsRead(FP, TWO, volume, Money(10_000)) in site.events
    assert not site.faults


async def test_refusals_come_through_pymodbus(site: Site) -> None:
    await site.online()
    refused = await site.command(Authorise(FP, (ONE,)))
    assert refused == CommandFailed(FP, Authorise(FP, (ONE,)), "not_programmed")
    site.server.misbehaviour.refuse.append(ExceptionCode.ILLEGAL_ADDRESS)
    read = ReadTotals(FP, ONE)
    assert isinstance(await site.command(read), CommandDone | CommandFailed)
    await site.until(lambda: "exception_02" in site.faults)


@pytest.mark.parametrize("framing", list(Framing))
async def test_a_unit_that_falls_silent_and_comes_back(framing: Framing) -> None:
    async with Site(framing, timeout_ms=60).running() as site:
        await site.online()
        site.server.misbehaviour.absent.add(1)
        await site.until(lambda: LinkChanged(FP, online=False) in site.events)
        site.server.misbehaviour.absent.clear()
        site.events.clear()
        await site.online()


async def test_a_server_that_stops_takes_the_link_with_it(site: Site) -> None:
    await site.online()
    await site.server.stop()
    await site.until(lambda: LinkChanged(FP, online=False) in site.events)
