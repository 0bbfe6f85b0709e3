"""What every driver family offers, and what the pump's side of a protocol looks like.

A family is a module with an attribute `DRIVER` that satisfies `Driver`; `drivers.registry` finds it
by a word of the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from drivers.pump_model import SimulatedPump
from edge_agent.model.canonical import Json
from edge_agent.model.ids import FpId
from edge_agent.model.station import BusPlan
from edge_agent.ports import Engine

Parity = Literal["none", "odd", "even"]


@dataclass(frozen=True, slots=True)
class SerialLine:
    """How a serial port is set for a bus."""

    baud: int
    parity: Parity
    data_bits: Literal[7, 8] = 8
    stop_bits: Literal[1, 2] = 1

    @property
    def bits_per_byte(self) -> int:
        """Bits on the wire for one byte: start, data, parity and stop."""
        return 1 + self.data_bits + (self.parity != "none") + self.stop_bits


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame of a recording, or a piece of it that is no frame, in the order of the wire."""

    ok: bool
    raw: bytes
    fields: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""


class PumpSide(Protocol):
    """The pump's side of a protocol, without I/O: simulated dispensers of one bus.

    Each element of a returned list is one write. No method blocks or raises on any bytes.
    """

    def on_bytes(self, now_ms: int, data: bytes) -> list[bytes]:
        """Take in what the site controller sent, in pieces of any size; return the answers."""

    def on_timer(self, now_ms: int) -> list[bytes]:
        """Return what has become due, late answers above all."""

    def next_deadline_ms(self) -> int | None:
        """When `on_timer` wants to be called; None for never."""


class Driver(Protocol):
    """One protocol family."""

    @property
    def name(self) -> str:
        """The word of the configuration."""

    def serial_line(self, plan: BusPlan) -> SerialLine:
        """Return how the serial port of this bus is set. Raises `ConfigRefused`."""

    def build_engine(self, plan: BusPlan) -> Engine:
        """Build the controller's side of a bus.

        Raises:
            ConfigRefused: an option is unknown or out of range; `detail` names table and key.
        """

    def build_simulator(self, plan: BusPlan, pumps: Mapping[FpId, SimulatedPump]) -> PumpSide:
        """Build the pump's side of the same bus. Raises `ConfigRefused`, as `build_engine`."""

    def decode_frames(self, data: bytes, variant: str = "") -> list[DecodedFrame]:
        """Decode a recording of a bus, either direction; `variant` picks a framing ("rtu", "tcp").

        Raises:
            ConfigRefused: the family has no such variant.
        """
