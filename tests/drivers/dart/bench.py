"""A DART engine and simulated pumps face to face, in virtual milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from drivers.dart import DRIVER
from drivers.dart.codec import (
    LAST_ADDRESS,
    ControlFrame,
    ControlKind,
    DataFrame,
    Frame,
    FrameDecoder,
    Rejected,
)
from drivers.dart.manners import Manners
from drivers.dart.orders import Ask, Command, Order, decode_order
from drivers.hose import Delivery
from drivers.pump_model import SimulatedPump
from edge_agent.model.canonical import Json
from edge_agent.model.dispenser import (
    AlarmRaised,
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserEvent,
    FuellingEnded,
    Preset,
    SetPrices,
    StatusChanged,
)
from edge_agent.model.ids import BusId, FpId, GradeId, LogicalNozzle, NozzleNumber
from edge_agent.model.station import BusPlan, FpPlan, NozzlePlan
from edge_agent.model.units import UnitPrice
from edge_agent.ports import Emit, Fault, Output, Send

E = TypeVar("E", bound=DispenserEvent)

FP = FpId(1)
ONE, TWO = LogicalNozzle(1), LogicalNozzle(2)
P92, P95 = UnitPrice(7_850), UnitPrice(8_360)
PRICES = ((ONE, P92), (TWO, P95))


def plan_of(points: int = 1, nozzles: int = 2, **options: Json) -> BusPlan:
    """Return a bus of points at addresses 50H, 51H, …"""
    return BusPlan(
        BusId("south"),
        "dart",
        tuple(
            FpPlan(
                FpId(1 + at),
                0x50 + at,
                tuple(
                    NozzlePlan(NozzleNumber(10 * at + n), LogicalNozzle(n), GradeId("92"))
                    for n in range(1, nozzles + 1)
                ),
            )
            for at in range(points)
        ),
        {"decimals_confirmed": True, **options},
    )


class Bench:
    """One bus. `run` lets time pass; what the engine sends and reports is kept."""

    def __init__(self, points: int = 1, nozzles: int = 2, **options: Json) -> None:
        self.plan = plan_of(points, nozzles, **options)
        self.deliveries: list[Delivery] = []
        self.pumps = {
            point.fp: SimulatedPump(
                [each.logical for each in point.nozzles], on_delivered=self.deliveries.append
            )
            for point in self.plan.fuelling_points
        }
        self.engine = DRIVER.build_engine(self.plan)
        self.side = DRIVER.build_simulator(self.plan, self.pumps)
        self.now_ms = 0
        self.events: list[DispenserEvent] = []
        self.faults: list[Fault] = []
        self.sent: list[bytes] = []
        self._foreign_ms = 0
        """How often another controller polls an address of its own; 0: there is none."""
        self._foreign_due_ms = 0
        self.wire: Callable[[bytes], bytes] = lambda data: data
        """What becomes of bytes on their way to the pumps."""
        self.back: Callable[[bytes], bytes] = lambda data: data
        """What becomes of bytes on their way back."""

    @property
    def pump(self) -> SimulatedPump:
        return self.pumps[FP]

    @property
    def manners(self) -> Manners:
        return self.side.points[FP].manners

    @property
    def executed(self) -> list[Order]:
        """Orders that the first pump executed, as far as it remembers them."""
        return self.side.points[FP].executed

    # --- time -----------------------------------------------------------------------------------

    def connect(self) -> None:
        self.apply(self.engine.on_connected(self.now_ms))

    def disconnect(self) -> None:
        self.apply(self.engine.on_disconnected(self.now_ms))

    def submit(self, command: DispenserCommand) -> None:
        self.apply(self.engine.submit(self.now_ms, command))

    def receive(self, data: bytes) -> None:
        data = self.back(data)
        if data:
            self.apply(self.engine.on_bytes(self.now_ms, data))

    def run(self, ms: int) -> None:
        """Let time pass, from deadline to deadline."""
        until_ms = self.now_ms + ms
        while True:
            foreign_due_ms = self._foreign_due_ms if self._foreign_ms else None
            due = [self.engine.next_deadline_ms(), self.side.next_deadline_ms(), foreign_due_ms]
            next_ms = min((each for each in due if each is not None), default=until_ms + 1)
            if next_ms > until_ms:
                break
            self.now_ms = max(self.now_ms, next_ms)
            for answer in self.side.on_timer(self.now_ms):
                self.receive(answer)
            self._poll_foreign()
            due_ms = self.engine.next_deadline_ms()
            if due_ms is not None and due_ms <= self.now_ms:
                self.apply(self.engine.on_timer(self.now_ms))
        self.now_ms = until_ms

    def begin_foreign(self, every_ms: int) -> None:
        """Put a second controller on the bus; 0 removes it."""
        self._foreign_ms, self._foreign_due_ms = every_ms, self.now_ms + every_ms

    def _poll_foreign(self) -> None:
        """Let the second controller poll, if there is one and it is due."""
        if self._foreign_ms and self._foreign_due_ms <= self.now_ms:
            self._foreign_due_ms = self.now_ms + self._foreign_ms
            self.receive(ControlFrame(LAST_ADDRESS, ControlKind.POLL).encode())

    def run_until(self, happened: Callable[[], bool], ms: int = 30_000) -> None:
        """Let time pass until something is so."""
        until_ms = self.now_ms + ms
        while not happened():
            assert self.now_ms < until_ms, f"never happened; events: {self.events[-10:]}"
            self.run(5)

    def apply(self, outputs: list[Output]) -> None:
        """Carry out what the engine wants."""
        for output in outputs:
            match output:
                case Emit(event):
                    self.events.append(event)
                case Fault():
                    self.faults.append(output)
                case Send(data):
                    self.sent.append(data)
                    for answer in self.side.on_bytes(self.now_ms, self.wire(data)):
                        self.receive(answer)

    # --- what happened ----------------------------------------------------------------------------

    def of(self, kind: type[E], fp: FpId = FP) -> list[E]:
        return [event for event in self.events if isinstance(event, kind) and event.fp == fp]

    @property
    def alarms(self) -> list[str]:
        return [event.code for event in self.of(AlarmRaised)]

    @property
    def failures(self) -> list[tuple[type[DispenserCommand], str]]:
        return [(type(event.command), event.reason) for event in self.of(CommandFailed)]

    @property
    def last_status(self) -> str | None:
        statuses = self.of(StatusChanged)
        return statuses[-1].status.value if statuses else None

    def frames(self) -> list[Frame]:
        """Return the frames that the engine sent."""
        found = FrameDecoder().feed(b"".join(self.sent))
        return [frame for frame in found if not isinstance(frame, Rejected)]

    def told(self) -> list[Order]:
        """Return the orders that the engine sent, retransmissions included."""
        return [
            decode_order(transaction)
            for frame in self.frames()
            if isinstance(frame, DataFrame)
            for transaction in frame.transactions
        ]

    def count(self, ask: Ask) -> int:
        """Return how often a command was sent."""
        return self.told().count(Command(ask))

    def polls(self, address: int) -> int:
        """Return how often an address was polled."""
        return self.frames().count(ControlFrame(address, ControlKind.POLL))

    def forget(self) -> None:
        """Forget what happened so far."""
        for each in (self.events, self.faults, self.sent):
            each.clear()

    # --- usual steps ------------------------------------------------------------------------------

    def ready(self) -> Bench:
        """Connect, program and clear every point; forget the events of it."""
        self.connect()
        self.run(1_500)
        for fp, pump in self.pumps.items():
            self.submit(SetPrices(fp, tuple(zip(pump.hoses, (P92, P95) * 8, strict=False))))
            self.submit(Clear(fp))
        self.run(1_500 + 500 * len(self.pumps))
        assert all(self.of(CommandDone, fp) for fp in self.pumps), self.events
        self.forget()
        return self

    def ask(self, command: DispenserCommand) -> CommandDone | CommandFailed:
        """Submit a command and return its answer."""
        self.submit(command)

        def answers() -> list[CommandDone | CommandFailed]:
            kinds = (CommandDone, CommandFailed)
            return [e for e in self.events if isinstance(e, kinds) and e.command is command]

        self.run_until(lambda: bool(answers()))
        return answers()[0]

    def do(self, command: DispenserCommand) -> None:
        """Submit a command that must be done."""
        answer = self.ask(command)
        assert isinstance(answer, CommandDone), answer

    def lift(self, nozzle: LogicalNozzle = ONE) -> None:
        self.pump.lift(self.now_ms, nozzle)
        self.run(500)

    def hang(self) -> None:
        self.pump.hang(self.now_ms)
        self.run(1_000)

    def fuel(self, volume_ml: int) -> None:
        """Squeeze for so much, and let it flow."""
        self.pump.squeeze(self.now_ms, volume_ml)
        self.run(1_000 * volume_ml // self.pump.flow_ml_per_s + 1_000)

    def sell(
        self, volume_ml: int, nozzle: LogicalNozzle = ONE, preset: Preset | None = None
    ) -> FuellingEnded:
        """Lift, authorise, fuel and hang up; leave the display uncleared."""
        self.lift(nozzle)
        self.do(Authorise(FP, (nozzle,), preset))
        told = len(self.of(FuellingEnded))
        self.fuel(volume_ml)
        self.hang()
        self.run_until(lambda: len(self.of(FuellingEnded)) > told)
        return self.of(FuellingEnded)[-1]
