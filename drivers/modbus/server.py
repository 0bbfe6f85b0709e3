"""Simulated dispensers on pymodbus's own server: a second opinion on every byte.

The registers are those of `image.py`; framing, messages and sockets are pymodbus's. It serves
Modbus TCP on a loopback port, or RTU on a pseudo terminal, whose other end is `device`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus.codec import Framing
from drivers.modbus.image import RegisterImage
from drivers.modbus.pdu import ExceptionCode, Function
from drivers.modbus.simulator import Misbehaviour
from drivers.transport.pty import PtyTransport
from edge_agent.model.errors import LinkLost
from edge_agent.ports import Clock

LOOPBACK: Final = "127.0.0.1"
_UNIT_AT: Final = {Framing.RTU: 0, Framing.TCP: 6}


class _Unit:
    """One unit's registers, as pymodbus asks for them."""

    def __init__(
        self, unit: int, image: RegisterImage, clock: Clock, misbehaviour: Misbehaviour
    ) -> None:
        self._unit = unit
        self._image = image
        self._clock = clock
        self._misbehaviour = misbehaviour

    def device(self) -> SimDevice:
        """Return what pymodbus's server serves."""
        bits = [SimData(0, values=False, datatype=DataType.BITS)]
        kinds = [self._image.span(holding=True), self._image.span(holding=False)]
        holding, shown = (
            [SimData(kind.start, count=len(kind), datatype=DataType.REGISTERS)] for kind in kinds
        )
        return SimDevice(self._unit, simdata=(bits, [*bits], holding, shown), action=self.act)

    async def act(
        self,
        function_code: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Answer pymodbus, which asks before each read and before it stores a write."""
        if set_values is None and function_code == Function.WRITE_SINGLE:
            return None  # pymodbus reads back what it wrote for its reply
        wrong = self._misbehaviour
        if wrong.late_ms:
            await asyncio.sleep(wrong.late_ms / 1000)
        if wrong.refuse:
            return ExcCodes(wrong.refuse.popleft())
        now_ms = self._clock.monotonic_ms()
        if set_values is not None:
            if wrong.is_stuck or self._unit in wrong.absent:
                return None
            refused = self._image.write(now_ms, address, [int(value) for value in set_values])
            return None if refused is None else ExcCodes(refused)
        function = Function.READ_INPUT if function_code == 4 else Function.READ_HOLDING
        values = self._image.read(now_ms, function, address, count)
        if isinstance(values, ExceptionCode):
            return ExcCodes(values)
        registers[address - start : address - start + count] = values
        return None


class ModbusPumpServer:
    """Units of one bus behind a real socket or serial device.

    Args:
        framing: RTU serves a pseudo terminal, TCP a loopback port.
        images: the registers of each unit.
        clock: its monotonic time moves the fuel.
        misbehaviour: what goes wrong; may be changed while the server runs.
        baud: set on the pseudo terminal, where it changes nothing.
    """

    def __init__(
        self,
        framing: Framing,
        images: Mapping[int, RegisterImage],
        clock: Clock,
        misbehaviour: Misbehaviour | None = None,
        *,
        baud: int = 9600,
    ) -> None:
        self.misbehaviour = misbehaviour or Misbehaviour()
        self.device = ""
        self.port = 0
        self._framing = framing
        self._images = images
        self._clock = clock
        self._baud = baud
        self._server: ModbusTcpServer | ModbusSerialServer | None = None
        self._ends: list[PtyTransport] = []
        self._bridges: list[asyncio.Task[None]] = []
        self._request = b""

    async def start(self) -> None:
        """Listen; `port` or `device` then say where.

        Raises:
            RuntimeError: the server cannot listen.
        """
        devices = [
            _Unit(unit, image, self._clock, self.misbehaviour).device()
            for unit, image in self._images.items()
        ]
        if self._framing is Framing.TCP:
            self._server = ModbusTcpServer(
                devices, address=(LOOPBACK, 0), trace_packet=self._on_packet
            )
            await self._server.serve_forever(background=True)
            listening = cast("asyncio.Server", self._server.transport)
            self.port = listening.sockets[0].getsockname()[1]
            return
        inner, outer = PtyTransport(), PtyTransport()
        self._ends = [inner, outer]
        for end in self._ends:
            await end.open()
        self.device = outer.device
        self._server = ModbusSerialServer(
            devices,
            framer=FramerType.RTU,
            port=inner.device,
            baudrate=self._baud,
            trace_packet=self._on_packet,
        )
        await self._server.serve_forever(background=True)
        self._bridges = [
            asyncio.create_task(_carry(inner, outer)),
            asyncio.create_task(_carry(outer, inner)),
        ]

    async def stop(self) -> None:
        """Stop listening and drop every connection; stopping twice is harmless."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for bridge in self._bridges:
            bridge.cancel()
        await asyncio.gather(*self._bridges, return_exceptions=True)
        self._bridges.clear()
        for end in self._ends:
            await end.close()
        self._ends.clear()

    def _on_packet(self, sending: bool, data: bytes) -> bytes:
        """Lose replies, and return echoes, on the last step before the wire."""
        if not sending:
            self._request = data
            return data
        wrong = self.misbehaviour
        unit = data[_UNIT_AT[self._framing]]
        image = self._images.get(unit)
        echo = self._request if wrong.echoes and self._framing is Framing.RTU else b""
        is_silent = unit in wrong.absent or image is None or not image.is_answering
        return echo if is_silent or wrong.loses_reply() else echo + data


async def _carry(source: PtyTransport, target: PtyTransport) -> None:
    with suppress(LinkLost):
        while True:
            await target.write(await source.read())
