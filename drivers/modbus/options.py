"""The options of a Modbus bus, table `[bus.NAME.options]` of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from drivers.modbus.codec import LAST_SERIAL_UNIT, Framing
from drivers.modbus.profile import Profile, parse_profile
from drivers.modbus.register_map import RegisterMap
from drivers.options import StrictOptions, option_refused, parse_options
from edge_agent.model.ids import FpId
from edge_agent.model.station import BusPlan, FpPlan

NOZZLES_MAX: Final = 16
PROFILE_BYTES_MAX: Final = 256 * 1024
_LAST_TCP_UNIT: Final = 255
_HERE: Final = Path(__file__).resolve().parent
_REGISTERS: Final = (_HERE / "registers", _HERE.parents[1] / "config" / "registers")
"""Where the shipped maps are: beside the code in a wheel, under `config` in a checkout."""


class ModbusOptions(StrictOptions):
    """Framing, register map and timing of a bus. All times in milliseconds."""

    framing: Literal["rtu", "tcp"] = "rtu"
    profile: str = "reference"
    """A file, or the name of a map in `config/registers` without its ending."""
    scales_confirmed: bool = False
    """A person has compared display and screen once; nothing is sold before that."""
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = 9600
    parity: Literal["none", "odd", "even"] = "even"
    """Even by the standard; none is common in China."""
    stop_bits: Literal[1, 2] = 1
    idle_poll_ms: Annotated[int, Field(ge=20, le=5000)] = 300
    active_poll_ms: Annotated[int, Field(ge=10, le=5000)] = 150
    response_timeout_ms: Annotated[int, Field(ge=20, le=5000)] = 300
    """Until a reply is complete."""
    gap_ms: Annotated[int, Field(ge=0, le=250)] = 5
    """Silence between a reply and the next request on RTU; 3.5 bytes by the standard."""
    late_ms: Annotated[int, Field(ge=0, le=5000)] = 150
    """Silence after a time-out on RTU, so that a late reply is not taken for the next one."""
    probe_ms: Annotated[int, Field(ge=200, le=60_000)] = 1_000
    """How often a unit that does not answer is asked again, at first."""
    probe_cap_ms: Annotated[int, Field(ge=200, le=10_000)] = 8_000
    verify_poll_ms: Annotated[int, Field(ge=10, le=2000)] = 100
    """Between two looks whether a command took effect."""
    heartbeat_ms: Annotated[int, Field(ge=0, le=60_000)] = 5_000
    """How often the pump is told that the agent lives, where the map can say it; 0: never."""
    echo: Literal["auto", "on", "off"] = "auto"
    """Whether an RS-485 adapter returns what is sent."""

    @model_validator(mode="after")
    def _cap_above_start(self) -> Self:
        if self.probe_cap_ms < self.probe_ms:
            raise ValueError("probe_cap_ms must not be below probe_ms")
        return self

    @property
    def framed(self) -> Framing:
        """How messages stand on the wire."""
        return Framing(self.framing)


def modbus_options(plan: BusPlan) -> ModbusOptions:
    """Validate the options and the units of a bus.

    Raises:
        ConfigRefused: an option, unit or nozzle number is unknown, out of range, or used twice.
    """
    options = parse_options(ModbusOptions, plan)
    last = LAST_SERIAL_UNIT if options.framed is Framing.RTU else _LAST_TCP_UNIT
    first = 1 if options.framed is Framing.RTU else 0
    seen: set[int] = set()
    for point in plan.fuelling_points:
        where = f"fuelling point {point.fp}: unit {point.address}"
        if not first <= point.address <= last:
            raise option_refused(plan, "address", f"{where} is outside {first} to {last}")
        if point.address in seen:
            raise option_refused(plan, "address", f"{where} is used twice")
        seen.add(point.address)
        logical = [nozzle.logical for nozzle in point.nozzles]
        if not logical or len(set(logical)) < len(logical):
            raise option_refused(plan, "logical", f"{where}: nozzle numbers must be distinct")
        if not all(1 <= number <= NOZZLES_MAX for number in logical):
            raise option_refused(plan, "logical", f"{where}: nozzle numbers are 1 to {NOZZLES_MAX}")
    return options


def load_profile(plan: BusPlan, options: ModbusOptions) -> Profile:
    """Read the bus's register map.

    Raises:
        ConfigRefused: there is no such file, or what it says is wrong.
    """
    path = Path(options.profile)
    if not path.suffix:
        places = [folder / f"{options.profile}.toml" for folder in _REGISTERS]
        path = next((place for place in places if place.is_file()), places[-1])
    try:
        with path.open("rb") as file:
            text = file.read(PROFILE_BYTES_MAX + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise option_refused(plan, "profile", f"{path.name} cannot be read: {error}") from error
    if len(text) > PROFILE_BYTES_MAX:
        raise option_refused(plan, "profile", f"{path.name} is larger than any register map")
    return parse_profile(text, path.name)


def register_maps(plan: BusPlan, profile: Profile) -> Mapping[FpId, RegisterMap]:
    """Prepare the map for each fuelling point.

    Raises:
        ConfigRefused: the map has too few registers for a point's nozzles.
    """
    return {point.fp: _register_map(plan, point, profile) for point in plan.fuelling_points}


def _register_map(plan: BusPlan, point: FpPlan, profile: Profile) -> RegisterMap:
    try:
        return RegisterMap(profile, tuple(nozzle.logical for nozzle in point.nozzles))
    except ValueError as error:
        raise option_refused(plan, "profile", f"fuelling point {point.fp}: {error}") from error
