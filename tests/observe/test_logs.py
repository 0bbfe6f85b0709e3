"""Log lines: one JSON object each, bounded, redacted, under the journal's priority."""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.observe.logs import MAX_LINE_CHARACTERS, configure

logger = logging.getLogger("edge_agent.tests")


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("uvicorn", "pymodbus")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, kept in levels.items():
        logging.getLogger(name).setLevel(kept)
    logging.captureWarnings(False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_carries_what_was_given_with_it() -> None:
    stream = io.StringIO()
    configure(stream=stream, environ={})
    logger.warning("bus %s", "fault", extra={"bus": "dart", "count": 3})
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "edge_agent.tests",
        "message": "bus fault",
        "bus": "dart",
        "count": 3,
    }


def test_a_traceback_stays_on_the_line() -> None:
    stream = io.StringIO()
    configure(stream=stream, environ={})
    try:
        int("云A12345")
    except ValueError:
        logger.exception("failed")
    [text] = stream.getvalue().splitlines()
    assert "Traceback" in json.loads(text)["error"]
    assert "云A12345" not in text


def test_whatever_is_logged_is_one_bounded_line() -> None:
    stream = io.StringIO()
    configure(stream=stream, environ={})
    logger.error("x" * 100_000, extra={"data": {1, 2}, "text": "a\nb"})
    logger.info("after")
    lines = stream.getvalue().splitlines()
    assert [json.loads(line)["level"] for line in lines] == ["error", "info"]
    assert all(len(line) <= MAX_LINE_CHARACTERS for line in lines)


def test_nothing_personal_passes_in_any_field() -> None:
    stream = io.StringIO()
    configure(stream=stream, environ={})
    logger.info(
        "seen %s", "云A12345", extra={"phone": "13812345678", "source": "rtsp://u:hunter2@cam/"}
    )
    for canary in ("云A12345", "13812345678", "hunter2"):
        assert canary not in stream.getvalue()


def test_a_person_at_a_terminal_gets_short_lines() -> None:
    stream = Terminal()
    configure(stream=stream, environ={})
    logger.error("disk full", extra={"free": 0})
    assert stream.getvalue().startswith("\x1b[31m")
    assert "error    disk full free=0" in stream.getvalue()
    plain = Terminal()
    configure(stream=plain, environ={"NO_COLOR": "1"})
    logger.error("disk full")
    assert "\x1b" not in plain.getvalue()


def test_under_the_journal_lines_carry_their_priority(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        configure(stream=stream, environ={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        logger.error("bad")
        logger.info("good")
        stream.seek(0)
        assert [line[:4] for line in stream] == ["<3>{", "<6>{"]


def test_the_level_holds_and_libraries_are_quiet() -> None:
    stream = io.StringIO()
    configure(logging.WARNING, stream=stream, environ={})
    logger.info("no")
    logging.getLogger("pymodbus.logging").error("frames in hex")
    logging.getLogger("uvicorn.error").info("started")
    assert stream.getvalue() == ""


def test_warnings_are_logged() -> None:
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure(stream=stream, environ={})
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert "DeprecationWarning" in stream.getvalue()


def test_configuring_twice_does_not_double_lines() -> None:
    stream = io.StringIO()
    configure(stream=stream, environ={})
    configure(stream=stream, environ={})
    logger.info("once")
    assert len(stream.getvalue().splitlines()) == 1
