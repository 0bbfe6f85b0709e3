"""A camera's thread survives what its source does, and says how the camera is."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest

from edge_agent.model.errors import CameraLost
from edge_agent.vision import watching
from edge_agent.vision.picture import Image, refused
from edge_agent.vision.sources import Frame, FrameSource, lost
from edge_agent.vision.watching import FROZEN_AFTER_MS, CameraHealth, CameraThread
from edge_agent.vision.wire import CameraState, Region, WatchedCamera

WAIT_S = 20.0


def noisy(seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)


def test_the_same_picture_for_long_is_frozen_on_a_live_camera_only() -> None:
    for live, expected in ((True, CameraState.FROZEN), (False, CameraState.OK)):
        health = CameraHealth()
        states = [
            health.saw(Frame(noisy(1), at), live=live)[0]
            for at in range(0, FROZEN_AFTER_MS + 1, 500)
        ]
        assert set(states[:-1]) == {CameraState.OK}
        assert states[-1] is expected
        assert health.saw(Frame(noisy(2), FROZEN_AFTER_MS + 500), live=live)[0] is CameraState.OK


def test_a_covered_camera_is_blind_after_a_few_frames() -> None:
    health = CameraHealth()
    dark: Image = np.zeros((48, 64, 3), np.uint8)
    states = [health.saw(Frame(dark, at), live=True)[0] for at in (0, 100, 200)]
    assert states == [CameraState.OK, CameraState.OK, CameraState.BLIND]
    assert health.saw(Frame(noisy(1), 300), live=True)[0] is CameraState.OK


class Script:
    """A source that plays a list: a frame, an error to raise, or None for nothing new."""

    def __init__(self, steps: Sequence[Frame | Exception | None], *, live: bool = True) -> None:
        self.steps = list(steps)
        self.live = live
        self.closed = False

    def next_frame(self) -> Frame | None:
        if not self.steps:
            raise lost("script_ended")
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed = True


Start = Callable[[list[FrameSource | CameraLost]], tuple[CameraThread, "queue.Queue[str]"]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(watching, "FIRST_RETRY_S", 0.001)
    stopped, threads = threading.Event(), list[CameraThread]()

    def begin(opens: list[FrameSource | CameraLost]) -> tuple[CameraThread, "queue.Queue[str]"]:
        told: queue.Queue[str] = queue.Queue()

        def opener(_: WatchedCamera) -> FrameSource:
            if not opens:
                stopped.wait(WAIT_S)
                raise lost("over")
            source = opens.pop(0)
            if isinstance(source, CameraLost):
                raise source
            return source

        region = Region(left=0.5, bottom=0.5)
        camera = WatchedCamera(camera="c", bay="b", source="x", region=region)
        thread = CameraThread(
            camera, threading.Event(), stopped, lambda s, r: told.put(f"{s}:{r}"), opener
        )
        threads.append(thread)
        thread.start()
        return thread, told

    yield begin
    stopped.set()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.alive


def test_a_lost_camera_is_opened_again(start: Start) -> None:
    first = Script([Frame(noisy(1), 0), Frame(noisy(2), 1)])
    second = Script([cv2.error("decoder")])
    third = Script([Frame(noisy(3), 2)])
    thread, told = start([lost("cannot_open"), first, second, third])
    states = [told.get(timeout=WAIT_S) for _ in range(6)]
    assert states == [
        "lost:cannot_open", "ok:", "lost:script_ended", "lost:decoder_failed", "ok:",
        "lost:script_ended",
    ]  # fmt: skip
    assert first.closed
    assert second.closed
    assert thread.frames == 3


def test_only_the_newest_frame_is_kept_and_only_its_region(start: Start) -> None:
    newest = noisy(3)
    script = Script([Frame(noisy(n), n) for n in (1, 2)] + [Frame(newest, 3)])
    thread, told = start([script])
    assert [told.get(timeout=WAIT_S) for _ in range(2)] == ["ok:", "lost:script_ended"]
    frame = thread.take()
    assert frame is not None
    assert frame.at_ms == 3
    assert np.array_equal(frame.picture, newest[:24, 32:])
    assert thread.take() is None


def test_broken_pictures_are_counted_and_passed_over(start: Start) -> None:
    script = Script([None, refused("picture_malformed", ""), Frame(noisy(1), 1)], live=False)
    thread, told = start([script])
    states = [told.get(timeout=WAIT_S) for _ in range(4)]
    assert states == ["ok:", "blind:picture_malformed", "ok:", "lost:script_ended"]
    assert (thread.frames, thread.refused) == (1, 1)
