"""Pushes the station's view to every screen that listens: server-sent events, newest view only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator

from pydantic import TypeAdapter

from edge_agent.app.station import Station
from edge_agent.model.views import StationView

MAX_LISTENERS = 32
MIN_GAP_S = 0.1
"""At most ten views a second: more than an eye can follow, less than a slow PC can draw."""

HEARTBEAT_S = 5.0
RETRY_MS = 1000

_log = logging.getLogger(__name__)
_view_adapter = TypeAdapter(StationView)


def view_json(view: StationView) -> bytes:
    """Return a view as JSON."""
    return _view_adapter.dump_json(view)


class StationFeed:
    """Serialises each view once for all listeners. A slow listener skips views, and never queues.

    The first listener starts it and the last one ends it, so that a station whose screen is off
    pays nothing for it.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._listeners: set[asyncio.Event] = set()
        self._pump: asyncio.Task[None] | None = None
        self._number = 0
        self._latest = b""
        self._closed = False

    async def events(self, wake: asyncio.Event) -> AsyncIterator[bytes]:
        """Yield the present view at once, each later one, and a heartbeat whenever it is quiet.

        `wake` is the place that `listening` gave.
        """
        yield f"retry: {RETRY_MS}\n\n".encode()
        # The follower has to watch before the first view is taken, or a change is missed.
        await asyncio.sleep(0)
        self._publish()
        seen = 0
        while not self._closed:
            wake.clear()
            if self._number != seen:
                seen = self._number
                yield b"id: %d\nevent: station\ndata: %s\n\n" % (seen, self._latest)
            elif not await _woken(wake):
                # An event, not a mere comment: a page cannot see comments, and has to notice
                # when the agent has fallen silent.
                yield b": heartbeat\nevent: beat\ndata: {}\n\n"

    def close(self) -> None:
        """End all streams; the agent is stopping."""
        self._end_streams()
        if self._pump is not None:
            self._pump.cancel()

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Event | None]:
        """Take a listener's place, or None where all are taken, and give it back at the end."""
        if len(self._listeners) >= MAX_LISTENERS:
            yield None
            return
        wake = asyncio.Event()
        self._listeners.add(wake)
        if self._pump is None:
            self._closed = False
            self._pump = asyncio.create_task(self._follow(), name="station feed")
            self._pump.add_done_callback(self._on_pump_done)
        try:
            yield wake
        finally:
            self._listeners.discard(wake)
            if not self._listeners and self._pump is not None:
                self._pump.cancel()
                self._pump = None

    async def _follow(self) -> None:
        async for _ in self._station.changes():
            self._publish()
            await asyncio.sleep(MIN_GAP_S)

    def _publish(self) -> None:
        self._latest = view_json(self._station.view())
        self._number += 1
        for wake in self._listeners:
            wake.set()

    def _on_pump_done(self, pump: asyncio.Task[None]) -> None:
        if pump is not self._pump:
            return
        self._pump = None
        self._end_streams()
        if not pump.cancelled() and (error := pump.exception()) is not None:
            _log.error("the feed of the screens ended; they will reconnect", exc_info=error)

    def _end_streams(self) -> None:
        self._closed = True
        for wake in self._listeners:
            wake.set()


async def _woken(wake: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(HEARTBEAT_S):
            await wake.wait()
    except TimeoutError:
        return False
    return True
