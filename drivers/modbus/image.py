"""The registers of one simulated dispenser: what they show, and what writing them does.

Both simulators use it, the one without I/O and pymodbus's server. It follows whatever register map
it is given; the physical pump behind it is `drivers.pump_model.SimulatedPump`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.modbus.pdu import ExceptionCode, Function
from drivers.modbus.profile import When, Write
from drivers.modbus.register_map import Number, RegisterMap
from drivers.pump_model import IN_SALE, SimulatedPump
from edge_agent.model.dispenser import DispenserStatus
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import UnitPrice

_STATES: Final = {
    DispenserStatus.NOT_PROGRAMMED: ("not_programmed", "closed"),
    DispenserStatus.IDLE: ("idle",),
    DispenserStatus.AUTHORISED: ("authorised",),
    DispenserStatus.FUELLING: ("fuelling",),
    DispenserStatus.SUSPENDED: ("suspended", "fuelling"),
    DispenserStatus.COMPLETE: ("complete",),
    DispenserStatus.CLOSED: ("closed", "inoperative"),
    DispenserStatus.INOPERATIVE: ("inoperative", "closed"),
}
_PRESETS: Final[tuple[When, ...]] = ("no_preset", "preset_volume", "preset_amount")
_LAST_TRANSACTION: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class _Trigger:
    """The write that makes the pump act: the last step of a command, of one kind of preset."""

    command: str
    when: When | None
    step: Write
    nozzle: LogicalNozzle
    number: Number


def _triggers(registers: RegisterMap, nozzles: Iterable[LogicalNozzle]) -> list[_Trigger]:
    found = []
    for command, steps in registers.commands.items():
        for when in _PRESETS if command == "authorise" else (None,):
            last = [step for step in steps if step.when in {None, when}][-1:]
            for step in last:
                per_nozzle = nozzles if step.value == "unit_price" else [LogicalNozzle(1)]
                found += [
                    _Trigger(command, when, step, nozzle, registers.written(step, nozzle))
                    for nozzle in per_nozzle
                ]
    return found


def _written(registers: RegisterMap, nozzles: Iterable[LogicalNozzle]) -> list[Number]:
    return [
        registers.written(step, nozzle)
        for steps in registers.commands.values()
        for step in steps
        for nozzle in (nozzles if step.value == "unit_price" else [LogicalNozzle(1)])
    ]


class RegisterImage:
    """One unit's registers over a simulated pump."""

    def __init__(self, registers: RegisterMap, pump: SimulatedPump) -> None:
        self._map = registers
        self._pump = pump
        self._input: dict[int, int] = {}
        self._holding: dict[int, int] = {}
        self._transaction = 0
        self._is_open = False
        self._deliveries = pump.deliveries
        self._sale = (0, min(pump.hoses), 0, 0, 0)
        self._was_stopped = False
        self._staged: dict[LogicalNozzle, UnitPrice] = {}
        self._shown: object = None
        self._version = 0
        self.beats = 0
        self._triggers = _triggers(registers, pump.hoses)
        shown = [*registers.status.values()]
        shown += [number for each in registers.nozzle.values() for number in each.values()]
        for number in [*shown, *_written(registers, pump.hoses)]:
            self._put(number, (0,) * number.words)

    @property
    def is_answering(self) -> bool:
        """Whether the unit has power."""
        return self._pump.is_powered

    def span(self, *, holding: bool) -> range:
        """Return the addresses from the first register of its kind to the last."""
        table = self._holding if holding else self._input
        return range(min(table), max(table) + 1) if table else range(1)

    # --- reading ---

    def version(self, now_ms: int) -> int:
        """Return a number that grows whenever a register may have changed."""
        self._refresh(now_ms)
        return self._version

    def read(
        self, now_ms: int, function: Function, address: int, count: int
    ) -> tuple[int, ...] | ExceptionCode:
        """Return registers as they are at a moment, or the refusal of addresses that are none."""
        holding = function is not Function.READ_INPUT
        asked, known = range(address, address + count), self.span(holding=holding)
        if asked.start not in known or asked[-1] not in known:
            return ExceptionCode.ILLEGAL_ADDRESS
        self._refresh(now_ms)
        table = self._holding if holding else self._input
        return tuple(table.get(each, 0) for each in asked)

    def _refresh(self, now_ms: int) -> None:
        pump = self._pump
        pump.advance(now_ms)
        self._follow_sales()
        counted = [hose.total_volume_ml for hose in pump.hoses.values()]
        shown = (pump.revision, pump.display_revision, self._sale, self._transaction, counted)
        if shown == self._shown:
            return
        self._shown = shown
        self._version += 1
        nozzle = pump.lifted_nozzle
        in_use = nozzle or pump.nozzle or min(pump.hoses)
        number, seller, volume_ml, amount_fen, price_milli = self._sale
        values = {
            "nozzle_mask": 0 if nozzle is None else 1 << nozzle - 1,
            "live_volume": pump.volume_ml,
            "live_amount": pump.amount_fen,
            "price": pump.hoses[in_use].price_milli,
            "transaction": self._transaction,
            "sale_volume": volume_ml,
            "sale_amount": amount_fen,
            "sale_transaction": number,
            "sale_nozzle": seller,
            "sale_price": price_milli,
        }
        for name, register in self._map.status.items():
            if name == "state":
                self._put(register, register.count(self._state()))
            else:
                self._put(register, register.wrapped(values[name]))
        for logical, hose in pump.hoses.items():
            self._show_nozzle("total_volume", logical, hose.total_volume_ml)
            self._show_nozzle("total_amount", logical, hose.total_amount_fen)
            self._show_nozzle("price", logical, hose.price_milli)

    def _show_nozzle(self, name: str, nozzle: LogicalNozzle, value: int) -> None:
        if name in self._map.nozzle:
            register = self._map.nozzle[name][nozzle]
            self._put(register, register.wrapped(value))

    def _state(self) -> int:
        status = self._pump.status
        names = _STATES[status]
        if status is DispenserStatus.IDLE and self._pump.lifted_nozzle is not None:
            names = ("calling", *names)
        if status is DispenserStatus.COMPLETE and self._was_stopped:
            names = ("stopped", *names)
        return self._map.state_number(*names)

    def _put(self, number: Number, registers: Sequence[int]) -> None:
        table = self._input if number.function is Function.READ_INPUT else self._holding
        table.update(enumerate(registers, number.address))

    # --- sales ---

    def _follow_sales(self) -> None:
        """Number each sale, also those that nobody authorised, and keep the last one's figures."""
        pump = self._pump
        new = pump.deliveries - self._deliveries
        self._deliveries = pump.deliveries
        if self._is_open and (new or pump.status not in IN_SALE):
            self._is_open = False
            counted = self._map.advances_at_authorise
            number = self._transaction if counted else self._next_transaction()
            self._keep_sale(number, has_figures=new > 0)
            new = max(0, new - 1)
        for _ in range(new):
            self._keep_sale(self._next_transaction(), has_figures=True)

    def _keep_sale(self, number: int, *, has_figures: bool) -> None:
        pump = self._pump
        if has_figures and pump.nozzle is not None:
            figures = (pump.volume_ml, pump.amount_fen, pump.price_milli)
            self._sale = (number, pump.nozzle, *figures)
        else:
            nozzle = pump.nozzle or min(pump.hoses)
            self._sale = (number, nozzle, 0, 0, pump.hoses[nozzle].price_milli)

    def _next_transaction(self) -> int:
        self._transaction = self._transaction % _LAST_TRANSACTION + 1
        return self._transaction

    # --- writing ---

    def write(self, now_ms: int, address: int, registers: Sequence[int]) -> ExceptionCode | None:
        """Set registers and do what they command; None, or the refusal."""
        written = range(address, address + len(registers))
        known = self.span(holding=True)
        if written.start not in known or written[-1] not in known:
            return ExceptionCode.ILLEGAL_ADDRESS
        self._refresh(now_ms)
        self._holding.update(enumerate(registers, address))
        obeyed = [
            self._obey(now_ms, trigger)
            for trigger in self._triggers
            if trigger.number.address in written and self._is_pulled(trigger)
        ]
        self._shown = None  # what stands in a register is what holds, not what was written
        self._version += 1
        return None if all(obeyed) else ExceptionCode.ILLEGAL_VALUE

    def _is_pulled(self, trigger: _Trigger) -> bool:
        """Whether the registers now say this command, of this kind."""
        wanted = trigger.step.value
        if isinstance(wanted, int) and self._stored(trigger.number) != trigger.number.count(wanted):
            return False
        constants = [
            step
            for step in self._map.commands[trigger.command]
            if step.when == trigger.when and isinstance(step.value, int)
        ]
        return all(
            self._stored(number) == number.count(int(step.value))
            for step in constants
            for number in [self._map.written(step, LogicalNozzle(1))]
        )

    def _obey(self, now_ms: int, trigger: _Trigger) -> bool:
        pump = self._pump
        try:
            match trigger.command:
                case "authorise":
                    return self._authorise(now_ms, trigger.when)
                case "stop":
                    self._was_stopped = pump.stop(now_ms)
                    return self._was_stopped
                case "clear":
                    return pump.clear(now_ms)
                case "suspend":
                    return pump.suspend(now_ms)
                case "resume":
                    return pump.resume(now_ms)
                case "set_price":
                    return self._set_price(now_ms, trigger)
        except ValueError:  # digits that are no BCD
            return False
        self.beats += 1
        return True

    def _authorise(self, now_ms: int, when: When | None) -> bool:
        pump = self._pump
        nozzles = list(pump.hoses)
        preset: dict[str, int] = {}
        for step in self._map.commands["authorise"]:
            if step.value == "nozzle_mask":
                mask = self._value(step)
                nozzles = [nozzle for nozzle in nozzles if mask >> nozzle - 1 & 1]
            if step.value == "preset" and step.when == when:
                kind = "volume_ml" if when == "preset_volume" else "amount_fen"
                preset = {kind: self._value(step)}
        if not nozzles or pump.status is not DispenserStatus.IDLE:
            return False
        pump.preset(**preset)
        self._was_stopped = False
        if self._map.advances_at_authorise:
            self._next_transaction()
        self._is_open = True
        return pump.authorise(now_ms, nozzles)

    def _set_price(self, now_ms: int, trigger: _Trigger) -> bool:
        """Take one hose's price; the pump is programmed once every hose has one."""
        pump = self._pump
        if pump.status in IN_SALE:
            return False
        self._staged[trigger.nozzle] = UnitPrice(self._read(trigger.number))
        prices = {n: UnitPrice(hose.price_milli) for n, hose in pump.hoses.items()} | self._staged
        if not all(price.milli for price in prices.values()):
            return True
        self._staged.clear()
        return pump.set_prices(now_ms, prices)

    def _value(self, step: Write) -> int:
        return self._read(self._map.written(step, LogicalNozzle(1)))

    def _read(self, number: Number) -> int:
        return number.read(self._stored(number), number.address)

    def _stored(self, number: Number) -> tuple[int, ...]:
        return tuple(self._holding.get(number.address + at, 0) for at in range(number.words))
