"""The far end of a pseudo terminal: where simulated pumps sit behind a real serial device."""

from __future__ import annotations

import os
import tty

from drivers.transport.descriptor import DescriptorStream
from drivers.transport.link import link_lost


class PtyTransport:
    """A pseudo terminal made by us; `device` is the serial port that the agent opens.

    The near end is held open as well, so that the agent may open and close it as it likes.
    """

    def __init__(self) -> None:
        self._descriptor, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._descriptor, False)
        self.device = os.ttyname(self._near)
        self._stream: DescriptorStream | None = None
        self._is_closed = False

    async def open(self) -> None:
        """Start listening. Raises `LinkLost` after `close`."""
        if self._is_closed:
            raise link_lost(f"{self.device}: closed for good")
        self._stream = DescriptorStream(self._descriptor, self.device)

    async def read(self) -> bytes:
        """Return at least one byte. Raises `LinkLost`."""
        return await self._opened().read()

    async def write(self, data: bytes) -> None:
        """Write all bytes. Raises `LinkLost`."""
        await self._opened().write(data)

    async def close(self) -> None:
        """Take the device away, as if the adapter were pulled out; closing twice is harmless."""
        if self._stream is not None:
            self._stream.detach()
            self._stream = None
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)
            os.close(self._near)

    def _opened(self) -> DescriptorStream:
        if self._stream is None:
            raise link_lost(f"{self.device}: not open")
        return self._stream
