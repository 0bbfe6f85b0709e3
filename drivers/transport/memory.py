"""Two ends of a wire in memory, for tests and for the station in virtual time. No threads."""

from __future__ import annotations

import asyncio

from drivers.transport.link import BUFFER_BYTES, READ_BYTES, link_lost


class MemoryTransport:
    """One end of a wire. Made in pairs by `memory_pair`.

    Either end may be cut (`cut`) and mended (`mend`), as a cable is: while it is cut, reading,
    writing and opening raise `LinkLost` at both ends.
    """

    def __init__(self, read_bytes: int, byte_us: int) -> None:
        self._peer = self
        self._arrived = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._read_bytes = read_bytes
        self._byte_us = byte_us
        self._line_free_at = 0.0
        self._is_open = False
        self._is_cut = False

    def join(self, peer: MemoryTransport) -> None:
        """Put the two ends together."""
        self._peer, peer._peer = peer, self

    async def open(self) -> None:
        """Open this end. Raises `LinkLost` while the wire is cut."""
        if self._is_cut:
            raise link_lost("memory wire is cut")
        self._arrived.clear()
        self._is_open = True

    async def read(self) -> bytes:
        """Return at least one byte. Raises `LinkLost` when the wire is cut or this end closed."""
        while not self._arrived:
            self._require_open()
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = bytes(self._arrived[: self._read_bytes])
        del self._arrived[: self._read_bytes]
        return data

    async def write(self, data: bytes) -> None:
        """Put bytes on the wire; with a line speed, wait until the last has left."""
        self._require_open()
        if self._byte_us:
            await self._transmit(data)
        else:
            self._peer.receive(data)

    async def close(self) -> None:
        """Close this end; the other end sees nothing but silence, as on a serial line."""
        self._is_open = False
        self._wake()

    def cut(self) -> None:
        """Cut the wire: both ends lose it now."""
        for end in (self, self._peer):
            end._is_cut = True
            end._arrived.clear()
            end._wake()

    def mend(self) -> None:
        """Join the wire again; each end has to be opened anew."""
        for end in (self, self._peer):
            end._is_cut = False
            end._is_open = False

    def receive(self, data: bytes) -> None:
        """Take bytes in from the wire; nobody listening, or a full buffer, loses them."""
        if self._is_open and len(self._arrived) < BUFFER_BYTES:
            self._arrived += data
            self._wake()

    async def _transmit(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for byte in data:
            start = max(loop.time(), self._line_free_at)
            self._line_free_at = start + self._byte_us / 1_000_000
            await asyncio.sleep(self._line_free_at - loop.time())
            self._require_open()
            self._peer.receive(bytes((byte,)))

    def _require_open(self) -> None:
        if self._is_cut or not self._is_open:
            raise link_lost("memory wire is cut" if self._is_cut else "memory wire is closed")

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def memory_pair(
    *, one_byte_at_a_time: bool = False, byte_us: int = 0
) -> tuple[MemoryTransport, MemoryTransport]:
    """Return the two ends of a wire.

    Args:
        one_byte_at_a_time: each `read` returns a single byte.
        byte_us: what one byte needs on the wire, in microseconds; 0 for no time at all. A serial
            line at 9600 baud with parity needs 1146.
    """
    read_bytes = 1 if one_byte_at_a_time else READ_BYTES
    one, other = MemoryTransport(read_bytes, byte_us), MemoryTransport(read_bytes, byte_us)
    one.join(other)
    return one, other
