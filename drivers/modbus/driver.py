"""The Modbus driver: puts the parts of a bus together as its options say."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.contract import DecodedFrame, SerialLine
from drivers.modbus.codec import Framing
from drivers.modbus.commands import Commands
from drivers.modbus.engine import ModbusEngine
from drivers.modbus.image import RegisterImage
from drivers.modbus.link import Echo, Link, LinkTiming
from drivers.modbus.options import (
    ModbusOptions,
    load_profile,
    modbus_options,
    register_maps,
)
from drivers.modbus.point import Point, Rhythm
from drivers.modbus.recording import decode_frames
from drivers.modbus.register_map import RegisterMap
from drivers.modbus.simulator import ModbusPumpSide
from drivers.modbus.watch import Watch
from drivers.pump_model import SimulatedPump
from edge_agent.model.ids import FpId
from edge_agent.model.station import BusPlan, FpPlan


class ModbusDriver:
    """Dispensers with a Modbus register map. Follows `drivers.contract.Driver`."""

    name = "modbus"

    def serial_line(self, plan: BusPlan) -> SerialLine:
        """Return how the serial port of this bus is set. Raises `ConfigRefused`."""
        options = modbus_options(plan)
        return SerialLine(options.baud, options.parity, stop_bits=options.stop_bits)

    def build_engine(self, plan: BusPlan) -> ModbusEngine:
        """Build the controller's side of a bus.

        Raises:
            ConfigRefused: an option or the register map is wrong; `detail` says where.
        """
        options = modbus_options(plan)
        maps = register_maps(plan, load_profile(plan, options))
        is_serial = options.framed is Framing.RTU
        timing = LinkTiming(
            timeout_ms=options.response_timeout_ms,
            gap_ms=options.gap_ms if is_serial else 0,
            late_ms=options.late_ms if is_serial else 0,
        )
        link = Link(options.framed, timing, Echo(options.echo))
        points = [_point(point, maps[point.fp], options) for point in plan.fuelling_points]
        return ModbusEngine(link, points)

    def build_simulator(self, plan: BusPlan, pumps: Mapping[FpId, SimulatedPump]) -> ModbusPumpSide:
        """Build the pump's side of the same bus, without I/O. Raises `ConfigRefused`."""
        return ModbusPumpSide(modbus_options(plan).framed, self.build_images(plan, pumps))

    def build_images(
        self, plan: BusPlan, pumps: Mapping[FpId, SimulatedPump]
    ) -> dict[int, RegisterImage]:
        """Build the simulated registers of each unit, as `server.ModbusPumpServer` wants them.

        Raises:
            ConfigRefused: an option or the register map is wrong.
        """
        maps = register_maps(plan, load_profile(plan, modbus_options(plan)))
        return {
            point.address: RegisterImage(maps[point.fp], pumps[point.fp])
            for point in plan.fuelling_points
        }

    def decode_frames(self, data: bytes, variant: str = "") -> list[DecodedFrame]:
        """Decode a recording of a bus, either direction; `variant` is "rtu" or "tcp".

        Raises:
            ConfigRefused: another variant.
        """
        return decode_frames(data, variant)


def _point(plan: FpPlan, registers: RegisterMap, options: ModbusOptions) -> Point:
    watch = Watch(plan, advances_at_authorise=registers.advances_at_authorise)
    commands = Commands(
        registers,
        watch,
        verify_pause_ms=options.verify_poll_ms,
        scales_confirmed=options.scales_confirmed,
    )
    rhythm = Rhythm(
        idle_ms=options.idle_poll_ms,
        active_ms=options.active_poll_ms,
        probe_ms=options.probe_ms,
        probe_cap_ms=options.probe_cap_ms,
        heartbeat_ms=options.heartbeat_ms,
    )
    return Point(plan.address, registers, watch, commands, rhythm)
