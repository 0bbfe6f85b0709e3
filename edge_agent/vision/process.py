"""The agent's side of the vision process: start it, listen, notice when it hangs, start it again.

A decoder's crash or a slow inference stays in the child. A child that is silent for too long is
killed; one that keeps dying is started again ever more rarely, and until then its cameras are
`lost`, which the screen shows and nothing waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.model.errors import MessageRefused, PlateRefused
from edge_agent.model.ids import BayId, CameraId
from edge_agent.model.plates import PlateSighting, parse_plate
from edge_agent.ports import Clock
from edge_agent.vision.wire import (
    MAX_LINE_BYTES,
    CameraState,
    FailedMessage,
    HealthMessage,
    HeartbeatMessage,
    Message,
    SightingMessage,
    WorkerConfig,
    parse_message,
)

COMMAND: Final = (sys.executable, "-m", "edge_agent.vision.worker")
_QUIET: Final = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    # over UDP a camera loses packets as soon as the network is busy, and pictures tear
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the agent waits for its vision process, and how often it starts it again.

    `restarts` within `within_ms` come `pause_ms` after the end; any more wait `long_pause_ms`.
    """

    start_ms: int = 30_000
    silence_ms: int = 10_000
    stop_ms: int = 1_000
    restarts: int = 5
    within_ms: int = 60_000
    pause_ms: int = 500
    long_pause_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera's state, why, and the wall time since when."""

    camera: CameraId
    bay: BayId
    state: CameraState
    reason: str
    since_ms: int


class VisionProcess:
    """Keeps one vision process running and hands on what it sees. All calls on the event loop."""

    def __init__(
        self,
        config: WorkerConfig,
        clock: Clock,
        *,
        patience: Patience | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._config = config
        self._clock = clock
        self._patience = patience or Patience()
        self._command = command
        self._on_sighting: list[Callable[[PlateSighting], None]] = []
        self._on_change: list[Callable[[CameraStatus], None]] = []
        self._ended_ms: deque[int] = deque(maxlen=self._patience.restarts)
        self._status = {
            one.camera: CameraStatus(
                CameraId(one.camera), BayId(one.bay), CameraState.LOST, "starting", clock.wall_ms()
            )
            for one in config.cameras
        }
        self.counts: Counter[str] = Counter()
        """Sightings, heartbeats, malformed lines, restarts and hangs since the agent started."""
        self.pid: int | None = None

    def subscribe(self, listener: Callable[[PlateSighting], None]) -> None:
        """Call `listener` with each sighting."""
        self._on_sighting.append(listener)

    def on_change(self, listener: Callable[[CameraStatus], None]) -> None:
        """Call `listener` whenever a camera's state or its reason changes."""
        self._on_change.append(listener)

    def cameras(self) -> tuple[CameraStatus, ...]:
        """Return how each camera is, in the order of the configuration."""
        return tuple(self._status.values())

    async def run(self) -> None:
        """Keep the process running until cancelled; it is stopped before this returns."""
        while True:
            reason = await self._run_once()
            self.counts["restarts"] += 1
            self._all_lost(reason)
            await asyncio.sleep(self._pause_ms() / 1000)

    def _pause_ms(self) -> int:
        now_ms = self._clock.monotonic_ms()
        spent = (
            len(self._ended_ms) == self._patience.restarts
            and now_ms - self._ended_ms[0] < self._patience.within_ms
        )
        self._ended_ms.append(now_ms)
        return self._patience.long_pause_ms if spent else self._patience.pause_ms

    async def _run_once(self) -> str:
        """Run one child to its end and return why it ended, as a code."""
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # decoders print addresses with passwords there
                limit=MAX_LINE_BYTES,
                env={**os.environ, **_QUIET},
                start_new_session=True,
            )
        except OSError:
            return "process_cannot_start"
        self.pid = child.pid
        try:
            return await self._listen(child)
        finally:
            self.pid = None
            await self._stop(child)

    async def _listen(self, child: asyncio.subprocess.Process) -> str:
        if child.stdin is None or child.stdout is None:
            return "process_cannot_start"
        child.stdin.write(self._config.model_dump_json().encode() + b"\n")
        patience_ms, reason = self._patience.start_ms, "process_ended"
        while True:
            try:
                async with asyncio.timeout(patience_ms / 1000):
                    line = await child.stdout.readline()
            except TimeoutError:
                self.counts["hangs"] += 1
                return "process_hangs"
            except ValueError:  # a line longer than any message
                self.counts["malformed"] += 1
                return "process_garbled"
            if not line:
                return reason
            patience_ms = self._patience.silence_ms
            message = self._parsed(line)
            if isinstance(message, FailedMessage):
                reason = message.code
            elif message is not None:
                self._take(message)

    def _parsed(self, line: bytes) -> Message | None:
        try:
            return parse_message(line)
        except MessageRefused:
            self.counts["malformed"] += 1
            return None

    def _take(self, message: SightingMessage | HealthMessage | HeartbeatMessage) -> None:
        self.counts[message.type] += 1
        if isinstance(message, SightingMessage):
            self._sighted(message)
        elif isinstance(message, HealthMessage) and message.camera in self._status:
            self._changed(message.camera, message.state, message.reason)

    def _sighted(self, message: SightingMessage) -> None:
        try:
            plate = parse_plate(message.text, message.colour)
        except PlateRefused:
            self.counts["malformed"] += 1
            return
        sighting = PlateSighting(
            camera=CameraId(message.camera),
            bay=BayId(message.bay),
            plate=plate,
            confidence=message.confidence,
            votes=message.votes,
            confirmed=message.confirmed,
            at_ms=self._clock.wall_ms() - message.age_ms,
        )
        for listener in self._on_sighting:
            listener(sighting)

    def _all_lost(self, reason: str) -> None:
        for camera in self._status:
            self._changed(camera, CameraState.LOST, reason)

    def _changed(self, camera: str, state: CameraState, reason: str) -> None:
        known = self._status[camera]
        if (known.state, known.reason) == (state, reason):
            return
        since_ms = known.since_ms if known.state == state else self._clock.wall_ms()
        status = CameraStatus(known.camera, known.bay, state, reason, since_ms)
        self._status[camera] = status
        for listener in self._on_change:
            listener(status)

    async def _stop(self, child: asyncio.subprocess.Process) -> None:
        """Ask the child to end by closing its stdin; kill it when it does not."""
        if child.stdin is not None:
            child.stdin.close()
        # Not `asyncio.timeout`: before Python 3.11.3 it does not expire in a cancelled task.
        ending = asyncio.ensure_future(_ended(child))
        await asyncio.wait({ending}, timeout=self._patience.stop_ms / 1000)
        if not ending.done():
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        await ending


async def _ended(child: asyncio.subprocess.Process) -> None:
    """Wait for a child's end. What it still says is dropped: a full pipe would hide its end."""
    while child.stdout is not None and await child.stdout.read(MAX_LINE_BYTES):
        pass
    await child.wait()
