"""The options of a DART bus, table `[buses.options]` of the configuration."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from drivers.dart.codec import FIRST_ADDRESS, LAST_ADDRESS
from drivers.dart.decimals import Decimals
from drivers.options import StrictOptions, option_refused, parse_options
from edge_agent.model.station import BusPlan

NOZZLES_MAX: Final = 15


class DartOptions(StrictOptions):
    """Timing, decimals and the manners of the pumps' heads. All times in milliseconds."""

    baud: Literal[9600, 19200] = 9600
    volume_decimals: Annotated[int, Field(ge=0, le=3)] = 2
    amount_decimals: Annotated[int, Field(ge=0, le=2)] = 2
    price_decimals: Annotated[int, Field(ge=0, le=3)] = 2
    decimals_confirmed: bool = False
    """A person has compared display and screen once; nothing is sold before that."""
    idle_poll_ms: Annotated[int, Field(ge=20, le=1000)] = 200
    """Above one second iGEM heads show "POS communication lost"."""
    active_poll_ms: Annotated[int, Field(ge=10, le=1000)] = 100
    gap_ms: Annotated[int, Field(ge=0, le=250)] = 2
    """Silence between two exchanges; old heads want 50 and more."""
    response_timeout_ms: Annotated[int, Field(ge=10, le=1000)] = 100
    """Until an answer starts. By the book 25, and 16 more for USB adapters; some heads take 100."""
    silent_polls: Annotated[int, Field(ge=1, le=20)] = 3
    probe_ms: Annotated[int, Field(ge=200, le=60_000)] = 2_000
    """How often an address that does not answer is asked again, at first."""
    probe_cap_ms: Annotated[int, Field(ge=200, le=10_000)] = 10_000
    progress_ms: Annotated[int, Field(ge=50, le=5000)] = 500
    """Running figures that a pump does not volunteer are asked for after so long."""
    price_polls: Annotated[int, Field(ge=1, le=64)] = 16
    price_poll_ms: Annotated[int, Field(ge=10, le=2000)] = 250
    preset_after_lift: bool = True
    """Dresser Wayne Shanghai heads drop a preset sent before the nozzle is lifted."""
    echo: Literal["auto", "on", "off"] = "auto"
    """Whether the adapter returns what is sent."""
    foreign_quiet_ms: Annotated[int, Field(ge=1000, le=600_000)] = 15_000
    """How long nothing is sent after another controller was heard."""

    @model_validator(mode="after")
    def _cap_above_start(self) -> Self:
        if self.probe_cap_ms < self.probe_ms:
            raise ValueError("probe_cap_ms must not be below probe_ms")
        return self

    @property
    def decimals(self) -> Decimals:
        """Where the decimal points stand."""
        return Decimals(self.volume_decimals, self.amount_decimals, self.price_decimals)


def dart_options(plan: BusPlan) -> DartOptions:
    """Validate the options and the addresses of a bus.

    Raises:
        ConfigRefused: an option, address or nozzle number is out of range, or used twice.
    """
    options = parse_options(DartOptions, plan)
    seen: set[int] = set()
    for point in plan.fuelling_points:
        where = f"fuelling point {point.fp}: address {point.address:#04x}"
        if not FIRST_ADDRESS <= point.address <= LAST_ADDRESS:
            raise option_refused(plan, "address", f"{where} is outside 0x50 to 0x6f")
        if point.address in seen:
            raise option_refused(plan, "address", f"{where} is used twice")
        seen.add(point.address)
        logical = [nozzle.logical for nozzle in point.nozzles]
        if not logical or len(set(logical)) < len(logical):
            raise option_refused(plan, "logical", f"{where}: nozzle numbers must be distinct")
        if not all(1 <= number <= NOZZLES_MAX for number in logical):
            raise option_refused(plan, "logical", f"{where}: nozzle numbers are 1 to 15")
    return options
