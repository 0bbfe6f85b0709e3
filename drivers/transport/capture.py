"""What went over a bus, as lines of JSON: `{"t_ms": 1234, "dir": "out", "hex": "50 20 FA"}`.

`t_ms` is monotonic time, "out" is what the agent sent, "in" what came back.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

from edge_agent.model.errors import MessageRefused, Problem

Direction: TypeAlias = Literal["out", "in"]

RING_BYTES: Final = 1_000_000
"""The last quarter of an hour of a busy bus."""
_ENTRY_BYTES: Final = 64
"""What an entry costs beside its data."""


@dataclass(frozen=True, slots=True)
class CaptureEntry:
    """One write or read."""

    t_ms: int
    direction: Direction
    data: bytes

    def to_line(self) -> str:
        """Return the entry as a line without its end."""
        fields = {"t_ms": self.t_ms, "dir": self.direction, "hex": self.data.hex(" ").upper()}
        return json.dumps(fields)


class Capture:
    """The latest entries, in a ring bounded by bytes; and whoever wants to see them live."""

    def __init__(self, max_bytes: int = RING_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: deque[CaptureEntry] = deque()
        self._bytes = 0
        self._listeners: list[Callable[[CaptureEntry], None]] = []

    def __iter__(self) -> Iterator[CaptureEntry]:
        return iter(tuple(self._entries))

    def subscribe(self, listener: Callable[[CaptureEntry], None]) -> Callable[[], None]:
        """Call `listener` with each new entry; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def note(self, entry: CaptureEntry) -> None:
        """Add an entry; the oldest ones give way."""
        self._entries.append(entry)
        self._bytes += len(entry.data) + _ENTRY_BYTES
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._entries.popleft().data) + _ENTRY_BYTES
        for listener in tuple(self._listeners):
            listener(entry)

    def save(self, path: Path) -> None:
        """Write the ring to a file. Raises `OSError`."""
        path.write_text("".join(f"{entry.to_line()}\n" for entry in self._entries))


def parse_capture(lines: Iterable[str]) -> list[CaptureEntry]:
    """Read a capture; empty lines are skipped.

    Raises:
        MessageRefused: a line is no entry; `detail` names it by number.
    """
    return [_parse(line, number) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse(line: str, number: int) -> CaptureEntry:
    try:
        fields: object = json.loads(line)
        if not isinstance(fields, dict) or fields.get("dir") not in {"out", "in"}:
            raise ValueError("no entry of a capture")  # noqa: TRY301 - one place says what is wrong
        direction = cast("Direction", fields["dir"])
        return CaptureEntry(int(fields["t_ms"]), direction, bytes.fromhex(str(fields["hex"])))
    except (ValueError, KeyError, TypeError) as error:
        raise MessageRefused(
            Problem(
                "capture_malformed", "总线抓包文件格式不对", "a line of the capture is no entry"
            ),
            f"line {number}: {error}",
        ) from error
