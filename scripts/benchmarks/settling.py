"""Settlements a second on the real books, beside what the disk does with the same bytes alone."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_agent.model.records import RecordBody
from edge_agent.store.ledger import encode
from scripts.benchmarks.outside import folder, open_store
from scripts.benchmarks.row import Row, Scale, median, percentile
from scripts.benchmarks.till import STORED, WISH, BusyTill

LOG_PAGE_BYTES: Final = 4096 + 24
"""A page in SQLite's write-ahead log with its header."""


def measure(scale: Scale) -> list[Row]:
    """Measure commits of settlements and bare writes in turn."""
    rounds, each = scale.of(20, 8, 2), scale.of(100, 50, 5)
    with folder() as path, open_store(path) as store:
        return [asyncio.run(_measured(path, BusyTill(store), rounds, each))]


@dataclass(slots=True)
class _Found:
    """Rates a second by round, and what a commit weighs."""

    commits: list[float] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_pages: list[float] = field(default_factory=list)
    commit_ms: list[float] = field(default_factory=list)
    record_bytes: int = 0
    log_pages: int = 0

    def row(self) -> Row:
        """Return the row; ratios are taken round by round, since the disk's pace changes."""
        pairs = zip(self.commits, self.bare, strict=True)
        page_pairs = zip(self.commits, self.bare_pages, strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        limit = median(self.bare)
        return Row(
            name="settlement_commits", value=median(ratios) * limit, unit="commits/s",
            limit=limit, limit_name="bare fdatasync/s, the records' own bytes appended",
            sense="at_least", goal_ratio=0.6,
            goal="one fsync each; at least 60 % of bare fdatasync a second of the same bytes",
            peers={"bare fdatasync/s, the bytes that a commit adds to SQLite's log":
                   median(self.bare_pages)},
            details={
                "ratio_to_bytes_of_the_log": median([a / b for a, b in page_pairs]),
                "ratio_lowest": min(ratios), "ratio_highest": max(ratios),
                "record_bytes": self.record_bytes, "log_pages_per_commit": self.log_pages,
                "commit_median_ms": median(self.commit_ms),
                "commit_p99_ms": percentile(self.commit_ms, 0.99),
                "quoted_and_settled_per_s": median(self.wholes),
            },
        )  # fmt: skip


async def _measured(path: Path, till: BusyTill, rounds: int, each: int) -> Row:
    await till.open()
    found = _Found()
    # First of all: once it was written back, the log is used again and grows no more.
    found.log_pages = await _log_pages(till, path / "ledger.db-wal")
    await _commits(till, [await till.prepared() for _ in range(each)], [])  # warms up
    for _ in range(rounds):
        prepared = [await till.prepared() for _ in range(each)]
        found.record_bytes = sum(len(entry.text.encode()) for entry in encode(prepared[0]))
        found.commits.append(await _commits(till, prepared, found.commit_ms))
        found.bare.append(_bare(path, found.record_bytes, each))
        found.bare_pages.append(_bare(path, found.log_pages * LOG_PAGE_BYTES, each))
        found.wholes.append(await _wholes(till, each))
    return found.row()


async def _commits(till: BusyTill, prepared: list[list[RecordBody]], took_ms: list[float]) -> float:
    began = time.perf_counter()
    for bodies in prepared:
        one = time.perf_counter()
        await till.books.append(bodies)
        took_ms.append((time.perf_counter() - one) * 1000)
    return len(prepared) / (time.perf_counter() - began)


async def _wholes(till: BusyTill, each: int) -> float:
    """Settle through the till: look-ups, quote, commit and the sale read back."""
    fuellings = [await till.delivered() for _ in range(each)]
    began = time.perf_counter()
    for fuelling in fuellings:
        await till.pos.settle(
            fuelling, WISH, [STORED], idempotency_key=f"k-{fuelling}", operator="bench"
        )
    return len(fuellings) / (time.perf_counter() - began)


def _bare(path: Path, size: int, each: int) -> float:
    """Append so many bytes and make them durable, again and again."""
    content = os.urandom(size)
    descriptor = os.open(path / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        began = time.perf_counter()
        for _ in range(each):
            os.write(descriptor, content)
            os.fdatasync(descriptor)
        return each / (time.perf_counter() - began)
    finally:
        os.close(descriptor)


async def _log_pages(till: BusyTill, log: Path) -> int:
    """Return how many pages a commit adds to SQLite's log."""
    added = []
    for bodies in [await till.prepared() for _ in range(5)]:
        before = _size(log)
        await till.books.append(bodies)
        added.append((_size(log) - before) / LOG_PAGE_BYTES)
    return max(1, round(max(added)))


def _size(file: Path) -> int:
    return file.stat().st_size
