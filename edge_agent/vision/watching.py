"""One thread a camera: it opens the source, keeps the newest frame, and knows how the camera is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edge_agent.model.errors import EdgeAgentError, PictureRefused
from edge_agent.vision.motion import blind, shrink
from edge_agent.vision.sources import Frame, FrameSource, open_source
from edge_agent.vision.wire import CameraState, WatchedCamera

FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 15.0
FROZEN_AFTER_MS: Final = 10_000
BLIND_AFTER_FRAMES: Final = 3

Report = Callable[[CameraState, str], None]
Opener = Callable[[WatchedCamera], FrameSource]


@dataclass(slots=True)
class CameraHealth:
    """Judges a camera by its frames; pure, times are monotonic milliseconds."""

    state: CameraState = CameraState.LOST
    _same_since_ms: int | None = None
    _last: Frame | None = None
    _blind_frames: int = 0

    def saw(self, frame: Frame, *, live: bool) -> tuple[CameraState, str]:
        """Take in a frame and return the state with its reason."""
        same = self._last is not None and _identical(frame, self._last)
        if not (live and same) or self._same_since_ms is None:
            self._same_since_ms = frame.at_ms
        self._last = frame
        self._blind_frames = self._blind_frames + 1 if blind(shrink(frame.picture)) else 0
        if self._blind_frames >= BLIND_AFTER_FRAMES:
            return CameraState.BLIND, "nothing_to_see"
        if frame.at_ms - self._same_since_ms >= FROZEN_AFTER_MS:
            return CameraState.FROZEN, "same_picture"
        return CameraState.OK, ""


class CameraThread:
    """Watches one camera until stopped. `take` gives the newest frame once; older ones are gone."""

    def __init__(
        self,
        camera: WatchedCamera,
        wake: threading.Event,
        stopped: threading.Event,
        report: Report,
        opener: Opener = open_source,
    ) -> None:
        self.camera = camera
        self.frames = 0
        self.refused = 0
        self._wake = wake
        self._stopped = stopped
        self._report = report
        self._opener = opener
        self._newest: Frame | None = None
        self._lock = threading.Lock()
        self._health = CameraHealth()
        self._told: tuple[CameraState, str] | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"camera-{camera.camera}", daemon=True
        )

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the camera is still watched."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end, after `stopped` was set."""
        self._thread.join(timeout_s)

    def take(self) -> Frame | None:
        """Return the newest frame, if there is one that was not taken yet."""
        with self._lock:
            frame, self._newest = self._newest, None
        return frame

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while not self._stopped.is_set():
            before = self.frames
            try:
                self._watch()
            except EdgeAgentError as error:
                self._tell(CameraState.LOST, error.detail or error.problem.code)
            except cv2.error:
                self._tell(CameraState.LOST, "decoder_failed")
            retry_s = FIRST_RETRY_S if self.frames > before else min(2 * retry_s, LAST_RETRY_S)
            self._stopped.wait(retry_s)

    def _watch(self) -> None:
        source = self._opener(self.camera)
        try:
            while not self._stopped.is_set():
                self._look(source)
        finally:
            source.close()

    def _look(self, source: FrameSource) -> None:
        try:
            frame = source.next_frame()
        except PictureRefused as refused:
            self.refused += 1
            self._tell(CameraState.BLIND, refused.problem.code)
            return
        if frame is None:
            if self._told is None and not source.live:
                self._tell(CameraState.OK, "")
            return
        self.frames += 1
        frame = _cut(frame, self.camera)
        self._tell(*self._health.saw(frame, live=source.live))
        with self._lock:
            self._newest = frame
        self._wake.set()

    def _tell(self, state: CameraState, reason: str) -> None:
        if (state, reason) != self._told:
            self._told = (state, reason)
            self._report(state, reason)


def _cut(frame: Frame, camera: WatchedCamera) -> Frame:
    """Return the part of a frame that shows the camera's bay; the whole if that part is empty."""
    height, width = frame.picture.shape[:2]
    region = camera.region
    part = frame.picture[
        round(region.top * height) : round(region.bottom * height),
        round(region.left * width) : round(region.right * width),
    ]
    return Frame(part, frame.at_ms) if min(part.shape[:2]) > 0 else frame


def _identical(one: Frame, other: Frame) -> bool:
    return np.array_equal(one.picture[::8, ::8], other.picture[::8, ::8])
