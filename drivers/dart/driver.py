"""The DART family as `drivers.registry` sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drivers.contract import DecodedFrame, SerialLine
from drivers.dart.engine import DartEngine
from drivers.dart.options import dart_options
from drivers.dart.reading import read_frames
from drivers.dart.simulator import DartPumpSide
from drivers.pump_model import SimulatedPump
from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.ids import FpId
from edge_agent.model.station import BusPlan


class DartDriver:
    """Wayne DART."""

    name: Final = "dart"

    def serial_line(self, plan: BusPlan) -> SerialLine:
        """Return 9600 baud (or 19200, by option), eight data bits, odd parity, one stop bit."""
        return SerialLine(dart_options(plan).baud, "odd")

    def build_engine(self, plan: BusPlan) -> DartEngine:
        """Build the controller's side. Raises `ConfigRefused`."""
        return DartEngine(plan.fuelling_points, dart_options(plan))

    def build_simulator(self, plan: BusPlan, pumps: Mapping[FpId, SimulatedPump]) -> DartPumpSide:
        """Build the pump's side. Raises `ConfigRefused`."""
        return DartPumpSide(plan, dart_options(plan), pumps)

    def decode_frames(self, data: bytes, variant: str = "") -> list[DecodedFrame]:
        """Decode a recording. Raises `ConfigRefused`: there is one framing only."""
        if variant:
            raise ConfigRefused(
                Problem("variant_unknown", "没有这种帧格式", "this protocol has no such framing"),
                f"dart-{variant}",
            )
        return read_frames(data)


DRIVER: Final = DartDriver()
