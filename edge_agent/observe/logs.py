"""Log lines on stderr: JSON for journals and tools, short lines in colour for a person at a tty.

Rotation is the journal's business. Every line passes the redaction.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

from edge_agent.observe.redaction import redact

MAX_LINE_CHARACTERS: Final = 16_384
"""A longer line is cut: journald would split it, and a loop must not fill the disk by one line."""

_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's own copy for its own formatter
}
_PRIORITY: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
_COLOUR: Final = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "1;31"}


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, the fields given with it, and
    `error` with a traceback where there is one."""

    def __init__(self, *, with_priority: bool = False) -> None:
        super().__init__()
        self._with_priority = with_priority

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, redacted."""
        line: dict[str, object] = {
            "at": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        text = redact(json.dumps(line, ensure_ascii=False, default=str))
        if len(text) > MAX_LINE_CHARACTERS:
            kept = {key: str(line[key])[:1024] for key in ("at", "level", "logger", "message")}
            text = redact(json.dumps(kept | {"cut": len(text)}, ensure_ascii=False))
        # sd-daemon(3): the journal takes the priority off again and files the line under it.
        prefix = f"<{_PRIORITY.get(record.levelno, 6)}>" if self._with_priority else ""
        return prefix + text


class HumanLines(logging.Formatter):
    """Time, level, message and fields on a line."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, redacted."""
        fields = "".join(f" {key}={value}" for key, value in fields_of(record).items())
        local = datetime.fromtimestamp(record.created).astimezone()
        text = f"{local:%H:%M:%S} {record.levelname.lower():<8} {record.getMessage()}{fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = redact(text)[:MAX_LINE_CHARACTERS]
        code = _COLOUR.get(record.levelno) if self._colour else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text


def configure(
    level: int = logging.INFO,
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Send all log lines of this process to a stream, stderr by default.

    A tty gets lines for people, coloured unless NO_COLOR is set; everything else gets JSON.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    if stream.isatty():
        handler.setFormatter(HumanLines(colour=not environ.get("NO_COLOR")))
    else:
        handler.setFormatter(JsonLines(with_priority=_is_journal(stream, environ)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # It dumps frames at ERROR whenever a device is silent; our own faults count that already.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what was given to a log call with `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream is the one that systemd connected to the journal (systemd.exec(5))."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def _iso(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
