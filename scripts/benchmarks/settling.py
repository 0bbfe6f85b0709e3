"""Settlements a second on the real books, beside what the disk does with the same bytes alone."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from edge_agent.app.point_of_sale import PointOfSale, Till
from edge_agent.core.settlement import SaleIdentity, TenderOffer, settle
from edge_agent.model.ids import AccountRef, FuellingId, GradeId, StationId
from edge_agent.model.records import FuellingCompleted, RecordBody
from edge_agent.model.station import Grade, StationPlan
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.store.ledger import encode
from edge_agent.store.station import StationStore
from scripts.benchmarks.outside import INDEX, NO_DIGEST, POLICY, folder, member, open_store
from scripts.benchmarks.row import Row, Scale, median, percentile

PLAN: Final = StationPlan(
    StationId("bench-1"), "测量站", "Bench", (Grade(GradeId("92"), "92#"),), ()
)
STORED: Final = TenderOffer("stored_value")
WAL_FRAME_BYTES: Final = 24
PAGE_BYTES: Final = 4096


def measure(scale: Scale) -> list[Row]:
    """Measure commits of settlements and bare writes in turn."""
    rounds, each = scale.of(20, 8, 2), scale.of(100, 50, 5)
    with folder() as path, open_store(path) as store:
        return [asyncio.run(_Settling(path, store, each).row(rounds))]


class _Settling:
    """One store with fuellings to settle, and a file beside it."""

    def __init__(self, path: Path, store: StationStore, each: int) -> None:
        self._path = path
        self._books = store.books
        self._catalogues = store.catalogues
        self._each = each
        self._made = 0
        self._pos = PointOfSale(
            store.books, store.catalogues, INDEX, SystemClock(), SystemEntropy(), Till(PLAN)
        )
        self._commit_ms: list[float] = []
        self._record_bytes = 0

    async def row(self, rounds: int) -> Row:
        """Measure in turn: commits, bare writes, commits, … and whole settlements."""
        await self._stock()
        commits, wholes, bare, bare_pages = [], [], [], []
        wal_pages = await self._wal_pages()
        for _ in range(rounds + 1):
            prepared = [await self._prepared() for _ in range(self._each)]
            self._record_bytes = max(self._record_bytes, _size(prepared[0]))
            commits.append(await self._commits(prepared))
            bare.append(self._bare(self._record_bytes))
            bare_pages.append(self._bare(round(wal_pages) * (PAGE_BYTES + WAL_FRAME_BYTES)))
            wholes.append(await self._wholes())
        if rounds > 1:  # the first round warms up
            del commits[0], bare[0], bare_pages[0], wholes[0]
        ratios = [ours / theirs for ours, theirs in zip(commits, bare, strict=True)]
        limit = median(bare)
        return Row(
            name="settlement_commits", value=median(ratios) * limit, unit="commits/s",
            limit=limit, limit_name="bare fdatasync/s, the records' own bytes appended",
            sense="at_least", goal_ratio=0.6,
            goal="one fsync each; at least 60 % of bare fdatasync a second of the same bytes",
            peers={"bare fdatasync/s, as many bytes as the commit adds to the log": median(
                bare_pages)},
            details={
                "record_bytes": self._record_bytes, "log_pages_per_commit": wal_pages,
                "commit_median_ms": median(self._commit_ms),
                "commit_p99_ms": percentile(self._commit_ms, 0.99),
                "quoted_and_settled_per_s": median(wholes),
                "ratio_to_bytes_of_the_log": median(
                    [a / b for a, b in zip(commits, bare_pages, strict=True)]),
                "ratio_lowest": min(ratios), "ratio_highest": max(ratios),
            },
        )  # fmt: skip

    async def _stock(self) -> None:
        await self._catalogues.accept_policy(
            1, 1, POLICY.read_text(encoding="utf-8"), sha256=NO_DIGEST
        )
        await self._catalogues.accept_members(
            1, 1, [member(number) for number in range(50)], replaced=False, sha256=NO_DIGEST
        )

    async def _delivered(self) -> FuellingId:
        """Complete a fuelling, so that it can be settled."""
        self._made += 1
        fuelling = f"f-{self._made}"
        body = FuellingCompleted(
            fuelling_id=fuelling, fp=1, nozzle=1, nozzle_number=1, grade="92",
            price_set="bench-1", unit_price_milli=7_850, volume_ml=30_000, amount_fen=23_550,
            totals_before=None, totals_after=None, origin="observed",
            member_ref=f"m-{self._made % 50:07d}", plate_ref=None, prepaid_fen=0,
            started_ms=None, ended_ms=SystemClock().wall_ms(),
        )  # fmt: skip
        await self._books.append([body])
        return FuellingId(fuelling)

    async def _prepared(self) -> list[RecordBody]:
        """Return the records of one settlement, ready to be committed."""
        fuelling = await self._delivered()
        unpaid = self._books.unpaid_fuelling(fuelling)
        if unpaid is None:
            raise RuntimeError("a completed fuelling is payable")
        quoted = self._pos.quote(fuelling)
        account = self._books.account(AccountRef(f"acc-{self._made % 50:07d}"))
        identity = SaleIdentity(f"s-{self._made}", f"r-{self._made}", f"k-{self._made}", "bench")
        return settle(unpaid.completed, quoted, [STORED], account, identity)

    async def _commits(self, prepared: list[list[RecordBody]]) -> float:
        began = time.perf_counter()
        for bodies in prepared:
            one = time.perf_counter()
            await self._books.append(bodies)
            self._commit_ms.append((time.perf_counter() - one) * 1000)
        return len(prepared) / (time.perf_counter() - began)

    async def _wholes(self) -> float:
        """Settle through the till: look-ups, quote, commit and the sale read back."""
        fuellings = [await self._delivered() for _ in range(self._each)]
        began = time.perf_counter()
        for fuelling in fuellings:
            await self._pos.settle(
                fuelling, [STORED], member=None, idempotency_key=f"k-{fuelling}", operator="bench"
            )
        return len(fuellings) / (time.perf_counter() - began)

    def _bare(self, size: int) -> float:
        """Append so many bytes and make them durable, again and again."""
        content = os.urandom(size)
        descriptor = os.open(self._path / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            began = time.perf_counter()
            for _ in range(self._each):
                os.write(descriptor, content)
                os.fdatasync(descriptor)
            return self._each / (time.perf_counter() - began)
        finally:
            os.close(descriptor)

    async def _wal_pages(self) -> float:
        """Return how many pages a commit adds to SQLite's log."""
        wal = self._path / "ledger.db-wal"
        prepared = [await self._prepared() for _ in range(3)]
        added = []
        for bodies in prepared:
            before = wal.stat().st_size
            await self._books.append(bodies)
            added.append((wal.stat().st_size - before) / (PAGE_BYTES + WAL_FRAME_BYTES))
        return max(1.0, round(median(added)))


def _size(bodies: list[RecordBody]) -> int:
    return sum(len(entry.text.encode()) for entry in encode(bodies))
