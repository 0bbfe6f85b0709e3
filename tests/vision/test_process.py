"""The vision process under the agent's eye: killed, frozen, garbling, and back again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import cv2
import pytest

from edge_agent.model.plates import PlateColour, PlateSighting, parse_plate
from edge_agent.vision.drawing import draw_car
from edge_agent.vision.process import CameraStatus, Patience, VisionProcess
from edge_agent.vision.wire import CameraState, SightingMessage, WatchedCamera, WorkerConfig

PLATE = parse_plate("云A8D216")
WAIT_S = 60.0
QUICK = Patience(start_ms=600_000, silence_ms=400, stop_ms=500, pause_ms=10, long_pause_ms=60_000)


class StationClock:
    """Monotonic time of the machine, wall time that is easily recognised."""

    trusted = True

    def wall_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


def config(source: Path | str = "/nonexistent", **more: object) -> WorkerConfig:
    camera = WatchedCamera(camera="c1", bay="b1", source=str(source), loop=True, interval_ms=50)
    return WorkerConfig.model_validate({"cameras": [camera], "heartbeat_ms": 50, **more})


def child(program: str) -> tuple[str, ...]:
    """A stand-in for the vision process: its program gets `say`, which writes a line at once."""
    say = "import sys, time\ndef say(line): print(line, flush=True)\nsys.stdin.readline()\n"
    return (sys.executable, "-c", say + program)


BEAT = '{"type":"heartbeat","frames":1,"reads":0,"refused":0}'
HEALTHY = '{"type":"health","camera":"c1","state":"ok","reason":""}'


@asynccontextmanager
async def running(process: VisionProcess) -> AsyncIterator[None]:
    task = asyncio.create_task(process.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert process.pid is None


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 what is waited for happens in another process
            await asyncio.sleep(0.01)


async def test_sightings_arrive_and_a_killed_process_comes_back(tmp_path: Path) -> None:
    for frame in range(2):
        picture = draw_car(PLATE, 5, frame=frame)
        cv2.imencode(".png", picture)[1].tofile(tmp_path / f"{frame}.png")
    process = VisionProcess(
        config(tmp_path, settle_ms=50, idle_ms=200),
        StationClock(),
        patience=Patience(pause_ms=10),
    )
    seen: list[PlateSighting] = []
    changes: list[CameraStatus] = []
    process.subscribe(seen.append)
    process.on_change(changes.append)
    async with running(process):
        await until(lambda: any(one.confirmed for one in seen))
        assert {(one.camera, one.bay, one.plate.text) for one in seen} == {("c1", "b1", PLATE.text)}
        assert all(0 <= StationClock().wall_ms() - one.at_ms < 60_000 for one in seen)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        seen.clear()
        await until(lambda: seen)
    assert [(one.state, one.reason) for one in changes] == [
        (CameraState.OK, ""),
        (CameraState.LOST, "process_ended"),
        (CameraState.OK, ""),
    ]
    assert process.counts["restarts"] == 1


async def test_a_frozen_process_is_noticed_and_replaced() -> None:
    beats = f"say('{HEALTHY}')\nwhile True:\n    say('{BEAT}')\n    time.sleep(0.05)"
    process = VisionProcess(config(), StationClock(), patience=QUICK, command=child(beats))
    async with running(process):
        await until(lambda: process.cameras()[0].state is CameraState.OK)
        frozen = process.pid
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
        await until(lambda: process.pid not in {frozen, None})
        assert process.counts["hangs"] == 1
        await until(lambda: process.cameras()[0].state is CameraState.OK)
    with pytest.raises(ProcessLookupError):
        os.kill(frozen, 0)


async def test_a_process_that_keeps_dying_is_started_ever_more_rarely() -> None:
    says = """say('{"type":"failed","code":"weights_missing"}')"""
    process = VisionProcess(
        config(), StationClock(), patience=Patience(pause_ms=1, restarts=2), command=child(says)
    )
    async with running(process):
        await until(lambda: process.counts["restarts"] == 3)
        await asyncio.sleep(0.3)  # the next start is a minute away
        assert process.counts["restarts"] == 3
        (camera,) = process.cameras()
    assert (camera.state, camera.reason) == (CameraState.LOST, "weights_missing")


async def test_garbage_is_counted_and_passed_over() -> None:
    lines = (
        "no json", '{"type":"sighting"}', '{"type":"health","camera":"other","state":"ok"}',
        SightingMessage(
            camera="c1", bay="b1", text="A1", colour=PlateColour.BLUE,
            confidence=0.9, votes=2, confirmed=True, age_ms=1,
        ).model_dump_json(),
        HEALTHY,
    )  # fmt: skip
    program = "".join(f"say({line!r})\n" for line in lines) + "time.sleep(60)"
    process = VisionProcess(config(), StationClock(), command=child(program))
    seen: list[PlateSighting] = []
    process.subscribe(seen.append)
    async with running(process):
        await until(lambda: process.cameras()[0].state is CameraState.OK)
    assert process.counts["malformed"] == 3
    assert seen == []


async def test_an_endless_line_ends_the_process() -> None:
    program = "say('x' * 1_000_000)\ntime.sleep(60)"
    process = VisionProcess(config(), StationClock(), patience=QUICK, command=child(program))
    async with running(process):
        await until(lambda: process.cameras()[0].reason == "process_garbled")


async def test_a_process_that_cannot_start_leaves_its_cameras_lost() -> None:
    process = VisionProcess(config(), StationClock(), command=("/nonexistent/python",))
    async with running(process):
        await until(lambda: process.cameras()[0].reason == "process_cannot_start")


async def test_a_process_that_ignores_its_end_is_killed() -> None:
    program = f"say('{HEALTHY}')\nwhile True: time.sleep(60)"
    patience = Patience(stop_ms=100)
    process = VisionProcess(config(), StationClock(), patience=patience, command=child(program))
    async with running(process):
        await until(lambda: process.cameras()[0].state is CameraState.OK)
        pid = process.pid
        assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
