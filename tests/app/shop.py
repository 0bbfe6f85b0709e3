"""One station's till over its real books, ready to sell, for the tests of the point of sale."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app.point_of_sale import PointOfSale, Till
from edge_agent.core.settlement import TenderOffer
from edge_agent.model.books import SettledSale
from edge_agent.model.catalogues import MemberEntry
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import (
    AccountRef,
    FuellingId,
    GradeId,
    MemberRef,
    PlateRef,
    SaleId,
    StationId,
)
from edge_agent.model.records import FuellingCompleted
from edge_agent.model.station import Grade, StationPlan
from edge_agent.store.books import LedgerBooks
from edge_agent.store.station import StationStore

NOW_MS = 1_793_678_400_000  # Tuesday, 2026-11-03 12:00 in China
POLICY = (Path(__file__).parents[2] / "config" / "policy.json").read_text(encoding="utf-8")
PLAN = StationPlan(
    StationId("kunming-1"), "演示站", "Demo Station", (Grade(GradeId("92"), "92#"),), ()
)
CASH = TenderOffer("cash")
STORED = TenderOffer("stored_value")


class FixedClock:
    trusted = True

    def wall_ms(self) -> int:
        return NOW_MS

    def monotonic_ms(self) -> int:
        return 0


class SeededEntropy:
    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token(self, bytes_count: int) -> bytes:
        return self._random.randbytes(bytes_count)

    def uniform(self) -> float:
        return self._random.random()


class Index:
    """A blind index without a key."""

    def of(self, kind: str, identifier: str) -> str:
        return hashlib.sha256(f"{kind} {identifier}".encode()).hexdigest()


def index_of(kind: str, identifier: str) -> str:
    return Index().of(kind, identifier)


PLATE_REF = index_of("plate", "云A12345")


def member(ref: str, tier: str, **more: Any) -> MemberEntry:
    values: dict[str, Any] = {
        "ref": ref,
        "tier": tier,
        "masked_name": "张**",
        "account": f"acc-{ref}",
        "granted_fen": 50_000,
        "plate_pay": True,
        "indexes": {"card": [index_of("card", f"CARD{ref.upper()}")]},
    }
    return MemberEntry(**(values | more))


MEMBERS = (
    member("gold", "gold", indexes={"plate": [PLATE_REF], "card": [index_of("card", "6001")]}),
    member("silver", "silver", account=None, granted_fen=0),
    member("poor", "regular", granted_fen=100),
)


class Shop:
    """One station's till, books and catalogues, ready to sell."""

    def __init__(self, store: StationStore) -> None:
        self.books = store.books
        self.catalogues = store.catalogues
        self.versions = 0
        self.fuellings = 0
        self.pos = self.open_till()

    def open_till(self, books: LedgerBooks | None = None, seed: int = 2) -> PointOfSale:
        masks = {PlateRef(PLATE_REF): "云A·**345"}
        till = Till(PLAN, 480, masks.get)
        return PointOfSale(
            books or self.books, self.catalogues, Index(), FixedClock(), SeededEntropy(seed), till
        )

    async def publish(self, policy_json: str, version: int | None = None) -> None:
        self.versions += 1
        await self.catalogues.accept_policy(
            version or self.versions, self.versions, policy_json, sha256="0" * 64
        )

    async def deliver(self, amount_fen: int = 23_550, **more: Any) -> FuellingId:
        self.fuellings += 1
        values: dict[str, Any] = {
            "fuelling_id": f"f-{self.fuellings}",
            "fp": 1,
            "nozzle": 1,
            "nozzle_number": 3,
            "grade": "92",
            "price_set": "p-1",
            "unit_price_milli": 7850,
            "volume_ml": amount_fen * 10_000 // 7850,
            "amount_fen": amount_fen,
            "totals_before": None,
            "totals_after": None,
            "origin": "observed",
            "member_ref": None,
            "plate_ref": None,
            "prepaid_fen": 0,
            "started_ms": None,
            "ended_ms": NOW_MS - 60_000,
        }
        await self.books.append([FuellingCompleted(**(values | more))])
        return FuellingId(f"f-{self.fuellings}")

    async def settle(
        self,
        fuelling: FuellingId,
        *tenders: TenderOffer,
        by: str | None = None,
        key: str = "key-1",
        pos: PointOfSale | None = None,
    ) -> SettledSale:
        return await (pos or self.pos).settle(
            fuelling,
            tenders or (CASH,),
            member=None if by is None else MemberRef(by),
            idempotency_key=key,
            operator="till",
        )

    async def refund(self, sale: SettledSale, key: str = "key-r") -> SettledSale:
        return await self.pos.refund(
            SaleId(sale.settled.sale_id), reason="加错油", idempotency_key=key, operator="lead"
        )

    def available(self, ref: str = "gold") -> int:
        account = self.books.account(AccountRef(f"acc-{ref}"))
        assert account is not None
        return account.available.fen


def code_of(caught: pytest.ExceptionInfo[SaleRefused]) -> str:
    assert caught.value.problem.text_zh
    return caught.value.problem.code


async def refused(wish: Any) -> str:
    with pytest.raises(SaleRefused) as caught:
        await wish
    return code_of(caught)
