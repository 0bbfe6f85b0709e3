"""The register map of a dispenser, as a TOML file says it: which register means what, and how.

No two makers of Modbus dispensers agree on registers, so the map is data. This module holds what
such a file may say and refuses what it may not; it reads no file itself. The commented example is
`config/registers/reference.toml`.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from drivers.modbus.pdu import MAX_READ_REGISTERS
from drivers.options import nearest
from edge_agent.model.errors import ConfigRefused, Problem

Type: TypeAlias = Literal["u16", "u32", "bcd4", "bcd8", "bcd12"]
WordOrder: TypeAlias = Literal["high_first", "low_first"]
When: TypeAlias = Literal["no_preset", "preset_volume", "preset_amount"]

PUTS = ("preset", "nozzle_mask", "unit_price", "beat")
"""What a step can put besides a number."""

_WORDS: dict[Type, int] = {"u16": 1, "u32": 2, "bcd4": 1, "bcd8": 2, "bcd12": 3}
_DIGITS: dict[Type, int] = {"bcd4": 4, "bcd8": 8, "bcd12": 12}


def _as_tuple(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int) else value


Codes: TypeAlias = Annotated[tuple[int, ...], BeforeValidator(_as_tuple)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Numbering(_Table):
    """The number that the map gives to address 0 on the wire: 30001 and 40001, or 0, or 1."""

    input: int = Field(ge=0)
    holding: int = Field(ge=0)


class _Value(_Table):
    """A number in registers. One count is `scale / divisor` millilitres, fen or thousandths."""

    register_numbers: Codes = Field(alias="register", min_length=1)
    type: Type
    word_order: WordOrder | None = None
    scale: int = Field(default=1, ge=1)
    divisor: int = Field(default=1, ge=1)

    @property
    def words(self) -> int:
        """How many registers the number takes."""
        return _WORDS[self.type]

    @property
    def largest(self) -> int:
        """The largest count that fits."""
        if digits := _DIGITS.get(self.type):
            return int(10**digits) - 1
        return (1 << (16 * self.words)) - 1


class ReadValue(_Value):
    """A number that the dispenser shows; function 3 reads holding registers, 4 input registers.

    A list of registers gives one for each logical nozzle, from nozzle 1 on.
    """

    function: Literal[3, 4]


class WriteValue(_Value):
    """A number that the dispenser takes; function 6 writes one register, 16 several."""

    function: Literal[6, 16]

    @model_validator(mode="after")
    def _fits_its_function(self) -> Self:
        if self.function == 6 and self.words > 1:
            raise ValueError("function 6 writes one register: use function 16 for this type")
        return self


class States(_Table):
    """Which numbers in the state register mean what. A state may have several numbers."""

    offline: Codes = ()
    not_programmed: Codes = ()
    idle: Codes = Field(min_length=1)
    calling: Codes = ()
    authorised: Codes = Field(min_length=1)
    fuelling: Codes = Field(min_length=1)
    suspended: Codes = ()
    complete: Codes = Field(min_length=1)
    stopped: Codes = ()
    closed: Codes = ()
    inoperative: Codes = ()

    def words(self) -> dict[int, str]:
        """Return the state's name by number.

        Raises:
            ValueError: a number stands for two states.
        """
        names: dict[int, str] = {}
        for name in type(self).model_fields:
            for code in getattr(self, name):
                if code in names:
                    raise ValueError(f"{code} means both {names[code]} and {name}")
                names[code] = name
        return names

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        self.words()
        return self


class Status(_Table):
    """What one poll reads, in one request: one function, at most 125 registers from end to end."""

    state: ReadValue
    nozzle_mask: ReadValue
    live_volume: ReadValue
    live_amount: ReadValue
    price: ReadValue
    transaction: ReadValue
    sale_volume: ReadValue
    sale_amount: ReadValue
    sale_transaction: ReadValue | None = None
    sale_nozzle: ReadValue | None = None
    sale_price: ReadValue | None = None

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        values = present(self).values()
        if len({value.function for value in values}) > 1:
            raise ValueError("all values of a poll are read with the same function")
        if any(len(value.register_numbers) > 1 for value in values):
            raise ValueError("a value of the poll has one register number")
        first = min(value.register_numbers[0] for value in values)
        last = max(value.register_numbers[0] + value.words for value in values)
        if last - first > MAX_READ_REGISTERS:
            raise ValueError(f"a poll spans {last - first} registers, {MAX_READ_REGISTERS} at most")
        return self


class NozzleValues(_Table):
    """What is read of each nozzle on demand."""

    total_volume: ReadValue
    total_amount: ReadValue | None = None
    price: ReadValue | None = None

    @model_validator(mode="after")
    def _totals_are_one_request(self) -> Self:
        if (
            self.total_amount is not None
            and self.total_amount.function != self.total_volume.function
        ):
            raise ValueError("both totals of a nozzle are read with the same function")
        return self


class Write(_Table):
    """One step of a command: puts a constant, or what the command carries, into a register."""

    to: str
    value: Annotated[int, Field(ge=0)] | str
    when: When | None = None

    @model_validator(mode="after")
    def _puts_something_known(self) -> Self:
        if isinstance(self.value, str) and self.value not in PUTS:
            raise ValueError(f"'{self.value}' is nothing to write{nearest(self.value, PUTS)}")
        if self.value == "preset" and self.when not in {"preset_volume", "preset_amount"}:
            raise ValueError("a preset is written when = 'preset_volume' or 'preset_amount'")
        return self


Steps: TypeAlias = Annotated[tuple[Write, ...], BeforeValidator(_as_tuple)]


class Commands(_Table):
    """The writes that make up each command, in order; one that is absent is not supported."""

    authorise: Steps = Field(min_length=1)
    stop: Steps = Field(min_length=1)
    clear: Steps = ()
    suspend: Steps = ()
    resume: Steps = ()
    set_price: Steps = ()
    heartbeat: Steps = ()


class Profile(_Table):
    """A dispenser's register map."""

    name: str = Field(min_length=1)
    word_order: WordOrder
    transaction_advances: Literal["authorise", "end"]
    numbering: Numbering
    states: States
    status: Status
    nozzle: NozzleValues
    write: dict[str, WriteValue]
    commands: Commands

    @model_validator(mode="after")
    def _stands_on_registers(self) -> Self:
        for shown in [*present(self.status).values(), *present(self.nozzle).values()]:
            self._check_addresses(shown, self.base_of(shown))
        for written in self.write.values():
            self._check_addresses(written, self.numbering.holding)
        return self

    @model_validator(mode="after")
    def _writes_what_it_names(self) -> Self:
        for name, steps in steps_of(self.commands).items():
            for step in steps:
                if step.to not in self.write:
                    near = nearest(step.to, self.write)
                    raise ValueError(f"commands.{name}: [write.{step.to}] is missing{near}")
                if isinstance(step.value, int) and step.value > self.write[step.to].largest:
                    raise ValueError(
                        f"commands.{name}: {step.value} does not fit [write.{step.to}]"
                    )
        return self

    def base_of(self, value: ReadValue) -> int:
        """Return the number that this map gives to address 0 of the value's kind of register."""
        return self.numbering.input if value.function == 4 else self.numbering.holding

    @staticmethod
    def _check_addresses(value: _Value, base: int) -> None:
        for number in value.register_numbers:
            if not 0 <= number - base <= 0x10000 - value.words:
                raise ValueError(f"register {number} is no address: counting starts at {base}")


# --- reading a file's text ----------------------------------------------------------------------


def present(table: Status | NozzleValues) -> dict[str, ReadValue]:
    """Return the values that a map has, by name."""
    values = {name: getattr(table, name) for name in type(table).model_fields}
    return {name: value for name, value in values.items() if value is not None}


def steps_of(commands: Commands) -> dict[str, tuple[Write, ...]]:
    """Return the steps of every command, by name."""
    return {name: getattr(commands, name) for name in type(commands).model_fields}


def parse_profile(text: str, file: str) -> Profile:
    """Read a register map.

    Raises:
        ConfigRefused: `detail` names the file, the table, the key and the nearest known key.
    """
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise profile_refused(file, "", f"no valid TOML: {error}") from error
    except ValidationError as error:
        errors = error.errors()
        # A misspelt key is also a missing one: the misspelling is what helps.
        first = min(errors, key=lambda each: each["type"] != "extra_forbidden")
        path = [str(part) for part in first["loc"] if part not in {"constrained-int", "int", "str"}]
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            said = "unknown key" + nearest(path[-1], _known_keys(path[:-1]))
        raise profile_refused(file, ".".join(path), said) from error


def profile_refused(file: str, path: str, said: str) -> ConfigRefused:
    """Return the refusal of a register map, to be raised; `path` is "table.key"."""
    table, _, key = path.rpartition(".")
    place = f", table [{table}]" * bool(table) + f", key '{key}'" * bool(key)
    return ConfigRefused(
        Problem(
            "register_map_invalid",
            "Modbus 寄存器表有误，请修改文件中指出的项",
            "a Modbus register map is wrong; correct the named key in the file",
        ),
        f"{file}{place}: {said}",
    )


def _known_keys(path: list[str]) -> list[str]:
    """Return what may stand in the table at `path`, as a file writes it."""
    model: type[BaseModel] = Profile
    for part in path:
        if part.isdigit():
            continue
        if model is Profile:
            model = _INNER.get(part, Profile)
        elif model in {Status, NozzleValues}:
            model = ReadValue
        elif model is Commands:
            model = Write
    return [info.alias or name for name, info in model.model_fields.items()]


_INNER: dict[str, type[BaseModel]] = {
    "numbering": Numbering,
    "states": States,
    "status": Status,
    "nozzle": NozzleValues,
    "write": WriteValue,
    "commands": Commands,
}
