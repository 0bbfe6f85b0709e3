"""A driver's engine, over a line that may be bad, face to face with its own simulated pumps."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from drivers import registry
from drivers.contract import SerialLine
from drivers.hose import Delivery
from drivers.pump_model import SimulatedPump
from drivers.pump_runner import PumpRunner
from drivers.runner import BusRunner
from drivers.transport.faulty import Faults, FaultyTransport
from drivers.transport.memory import memory_pair
from drivers.transport.pty import PtyTransport
from drivers.transport.serial import SerialTransport
from edge_agent.model.canonical import Json
from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserEvent,
    DispenserStatus,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Preset,
    SetPrices,
    StatusChanged,
)
from edge_agent.model.errors import LinkLost
from edge_agent.model.ids import BusId, FpId, GradeId, LogicalNozzle, NozzleNumber
from edge_agent.model.station import BusPlan, FpPlan, NozzlePlan
from edge_agent.model.units import UnitPrice
from edge_agent.ports import Clock, Transport

E = TypeVar("E", bound=DispenserEvent)

ONE, TWO = LogicalNozzle(1), LogicalNozzle(2)
FP = FpId(1)
PRICES = ((ONE, UnitPrice(7_850)), (TWO, UnitPrice(8_360)))
FLOW_ML_PER_S = 4_000
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Subject:
    """A driver under test: its word, its options, the addresses of two fuelling points."""

    driver: str
    options: dict[str, Json]
    addresses: tuple[int, int]

    def plan(self) -> BusPlan:
        points = tuple(
            FpPlan(
                FpId(number),
                address,
                (
                    NozzlePlan(NozzleNumber(2 * number - 1), ONE, GradeId("92")),
                    NozzlePlan(NozzleNumber(2 * number), TWO, GradeId("95")),
                ),
            )
            for number, address in enumerate(self.addresses, start=1)
        )
        return BusPlan(BusId("south"), self.driver, points, self.options)


SUBJECTS = {
    "dart": Subject("dart", {"decimals_confirmed": True}, (0x50, 0x51)),
    "modbus": Subject("modbus", {"scales_confirmed": True}, (1, 2)),
}


@dataclass
class Line:
    """What lies between the two sides."""

    faults: Faults = field(default_factory=Faults)
    one_byte_at_a_time: bool = False
    is_pty: bool = False


LINES: dict[str, Callable[[], Line]] = {
    "memory": Line,
    "byte_by_byte": lambda: Line(one_byte_at_a_time=True),
    "loss": lambda: Line(Faults(loss=0.02)),
    "noise": lambda: Line(Faults(noise=0.003)),
    "halves": lambda: Line(Faults(halves=0.03)),
    "strays": lambda: Line(Faults(strays=0.05)),
    "echo": lambda: Line(Faults(echo=True)),
    "delay": lambda: Line(Faults(delay_ms=40)),
    "everything": lambda: Line(
        Faults(loss=0.01, noise=0.001, halves=0.01, strays=0.02, delay_ms=20, echo=True)
    ),
    "pty": lambda: Line(is_pty=True),
}


class Chance:
    """An `Entropy` of the test's seed."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def token(self, bytes_count: int) -> bytes:
        return self._source.randbytes(bytes_count)

    def uniform(self) -> float:
        return self._source.random()


class Rig:
    """One bus, from the commands to the pumps."""

    def __init__(self, subject: Subject, line: Line, clock: Clock, seed: int) -> None:
        chance = random.Random(seed)
        self.clock = clock
        self.line = line
        self.events: list[DispenserEvent] = []
        self.submitted: list[DispenserCommand] = []
        self.deliveries: dict[FpId, list[Delivery]] = {FpId(1): [], FpId(2): []}
        plan = subject.plan()
        driver = registry.load(subject.driver)
        self.pumps = {
            point.fp: SimulatedPump(
                [nozzle.logical for nozzle in point.nozzles],
                flow_ml_per_s=FLOW_ML_PER_S,
                on_delivered=self.deliveries[point.fp].append,
            )
            for point in plan.fuelling_points
        }
        self.side = driver.build_simulator(plan, self.pumps)
        self.far, self.near = self._wire(driver.serial_line(plan))
        faulty = FaultyTransport(self.near, line.faults, chance.random)
        self.runner = BusRunner(
            plan.bus,
            driver.build_engine(plan),
            faulty,
            clock,
            self.events.append,
            lambda *_: None,
            entropy=Chance(chance),
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _wire(self, serial_line: SerialLine) -> tuple[Transport, Transport]:
        if self.line.is_pty:
            pty = PtyTransport()
            return pty, SerialTransport(pty.device, serial_line)
        return memory_pair(one_byte_at_a_time=self.line.one_byte_at_a_time)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        """Run both sides; what they raise is raised here."""
        self._tasks = [
            asyncio.create_task(self._run_pumps()),
            asyncio.create_task(self.runner.run()),
        ]
        try:
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _run_pumps(self) -> None:
        """Serve the pumps; after a cut of the wire they are there again as soon as it is mended."""
        while True:
            try:
                await PumpRunner(self.side, self.far, self.clock).run()
            except LinkLost:
                await asyncio.sleep(0.05)

    # --- what scenarios use -----------------------------------------------------------------

    @property
    def pump(self) -> SimulatedPump:
        return self.pumps[FP]

    @property
    def now_ms(self) -> int:
        return self.clock.monotonic_ms()

    def of(self, kind: type[E], fp: FpId = FP) -> list[E]:
        return [event for event in self.events if isinstance(event, kind) and event.fp == fp]

    def status(self, fp: FpId = FP) -> DispenserStatus | None:
        """Return the status as the events tell it."""
        status: DispenserStatus | None = None
        for event in self.events:
            if isinstance(event, LinkChanged) and event.fp == fp:
                status = None
            elif isinstance(event, StatusChanged) and event.fp == fp:
                status = event.status
        return status

    def lifted(self, fp: FpId = FP) -> LogicalNozzle | None:
        """Return the nozzle that is out, as the events tell it."""
        lifted: LogicalNozzle | None = None
        for event in self.events:
            if isinstance(event, LinkChanged) and event.fp == fp:
                lifted = None
            elif isinstance(event, NozzleChanged) and event.fp == fp:
                lifted = event.nozzle if event.lifted else None
        return lifted

    def is_online(self, fp: FpId = FP) -> bool:
        links = self.of(LinkChanged, fp)
        return bool(links) and links[-1].online

    async def until(self, happened: Callable[[], bool], what: str = "") -> None:
        """Let time pass until something is so."""
        deadline_ms = self.now_ms + int(PATIENCE_S * 1000)
        while not happened():
            for task in self._tasks:
                if task.done():
                    task.result()
            if self.now_ms > deadline_ms:
                raise AssertionError(f"never: {what}; last events: {self.events[-8:]}")
            await asyncio.sleep(0.01)

    async def ask(self, command: DispenserCommand) -> CommandDone | CommandFailed:
        """Submit a command and return its one answer."""
        self.submitted.append(command)
        before = len(self.events)
        self.runner.submit(command)
        answers: list[CommandDone | CommandFailed] = []

        def is_answered() -> bool:
            answers[:] = [
                event
                for event in self.events[before:]
                if isinstance(event, CommandDone | CommandFailed) and event.command is command
            ]
            return bool(answers)

        await self.until(is_answered, f"answer to {command}")
        return answers[0]

    async def insist(self, command: DispenserCommand) -> None:
        """Submit a harmless command until it is done: a bad line may fail it now and then."""
        for _ in range(10):
            await self.until(lambda: self.is_online(command.fp), "online")
            if isinstance(await self.ask(command), CommandDone):
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"never done: {command}; last events: {self.events[-8:]}")

    async def make_ready(self, fp: FpId = FP) -> None:
        """Bring a point up: online, priced, cleared."""
        await self.until(lambda: self.status(fp) is not None, "first status")
        await self.insist(SetPrices(fp, PRICES))
        await self.insist(Clear(fp))
        await self.until(lambda: self.status(fp) is DispenserStatus.IDLE, "idle")

    async def call(self, nozzle: LogicalNozzle = ONE, fp: FpId = FP) -> None:
        """Lift a nozzle and wait until the engine believes it."""
        self.pumps[fp].lift(self.now_ms, nozzle)
        await self.until(lambda: self.lifted(fp) == nozzle, "calling")

    async def authorise(
        self, nozzle: LogicalNozzle = ONE, preset: Preset | None = None, fp: FpId = FP
    ) -> None:
        """Authorise; on a bad line again, unless the pump was released after all."""
        for _ in range(10):
            await self.until(lambda: self.lifted(fp) == nozzle, "calling")
            answer = await self.ask(Authorise(fp, (nozzle,), preset))
            if isinstance(answer, CommandDone) or self.pumps[fp].status in {
                DispenserStatus.AUTHORISED,
                DispenserStatus.FUELLING,
            }:
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"never authorised; last events: {self.events[-8:]}")

    async def fuel(self, wish_ml: int | None, fp: FpId = FP) -> None:
        """Squeeze until the wish or a limit is reached."""
        pump = self.pumps[fp]
        pump.squeeze(self.now_ms, wish_ml)
        await self.until(lambda: pump.status is not DispenserStatus.AUTHORISED, "flow")
        await self.stands(fp)

    async def stands(self, fp: FpId = FP) -> None:
        """Wait until no fuel flows any more."""
        pump = self.pumps[fp]

        def is_standing() -> bool:
            pump.advance(self.now_ms)
            return not pump.is_flowing

        await self.until(is_standing, "no flow")

    async def hang_up(self, fp: FpId = FP) -> FuellingEnded:
        """Hang the nozzle up; return what the engine says was delivered."""
        self.pumps[fp].hang(self.now_ms)
        told = sum(not each.is_stand_alone for each in self.deliveries[fp])
        await self.until(lambda: len(self.of(FuellingEnded, fp)) >= told, "fuelling ended")
        return self.of(FuellingEnded, fp)[-1]

    async def sell(
        self,
        nozzle: LogicalNozzle = ONE,
        wish_ml: int | None = 12_340,
        preset: Preset | None = None,
        fp: FpId = FP,
    ) -> FuellingEnded:
        """Sell from lift to clear."""
        await self.call(nozzle, fp)
        await self.authorise(nozzle, preset, fp)
        await self.fuel(wish_ml, fp)
        ended = await self.hang_up(fp)
        await self.until(lambda: self.lifted(fp) is None, "hung up")
        await self.insist(Clear(fp))
        return ended

    # --- what must hold in the end ------------------------------------------------------------

    def check(self) -> None:
        """Every fuelling told once and right, every command answered once."""
        for fp, delivered in self.deliveries.items():
            told = [
                (event.nozzle, event.volume, event.amount, event.unit_price)
                for event in self.of(FuellingEnded, fp)
            ]
            real = [
                (each.nozzle, each.volume, each.amount, each.unit_price)
                for each in delivered
                if not each.is_stand_alone
            ]
            assert told == real
        answers = Counter(
            id(event.command)
            for event in self.events
            if isinstance(event, CommandDone | CommandFailed)
        )
        assert answers == Counter(id(command) for command in self.submitted)
