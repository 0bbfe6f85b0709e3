"""An engine and simulated pumps face to face, in steps of virtual milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from drivers.modbus import DRIVER
from drivers.modbus.codec import Framing, add_header, encode_body
from drivers.modbus.pdu import Pdu
from drivers.modbus.simulator import Misbehaviour
from drivers.pump_model import SimulatedPump
from edge_agent.model.canonical import Json
from edge_agent.model.dispenser import DispenserCommand, DispenserEvent, SetPrices
from edge_agent.model.ids import BusId, FpId, GradeId, LogicalNozzle, NozzleNumber
from edge_agent.model.station import BusPlan, FpPlan, NozzlePlan
from edge_agent.model.units import UnitPrice
from edge_agent.ports import Emit, Fault, Output, Send

E = TypeVar("E")
ONE, TWO = LogicalNozzle(1), LogicalNozzle(2)
P92, P95 = UnitPrice(7_850), UnitPrice(8_360)


def encode_frame(framing: Framing, unit: int, transaction: int, pdu: Pdu) -> bytes:
    """Return a message as it stands on the wire. RTU ignores `transaction`."""
    return add_header(framing, transaction, encode_body(framing, unit, pdu))


def plan_of(points: int = 1, nozzles: int = 2, **options: Json) -> BusPlan:
    """Return a bus of points at units 1, 2, …"""
    return BusPlan(
        BusId("south"),
        "modbus",
        tuple(
            FpPlan(
                FpId(unit),
                unit,
                tuple(
                    NozzlePlan(NozzleNumber(10 * unit + n), LogicalNozzle(n), GradeId("92"))
                    for n in range(1, nozzles + 1)
                ),
            )
            for unit in range(1, points + 1)
        ),
        {"scales_confirmed": True, **options},
    )


class Bench:
    """One bus. `run` lets time pass; `events` and `faults` gather what the engine reports."""

    def __init__(self, points: int = 1, nozzles: int = 2, **options: Json) -> None:
        self.plan = plan_of(points, nozzles, **options)
        self.pumps = {
            point.fp: SimulatedPump([each.logical for each in point.nozzles])
            for point in self.plan.fuelling_points
        }
        self.engine = DRIVER.build_engine(self.plan)
        self.side = DRIVER.build_simulator(self.plan, self.pumps)
        self.now_ms = 0
        self.events: list[DispenserEvent] = []
        self.faults: list[Fault] = []
        self.sent: list[bytes] = []
        self.garble: Callable[[bytes], bytes] = lambda data: data
        self.mute = False

    @property
    def wrong(self) -> Misbehaviour:
        return self.side.misbehaviour

    @property
    def fp(self) -> FpId:
        return FpId(1)

    @property
    def pump(self) -> SimulatedPump:
        return self.pumps[self.fp]

    def connect(self) -> None:
        self._apply(self.engine.on_connected(self.now_ms))

    def disconnect(self) -> None:
        self._apply(self.engine.on_disconnected(self.now_ms))

    def submit(self, command: DispenserCommand) -> None:
        self._apply(self.engine.submit(self.now_ms, command))

    def receive(self, data: bytes) -> None:
        self._apply(self.engine.on_bytes(self.now_ms, data))

    def run(self, ms: int) -> None:
        """Let time pass, from deadline to deadline."""
        until_ms = self.now_ms + ms
        while True:
            due = [self.engine.next_deadline_ms(), self.side.next_deadline_ms()]
            next_ms = min((each for each in due if each is not None), default=until_ms)
            if next_ms > until_ms:
                break
            self.now_ms = max(self.now_ms, next_ms)
            for answer in self.side.on_timer(self.now_ms):
                self.receive(self.garble(answer))
            engine_ms = self.engine.next_deadline_ms()
            if engine_ms is not None and engine_ms <= self.now_ms:
                self._apply(self.engine.on_timer(self.now_ms))
            if not any(each is not None for each in due):
                break
        self.now_ms = until_ms

    def run_until(self, happened: Callable[[], bool], ms: int = 30_000) -> None:
        """Let time pass until something is so."""
        until_ms = self.now_ms + ms
        while not happened():
            assert self.now_ms < until_ms, f"never happened; events: {self.events[-10:]}"
            self.run(10)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def ready(self) -> Bench:
        """Connect, program prices, forget the events of it."""
        self.connect()
        self.run(1_000)
        for fp, pump in self.pumps.items():
            prices = zip(pump.hoses, (P92, P95, P92, P95), strict=False)
            self.submit(SetPrices(fp, tuple(prices)))
        self.run(2_000)
        self.events.clear()
        self.faults.clear()
        self.sent.clear()
        return self

    def _apply(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Emit(event):
                    self.events.append(event)
                case Fault():
                    self.faults.append(output)
                case Send(data):
                    self.sent.append(data)
                    if not self.mute:
                        for answer in self.side.on_bytes(self.now_ms, data):
                            self.receive(self.garble(answer))
