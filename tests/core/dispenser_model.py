"""A dispenser in words that belong to no manufacturer: commands in, events out, faults on demand.

It keeps the truth (`sold`) that the books have to arrive at, whatever was lost on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
    Progress,
    ReadTotals,
    ReadTransaction,
    SetPrices,
    StatusChanged,
    Stop,
    TotalsRead,
)
from edge_agent.model.ids import FpId, LogicalNozzle
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

FLOWING = (DispenserStatus.AUTHORISED, DispenserStatus.FUELLING)


@dataclass
class DispenserModel:
    """One fuelling point with two nozzles."""

    fp: FpId = FpId(1)
    online: bool = False
    status: DispenserStatus = DispenserStatus.NOT_PROGRAMMED
    prices: dict[LogicalNozzle, UnitPrice] = field(default_factory=dict)
    lifted: LogicalNozzle | None = None
    flowing: LogicalNozzle | None = None
    volume: Volume = Volume(0)
    shown: FuellingEnded | None = None
    limit: Volume | None = None
    deaf: bool = False
    unheard: set[type[DispenserCommand]] = field(default_factory=set)
    refuse: set[type[DispenserCommand]] = field(default_factory=set)
    total_ml: dict[LogicalNozzle, int] = field(
        default_factory=lambda: {LogicalNozzle(1): 123_450, LogicalNozzle(2): 0}
    )
    total_fen: dict[LogicalNozzle, int] = field(
        default_factory=lambda: {LogicalNozzle(1): 96_900, LogicalNozzle(2): 0}
    )
    outbox: list[DispenserEvent] = field(default_factory=list)

    def emit(self, *events: DispenserEvent) -> None:
        if self.online:
            self.outbox.extend(events)

    def connect(self) -> None:
        self.online = True
        self.emit(LinkChanged(self.fp, True), StatusChanged(self.fp, self.status))
        if self.lifted is not None:
            self.emit(NozzleChanged(self.fp, self.lifted, True))

    def disconnect(self) -> None:
        self.outbox.clear()
        self.emit(LinkChanged(self.fp, False))
        self.online = False

    def lift(self, nozzle: LogicalNozzle) -> None:
        self.lifted = nozzle
        self.emit(NozzleChanged(self.fp, nozzle, True))

    def hang(self) -> None:
        nozzle, self.lifted = self.lifted, None
        if nozzle is not None:
            self.emit(NozzleChanged(self.fp, nozzle, False))
        if self.status in FLOWING:
            self.finish()

    def flow(self, ml: int) -> None:
        if self.status not in FLOWING or self.lifted is None:
            return
        self.flowing = self.lifted
        if self.status is DispenserStatus.AUTHORISED:
            self.set_status(DispenserStatus.FUELLING)
        wanted = Volume(self.volume.ml + ml)
        self.volume = min(wanted, self.limit) if self.limit is not None else wanted
        self.emit(Progress(self.fp, self.volume, amount_of(self.volume, self.price())))
        if self.volume == self.limit:
            self.finish()

    def price(self) -> UnitPrice:
        nozzle = self.flowing or self.lifted or LogicalNozzle(1)
        return self.prices.get(nozzle, UnitPrice(7850))

    def finish(self) -> None:
        nozzle = self.flowing or self.lifted or LogicalNozzle(1)
        amount = amount_of(self.volume, self.price())
        self.total_ml[nozzle] += self.volume.ml
        self.total_fen[nozzle] += amount.fen
        self.shown = FuellingEnded(self.fp, nozzle, self.volume, amount, self.price())
        self.flowing = None
        self.set_status(DispenserStatus.COMPLETE)
        self.emit(self.shown)

    def sell_alone(self, nozzle: LogicalNozzle, ml: int) -> None:
        """Sell with no controller listening."""
        price = self.prices.get(nozzle, UnitPrice(7850))
        amount = amount_of(Volume(ml), price)
        self.total_ml[nozzle] += ml
        self.total_fen[nozzle] += amount.fen
        self.shown = FuellingEnded(self.fp, nozzle, Volume(ml), amount, price)

    def set_status(self, status: DispenserStatus) -> None:
        if status is not self.status:
            self.status = status
            self.emit(StatusChanged(self.fp, status))

    def take(self, command: DispenserCommand) -> None:
        if self.deaf or type(command) in self.unheard:
            return
        if not self.online:
            self.outbox.append(CommandFailed(self.fp, command, "offline"))
            return
        if type(command) in self.refuse:
            self.emit(CommandFailed(self.fp, command, "refused"))
            return
        if self.obey(command):
            self.emit(CommandDone(self.fp, command))
        else:
            self.emit(CommandFailed(self.fp, command, "wrong_state"))

    def obey(self, command: DispenserCommand) -> bool:
        match command:
            case Authorise():
                if self.status in FLOWING:
                    return False
                self.volume = Volume(0)
                self.limit = None
                if command.preset is not None and command.preset.volume is not None:
                    self.limit = command.preset.volume
                self.set_status(DispenserStatus.AUTHORISED)
            case Stop():
                if self.status in FLOWING:
                    self.finish()
            case Clear():
                if self.status in FLOWING:
                    return False
                self.set_status(DispenserStatus.IDLE)
            case ReadTotals():
                if self.status is DispenserStatus.FUELLING:
                    return False
                n = command.nozzle
                self.emit(
                    TotalsRead(self.fp, n, Volume(self.total_ml[n]), Money(self.total_fen[n]))
                )
            case ReadTransaction():
                if self.shown is None:
                    return False
                self.emit(self.shown)
            case SetPrices():
                if self.status in FLOWING:
                    return False
                self.prices = dict(command.prices)
                if self.status is DispenserStatus.NOT_PROGRAMMED:
                    self.set_status(DispenserStatus.IDLE)
        return True
