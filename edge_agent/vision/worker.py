"""The vision process: `python -m edge_agent.vision.worker`.

Configuration comes as the first line of stdin, messages leave on stdout (see `wire`); when stdin
closes, because the agent stopped or died, the process ends. One thread a camera fetches frames, the
main thread reads them one after the other: cameras share one core and never the pumps' time.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import cv2

from edge_agent.model.errors import EdgeAgentError
from edge_agent.vision.motion import MotionGate, shrink
from edge_agent.vision.reader import PlateReader, open_reader
from edge_agent.vision.sources import Frame
from edge_agent.vision.voting import SeenRead, Verdict, vote
from edge_agent.vision.watching import CameraThread, Report
from edge_agent.vision.wire import (
    CameraState,
    FailedMessage,
    HealthMessage,
    HeartbeatMessage,
    Message,
    SightingMessage,
    WatchedCamera,
    WorkerConfig,
    parse_config,
)

MAX_CONFIG_BYTES: Final = 262_144
KEPT_READS: Final = 64
NICENESS: Final = 5
GRACE_S: Final = 2.0


class CameraThreadEnded(RuntimeError):
    """A camera's thread ended by a fault of the program; only a new process watches it again."""


@dataclass(slots=True)
class WatchedBay:
    """What is remembered of one camera between its frames."""

    camera: WatchedCamera
    gate: MotionGate
    seen: deque[SeenRead] = field(default_factory=lambda: deque(maxlen=KEPT_READS))

    def look(self, frame: Frame, reader: PlateReader) -> list[Verdict] | None:
        """Return verdicts that this frame spoke to; None when it was not worth reading."""
        if not self.gate.wants(shrink(frame.picture), frame.at_ms):
            return None
        self.seen.extend(SeenRead(read, frame.at_ms) for read in reader.read(frame.picture))
        verdicts = [one for one in vote(self.seen, frame.at_ms) if one.at_ms == frame.at_ms]
        if any(not verdict.confirmed for verdict in verdicts):
            self.gate.look_again()
        return verdicts


class Worker:
    """Reads what the cameras show until told to stop."""

    def __init__(self, config: WorkerConfig, reader: PlateReader, out: BinaryIO) -> None:
        self._config = config
        self._reader = reader
        self._out = out
        self._wake = threading.Event()
        self._told: queue.SimpleQueue[HealthMessage] = queue.SimpleQueue()
        self._reads = 0
        self.stopped = threading.Event()
        self._watched = [
            (
                CameraThread(camera, self._wake, self.stopped, self._report(camera)),
                WatchedBay(camera, MotionGate(config.settle_ms, config.idle_ms)),
            )
            for camera in config.cameras
        ]

    def run(self) -> None:
        """Read frames and write messages until `stopped` is set.

        Raises:
            BrokenPipeError: nobody listens any more.
            CameraThreadEnded: a camera is watched no longer.
        """
        for thread, _ in self._watched:
            thread.start()
        beat_s = self._config.heartbeat_ms / 1000
        due_s = time.monotonic()
        while not self.stopped.is_set():
            if time.monotonic() >= due_s:
                self._heartbeat()
                due_s = time.monotonic() + beat_s
            self._wake.wait(max(0.0, min(beat_s, due_s - time.monotonic())))
            self._wake.clear()
            self._pass_on_health()
            for thread, bay in self._watched:
                if not thread.alive:
                    raise CameraThreadEnded(thread.camera.camera)
                self._look(thread, bay)

    def stop(self) -> None:
        """End `run` soon."""
        self.stopped.set()
        self._wake.set()

    def _look(self, thread: CameraThread, bay: WatchedBay) -> None:
        frame = thread.take()
        verdicts = bay.look(frame, self._reader) if frame else None
        if verdicts is None:
            return
        self._reads += 1
        for verdict in verdicts:
            self._send(_sighting(bay.camera, verdict))

    def _heartbeat(self) -> None:
        self._send(
            HeartbeatMessage(
                frames=sum(thread.frames for thread, _ in self._watched),
                reads=self._reads,
                refused=sum(thread.refused for thread, _ in self._watched),
            )
        )

    def _pass_on_health(self) -> None:
        while not self._told.empty():
            self._send(self._told.get())

    def _report(self, camera: WatchedCamera) -> Report:
        def report(state: CameraState, reason: str) -> None:
            self._told.put(HealthMessage(camera=camera.camera, state=state, reason=reason[:200]))
            self._wake.set()

        return report

    def _send(self, message: Message) -> None:
        send(self._out, message)


def send(out: BinaryIO, message: Message) -> None:
    """Write a message as a line."""
    out.write(message.model_dump_json().encode() + b"\n")
    out.flush()


def main() -> int:
    """Run until stdin closes; return the process's exit code."""
    cv2.setNumThreads(1)
    with contextlib.suppress(PermissionError):  # the service's filter forbids setpriority(2)
        os.nice(NICENESS)  # pumps and payments first
    out = sys.stdout.buffer
    try:
        config = parse_config(sys.stdin.buffer.readline(MAX_CONFIG_BYTES))
        worker = Worker(config, open_reader(config.long_side), out)
    except EdgeAgentError as error:
        send(out, FailedMessage(code=error.problem.code))
        return 1
    threading.Thread(target=_await_end, args=(worker,), name="stdin", daemon=True).start()
    try:
        worker.run()
    except BrokenPipeError:
        return 0
    except Exception as error:  # the vision process's own bridge: say why, then be restarted
        send(out, FailedMessage(code=type(error).__name__))
        return 1
    return 0


def _await_end(worker: Worker) -> None:
    """Stop when stdin closes, at the latest after `GRACE_S`: a decoder may hang for good."""
    while sys.stdin.buffer.readline(MAX_CONFIG_BYTES):
        pass
    worker.stop()
    time.sleep(GRACE_S)
    os._exit(0)


def _sighting(camera: WatchedCamera, verdict: Verdict) -> SightingMessage:
    return SightingMessage(
        camera=camera.camera,
        bay=camera.bay,
        text=verdict.plate.text,
        colour=verdict.plate.colour,
        confidence=min(1.0, verdict.confidence),
        votes=verdict.votes,
        confirmed=verdict.confirmed,
        age_ms=max(0, time.monotonic_ns() // 1_000_000 - verdict.at_ms),
    )


if __name__ == "__main__":
    sys.exit(main())
