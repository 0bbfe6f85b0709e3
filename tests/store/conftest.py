"""Clocks, chance and record bodies for the tests of the store."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.core.leases import given_back
from edge_agent.model.records import (
    AppliedOffer,
    AssetMoved,
    FuellingAuthorised,
    FuellingCompleted,
    LeasesTaken,
    LeaseTerms,
    NozzleTotals,
    PointsBucket,
    PointsEarned,
    QuoteBody,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StoredValueToppedUp,
    Tender,
)
from edge_agent.security.sealing import Sealer
from edge_agent.store.station import StationStore

NOW_MS = 1_790_000_000_000
FAR_MS = NOW_MS + 7 * 86_400_000
SEALER = Sealer(bytes(range(32)))


class FixedClock:
    """A clock that moves when told to."""

    trusted = True

    def __init__(self, wall_ms: int = NOW_MS) -> None:
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
            "ended_ms": NOW_MS,
        }
        return FuellingCompleted(**(values | more))

    def quote(self, completed: FuellingCompleted, **more: Any) -> QuoteBody:
        values: dict[str, Any] = {
            "policy_version": 1,
            "grade": completed.grade,
            "volume_ml": completed.volume_ml,
            "unit_price_milli": completed.unit_price_milli,
            "at_ms": completed.ended_ms,
            "member_ref": None,
            "tier": None,
            "fuel_amount_fen": completed.amount_fen,
            "list_amount_fen": completed.amount_fen,
            "payable_fen": completed.amount_fen,
            "applied": [],
            "rejected": [],
            "points_earned": 0,
        }
        return QuoteBody(**(values | more))

    def applied(self, offer: str, amount_fen: int, coupon: str | None = None) -> AppliedOffer:
        return AppliedOffer(
            offer=offer,
            amount_fen=amount_fen,
            text_zh="优惠",
            text_en="offer",
            stage="basket",
            coupon=coupon,
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
            "quote": self.quote(completed, member_ref=more.get("member_ref")),
            "explanation_sha256": "e" * 64,
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

    def terms(self, holder: str, amount: int, asset: str = "balance", **more: Any) -> LeaseTerms:
        """Return a lease; its id is `L-` and the holder's name unless another is given."""
        values: dict[str, Any] = {
            "lease_id": f"L-{holder}",
            "asset": asset,
            "holder": holder,
            "amount": amount,
            "expires_ms": FAR_MS,
        }
        return LeaseTerms(**(values | more))

    def taken(self, *terms: LeaseTerms) -> LeasesTaken:
        return LeasesTaken(leases=list(terms))

    def topped_up(self, account: str, amount_fen: int, **more: Any) -> StoredValueToppedUp:
        number = self.fresh("T")
        values: dict[str, Any] = {
            "top_up_id": number,
            "account_ref": account,
            "member_ref": f"M-{account}",
            "amount_fen": amount_fen,
            "means": "cash",
            "confirmed_by": "member_pin",
            "second_operator": None,
            "idempotency_key": f"key-{number}",
            "operator": "till",
            "expires_ms": FAR_MS,
        }
        return StoredValueToppedUp(**(values | more))

    def drawn(
        self,
        sale: SaleSettled,
        holder: str,
        amount: int,
        asset: str = "balance",
        *,
        buckets: dict[int, int] | None = None,
        **more: Any,
    ) -> AssetMoved:
        """Return what a sale draws of one lease, `L-` and the holder's name unless another."""
        values: dict[str, Any] = {
            "asset": asset,
            "holder": holder,
            "delta": -amount,
            "sale_id": sale.sale_id,
            "reason": "sale",
            "lease_id": f"L-{holder}",
            "buckets": [
                PointsBucket(expires_ms=expires_ms, points=points)
                for expires_ms, points in (buckets or {}).items()
            ],
        }
        return AssetMoved(**(values | more))

    def moved(self, sale: SaleSettled) -> list[AssetMoved]:
        """Return what a sale's stored value draws, each account's from its one lease."""
        return [
            self.drawn(sale, tender.account_ref or "", tender.amount_fen)
            for tender in sale.tenders
            if tender.means == "stored_value"
        ]

    def earned(self, sale: SaleSettled, points: int, **more: Any) -> PointsEarned:
        values: dict[str, Any] = {
            "member_ref": sale.member_ref or "",
            "sale_id": sale.sale_id,
            "points": points,
            "expires_ms": FAR_MS,
            "reason": "sale",
        }
        return PointsEarned(**(values | more))

    def given_back(self, moved: list[Any]) -> list[RecordBody]:
        """Return what a refund moves after a sale moved this."""
        earned = [
            body.model_copy(update={"points": -body.points, "reason": "refund"})
            for body in moved
            if isinstance(body, PointsEarned)
        ]
        return [*given_back(m for m in moved if isinstance(m, AssetMoved)), *earned]


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
def sealer() -> Sealer:
    return SEALER


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
            "sealer": SEALER,
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
