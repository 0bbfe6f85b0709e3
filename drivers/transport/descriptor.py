"""Reading and writing a tty's file descriptor on the event loop, without threads."""

from __future__ import annotations

import asyncio
import os

from drivers.transport.link import BUFFER_BYTES, READ_BYTES, link_lost


class DescriptorStream:
    """A non-blocking file descriptor as a stream of bytes.

    It does not own the descriptor: `detach` stops watching it and leaves the closing to the owner.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._arrived = bytearray()
        self._lost = ""
        self._reader: asyncio.Future[None] | None = None
        self._is_watched = False
        self._watch()

    async def read(self) -> bytes:
        """Return at least one byte. Raises `LinkLost`."""
        while not self._arrived:
            if self._lost:
                raise link_lost(f"{self._name}: {self._lost}")
            self._reader = self._loop.create_future()
            await self._reader
        data = bytes(self._arrived)
        self._arrived.clear()
        self._watch()
        return data

    async def write(self, data: bytes) -> None:
        """Write all bytes, waiting for room where the device has none. Raises `LinkLost`."""
        rest = memoryview(data)
        while rest:
            if self._lost:
                raise link_lost(f"{self._name}: {self._lost}")
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                raise link_lost(f"{self._name}: {error}") from error

    def detach(self) -> None:
        """Stop watching the descriptor; whoever reads gets `LinkLost`."""
        self._lose("closed")
        self._loop.remove_writer(self._descriptor)

    def _watch(self) -> None:
        if not self._is_watched and not self._lost:
            self._loop.add_reader(self._descriptor, self._on_readable)
            self._is_watched = True

    def _unwatch(self) -> None:
        if self._is_watched:
            self._loop.remove_reader(self._descriptor)
            self._is_watched = False

    def _on_readable(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:  # a USB adapter pulled out, the other end of a pty closed
            self._lose(str(error))
            return
        if not data:
            self._lose("end of stream")
            return
        self._arrived += data
        if len(self._arrived) >= BUFFER_BYTES:
            self._unwatch()
        self._wake()

    async def _writable(self) -> None:
        ready = self._loop.create_future()
        self._loop.add_writer(self._descriptor, _resolve, ready)
        try:
            await ready
        finally:
            self._loop.remove_writer(self._descriptor)

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._unwatch()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            _resolve(self._reader)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
