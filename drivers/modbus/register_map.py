"""A register map made ready for use: numbers in and out of registers, requests for commands.

Both sides use it: the engine reads and commands through it, the simulated pump shows and obeys
through it. What is meant by a register stands in the map (`profile.py`), never here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.framing.bcd import from_bcd, to_bcd
from drivers.modbus.pdu import (
    MAX_WRITE_REGISTERS,
    Function,
    ReadRequest,
    Request,
    WriteRequest,
    WriteSingle,
)
from drivers.modbus.profile import (
    Profile,
    ReadValue,
    Type,
    When,
    Write,
    WriteValue,
    present,
    steps_of,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import divide_half_up

UNKNOWN_STATE = "unknown"
"""Stands for a number that the map's `[states]` does not name."""

_TOTALS = ("total_volume", "total_amount")
_BCD: frozenset[Type] = frozenset({"bcd4", "bcd8", "bcd12"})


@dataclass(frozen=True, slots=True)
class Number:
    """One number in consecutive registers. Its value is in millilitres, fen or thousandths."""

    function: Function
    address: int
    words: int
    is_bcd: bool
    low_first: bool
    scale: int
    divisor: int
    largest: int

    def read(self, registers: Sequence[int], start: int) -> int:
        """Return the value; `registers` begin at address `start`. Rounds half up.

        Raises:
            ValueError: BCD digits above 9.
        """
        at = self.address - start
        words = registers[at : at + self.words]
        data = b"".join(word.to_bytes(2) for word in words[:: -1 if self.low_first else 1])
        count = from_bcd(data) if self.is_bcd else int.from_bytes(data)
        if self.divisor == 1:
            return count * self.scale
        return divide_half_up(count * self.scale, self.divisor)

    def write(self, value: int) -> tuple[int, ...]:
        """Return the registers for a value.

        Raises:
            ValueError: the value is no whole number of counts, negative, or too large.
        """
        count, rest = divmod(value * self.divisor, self.scale)
        if rest or not 0 <= count <= self.largest:
            raise ValueError(f"{value} cannot be written exactly")
        return self.count(count)

    def wrapped(self, value: int) -> tuple[int, ...]:
        """Return the registers for a counter that starts again once it is full."""
        return self.count(value * self.divisor // self.scale % (self.largest + 1))

    def count(self, count: int) -> tuple[int, ...]:
        """Return the registers for a number of counts, which must fit."""
        length = 2 * self.words
        data = to_bcd(count, length) if self.is_bcd else count.to_bytes(length)
        words = [int.from_bytes(data[at : at + 2]) for at in range(0, length, 2)]
        return tuple(words[:: -1 if self.low_first else 1])


@dataclass(frozen=True, slots=True)
class Reading:
    """What one poll shows. Volumes in millilitres, amounts in fen, prices in thousandths."""

    state: str
    nozzle_mask: int
    live_volume_ml: int
    live_amount_fen: int
    price_milli: int
    transaction: int
    sale_volume_ml: int
    sale_amount_fen: int
    sale_transaction: int | None
    sale_nozzle: int | None
    sale_price_milli: int | None


@dataclass(frozen=True, slots=True)
class Carried:
    """What a command carries besides its name; values in millilitres, fen or thousandths."""

    when: When = "no_preset"
    preset: int = 0
    nozzle_mask: int = 0
    nozzle: LogicalNozzle = LogicalNozzle(1)
    unit_price: int = 0
    beat: int = 0


class RegisterMap:
    """A map for fuelling points with these logical nozzles."""

    def __init__(self, profile: Profile, nozzles: Sequence[LogicalNozzle]) -> None:
        """Prepare the numbers and requests.

        Raises:
            ValueError: the map has too few registers for these nozzles.
        """
        self._order = profile.word_order
        self._holding = profile.numbering.holding
        self._states = profile.states.words()
        self.status = {
            name: self._number(value, 1, profile.base_of(value))
            for name, value in present(profile.status).items()
        }
        self.nozzle = {
            name: {n: self._number(value, n, profile.base_of(value), name) for n in nozzles}
            for name, value in present(profile.nozzle).items()
        }
        self._write = profile.write
        self.commands = steps_of(profile.commands)
        self.poll = span(list(self.status.values()))
        self.totals = {n: span(self._numbers_of(n, _TOTALS)) for n in nozzles}
        shown = nozzles if "price" in self.nozzle else ()
        self.prices = {n: span(self._numbers_of(n, ("price",))) for n in shown}
        self.advances_at_authorise = profile.transaction_advances == "authorise"
        for nozzle in nozzles:
            for step in self.commands["set_price"]:
                self.written(step, nozzle)

    def state_number(self, *names: str) -> int:
        """Return the number of the first of these states that the map has.

        Raises:
            ValueError: it has none of them.
        """
        for name in names:
            for number, meant in self._states.items():
                if meant == name:
                    return number
        raise ValueError(f"the map has no state {' or '.join(names)}")

    def supports(self, command: str) -> bool:
        """Whether the map has writes for this command."""
        return bool(self.commands[command])

    # --- the controller's side ---

    def reading(self, registers: Sequence[int]) -> Reading:
        """Read the registers that `poll` asks for.

        Raises:
            ValueError: BCD digits above 9.
        """
        start = self.poll.address
        got = {name: number.read(registers, start) for name, number in self.status.items()}
        return Reading(
            state=self._states.get(got["state"], UNKNOWN_STATE),
            nozzle_mask=got["nozzle_mask"],
            live_volume_ml=got["live_volume"],
            live_amount_fen=got["live_amount"],
            price_milli=got["price"],
            transaction=got["transaction"],
            sale_volume_ml=got["sale_volume"],
            sale_amount_fen=got["sale_amount"],
            sale_transaction=got.get("sale_transaction"),
            sale_nozzle=got.get("sale_nozzle"),
            sale_price_milli=got.get("sale_price"),
        )

    def nozzle_value(
        self, name: str, nozzle: LogicalNozzle, registers: Sequence[int]
    ) -> int | None:
        """Read one value out of the registers of `totals` or `prices`; None if the map has none.

        Raises:
            ValueError: BCD digits above 9.
        """
        if name not in self.nozzle:
            return None
        number = self.nozzle[name][nozzle]
        block = self.prices[nozzle] if name == "price" else self.totals[nozzle]
        return number.read(registers, block.address)

    def requests(self, command: str, carried: Carried) -> list[Request]:
        """Return the writes of a command, in order; the last is what makes the pump act.

        Raises:
            ValueError: a value cannot be written exactly in its register.
        """
        steps = [step for step in self.commands[command] if step.when in {None, carried.when}]
        writes = [self._step(step, carried) for step in steps]
        merged = writes[:1]
        for write in writes[1:-1]:
            merged[-1:] = _joined(merged[-1], write)
        return [*merged, *writes[1:][-1:]]

    def _step(self, step: Write, carried: Carried) -> Request:
        number = self.written(step, carried.nozzle)
        if isinstance(step.value, int):
            registers = number.count(step.value)
        else:
            registers = number.write(getattr(carried, step.value))
        if number.function is Function.WRITE_SINGLE:
            return WriteSingle(number.address, registers[0])
        return WriteRequest(number.address, registers)

    # --- what both sides know ---

    def written(self, step: Write, nozzle: LogicalNozzle) -> Number:
        """Return where a step writes, for this nozzle.

        Raises:
            ValueError: the map has too few registers.
        """
        value = self._write[step.to]
        per_nozzle = len(value.register_numbers) > 1 or step.value == "unit_price"
        return self._number(value, nozzle if per_nozzle else 1, self._holding, step.to)

    def _numbers_of(self, nozzle: LogicalNozzle, names: Sequence[str]) -> list[Number]:
        return [self.nozzle[name][nozzle] for name in names if name in self.nozzle]

    def _number(
        self, value: ReadValue | WriteValue, nozzle: int, base: int, name: str = ""
    ) -> Number:
        if nozzle > len(value.register_numbers):
            raise ValueError(f"'{name}' has no register for nozzle {nozzle}")
        return Number(
            function=Function(value.function),
            address=value.register_numbers[nozzle - 1] - base,
            words=value.words,
            is_bcd=value.type in _BCD,
            low_first=(value.word_order or self._order) == "low_first",
            scale=value.scale,
            divisor=value.divisor,
            largest=value.largest,
        )


def span(numbers: Sequence[Number]) -> ReadRequest:
    """Return the one request that reads all these numbers. They share a function."""
    first = min(number.address for number in numbers)
    last = max(number.address + number.words for number in numbers)
    return ReadRequest(numbers[0].function, first, last - first)


def _joined(one: Request, other: Request) -> list[Request]:
    """Join two writes of several registers that are neighbours; otherwise leave them be."""
    match one, other:
        case WriteRequest(), WriteRequest() if one.address + len(one.registers) == other.address:
            registers = one.registers + other.registers
            if len(registers) <= MAX_WRITE_REGISTERS:
                return [WriteRequest(one.address, registers)]
    return [one, other]
