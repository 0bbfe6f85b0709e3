"""Dispensers of one nozzle each that do as they are told, for tests of the use cases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_agent.model.dispenser import (
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserEvent,
    DispenserStatus,
    ReadTotals,
    ReadTransaction,
    SetPrices,
    StatusChanged,
    Stop,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, Volume

ONE = LogicalNozzle(1)


class Pumps:
    """`ports.Dispensers` that does as it is told, and remembers what that was."""

    def __init__(self) -> None:
        self.sent: list[DispenserCommand] = []
        self.emitted: list[DispenserEvent] = []
        self.refuse: type[DispenserCommand] | None = None
        self._listeners: list[Callable[[DispenserEvent], None]] = []

    def subscribe(self, listener: Callable[[DispenserEvent], None]) -> None:
        self._listeners.append(listener)

    def emit(self, *events: DispenserEvent) -> None:
        self.emitted.extend(events)
        for event in events:
            for listener in self._listeners:
                listener(event)

    def command(self, command: DispenserCommand) -> None:
        self.sent.append(command)
        asyncio.get_running_loop().call_soon(self._obey, command)

    def _obey(self, command: DispenserCommand) -> None:
        if self.refuse is not None and isinstance(command, self.refuse):
            self.emit(CommandFailed(command.fp, command, "refused"))
            return
        match command:
            case ReadTotals():
                self.emit(TotalsRead(command.fp, ONE, Volume(5_000), Money(3_925)))
            case Authorise():
                self.emit(StatusChanged(command.fp, DispenserStatus.AUTHORISED))
            case Stop():
                self.emit(StatusChanged(command.fp, DispenserStatus.COMPLETE))
            case Clear() | SetPrices():
                self.emit(StatusChanged(command.fp, DispenserStatus.IDLE))
        self.emit(CommandDone(command.fp, command))

    def kinds(self) -> list[str]:
        reads = (ReadTotals, ReadTransaction, SetPrices)
        return [type(command).__name__ for command in self.sent if not isinstance(command, reads)]
