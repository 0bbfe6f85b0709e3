"""Wires one station: adapters into ports, use cases into one agent."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from drivers import registry
from drivers.runner import BusRunner
from edge_agent.app.downlink import Downlink
from edge_agent.app.forecourt import Forecourt
from edge_agent.app.lending import Lending
from edge_agent.app.point_of_sale import PointOfSale
from edge_agent.app.self_service import SelfService
from edge_agent.app.station import Station, StationFacts
from edge_agent.app.supervisor import Loop
from edge_agent.app.sync import StationIdentity, Sync
from edge_agent.app.till import Surroundings, Till
from edge_agent.model.dispenser import DispenserCommand, DispenserEvent
from edge_agent.model.ids import BusId, FpId, PlateRef
from edge_agent.model.station import BusPlan, StationPlan
from edge_agent.model.views import CameraView
from edge_agent.ports import (
    BlindIndex,
    Clock,
    Entropy,
    MemberCodes,
    Parking,
    Pins,
    SignatureVerifier,
    Transport,
    Uplink,
)
from edge_agent.store.station import StationStore

logger = logging.getLogger(__name__)

FAULTS_LOGGED = 5
"""Faults of one reason on one bus that are logged one by one; further ones are only counted."""


class DispenserBuses:
    """`ports.Dispensers` over one runner per bus."""

    def __init__(
        self,
        plans: Sequence[BusPlan],
        transports: Callable[[BusPlan], Transport],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._listeners: list[Callable[[DispenserEvent], None]] = []
        self.faults: Counter[tuple[BusId, str]] = Counter()
        self.runners = [
            BusRunner(
                plan.bus,
                registry.load(plan.driver).build_engine(plan),
                transports(plan),
                clock,
                self._emit,
                self._on_fault,
                entropy=entropy,
            )
            for plan in plans
        ]
        self._runner_of: Mapping[FpId, BusRunner] = {
            point.fp: runner
            for plan, runner in zip(plans, self.runners, strict=True)
            for point in plan.fuelling_points
        }

    def command(self, command: DispenserCommand) -> None:
        """Hand a command to the bus of its fuelling point."""
        self._runner_of[command.fp].submit(command)

    def subscribe(self, listener: Callable[[DispenserEvent], None]) -> None:
        """Call `listener` with each event of every bus."""
        self._listeners.append(listener)

    def _emit(self, event: DispenserEvent) -> None:
        for listener in self._listeners:
            listener(event)

    def _on_fault(self, bus: BusId, reason: str, data: bytes) -> None:
        self.faults[bus, reason] += 1
        if self.faults[bus, reason] <= FAULTS_LOGGED:
            fault = {"bus": bus, "reason": reason, "data": data[:32].hex()}
            logger.warning("bus fault", extra=fault)


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything that lies outside the core, as adapters or as simulations of them."""

    facts: StationFacts
    boot_id: str
    clock: Clock
    entropy: Entropy
    store: StationStore
    transports: Callable[[BusPlan], Transport]
    uplink: Uplink
    index: BlindIndex
    verifier: SignatureVerifier
    codes: MemberCodes
    pins: Pins
    parking: Parking
    utc_offset_minutes: int
    cameras: Callable[[], Sequence[CameraView]]
    staff: Mapping[str, str] = field(default_factory=dict)
    """Hashed PIN by name: who may confirm beside the attendant."""


@dataclass(frozen=True, slots=True)
class Agent:
    """The use cases of one station, wired."""

    station: Station
    lending: Lending
    dispensers: DispenserBuses
    outside: Outside

    def loops(self) -> list[Loop]:
        """Return what has to run for the station to sell."""
        buses = [Loop(f"bus {r.bus}", r.run) for r in self.dispensers.runners]
        return [
            Loop("forecourt", self.station.forecourt.run, essential=True),
            Loop("station", self.station.run),
            Loop("sync", self.station.sync.run),
            Loop("lending", self.lending.run),
            *buses,
        ]

    def ticked_ms(self) -> dict[str, int]:
        """Return when each bus and the writer last gave a sign of life, in monotonic time."""
        ticks = {f"bus {runner.bus}": runner.ticked_ms for runner in self.dispensers.runners}
        return {**ticks, "writer": self.outside.store.writer.ticked_ms}


def assemble(outside: Outside) -> Agent:
    """Wire one station.

    Raises:
        ConfigRefused: a driver or one of its options is unknown.
    """
    plan, clock, entropy = outside.facts.plan, outside.clock, outside.entropy
    books, catalogues = outside.store.books, outside.store.catalogues
    dispensers = DispenserBuses(plan.buses, outside.transports, clock, entropy)

    def mask_of(plate: PlateRef) -> str | None:
        return self_service.masked(plate)

    lending = Lending(plan.station, books, outside.uplink, clock, entropy)
    pos = PointOfSale(
        Surroundings(
            books, catalogues, outside.index, clock, entropy, lending, outside.codes, outside.pins
        ),
        Till(plan, outside.utc_offset_minutes, mask_of, outside.staff),
    )
    forecourt = Forecourt(
        plans=plan.fuelling_points(), books=books, dispensers=dispensers, clock=clock,
        entropy=entropy, unpaid_limit=lambda: pos.policy().unpaid_limit,
    )  # fmt: skip
    self_service = SelfService(
        forecourt=forecourt, pos=pos, books=books, catalogues=catalogues, index=outside.index,
        clock=clock, policy=pos.policy,
    )  # fmt: skip
    sync = _sync(outside, plan)
    sync.on_heard(lending.on_heard)
    sync.on_reply(lending.on_reply)
    books.subscribe(lambda _: sync.notify())
    station = Station(
        facts=outside.facts, forecourt=forecourt, pos=pos, self_service=self_service, sync=sync,
        books=books, catalogues=catalogues, clock=clock, cameras=outside.cameras,
    )  # fmt: skip
    books.subscribe(lambda _: station.touch())
    return Agent(station, lending, dispensers, outside)


def _sync(outside: Outside, plan: StationPlan) -> Sync:
    books, catalogues = outside.store.books, outside.store.catalogues
    downlink = Downlink(
        plan.station, books, catalogues, catalogues, outside.verifier, outside.parking,
        outside.clock,
    )  # fmt: skip
    identity = StationIdentity(plan.station, outside.boot_id, outside.facts.version)
    return Sync(
        identity, books, outside.uplink, downlink, clock=outside.clock, entropy=outside.entropy
    )
