"""Cutting an endless stream of bytes at an end byte, with bounded memory and linear time."""

from __future__ import annotations

from typing import NamedTuple


class Segment(NamedTuple):
    """A piece of the stream; `ended` is false for a piece cut because it grew too long."""

    data: bytes
    ended: bool


class SegmentBuffer:
    """Splits a stream behind each `end` byte that no `escape` byte precedes.

    What comes out depends on the bytes alone, not on the pieces in which they arrive. At most
    `longest` bytes wait for their end; longer ones come out as a segment that has not ended.
    """

    def __init__(self, end: int, escape: int, longest: int) -> None:
        self._end = end
        self._escape = escape
        self._longest = longest
        self._held = bytearray()
        self._scanned = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for its end."""
        return not self._held

    def clear(self) -> None:
        """Forget what waits for its end."""
        self._held.clear()
        self._scanned = 0

    def feed(self, data: bytes) -> list[Segment]:
        """Take bytes in; return the segments that they complete, in order."""
        held = self._held
        held += data
        segments: list[Segment] = []
        start, scan = 0, self._scanned
        while True:
            limit = start + self._longest
            found = held.find(self._end, scan, limit)
            if found < 0:
                if len(held) < limit:
                    break
                segments.append(Segment(bytes(held[start:limit]), ended=False))
                start = scan = limit
            elif found > start and held[found - 1] == self._escape:
                scan = found + 1
            else:
                segments.append(Segment(bytes(held[start : found + 1]), ended=True))
                start = scan = found + 1
        del held[:start]
        self._scanned = len(held)
        return segments
