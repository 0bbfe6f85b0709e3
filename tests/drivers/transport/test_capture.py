"""Recording a bus and playing it back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.transport.capture import Capture, CaptureEntry, Direction, parse_capture
from drivers.transport.memory import memory_pair
from drivers.transport.recording import RecordingTransport
from drivers.transport.replaying import ReplayingTransport
from edge_agent.model.errors import LinkLost, MessageRefused
from edge_agent.sim.virtual_time import VirtualClock, VirtualTimeLoop

DIRECTIONS = st.sampled_from(["out", "in"])
ENTRIES = st.builds(CaptureEntry, st.integers(0, 10**12), DIRECTIONS, st.binary(max_size=80))


@given(st.lists(ENTRIES, max_size=20))
def test_lines_and_back(entries: list[CaptureEntry]) -> None:
    assert parse_capture(f"{entry.to_line()}\n" for entry in entries) == entries


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", "{}", '{"t_ms": 1, "dir": "up", "hex": ""}',
             '{"t_ms": 1, "dir": "in", "hex": "5"}', '{"t_ms": null, "dir": "in", "hex": ""}']
)  # fmt: skip
def test_a_bad_line_is_named(line: str) -> None:
    good = CaptureEntry(1, "in", b"P").to_line()
    with pytest.raises(MessageRefused, match="line 2"):
        parse_capture([good, line])


@given(st.lists(ENTRIES, max_size=60), st.integers(200, 2000))
def test_the_ring_is_bounded_and_keeps_the_latest(
    entries: list[CaptureEntry], max_bytes: int
) -> None:
    capture = Capture(max_bytes)
    for entry in entries:
        capture.note(entry)
    kept = list(capture)
    assert sum(len(entry.data) for entry in kept) <= max_bytes
    assert kept == entries[len(entries) - len(kept) :]


def test_a_listener_hears_until_it_leaves() -> None:
    capture, heard = Capture(), list[CaptureEntry]()
    leave = capture.subscribe(heard.append)
    first = CaptureEntry(1, "in", b"P")
    capture.note(first)
    leave()
    capture.note(CaptureEntry(2, "in", b"Q"))
    assert heard == [first]


def run_virtual(main: object) -> None:
    assert asyncio.iscoroutine(main)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)


def test_what_was_recorded_plays_back(tmp_path: Path) -> None:
    capture = Capture()

    async def record() -> None:
        near, far = memory_pair()
        clock = VirtualClock(asyncio.get_running_loop())
        recording = RecordingTransport(near, capture, clock)
        await recording.open()
        await far.open()
        for question, answer in ((b"one", b"1"), (b"two", b"2")):
            await recording.write(question)
            await asyncio.sleep(0.025)
            await far.write(answer)
            assert await recording.read() == answer
            await asyncio.sleep(1)
        await recording.close()

    run_virtual(record())
    file = tmp_path / "bus.jsonl"
    capture.save(file)

    async def replay() -> None:
        loop = asyncio.get_running_loop()
        replaying = ReplayingTransport(parse_capture(file.read_text().splitlines()))
        await replaying.open()
        await replaying.write(b"one")
        assert await replaying.read() == b"1"
        assert loop.time() == pytest.approx(0.025)
        reading = asyncio.create_task(replaying.read())
        await asyncio.sleep(5)
        assert not reading.done(), "the second answer waits for the second question"
        await replaying.write(b"TWO")
        assert await reading == b"2"
        assert replaying.differing == 1
        with pytest.raises(LinkLost):
            await replaying.read()
        await replaying.close()

    run_virtual(replay())


def test_closing_wakes_who_waits() -> None:
    directions: tuple[Direction, ...] = ("out", "in")

    async def main() -> None:
        replaying = ReplayingTransport([CaptureEntry(0, each, b"x") for each in directions])
        await replaying.open()
        reading = asyncio.create_task(replaying.read())
        await asyncio.sleep(0)
        await replaying.close()
        with pytest.raises(LinkLost):
            await reading
        with pytest.raises(LinkLost):
            await replaying.write(b"x")

    run_virtual(main())
