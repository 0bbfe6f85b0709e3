"""The agent's own figures for Prometheus: buses, the writer, the uplink, loops, clock, process.

What the attendants' screen shows as well (pumps, sales, outbox) is told by the API from the
station's view; both stand in docs/metrics.md. Labels are bounded and never personal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge_agent.model.durations import STEPS_MS, Durations
from edge_agent.model.ids import BusId
from edge_agent.ports import Books, Clock

MAX_REASONS: Final = 40
"""Reasons of faults that get a label of their own on a bus; the rest is counted as `other`."""


class BusCounters(Protocol):
    """What a bus counts of itself."""

    connections: int
    bytes_sent: int
    bytes_received: int
    faults: Counter[str]
    exchanges: Durations


class Bus(Protocol):
    """A running bus, as far as metrics look at it."""

    bus: BusId

    @property
    def counters(self) -> BusCounters: ...
    @property
    def is_connected(self) -> bool: ...


class Writer(Protocol):
    """The writer of the books."""

    @property
    def waiting(self) -> int: ...
    @property
    def commits(self) -> Durations: ...


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps collectors by identity
class AgentFigures(Collector):
    """Where the figures come from; each is asked anew whenever somebody collects."""

    buses: Sequence[Bus]
    writer: Writer
    books: Books
    clock: Clock
    loop_failures: Mapping[str, int]
    clock_error_ms: Callable[[], int | None]
    downlinks_dropped: Callable[[], int]
    takeovers: Callable[[], int]

    def collect(self) -> Iterator[Metric]:
        """Yield every figure at this instant."""
        yield from _bus_figures(self.buses)
        yield from self._books_figures()
        yield from ProcessCollector(registry=None).collect()
        yield CounterMetricFamily(
            "edge_hq_downlinks_dropped",
            "Messages from HQ dropped because the broker sent more than it may.",
            self.downlinks_dropped(),
        )
        yield CounterMetricFamily(
            "edge_hq_takeovers",
            "Times that another client with this station's name took the session.",
            self.takeovers(),
        )
        failures = CounterMetricFamily(
            "edge_loop_failures", "Loops that failed and were started again.", labels=["loop"]
        )
        for loop, count in self.loop_failures.items():
            failures.add_metric([loop], count)
        yield failures
        error_ms = self.clock_error_ms()
        yield GaugeMetricFamily(
            "edge_clock_max_error_seconds",
            "Bound on the error of the wall clock; NaN where no time service tells.",
            float("nan") if error_ms is None else error_ms / 1000,
        )

    def _books_figures(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "edge_writer_queue_jobs", "Transactions that wait for the disk.", self.writer.waiting
        )
        yield _histogram(
            "edge_commit_seconds", "Seconds of one transaction, with its fsync.",
            {"": self.writer.commits}, label=None,
        )  # fmt: skip
        waiting = self.books.records_after(self.books.acked_seq(), 1)
        oldest_ms = max(0, self.clock.wall_ms() - waiting[0].at_ms) if waiting else 0
        yield GaugeMetricFamily(
            "edge_outbox_oldest_age_seconds",
            "Age of the oldest record that HQ has not acknowledged; 0 when there is none.",
            oldest_ms / 1000,
        )


def _bus_figures(buses: Sequence[Bus]) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "edge_bus_connected", "1 while the bus's device or connection is open.", labels=["bus"]
    )
    connections = CounterMetricFamily(
        "edge_bus_connections", "Times that the bus was opened.", labels=["bus"]
    )
    carried = CounterMetricFamily(
        "edge_bus_bytes", "Bytes on the bus.", labels=["bus", "direction"]
    )
    rejected = CounterMetricFamily(
        "edge_bus_faults", "Bytes or behaviour that broke the protocol.", labels=["bus", "reason"]
    )
    for bus in buses:
        counters = bus.counters
        connected.add_metric([bus.bus], int(bus.is_connected))
        connections.add_metric([bus.bus], counters.connections)
        carried.add_metric([bus.bus, "sent"], counters.bytes_sent)
        carried.add_metric([bus.bus, "received"], counters.bytes_received)
        for reason, count in bounded(counters.faults).items():
            rejected.add_metric([bus.bus, reason], count)
    yield from (connected, connections, carried, rejected)
    yield _histogram(
        "edge_bus_exchange_seconds", "Seconds from a write to the first byte that came back.",
        {bus.bus: bus.counters.exchanges for bus in buses}, label="bus",
    )  # fmt: skip


def bounded(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts under at most `MAX_REASONS` names, the first ones seen, and `other`."""
    names = list(counts)
    kept = {name: counts[name] for name in names[:MAX_REASONS]}
    rest = sum(counts[name] for name in names[MAX_REASONS:])
    return {**kept, "other": kept.get("other", 0) + rest} if rest else kept


def _histogram(
    name: str, text: str, durations: Mapping[str, Durations], *, label: str | None
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=None if label is None else [label])
    bounds = [*(f"{step / 1000:g}" for step in STEPS_MS), "+Inf"]
    for value, counted in durations.items():
        sums = list(accumulate(counted.counts()))
        family.add_metric(
            [] if label is None else [value],
            buckets=list(zip(bounds, sums, strict=True)),
            sum_value=counted.total_ms / 1000,
        )
    return family
