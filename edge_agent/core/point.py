"""A fuelling point as the controller sees it: one immutable value, its inputs and its effects.

`core.fuelling.step` turns one such value into the next. `Phase` is what the controller is doing
with the point; `fp_state` is what IFSF calls the state, read off the dispenser's status, the
nozzle and the flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import TypeAlias

from edge_agent.model.dispenser import (
    DispenserCommand,
    DispenserEvent,
    DispenserStatus,
    FuellingEnded,
)
from edge_agent.model.fuelling import AuthoriseRequest, FpState
from edge_agent.model.ids import FpId, FuellingId, LogicalNozzle, PriceSetId
from edge_agent.model.records import (
    FuellingAuthorised,
    FuellingCompleted,
    NozzleTotals,
    RecordBody,
)
from edge_agent.model.station import FpPlan
from edge_agent.model.units import NO_MONEY, NO_VOLUME, Money, UnitPrice, Volume

TotalsByNozzle: TypeAlias = Mapping[LogicalNozzle, NozzleTotals]
NO_TOTALS: TotalsByNozzle = MappingProxyType({})

FLOWING = frozenset(
    {DispenserStatus.AUTHORISED, DispenserStatus.FUELLING, DispenserStatus.SUSPENDED}
)
"""Statuses in which fuel flows or may flow at any moment."""


@unique
class Phase(StrEnum):
    """What the controller is doing with a fuelling point."""

    LOST = "lost"  # no link
    RECONCILING = "reconciling"  # link is up: totalisers and status are being read
    READY = "ready"  # nothing in hand
    ARMED = "armed"  # authorised in the books; the dispenser is told when a nozzle is lifted
    AUTHORISING = "authorising"  # the dispenser was told
    RELEASED = "released"  # the dispenser confirmed; no flow yet
    DELIVERING = "delivering"
    ENDING = "ending"  # flow ended: final figures and totalisers are being read
    CLEARING = "clearing"  # the fuelling is in the books; the dispenser is being cleared


LEGAL: Mapping[Phase, frozenset[Phase]] = {
    Phase.LOST: frozenset({Phase.RECONCILING}),
    Phase.RECONCILING: frozenset(
        {Phase.READY, Phase.ARMED, Phase.AUTHORISING, Phase.RELEASED, Phase.DELIVERING,
         Phase.CLEARING}
    ),
    Phase.READY: frozenset({Phase.ARMED, Phase.AUTHORISING, Phase.DELIVERING}),
    Phase.ARMED: frozenset({Phase.AUTHORISING, Phase.DELIVERING, Phase.READY}),
    Phase.AUTHORISING: frozenset({Phase.RELEASED, Phase.DELIVERING, Phase.ENDING}),
    Phase.RELEASED: frozenset({Phase.DELIVERING, Phase.ENDING}),
    Phase.DELIVERING: frozenset({Phase.ENDING}),
    Phase.ENDING: frozenset({Phase.CLEARING}),
    Phase.CLEARING: frozenset({Phase.READY, Phase.DELIVERING}),
}  # fmt: skip
"""Which phase may follow which. Every phase may fall to LOST, and to RECONCILING when a link
comes back before its loss was noticed."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """A price set as it concerns one fuelling point: unit price by logical nozzle."""

    price_set: PriceSetId
    prices: Mapping[LogicalNozzle, UnitPrice]


@dataclass(frozen=True, slots=True)
class Current:
    """The fuelling in hand."""

    body: FuellingAuthorised
    volume: Volume = NO_VOLUME
    amount: Money = NO_MONEY
    started_ms: int | None = None
    ended: FuellingEnded | None = None
    watched: bool = True
    """False after a restart or a lost link: the display alone proves nothing any more."""
    told: bool = True
    """False while the dispenser has not heard of it (armed)."""
    failure: str | None = None

    @property
    def id(self) -> FuellingId:
        """The fuelling's id."""
        return FuellingId(self.body.fuelling_id)

    @property
    def seen_flowing(self) -> bool:
        """Whether the display is about this fuelling: until fuel flows it shows the one before."""
        return self.watched and self.started_ms is not None


@dataclass(frozen=True, slots=True)
class Point:
    """One fuelling point."""

    plan: FpPlan
    phase: Phase = Phase.LOST
    status: DispenserStatus | None = None
    out: tuple[LogicalNozzle, ...] = ()
    """The nozzles that are out of their boots, in the order of their lifting."""
    must_hang: bool = False
    """A fuelling ended with the nozzle still out: it is hung up before the next one begins."""
    totals: TotalsByNozzle = field(default_factory=lambda: NO_TOTALS)
    """As the ledger has them."""
    readings: TotalsByNozzle = field(default_factory=lambda: NO_TOTALS)
    """As read since the link came up or the fuelling ended."""
    awaiting: frozenset[DispenserCommand] = field(default_factory=frozenset)
    """Reads that have not been answered yet."""
    display: FuellingEnded | None = None
    """The retained fuelling, read when the link came up."""
    current: Current | None = None
    applied: PriceTable | None = None
    """Prices that the dispenser confirmed."""
    due: PriceTable | None = None
    """Prices that it has yet to take."""
    programming: bool = False
    price_retry_ms: int = 0
    deadline_ms: int | None = None
    """Monotonic time at which `Tick` is due."""
    retries: int = 0

    @property
    def lifted(self) -> LogicalNozzle | None:
        """The nozzle that was lifted last and is still out."""
        return self.out[-1] if self.out else None

    @property
    def fp(self) -> FpId:
        """The fuelling point's number."""
        return self.plan.fp

    def all_nozzles(self) -> tuple[LogicalNozzle, ...]:
        """Return the logical numbers of all nozzles."""
        return tuple(nozzle.logical for nozzle in self.plan.nozzles)


def fp_state(point: Point) -> FpState:
    """Return the IFSF state of a fuelling point."""
    if point.phase is Phase.LOST or point.status is None:
        return FpState.OFFLINE
    match point.status:
        case DispenserStatus.CLOSED:
            return FpState.CLOSED
        case DispenserStatus.INOPERATIVE | DispenserStatus.NOT_PROGRAMMED:
            return FpState.INOPERATIVE
    if point.phase in (Phase.ARMED, Phase.AUTHORISING):
        return FpState.AUTHORISED
    if point.phase is Phase.ENDING:
        return FpState.FUELLING
    flowed = point.current is not None and bool(point.current.volume)
    match point.status:
        case DispenserStatus.AUTHORISED:
            return FpState.AUTHORISED if point.lifted is None else FpState.STARTED
        case DispenserStatus.FUELLING:
            return FpState.FUELLING if flowed else FpState.STARTED
        case DispenserStatus.SUSPENDED:
            return FpState.SUSPENDED_FUELLING if flowed else FpState.SUSPENDED_STARTED
    return FpState.IDLE if point.lifted is None or point.must_hang else FpState.CALLING


# --- inputs -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guards:
    """What the rest of the station says about authorising now."""

    storage_ok: bool
    stop_all: bool
    stopping: bool
    unpaid: int
    unpaid_limit: int


@dataclass(frozen=True, slots=True)
class AuthoriseAsked:
    """Somebody or something wants the point released."""

    request: AuthoriseRequest
    guards: Guards


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The dispenser was told to stop (that never waits); the books follow."""

    reason: str


@dataclass(frozen=True, slots=True)
class PricesDue:
    """A price set is in force from now on."""

    table: PriceTable


@dataclass(frozen=True, slots=True)
class Tick:
    """`Point.deadline_ms` or `price_retry_ms` has passed."""


Input: TypeAlias = DispenserEvent | AuthoriseAsked | StopAsked | PricesDue | Tick


@dataclass(frozen=True, slots=True)
class Moment:
    """When a step happens, and an id nobody else has."""

    wall_ms: int
    monotonic_ms: int
    fresh_id: str


# --- effects ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of a step. `writes` are durable, together, before anything else counts:
    the new `point`, the `commands` to the dispenser, the news of `completed` fuellings."""

    point: Point
    writes: tuple[RecordBody, ...] = ()
    commands: tuple[DispenserCommand, ...] = ()

    @property
    def completed(self) -> tuple[FuellingCompleted, ...]:
        """The fuellings that this step completed."""
        return tuple(body for body in self.writes if isinstance(body, FuellingCompleted))
