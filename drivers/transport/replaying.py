"""A transport that plays the other side out of a capture."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from drivers.transport.capture import CaptureEntry
from drivers.transport.link import link_lost


class ReplayingTransport:
    """Returns what a capture received, each piece as long after a write as it was then.

    A piece waits until as many writes have happened as had before it in the capture, so that an
    engine that is slower or faster today hears the same answers. `differing` counts writes that are
    not what was written then.
    """

    def __init__(self, entries: Sequence[CaptureEntry]) -> None:
        self.differing = 0
        self._entries = entries
        self._expected: deque[bytes] = deque()
        self._incoming: deque[tuple[int, int, bytes]] = deque()
        self._writes = 0
        self._written: asyncio.Future[None] | None = None
        self._is_open = False

    async def open(self) -> None:
        """Begin at the start of the capture."""
        self._is_open, self._writes, self.differing = True, 0, 0
        self._expected = deque(each.data for each in self._entries if each.direction == "out")
        self._incoming.clear()
        writes, last_ms = 0, self._entries[0].t_ms if self._entries else 0
        for entry in self._entries:
            if entry.direction == "out":
                writes += 1
            else:
                self._incoming.append((writes, max(0, entry.t_ms - last_ms), entry.data))
            last_ms = entry.t_ms

    async def read(self) -> bytes:
        """Return the next piece. Raises `LinkLost` at the end of the capture."""
        if not self._incoming or not self._is_open:
            raise link_lost("end of the capture")
        writes, wait_ms, data = self._incoming[0]
        while self._writes < writes:
            self._written = asyncio.get_running_loop().create_future()
            await self._written
            if not self._is_open:
                raise link_lost("capture is closed")
        await asyncio.sleep(wait_ms / 1000)
        self._incoming.popleft()
        return data

    async def write(self, data: bytes) -> None:
        """Compare with what was written then. Raises `LinkLost` when closed."""
        if not self._is_open:
            raise link_lost("capture is closed")
        expected = self._expected.popleft() if self._expected else b""
        self.differing += data != expected
        self._writes += 1
        self._wake()

    async def close(self) -> None:
        """Close; closing twice is harmless."""
        self._is_open = False
        self._wake()

    def _wake(self) -> None:
        if self._written is not None and not self._written.done():
            self._written.set_result(None)
