"""The DART family as `drivers.registry` sees it, and its reading of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from drivers.contract import DecodedFrame, SerialLine
from drivers.dart.codec import ControlFrame, ControlKind, DataFrame, Frame, FrameDecoder, Rejected
from drivers.dart.engine import DartEngine
from drivers.dart.options import dart_options
from drivers.dart.orders import OtherOrder, decode_order
from drivers.dart.reports import OtherReport, decode_report
from drivers.dart.simulator import DartPumpSide
from drivers.options import option_refused
from drivers.pump_model import SimulatedPump
from edge_agent.model.canonical import Json
from edge_agent.model.errors import FrameRejected
from edge_agent.model.ids import BusId, FpId
from edge_agent.model.station import BusPlan
from edge_agent.ports import Engine
