"""The agent's own figures: names, bounds, and that none of them is personal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.model.durations import STEPS_MS, Durations
from edge_agent.model.ids import BusId
from edge_agent.model.ledger import LedgerRecord
from edge_agent.observe.clock import SystemClock
from edge_agent.observe.metrics import MAX_REASONS, AgentFigures, Bus, bounded
from edge_agent.observe.time_service import Synchronisation
from edge_agent.ports import Books


@dataclass
class FakeCounters:
    connections: int = 2
    bytes_sent: int = 30
    bytes_received: int = 40
    faults: Counter[str] = field(default_factory=lambda: Counter({"crc": 3}))
    exchanges: Durations = field(default_factory=Durations)


@dataclass
class FakeBus:
    bus: BusId
    counters: FakeCounters = field(default_factory=FakeCounters)
    is_connected: bool = True


@dataclass
class FakeWriter:
    waiting: int = 1
    commits: Durations = field(default_factory=Durations)


class FakeBooks:
    def acked_seq(self) -> int:
        return 6

    def records_after(self, seq: int, limit: int) -> list[LedgerRecord]:
        assert (seq, limit) == (6, 1)
        return [LedgerRecord(1, 7, "sale.settled", 10_000, "{}", "", "")]


def figures(**changes: object) -> AgentFigures:
    bus = FakeBus(BusId("dart"))
    for duration_ms in (3, 3, 40, 9_000):
        bus.counters.exchanges.add(duration_ms)
    given = {
        "buses": [cast("Bus", bus)],
        "writer": FakeWriter(),
        "books": cast("Books", FakeBooks()),
        "clock": SystemClock(lambda: Synchronisation(True, 0, "test"), lambda: 70_000),
        "loop_failures": {"sync": 2},
        "clock_error_ms": lambda: 12,
        "downlinks_dropped": lambda: 4,
        "takeovers": lambda: 0,
        **changes,
    }
    return AgentFigures(**given)  # type: ignore[arg-type]


def samples(collector: AgentFigures) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    text = generate_latest(registry).decode()
    return {
        (sample.name, ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures() -> None:
    found = samples(figures())
    assert found["edge_bus_connected", "bus=dart"] == 1
    assert found["edge_bus_connections_total", "bus=dart"] == 2
    assert found["edge_bus_bytes_total", "bus=dart,direction=received"] == 40
    assert found["edge_bus_faults_total", "bus=dart,reason=crc"] == 3
    assert found["edge_bus_exchange_seconds_bucket", "bus=dart,le=0.005"] == 2
    assert found["edge_bus_exchange_seconds_bucket", "bus=dart,le=+Inf"] == 4
    assert found["edge_bus_exchange_seconds_count", "bus=dart"] == 4
    assert found["edge_bus_exchange_seconds_sum", "bus=dart"] == 9.046
    assert found["edge_writer_queue_jobs", ""] == 1
    assert found["edge_outbox_oldest_age_seconds", ""] == 60
    assert found["edge_loop_failures_total", "loop=sync"] == 2
    assert found["edge_clock_max_error_seconds", ""] == 0.012
    assert found["edge_hq_downlinks_dropped_total", ""] == 4
    assert found["process_resident_memory_bytes", ""] > 0


def test_an_unknown_clock_error_is_no_figure() -> None:
    found = samples(figures(clock_error_ms=lambda: None))
    error = found["edge_clock_max_error_seconds", ""]
    assert error != error


@given(st.dictionaries(st.text(max_size=6), st.integers(1, 100), max_size=120))
def test_reasons_are_bounded_and_none_is_lost(counts: dict[str, int]) -> None:
    kept = bounded(counts)
    assert len(kept) <= MAX_REASONS + 1
    assert sum(kept.values()) == sum(counts.values())


@given(st.lists(st.integers(0, 20_000)))
def test_every_duration_falls_into_one_step(durations_ms: list[int]) -> None:
    counted = Durations()
    for duration_ms in durations_ms:
        counted.add(duration_ms)
    assert sum(counted.counts()) == len(durations_ms)
    assert counted.total_ms == sum(durations_ms)
    for i, step_ms in enumerate(STEPS_MS):
        within = sum(counted.counts()[: i + 1])
        assert within == sum(duration_ms <= step_ms for duration_ms in durations_ms)
