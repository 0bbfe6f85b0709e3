"""Commands as scripts: what to write and read, one request after the other, until the state that
the command asks for is seen.

A script yields requests and pauses and is sent the replies (None for silence); it returns "" when
the command is done, or the reason why it failed. An acknowledgement means received, not done: every
command is verified by what the dispenser shows afterwards. Silence after the write that makes a
pump act does not mean that it was lost, so that write is repeated only once the transaction number
shows that nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from drivers.modbus.pdu import ExceptionCode, ExceptionReply, ReadReply, Reply, Request
from drivers.modbus.register_map import Carried, Reading, RegisterMap
from drivers.modbus.watch import Watch
from edge_agent.model.dispenser import (
    AlarmRaised,
    Authorise,
    Clear,
    DispenserCommand,
    DispenserEvent,
    DispenserStatus,
    FuellingEnded,
    ReadTotals,
    ReadTransaction,
    Resume,
    SetPrices,
    Stop,
    Suspend,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, UnitPrice, Volume


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing to ask for so many milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Tell:
    """An event to emit before going on."""

    event: DispenserEvent


Script: TypeAlias = Generator[Request | Pause | Tell, Reply | None, str]
Check: TypeAlias = Callable[[Reading], bool]

DONE: Final = ""
ATTEMPTS: Final = 2
"""How often a command is given whose effect did not show."""
VERIFY_POLLS: Final = 16
"""How many polls a command's effect may take; price programming is the slowest."""
BUSY_RETRIES: Final = 5
BUSY_PAUSE_MS: Final = 200

SILENCE: Final = "no_answer"
_POLLS_AFTER: Final = {DONE: VERIFY_POLLS, SILENCE: 3}
"""How long to look for an effect; after a refusal one look tells whether the state is right."""


class Commands:
    """The scripts of one fuelling point."""

    def __init__(
        self, registers: RegisterMap, watch: Watch, *, verify_pause_ms: int, scales_confirmed: bool
    ) -> None:
        self._map = registers
        self._watch = watch
        self._verify_pause_ms = verify_pause_ms
        self._scales_confirmed = scales_confirmed

    def script(self, command: DispenserCommand) -> Script:
        """Return the script of a command."""
        match command:
            case Authorise():
                return self._authorise(command)
            case Stop():
                return self._act("stop", lambda _: not self._watch.is_flowing, insists=True)
            case Suspend():
                return self._suspend()
            case Resume():
                return self._resume()
            case Clear():
                return self._clear()
            case ReadTotals():
                return self._read_totals(command)
            case ReadTransaction():
                return self._read_transaction()
            case SetPrices():
                return self._set_prices(command)

    # --- the commands ---

    def _authorise(self, command: Authorise) -> Script:
        hindrance = self._hindrance(command)
        if hindrance:
            return hindrance
        try:
            writes = self._map.requests("authorise", _carried(command))
        except ValueError:
            return "preset_not_representable"
        if self._watch.status is DispenserStatus.COMPLETE:
            failure = yield from self._clear()
            if failure:
                return failure
        if self._watch.status is not DispenserStatus.IDLE or self._watch.reading is None:
            return "not_idle"
        before = self._watch.reading.transaction
        return (yield from self._given(writes, lambda now: self._took(before, now)))

    def _hindrance(self, command: Authorise) -> str:
        """Return why the point cannot be authorised now, or nothing."""
        known = self._map.totals.keys()
        hindrances = (
            ("decimals_unconfirmed", not self._scales_confirmed),
            ("decimals_suspect", self._watch.has_suspect_scales),
            ("no_such_nozzle", not command.nozzles or not known >= set(command.nozzles)),
            ("fuelling", self._watch.is_flowing),
            ("not_programmed", self._watch.status is DispenserStatus.NOT_PROGRAMMED),
            ("closed", self._watch.status is DispenserStatus.CLOSED),
        )
        return next((reason for reason, holds in hindrances if holds), DONE)

    def _took(self, before: int, now: Reading) -> bool:
        if self._map.advances_at_authorise:
            return now.transaction != before
        return self._watch.is_flowing

    def _clear(self) -> Script:
        for _ in range(VERIFY_POLLS):
            reply = yield self._map.poll
            if isinstance(reply, ReadReply) and not self._watch.has_unreported_sale:
                break
        else:
            return "figures_unsettled"
        if self._watch.is_flowing:
            return "fuelling"
        if self._watch.status is DispenserStatus.IDLE:
            return DONE
        return (yield from self._act("clear", self._is_idle))

    def _is_idle(self, _now: Reading) -> bool:
        return self._watch.status is DispenserStatus.IDLE

    def _suspend(self) -> Script:
        if not self._map.supports("suspend"):
            return "not_supported"
        if not self._watch.is_flowing:
            return "not_fuelling"
        return (
            yield from self._act(
                "suspend", lambda _: self._watch.status is DispenserStatus.SUSPENDED
            )
        )

    def _resume(self) -> Script:
        if not self._map.supports("resume"):
            return "not_supported"
        if self._watch.status is not DispenserStatus.SUSPENDED:
            return "not_suspended"
        return (
            yield from self._act(
                "resume", lambda _: self._watch.status is not DispenserStatus.SUSPENDED
            )
        )

    def _read_totals(self, command: ReadTotals) -> Script:
        block = self._map.totals.get(command.nozzle)
        if block is None:
            return "no_such_nozzle"
        reply = yield block
        if not isinstance(reply, ReadReply):
            return _failure(reply)
        try:
            volume = self._map.nozzle_value("total_volume", command.nozzle, reply.registers)
            amount = self._map.nozzle_value("total_amount", command.nozzle, reply.registers)
        except ValueError:
            return "not_bcd"
        yield Tell(
            TotalsRead(
                command.fp,
                command.nozzle,
                Volume(volume or 0),
                None if amount is None else Money(amount),
            )
        )
        return DONE

    def _read_transaction(self) -> Script:
        shown: FuellingEnded | None = None
        for _ in range(VERIFY_POLLS):
            reply = yield self._map.poll
            reading = self._watch.reading
            if not isinstance(reply, ReadReply) or reading is None:
                return _failure(reply)
            if self._watch.is_flowing:
                return "fuelling"
            before, shown = shown, self._watch.sale(reading)
            if shown == before and not self._watch.has_unreported_sale:
                yield Tell(shown)
                return DONE
        return "figures_unsettled"

    def _set_prices(self, command: SetPrices) -> Script:
        if not self._map.supports("set_price"):
            return "not_supported"
        if self._watch.is_flowing:
            return "fuelling"
        prices = dict(command.prices)
        if prices.keys() != self._map.totals.keys():
            return "prices_incomplete"
        try:
            writes = [
                write
                for nozzle, price in command.prices
                for write in self._map.requests(
                    "set_price", Carried(nozzle=nozzle, unit_price=price.milli)
                )
            ]
        except ValueError:
            return "price_not_representable"
        for write in writes:
            failure = yield from self._written(write, attempts=ATTEMPTS)
            if failure:
                return failure
        yield self._map.poll  # the first prices make a dispenser ready: tell that first
        for nozzle, price in command.prices:
            failure = yield from self._price_taken(nozzle, price)
            if failure:
                return failure
        return DONE

    def _price_taken(self, nozzle: LogicalNozzle, price: UnitPrice) -> Script:
        """Read a price back, again and again while the pump may still be programming it."""
        if nozzle not in self._map.prices:
            return DONE  # the map has no register to read it back from
        for _ in range(VERIFY_POLLS):
            reply = yield self._map.prices[nozzle]
            if isinstance(reply, ReadReply):
                try:
                    shown = self._map.nozzle_value("price", nozzle, reply.registers)
                except ValueError:
                    return "not_bcd"
                if shown == price.milli:
                    return DONE
            yield Pause(self._verify_pause_ms)
        return "not_confirmed"

    # --- giving and verifying ---

    def _act(self, command: str, holds: Check, *, insists: bool = False) -> Script:
        writes = self._map.requests(command, Carried())
        return (yield from self._given(writes, holds, insists=insists))

    def _given(self, writes: Sequence[Request], holds: Check, *, insists: bool = False) -> Script:
        """Write, then poll until `holds`. Write again only after silence, or to insist."""
        failure = DONE
        for _ in range(ATTEMPTS):
            for write in writes:
                is_last = write is writes[-1]
                failure = yield from self._written(write, attempts=1 if is_last else ATTEMPTS)
                if failure:
                    break
            if (yield from self._seen(holds, _POLLS_AFTER.get(failure, 1))):
                return DONE
            if failure == DONE and not insists:
                break
            if failure not in {DONE, SILENCE}:
                return failure
        yield Tell(AlarmRaised(self._watch.fp, "command_not_done"))
        return failure or "not_confirmed"

    def _seen(self, holds: Check, polls: int) -> Generator[Request | Pause, Reply | None, bool]:
        for _ in range(polls):
            reply = yield self._map.poll
            reading = self._watch.reading
            if isinstance(reply, ReadReply) and reading is not None and holds(reading):
                return True
            yield Pause(self._verify_pause_ms)
        return False

    def _written(self, write: Request, *, attempts: int) -> Script:
        """Write; wait while the unit is busy. "" once the unit acknowledged, else the reason."""
        busy = 0
        while attempts:
            reply = yield write
            match reply:
                case None:
                    attempts -= 1
                case ExceptionReply(code=ExceptionCode.BUSY) if busy < BUSY_RETRIES:
                    busy += 1
                    yield Pause(BUSY_PAUSE_MS)
                case ExceptionReply(code=ExceptionCode.ACKNOWLEDGE):
                    return DONE
                case ExceptionReply():
                    return _failure(reply)
                case _:
                    return DONE
        return SILENCE


def _carried(command: Authorise) -> Carried:
    mask = sum(1 << nozzle - 1 for nozzle in set(command.nozzles))
    preset = command.preset
    if preset is None:
        return Carried(nozzle_mask=mask)
    if preset.volume is not None:
        return Carried(when="preset_volume", preset=preset.volume.ml, nozzle_mask=mask)
    amount = Money(0) if preset.amount is None else preset.amount
    return Carried(when="preset_amount", preset=amount.fen, nozzle_mask=mask)


def _failure(reply: Reply | None) -> str:
    """Return the reason for a reply that is none."""
    if isinstance(reply, ExceptionReply):
        return f"exception_{reply.code:02x}"
    return SILENCE
