"""A real API over a station in memory, served by a thread of its own, for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace

from edge_agent.api.server import serve
from edge_agent.config.paths import StationPaths
from tests.api.conftest import TOKEN, app_of
from tests.api.fake_station import FakeStation


@contextlib.contextmanager
def served(station: FakeStation, paths: StationPaths) -> Iterator[None]:
    """Serve the API of a station under some paths, as the agent does."""
    paths.create()
    paths.token.write_text(TOKEN, encoding="ascii")
    running = SimpleNamespace(stop=None)
    started = threading.Event()

    async def serving() -> None:
        def listening(port: int) -> None:
            paths.address.write_text(f"http://127.0.0.1:{port}\n", encoding="ascii")
            started.set()

        task = asyncio.create_task(serve(app_of(station), on_listening=listening))
        running.stop = asyncio.get_running_loop(), task
        with contextlib.suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: asyncio.run(serving()))
    thread.start()
    try:
        assert started.wait(20)
        yield
    finally:
        loop, task = running.stop
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
