"""A serial port, held exclusively. The only door to pyserial."""

from __future__ import annotations

import contextlib
import termios
from pathlib import Path
from typing import Final

import serial

from drivers.contract import SerialLine
from drivers.transport.descriptor import DescriptorStream
from drivers.transport.link import link_lost

PARITY: Final = {
    "none": serial.PARITY_NONE,
    "odd": serial.PARITY_ODD,
    "even": serial.PARITY_EVEN,
}


class SerialTransport:
    """A serial device (RS-485 or current-loop adapter, or a pty) on the event loop.

    pyserial sets the line; the bytes go through the descriptor directly, so that no thread stands
    between a pump's answer and the engine.
    """

    def __init__(self, device: str, line: SerialLine) -> None:
        self._device = device
        self._line = line
        self._port: serial.Serial | None = None
        self._stream: DescriptorStream | None = None

    async def open(self) -> None:
        """Open and lock the port. Raises `LinkLost`, also when another process holds it."""
        await self.close()
        try:
            port = serial.Serial(
                self._device,
                self._line.baud,
                bytesize=self._line.data_bits,
                parity=self._parity(),
                stopbits=self._line.stop_bits,
                timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise link_lost(f"{self._device}: {error}") from error
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            # FTDI adapters hold bytes back for 16 ms otherwise; a pty has no such setting.
            port.set_low_latency_mode(True)
        self._port = port
        self._stream = DescriptorStream(port.fileno(), self._device)

    def _parity(self) -> str:
        """A pseudo terminal keeps no parity bit, and refuses to be asked for one a second time."""
        is_pty = Path(self._device).resolve().is_relative_to("/dev/pts")
        return PARITY["none" if is_pty else self._line.parity]

    async def read(self) -> bytes:
        """Return at least one byte. Raises `LinkLost`."""
        return await self._opened().read()

    async def write(self, data: bytes) -> None:
        """Write all bytes. Raises `LinkLost`."""
        await self._opened().write(data)

    async def close(self) -> None:
        """Close and unlock; closing twice is harmless."""
        if self._stream is not None:
            self._stream.detach()
            self._stream = None
        if self._port is not None:
            with contextlib.suppress(OSError):  # the device may be gone already
                self._port.close()
            self._port = None

    def _opened(self) -> DescriptorStream:
        if self._stream is None:
            raise link_lost(f"{self._device}: not open")
        return self._stream
