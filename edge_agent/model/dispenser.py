"""What a dispenser is told and what it reports, in words that belong to no manufacturer.

An engine (`edge_agent.ports.Engine`) turns these commands into its protocol's bytes and bytes into
these events. One engine serves one bus with several fuelling points. It verifies each command by
the state that follows, not by the acknowledgement, and says `CommandDone` or `CommandFailed` once
per command.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TypeAlias

from edge_agent.model.ids import FpId, LogicalNozzle
from edge_agent.model.units import Money, UnitPrice, Volume


@unique
class DispenserStatus(StrEnum):
    """The status of one fuelling point as its dispenser reports it."""

    NOT_PROGRAMMED = "not_programmed"  # has no prices yet
    IDLE = "idle"  # cleared: ready to be authorised
    AUTHORISED = "authorised"
    FUELLING = "fuelling"
    SUSPENDED = "suspended"
    COMPLETE = "complete"  # ended; the display retains the last fuelling until cleared
    CLOSED = "closed"  # switched off
    INOPERATIVE = "inoperative"


@dataclass(frozen=True, slots=True)
class Preset:
    """A limit given to a dispenser: a volume or an amount, exactly one of them."""

    volume: Volume | None = None
    amount: Money | None = None

    def __post_init__(self) -> None:
        if (self.volume is None) == (self.amount is None):
            raise ValueError("a preset limits either the volume or the amount")


# --- commands -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Authorise:
    """Release a fuelling point for one fuelling, through the given nozzles only."""

    fp: FpId
    nozzles: tuple[LogicalNozzle, ...]
    preset: Preset | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the fuelling or take an authorisation back. Also used by stop-all."""

    fp: FpId


@dataclass(frozen=True, slots=True)
class Suspend:
    """Pause the flow; the fuelling stays open."""

    fp: FpId


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a suspended fuelling flow on."""

    fp: FpId


@dataclass(frozen=True, slots=True)
class Clear:
    """Clear the display and the finished fuelling, so that the next one may be authorised."""

    fp: FpId


@dataclass(frozen=True, slots=True)
class ReadTotals:
    """Read the totalisers of one nozzle; answered by `TotalsRead`."""

    fp: FpId
    nozzle: LogicalNozzle


@dataclass(frozen=True, slots=True)
class ReadTransaction:
    """Read the retained (last) fuelling again; answered by `FuellingEnded`."""

    fp: FpId


@dataclass(frozen=True, slots=True)
class SetPrices:
    """Program the unit prices of all nozzles of a fuelling point at once."""

    fp: FpId
    prices: tuple[tuple[LogicalNozzle, UnitPrice], ...]


DispenserCommand: TypeAlias = (
    Authorise | Stop | Suspend | Resume | Clear | ReadTotals | ReadTransaction | SetPrices
)


# --- events -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A fuelling point answers (again), or has stopped answering."""

    fp: FpId
    online: bool


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The dispenser's status changed, or was read for the first time since the link came up."""

    fp: FpId
    status: DispenserStatus


@dataclass(frozen=True, slots=True)
class NozzleChanged:
    """A nozzle was lifted out of its boot or hung up again; debounced by the engine."""

    fp: FpId
    nozzle: LogicalNozzle
    lifted: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """Running figures of the display; for the screen, never for the books."""

    fp: FpId
    volume: Volume
    amount: Money


@dataclass(frozen=True, slots=True)
class FuellingEnded:
    """Final figures of a fuelling, read until they settled. May repeat after a reconnection."""

    fp: FpId
    nozzle: LogicalNozzle
    volume: Volume
    amount: Money
    unit_price: UnitPrice


@dataclass(frozen=True, slots=True)
class TotalsRead:
    """A nozzle's totalisers. `amount` is None where the dispenser keeps no amount totaliser."""

    fp: FpId
    nozzle: LogicalNozzle
    volume: Volume
    amount: Money | None


@dataclass(frozen=True, slots=True)
class CommandDone:
    """The state that the command asks for was seen."""

    fp: FpId
    command: DispenserCommand


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """The dispenser refused, or the asked-for state did not follow within the bound."""

    fp: FpId
    command: DispenserCommand
    reason: str


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """A dispenser's own alarm or a breach of its protocol that staff must see; `code` is stable."""

    fp: FpId
    code: str


DispenserEvent: TypeAlias = (
    LinkChanged
    | StatusChanged
    | NozzleChanged
    | Progress
    | FuellingEnded
    | TotalsRead
    | CommandDone
    | CommandFailed
    | AlarmRaised
)
