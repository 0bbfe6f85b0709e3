"""A transport that notes everything it carries."""

from __future__ import annotations

from drivers.transport.capture import Capture, CaptureEntry
from edge_agent.ports import Clock, Transport


class RecordingTransport:
    """Wraps a transport; every write and read goes into the capture with its time."""

    def __init__(self, inner: Transport, capture: Capture, clock: Clock) -> None:
        self._inner = inner
        self._capture = capture
        self._clock = clock

    async def open(self) -> None:
        """Open the inner transport. Raises `LinkLost`."""
        await self._inner.open()

    async def read(self) -> bytes:
        """Return what the inner transport read. Raises `LinkLost`."""
        data = await self._inner.read()
        self._capture.note(CaptureEntry(self._clock.monotonic_ms(), "in", data))
        return data

    async def write(self, data: bytes) -> None:
        """Write through the inner transport. Raises `LinkLost`."""
        self._capture.note(CaptureEntry(self._clock.monotonic_ms(), "out", data))
        await self._inner.write(data)

    async def close(self) -> None:
        """Close the inner transport; closing twice is harmless."""
        await self._inner.close()
