"""Frames by name, from the command line, from a recording, and from a live line."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

POLL = "5020fa"


def test_decode_gives_a_line_for_each_frame(edge_agent: CommandLine) -> None:
    ran = edge_agent("bus", "decode", "dart", POLL, "51 20 FA")
    assert ran.code == 0
    assert [line["ok"] for line in ran.lines] == [True, True]
    assert [line["raw"] for line in ran.lines] == [POLL, "5120fa"]
    assert ran.lines[0]["fields"]["frame"] == "POLL"


def test_bytes_one_by_one_are_one_frame(edge_agent: CommandLine) -> None:
    ran = edge_agent("bus", "decode", "dart", "50", "20", "FA")
    assert [line["raw"] for line in ran.lines] == [POLL]


def test_stdin_is_read_line_by_line(edge_agent: CommandLine) -> None:
    ran = edge_agent("bus", "decode", "dart", stdin=f"{POLL}\n\nnonsense\n51:20:FA\n")
    assert [line["ok"] for line in ran.lines] == [True, False, True]
    assert ran.code == 1


def test_garbage_is_told_and_fails(edge_agent: CommandLine) -> None:
    ran = edge_agent("bus", "decode", "modbus-rtu", "0110")
    assert ran.code == 1
    assert ran.lines[0]["ok"] is False
    assert ran.lines[0]["error"]


@pytest.mark.parametrize("protocol", ["drat", "modbus-ascii"])
def test_unknown_protocols_are_a_mistake_in_use(edge_agent: CommandLine, protocol: str) -> None:
    ran = edge_agent("bus", "decode", protocol, POLL)
    assert (ran.code, ran.out) == (2, "")


@pytest.fixture
def line() -> object:
    """A pseudo-terminal: what is written to the master comes out of the device."""
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


def speak(master: int, stop: threading.Event) -> None:
    """Poll for ever, as a controller does, until told to stop."""
    while not stop.wait(0.06):
        os.write(master, bytes.fromhex(POLL))


def test_capture_and_replay_agree_with_what_was_said(
    edge_agent: CommandLine, line: tuple[int, str], tmp_path: Path
) -> None:
    master, device = line
    recording = tmp_path / "line.jsonl"
    stop = threading.Event()
    speaker = threading.Thread(target=speak, args=(master, stop))
    speaker.start()
    try:
        ran = edge_agent("bus", "capture", device, str(recording), "-p", "dart", "--seconds", "0.6")
        watched = edge_agent("bus", "watch", device, "-p", "dart", "--seconds", "0.4")
    finally:
        stop.set()
        speaker.join()
    assert ran.code == watched.code == 0
    recorded = [json.loads(text) for text in recording.read_text(encoding="ascii").splitlines()]
    assert recorded
    replayed = edge_agent("bus", "replay", str(recording), "-p", "dart").lines
    assert {frame["raw"] for frame in replayed} == {POLL}
    assert {frame["raw"] for frame in watched.lines} == {POLL}
    assert [frame["t_ms"] for frame in replayed] == sorted(frame["t_ms"] for frame in replayed)


def test_pieces_of_one_frame_are_joined(edge_agent: CommandLine, tmp_path: Path) -> None:
    recording = tmp_path / "line.jsonl"
    pieces = [(0, "50"), (15, "20"), (30, "fa"), (300, POLL)]
    recording.write_text(
        "".join(json.dumps({"t_ms": t, "dir": "in", "hex": data}) + "\n" for t, data in pieces),
        encoding="ascii",
    )
    frames = edge_agent("bus", "replay", str(recording), "-p", "dart").lines
    assert [(frame["t_ms"], frame["raw"]) for frame in frames] == [(0, POLL), (300, POLL)]


@pytest.mark.parametrize("bad", ["no json", '{"t_ms": 1}', '{"t_ms": 1, "hex": "5"}'])
def test_a_broken_recording_names_the_line(
    edge_agent: CommandLine, tmp_path: Path, bad: str
) -> None:
    recording = tmp_path / "line.jsonl"
    recording.write_text(f'{{"t_ms": 0, "dir": "in", "hex": "{POLL}"}}\n{bad}\n', encoding="ascii")
    ran = edge_agent("bus", "replay", str(recording), "-p", "dart")
    assert ran.code == 1
    assert "line 2" in ran.err


def test_capture_never_overwrites(
    edge_agent: CommandLine, line: tuple[int, str], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("precious", encoding="ascii")
    ran = edge_agent("bus", "capture", line[1], str(there), "-p", "dart", "--seconds", "0.1")
    assert ran.code == 1
    assert there.read_text(encoding="ascii") == "precious"


def test_a_device_needs_a_protocol_and_a_bus_a_configuration(edge_agent: CommandLine) -> None:
    assert edge_agent("bus", "watch", "/dev/null").code == 2
    assert edge_agent("bus", "watch", "dart").err.startswith("config_missing")
    assert edge_agent("bus", "watch", "/dev/absent", "-p", "dart").err.startswith("bus_link_lost")
