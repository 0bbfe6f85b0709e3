"""Folders, albums, video files and streams; addresses that do not answer."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.model.errors import CameraLost, PictureRefused
from edge_agent.vision import sources
from edge_agent.vision.sources import (
    AlbumSource,
    FolderSource,
    Frame,
    FrameSource,
    StreamSource,
    VideoSource,
    open_source,
)
from edge_agent.vision.wire import WatchedCamera


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


def put(folder: Path, name: str, level: int, at_s: float | None = None) -> None:
    """Write a picture as the writers of such folders must: rename it into place."""
    hidden = folder / f".{name}"
    cv2.imencode(Path(name).suffix, grey(level))[1].tofile(hidden)
    if at_s is not None:
        os.utime(hidden, (at_s, at_s))
    hidden.rename(folder / name)


def camera(source: Path | str, **more: object) -> WatchedCamera:
    return WatchedCamera.model_validate(
        {"camera": "c", "bay": "b", "source": str(source), "interval_ms": 20, **more}
    )


def level(frame: Frame | None) -> int | None:
    return None if frame is None else round(float(frame.picture.mean()))


def until_frame(source: FrameSource) -> Frame:
    for _ in range(500):
        frame = source.next_frame()
        if frame is not None:
            return frame
    raise AssertionError("no frame")


def test_a_folder_gives_its_newest_picture_once(tmp_path: Path) -> None:
    source = open_source(camera(tmp_path))
    assert isinstance(source, FolderSource)
    assert source.next_frame() is None
    put(tmp_path, "a.png", 10, at_s=1000)
    put(tmp_path, "b.png", 20, at_s=2000)
    assert level(source.next_frame()) == 20
    assert source.next_frame() is None
    put(tmp_path, "c.png", 30, at_s=1500)
    assert source.next_frame() is None
    put(tmp_path, "b.png", 40, at_s=3000)
    assert level(source.next_frame()) == 40
    (tmp_path / "note.txt").write_text("no picture")
    assert source.next_frame() is None
    source.close()


def test_a_picture_is_as_old_as_its_file(tmp_path: Path) -> None:
    put(tmp_path, "a.png", 10, at_s=time.time() - 60)
    frame = FolderSource(tmp_path).next_frame()
    assert frame is not None
    assert 59_000 < time.monotonic() * 1000 - frame.at_ms < 120_000


def test_a_broken_picture_is_refused_once(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture at all")
    source = FolderSource(tmp_path)
    with pytest.raises(PictureRefused):
        source.next_frame()
    assert source.next_frame() is None


def test_an_album_is_shown_by_name_over_and_over(tmp_path: Path) -> None:
    for name, shade in (("2.png", 20), ("1.png", 10), ("3.png", 30)):
        put(tmp_path, name, shade)
    source = open_source(camera(tmp_path, loop=True))
    assert isinstance(source, AlbumSource)
    assert [level(until_frame(source)) for _ in range(5)] == [10, 20, 30, 10, 20]
    source.close()


def test_folders_that_vanish_are_lost(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    source = FolderSource(folder)
    folder.rmdir()
    with pytest.raises(CameraLost, match="folder_gone"):
        source.next_frame()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/nonexistent/place", "source_missing"),
        ("/dev/video987", "cannot_open"),
        ("rtsp://127.0.0.1:1/none", "cannot_open"),
    ],
)
def test_what_does_not_answer_is_lost(source: str, reason: str) -> None:
    with pytest.raises(CameraLost) as caught:
        open_source(camera(source))
    assert caught.value.detail == reason
    assert "127.0.0.1" not in str(caught.value)


def test_a_file_that_is_no_video_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video" * 100)
    with pytest.raises(CameraLost, match="cannot_open"):
        open_source(camera(path))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for shade in (40, 80, 120, 160):
        writer.write(grey(shade))
    writer.release()
    return path


def test_a_video_plays_at_its_speed_and_ends(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000]
    monkeypatch.setattr(sources, "_now_ms", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda _: None)
    source = open_source(camera(video))
    assert isinstance(source, VideoSource)
    assert level(source.next_frame()) == pytest.approx(40, abs=4)
    assert source.next_frame() is None
    now[0] += 41  # a slow reader misses the second frame
    assert level(source.next_frame()) == pytest.approx(120, abs=4)
    now[0] += 1000
    with pytest.raises(CameraLost, match="video_ended"):
        source.next_frame()
    source.close()


def test_a_looped_video_begins_again(video: Path) -> None:
    source = open_source(camera(video, loop=True))
    frames = [until_frame(source) for _ in range(6)]
    assert len(frames) == 6
    source.close()


class Capture:
    """A camera as OpenCV shows it."""

    def __init__(self, pictures: list[np.ndarray], size: tuple[int, int] = (64, 48)) -> None:
        self.pictures = pictures
        self.size = size
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 as OpenCV names it
        return True

    def get(self, name: int) -> float:
        return float(self.size[0 if name == cv2.CAP_PROP_FRAME_WIDTH else 1])

    def set(self, name: int, value: float) -> bool:
        return bool(name and value)

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self.pictures.pop(0)) if self.pictures else (False, None)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> Callable[[Capture], WatchedCamera]:
    def attach(capture: Capture) -> WatchedCamera:
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
        return camera("/dev/video0")

    return attach


def test_a_live_camera_that_ends_is_lost(
    attached: Callable[[Capture], WatchedCamera],
) -> None:
    capture = Capture([grey(50)])
    source = open_source(attached(capture))
    assert isinstance(source, StreamSource)
    assert source.live
    assert level(source.next_frame()) == 50
    with pytest.raises(CameraLost, match="stream_ended"):
        source.next_frame()
    source.close()
    assert capture.released


def test_a_camera_with_too_many_pixels_is_lost(
    attached: Callable[[Capture], WatchedCamera],
) -> None:
    with pytest.raises(CameraLost, match="picture_too_large"):
        open_source(attached(Capture([], size=(20_000, 20_000))))
