"""Clocks, chance and record bodies for the tests of the store."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model.records import (
    FuellingAuthorised,
    FuellingCompleted,
    NozzleTotals,
    QuoteBody,
    SaleRefunded,
    SaleSettled,
    StoredValueMoved,
    Tender,
)
from edge_agent.store.station import StationStore


class FixedClock:
    """A clock that moves when told to."""

    trusted = True

    def __init__(self, wall_ms: int = 1_790_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ms = 0

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        self._wall_ms += ms
        self._monotonic_ms += ms


class SeededEntropy:
    """Chance that repeats itself."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token(self, bytes_count: int) -> bytes:
        return self._random.randbytes(bytes_count)

    def uniform(self) -> float:
        return self._random.random()


class Bodies:
    """Makes valid record bodies; every figure can be given."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def fresh(self, prefix: str) -> str:
        return f"{prefix}-{next(self._numbers)}"

    def authorised(self, fuelling_id: str | None = None, fp: int = 1, **more: Any) -> Any:
        values: dict[str, Any] = {
            "fuelling_id": fuelling_id or self.fresh("F"),
            "fp": fp,
            "nozzles": [1],
            "by": "attendant",
            "preset_volume_ml": None,
            "preset_amount_fen": None,
            "price_set": "P1",
            "prices": {"1": 7850},
            "member_ref": None,
            "plate_ref": None,
            "prepaid_fen": 0,
            "totals_before": [NozzleTotals(nozzle=1, volume_ml=1000, amount_fen=785)],
        }
        return FuellingAuthorised(**(values | more))

    def completed(
        self, fuelling_id: str | None = None, fp: int = 1, volume_ml: int = 10_000, **more: Any
    ) -> Any:
        amount_fen = volume_ml * 785 // 1000
        values: dict[str, Any] = {
            "fuelling_id": fuelling_id or self.fresh("F"),
            "fp": fp,
            "nozzle": 1,
            "nozzle_number": fp,
            "grade": "92",
            "price_set": "P1",
            "unit_price_milli": 7850,
            "volume_ml": volume_ml,
            "amount_fen": amount_fen,
            "totals_before": None,
            "totals_after": NozzleTotals(
                nozzle=1, volume_ml=1000 + volume_ml, amount_fen=785 + amount_fen
            ),
            "origin": "observed",
            "member_ref": None,
            "plate_ref": None,
            "prepaid_fen": 0,
            "started_ms": None,
            "ended_ms": 1_790_000_000_000,
        }
        return FuellingCompleted(**(values | more))

    def quote(self, completed: FuellingCompleted, member_ref: str | None = None) -> QuoteBody:
        return QuoteBody(
            policy_version=1,
            grade=completed.grade,
            volume_ml=completed.volume_ml,
            unit_price_milli=completed.unit_price_milli,
            at_ms=completed.ended_ms,
            member_ref=member_ref,
            tier=None,
            list_amount_fen=completed.amount_fen,
            payable_fen=completed.amount_fen,
            applied=[],
            rejected=[],
            points_earned=0,
        )

    def settled(
        self,
        completed: FuellingCompleted,
        tenders: list[Tender] | None = None,
        **more: Any,
    ) -> Any:
        number = self.fresh("S")
        values: dict[str, Any] = {
            "sale_id": number,
            "fuelling_id": completed.fuelling_id,
            "quote": self.quote(completed, more.get("member_ref")),
            "tenders": tenders
            or [Tender(means="cash", amount_fen=completed.amount_fen, account_ref=None)],
            "change_fen": 0,
            "member_ref": None,
            "plate_ref": None,
            "receipt_no": number,
            "idempotency_key": f"key-{number}",
            "operator": "till",
        }
        return SaleSettled(**(values | more))

    def refunded(self, settled: SaleSettled, **more: Any) -> Any:
        number = self.fresh("R")
        values: dict[str, Any] = {
            "refund_id": number,
            "sale_id": settled.sale_id,
            "fuelling_id": settled.fuelling_id,
            "tenders": settled.tenders,
            "reason": "wrong nozzle",
            "idempotency_key": f"key-{number}",
            "operator": "till",
        }
        return SaleRefunded(**(values | more))

    def stored_value(self, account: str, amount_fen: int) -> Tender:
        return Tender(means="stored_value", amount_fen=amount_fen, account_ref=account)

    def moved(self, settled: SaleSettled, *, back: bool = False) -> list[StoredValueMoved]:
        return [
            StoredValueMoved(
                account_ref=tender.account_ref or "",
                delta_fen=tender.amount_fen if back else -tender.amount_fen,
                sale_id=settled.sale_id,
                reason="refund" if back else "sale",
            )
            for tender in settled.tenders
            if tender.means == "stored_value"
        ]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def entropy() -> SeededEntropy:
    return SeededEntropy()


@pytest.fixture
def make_clock() -> Callable[[], FixedClock]:
    return FixedClock


@pytest.fixture
def make_entropy() -> Callable[[], SeededEntropy]:
    return SeededEntropy


@pytest.fixture
def bodies() -> Bodies:
    return Bodies()


@pytest.fixture
def open_store(
    tmp_path: Path, clock: FixedClock, entropy: SeededEntropy
) -> Iterator[Callable[..., StationStore]]:
    """Open the station's store in a fresh folder, as often as a test likes; closed at the end."""
    opened: list[StationStore] = []

    def open_(name: str = "books.db", **options: Any) -> StationStore:
        # Without fsync: only test_database and test_crash ask what reaches the disk.
        defaults: dict[str, Any] = {
            "clock": clock,
            "entropy": entropy,
            "ballast_bytes": 0,
            "durable": False,
        }
        options = defaults | options
        store = StationStore.open(tmp_path / name, **options)
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., StationStore]) -> StationStore:
    return open_store()
