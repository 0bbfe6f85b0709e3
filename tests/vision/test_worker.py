"""The worker, in this process: pictures in, lines out."""

import io
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edge_agent.model.plates import parse_plate
from edge_agent.vision import worker as worker_module
from edge_agent.vision.drawing import View, draw_car
from edge_agent.vision.reader import PlateReader
from edge_agent.vision.watching import CameraThread
from edge_agent.vision.wire import (
    CameraState,
    FailedMessage,
    HealthMessage,
    HeartbeatMessage,
    Message,
    SightingMessage,
    WatchedCamera,
    WorkerConfig,
    parse_message,
)
from edge_agent.vision.worker import CameraThreadEnded, Worker

PLATE = parse_plate("云A8D216")
WAIT_S = 60.0


class Listener(io.BytesIO):
    """Takes what a worker writes, and knows when it has heard enough."""

    def __init__(self, enough: Callable[[list[Message]], bool]) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.done = threading.Event()
        self._enough = enough

    def write(self, line: object) -> int:
        assert isinstance(line, bytes)
        self.messages.append(parse_message(line))
        if self._enough(self.messages):
            self.done.set()
        return len(line)


def sightings(messages: list[Message]) -> list[SightingMessage]:
    return [message for message in messages if isinstance(message, SightingMessage)]


def sure(messages: list[Message]) -> bool:
    return any(one.confirmed for one in sightings(messages))


def run_until_done(worker: Worker, listener: Listener) -> None:
    running = threading.Thread(target=worker.run)
    running.start()
    heard = listener.done.wait(WAIT_S)
    worker.stop()
    running.join(WAIT_S)
    assert heard
    assert not running.is_alive()


def config(folder: Path, **more: object) -> WorkerConfig:
    camera = WatchedCamera(camera="c1", bay="b1", source=str(folder), loop=True, interval_ms=50)
    return WorkerConfig.model_validate(
        {"cameras": [camera], "heartbeat_ms": 100, "settle_ms": 50, **more}
    )


def test_a_car_that_stays_becomes_sure(reader: PlateReader, tmp_path: Path) -> None:
    for frame in range(3):
        picture = draw_car(PLATE, 5, frame=frame)
        cv2.imencode(".png", picture)[1].tofile(tmp_path / f"{frame}.png")
    (tmp_path / "1a.jpg").write_bytes(b"garbage")
    listener = Listener(
        lambda messages: (
            sure(messages)
            and any(isinstance(one, HeartbeatMessage) and one.refused for one in messages)
        )
    )
    run_until_done(Worker(config(tmp_path), reader, listener), listener)
    seen = sightings(listener.messages)
    assert {(one.camera, one.bay, one.text) for one in seen} == {("c1", "b1", PLATE.text)}
    assert not seen[0].confirmed
    assert next(one for one in seen if one.confirmed).votes >= 2
    states = [one.state for one in listener.messages if isinstance(one, HealthMessage)]
    assert states[0] is CameraState.OK
    assert CameraState.BLIND in states


def test_a_dead_camera_thread_ends_the_worker(
    reader: PlateReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CameraThread, "alive", property(lambda _: False))
    worker = Worker(config(tmp_path), reader, io.BytesIO())
    with pytest.raises(CameraThreadEnded, match="c1"):
        worker.run()
    worker.stop()


class Pipes:
    """Stands for sys.stdin and sys.stdout."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], tuple[int, list[Message]]]:
    """Run `main` on what stdin holds; the process itself must neither end nor change its rank."""
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setattr("os._exit", lambda _: None)
    monkeypatch.setattr(worker_module, "GRACE_S", 0.0)

    def run(stdin: bytes) -> tuple[int, list[Message]]:
        out = Pipes(b"")
        monkeypatch.setattr("sys.stdin", Pipes(stdin))
        monkeypatch.setattr("sys.stdout", out)
        code = worker_module.main()
        for thread in threading.enumerate():  # it would end the real process once patches are gone
            if thread.name == "stdin":
                thread.join(WAIT_S)
        return code, [parse_message(line) for line in out.buffer.getvalue().splitlines()]

    return run


def test_a_configuration_that_does_not_fit_is_said(
    outcome: Callable[[bytes], tuple[int, list[Message]]],
) -> None:
    assert outcome(b"{}\n") == (1, [FailedMessage(code="vision_message_malformed")])
    assert outcome(b"") == (1, [FailedMessage(code="vision_message_malformed")])


def test_the_worker_ends_when_stdin_closes(
    outcome: Callable[[bytes], tuple[int, list[Message]]],
    reader: PlateReader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "open_reader", lambda _: reader)
    code, _ = outcome(config(tmp_path).model_dump_json().encode() + b"\n")
    assert code == 0


def test_a_fault_is_named_before_the_process_ends(
    outcome: Callable[[bytes], tuple[int, list[Message]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def __init__(self, *_: object) -> None:
            self.stop = lambda: None

        def run(self) -> None:
            raise ZeroDivisionError("云A12345")

    monkeypatch.setattr(worker_module, "open_reader", lambda _: None)
    monkeypatch.setattr(worker_module, "Worker", Broken)
    code, messages = outcome(config(tmp_path).model_dump_json().encode() + b"\n")
    assert (code, messages) == (1, [FailedMessage(code="ZeroDivisionError")])


def test_frames_that_do_not_change_are_not_read_again(reader: PlateReader, tmp_path: Path) -> None:
    picture = draw_car(PLATE, 5, View(size=(64, 36)))
    cv2.imencode(".png", picture)[1].tofile(tmp_path / "a.png")
    listener = Listener(
        lambda messages: isinstance(messages[-1], HeartbeatMessage) and messages[-1].frames >= 8
    )
    run_until_done(Worker(config(tmp_path, idle_ms=20_000), reader, listener), listener)
    last = [one for one in listener.messages if isinstance(one, HeartbeatMessage)][-1]
    assert last.reads == 1
