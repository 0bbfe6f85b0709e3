"""A measured row, and the figures that rows are made of."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

Sense: TypeAlias = Literal["at_most", "at_least"]


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number beside its limit. `ratio` is `value / limit`."""

    name: str
    value: float
    unit: str
    limit: float
    limit_name: str
    sense: Sense
    """Whether the ratio should be at most or at least `goal_ratio`."""
    goal_ratio: float
    goal: str
    """The promise in words."""
    peers: dict[str, float] = field(default_factory=dict)
    """What others take for the same, measured in the same run, in the same unit."""
    details: dict[str, float] = field(default_factory=dict)
    """Further figures of this row, units in their names."""
    flaws: tuple[str, ...] = ()
    """What was wrong beside the number, such as a record lost; any flaw fails the row."""

    @property
    def ratio(self) -> float:
        """How the value stands to its limit."""
        return self.value / self.limit if self.limit else math.inf

    @property
    def ok(self) -> bool:
        """Whether the goal is reached."""
        if self.flaws or not math.isfinite(self.ratio):
            return False
        if self.sense == "at_most":
            return self.ratio <= self.goal_ratio
        return self.ratio >= self.goal_ratio

    def as_json(self) -> dict[str, object]:
        """Return the row as plain values, figures cut to what they are worth."""
        values = {**asdict(self), "value": _rounded(self.value), "limit": _rounded(self.limit)}
        values["peers"] = {name: _rounded(value) for name, value in self.peers.items()}
        values["details"] = {name: _rounded(value) for name, value in self.details.items()}
        del values["sense"], values["goal_ratio"]
        return {**values, "ratio": _rounded(self.ratio), "ok": self.ok}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: everything, or with `--quick` enough to see that it works."""

    quick: bool = False
    tiny: bool = False
    """Just enough to run every line; for tests."""

    def of(self, full: int, quick: int, tiny: int) -> int:
        """Return the size that applies."""
        return tiny if self.tiny else quick if self.quick else full


Measurement: TypeAlias = Callable[[Scale], list[Row]]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def timed_ms(work: Callable[[], object]) -> float:
    """Return how long a call took by the clock on the wall, in milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


@dataclass(frozen=True, slots=True)
class Timing:
    """How long calls took, by the clock on the wall and in this thread's own processor time.

    The two agree on a machine that does nothing else. Where others work too, only the second is the
    code's own.
    """

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], object]) -> None:
        """Call once and note both times."""
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        work()
        self.cpu_ms.append((time.thread_time_ns() - cpu) / 1e6)
        self.wall_ms.append((time.perf_counter_ns() - wall) / 1e6)

    def details(self) -> dict[str, float]:
        """Return the figures that stand beside a row's value."""
        return {
            "median_ms": median(self.cpu_ms),
            "wall_median_ms": median(self.wall_ms),
            "wall_p99_ms": percentile(self.wall_ms, 0.99),
            "calls": len(self.wall_ms),
        }


def say(text: str) -> None:
    """Tell the person who waits what goes on."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if math.isfinite(value) else 0.0
