"""How long something takes, counted into steps: what a histogram of metrics is made of."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

STEPS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


class Durations:
    """Counts durations by the first step that is not shorter; bounded however many there are."""

    __slots__ = ("_counts", "total_ms")

    def __init__(self) -> None:
        self._counts = [0] * (len(STEPS_MS) + 1)
        self.total_ms = 0
        """Sum of all durations, in milliseconds."""

    def add(self, duration_ms: int) -> None:
        """Count one duration, in milliseconds."""
        self._counts[bisect_left(STEPS_MS, duration_ms)] += 1
        self.total_ms += duration_ms

    def counts(self) -> tuple[int, ...]:
        """Return how many fell into each step; the last is for those longer than every step."""
        return tuple(self._counts)
