"""Where frames come from: network and USB cameras, video files, folders of pictures.

Every source gives its newest frame and forgets older ones. Opening and reading are bounded in time,
pictures in size.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np

from edge_agent.model.errors import CameraLost, Problem
from edge_agent.vision.picture import MAX_PIXELS, Image, check_size, load_picture
from edge_agent.vision.wire import WatchedCamera

OPEN_TIMEOUT_MS: Final = 5_000
READ_TIMEOUT_MS: Final = 5_000
STREAM_SCHEMES: Final = frozenset({"rtsp", "rtsps", "http", "https"})
PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
MAX_FOLDER_ENTRIES: Final = 20_000

_POLL_S: Final = 0.05
_USUAL_FPS: Final = 25.0
_DEVICE: Final = re.compile(r"/dev/video([0-9]+)")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A frame and when it was taken, in milliseconds of the monotonic clock."""

    picture: Image
    at_ms: int


class FrameSource(Protocol):
    """One camera's pictures."""

    @property
    def live(self) -> bool:
        """Whether silence means that the camera is gone, and sameness that it is stuck."""

    def next_frame(self) -> Frame | None:
        """Return a new frame; None when there was none for a moment. Blocks for seconds at most.

        Raises:
            CameraLost: the source has ended or is gone; open it again.
            PictureRefused: this one picture is broken or too large; go on.
        """

    def close(self) -> None:
        """Let go of the device; closing twice is harmless."""


def open_source(camera: WatchedCamera) -> FrameSource:
    """Open a camera's source.

    Raises:
        CameraLost: it does not answer in time, or does not exist.
    """
    device = _DEVICE.fullmatch(camera.source)
    if device:
        return StreamSource(cv2.VideoCapture(int(device[1]), cv2.CAP_V4L2))
    if urlsplit(camera.source).scheme in STREAM_SCHEMES:
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS),
        ]
        return StreamSource(cv2.VideoCapture(camera.source, cv2.CAP_FFMPEG, timeouts))
    path = Path(camera.source)
    if path.is_dir():
        if camera.loop:
            return AlbumSource(path, camera.interval_ms)
        return FolderSource(path)
    if not path.is_file():
        raise lost("source_missing")
    return VideoSource(path, loop=camera.loop)


def lost(reason: str) -> CameraLost:
    """Return the error that says why a camera gives no pictures; `reason` is a code."""
    return CameraLost(
        Problem("camera_lost", "摄像头无画面，请检查网线和电源", "the camera gives no picture"),
        reason,
    )


class StreamSource:
    """A camera that sends of its own accord; what is not fetched in time is skipped."""

    live: Final = True

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = _opened(capture)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def next_frame(self) -> Frame | None:
        """Return the camera's next frame; it waits at most `READ_TIMEOUT_MS`."""
        done, picture = self._capture.read()
        if not done:
            raise lost("stream_ended")
        return Frame(_bounded(picture), _now_ms())

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


class VideoSource:
    """A video file, played at its own speed; a reader too slow for it misses frames."""

    live: Final = False

    def __init__(self, path: Path, *, loop: bool) -> None:
        self._capture = _opened(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG))
        self._loop = loop
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._frame_ms = 1000 / (fps if 0 < fps <= 240 else _USUAL_FPS)
        self._started_ms = float(_now_ms())
        self._played = 0

    def next_frame(self) -> Frame | None:
        """Return the frame that is due now; None while none is."""
        due = int((_now_ms() - self._started_ms) / self._frame_ms) + 1
        if due <= self._played:
            time.sleep(min(_POLL_S, self._frame_ms / 1000))
            return None
        while self._played < due:
            if not self._capture.grab():
                self._rewind()
                return None
            self._played += 1
        done, picture = self._capture.retrieve()
        return Frame(_bounded(picture), _now_ms()) if done else None

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _rewind(self) -> None:
        if not self._loop or self._played == 0:
            raise lost("video_ended")
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        self._started_ms, self._played = float(_now_ms()), 0


class FolderSource:
    """A folder that somebody else fills: its newest picture, once, whenever there is a newer one.

    The writer must rename a finished file into place. A picture was taken when its file was last
    written; hidden files and other suffixes are ignored.
    """

    live: Final = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, str] = (-1, "")

    def next_frame(self) -> Frame | None:
        """Return the newest picture if it is new."""
        newest = max(_entries(self._folder), default=None)
        if newest is None or newest <= self._seen:
            time.sleep(_POLL_S)
            return None
        self._seen = newest
        picture = load_picture(self._folder / newest[1])
        age_ms = max(0, time.time_ns() - newest[0]) // 1_000_000
        return Frame(picture, _now_ms() - age_ms)

    def close(self) -> None:
        """Do nothing: no file stays open."""


class AlbumSource:
    """A folder of pictures shown one after the other by name, over and over."""

    live: Final = False

    def __init__(self, folder: Path, interval_ms: int) -> None:
        self._folder = folder
        self._interval_ms = interval_ms
        self._names: list[str] = []
        self._due_ms = _now_ms()

    def next_frame(self) -> Frame | None:
        """Return the next picture when its time has come."""
        wait_ms = self._due_ms - _now_ms()
        if wait_ms > 0:
            time.sleep(min(_POLL_S, wait_ms / 1000))
            return None
        self._due_ms = _now_ms() + self._interval_ms
        self._names = self._names or sorted((name for _, name in _entries(self._folder)))[::-1]
        if not self._names:
            return None
        return Frame(load_picture(self._folder / self._names.pop()), _now_ms())

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _entries(folder: Path) -> list[tuple[int, str]]:
    """Return time of writing, in nanoseconds, and name of the pictures of a folder."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or Path(name).suffix.lower() not in PICTURE_SUFFIXES:
                    continue
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    found.append((entry.stat().st_mtime_ns, name))
                if len(found) >= MAX_FOLDER_ENTRIES:
                    break
    except OSError as error:
        raise lost("folder_gone") from error
    return found


def _opened(capture: cv2.VideoCapture) -> cv2.VideoCapture:
    if not capture.isOpened():
        capture.release()
        raise lost("cannot_open")
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        capture.release()
        raise lost("picture_too_large")
    return capture


def _bounded(picture: object) -> Image:
    image = np.asarray(picture, np.uint8)
    check_size(image.shape[1], image.shape[0])
    return image


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
