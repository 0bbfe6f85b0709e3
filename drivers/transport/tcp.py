"""A bus behind a TCP connection: a serial device server, or Modbus TCP."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from drivers.transport.link import BUFFER_BYTES, READ_BYTES, link_lost

CONNECT_TIMEOUT_S: Final = 3.0
KEEPALIVE: Final = (  # a dead peer is noticed within about 25 s although nothing is written
    (socket.TCP_KEEPIDLE, 10),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 3),
)


class TcpTransport:
    """A client connection with TCP_NODELAY and keepalive."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect. Raises `LinkLost`."""
        await self.close()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, limit=BUFFER_BYTES
                )
        except OSError as error:  # TimeoutError is one
            raise link_lost(f"{self._host}:{self._port}: {str(error) or 'timed out'}") from error
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    async def read(self) -> bytes:
        """Return at least one byte. Raises `LinkLost`."""
        if self._reader is None:
            raise link_lost("connection is closed")
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError as error:
            raise link_lost(f"{self._host}:{self._port}: {error}") from error
        if not data:
            raise link_lost(f"{self._host}:{self._port}: closed by the other side")
        return data

    async def write(self, data: bytes) -> None:
        """Write all bytes. Raises `LinkLost`."""
        if self._writer is None:
            raise link_lost("connection is closed")
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise link_lost(f"{self._host}:{self._port}: {error}") from error

    async def close(self) -> None:
        """Close; closing twice is harmless."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is None:
            return
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            return  # the connection was broken already: it is closed all the same
