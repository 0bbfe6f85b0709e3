"""One station's till over its real books, ready to sell, for the tests of the point of sale."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app.point_of_sale import PointOfSale
from edge_agent.app.till import Surroundings, Till
from edge_agent.model.books import SettledSale
from edge_agent.model.catalogues import LeaseEntry, MemberEntry
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import FuellingId, GradeId, MemberRef, PlateRef, SaleId, StationId
from edge_agent.model.member_code import MemberCode, encode, signing_bytes
from edge_agent.model.records import BODIES, Asset, FuellingCompleted, RecordBody
from edge_agent.model.station import Grade, StationPlan
from edge_agent.model.wishes import SaleWish, SecondFactor, TenderOffer
from edge_agent.ports import LeaseAnswer
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.sealing import Sealer
from edge_agent.security.signatures import TrustedKeys
from edge_agent.store.books import LedgerBooks
from edge_agent.store.station import StationStore
from hq.keys import HqKeys

NOW_MS = 1_793_678_400_000  # Tuesday, 2026-11-03 12:00 in China
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
POLICY = (Path(__file__).parents[2] / "config" / "policy.json").read_text(encoding="utf-8")
PLAN = StationPlan(
    StationId("kunming-1"), "演示站", "Demo Station", (Grade(GradeId("92"), "92#"),), ()
)
CASH = TenderOffer("cash")
STORED = TenderOffer("stored_value")
KEYS = HqKeys(bytes(range(32)), bytes(range(32, 64)))
SEALER = Sealer(bytes(32))


class SetClock:
    """A wall clock that can be set, and a monotonic one that only goes on."""

    trusted = True

    def __init__(self) -> None:
        self.wall, self.monotonic = NOW_MS, 1_000_000

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_ms(self) -> int:
        return self.monotonic

    def pass_by(self, ms: int) -> None:
        self.wall += ms
        self.monotonic += ms


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


class PlainPins:
    """PINs whose hash is `pin:` and the PIN; to check one takes a turn of the loop."""

    async def check(self, subject: str, pin_hash: str, pin: str) -> None:
        await asyncio.sleep(0)
        if pin_hash != f"pin:{pin}":
            raise SaleRefused(Problem("pin_wrong", "密码错误", "the PIN is wrong"), subject)


class Headquarters:
    """A lender that a test speaks for: out of reach unless told otherwise."""

    def __init__(self, clock: SetClock, books: LedgerBooks) -> None:
        self._clock, self._books = clock, books
        self.asked: list[tuple[Asset, str, int]] = []
        self.answer: Callable[[Asset, str, int], Any] | None = None
        self.heard_ago_ms = 0

    def linked(self) -> bool:
        return self.answer is not None

    async def ask(self, asset: Asset, holder: str, amount: int) -> LeaseAnswer:
        self.asked.append((asset, holder, amount))
        if self.answer is None:
            return LeaseAnswer(0, answered=False)
        found: LeaseAnswer = await self.answer(asset, holder, amount)
        return found

    async def close_due(self) -> None:
        """Leave it to the tests of lending."""

    def now_ms(self) -> int:
        return max(self._clock.wall_ms(), self._books.time_floor_ms())

    def heard_ms_ago(self) -> int:
        return self.heard_ago_ms


def index_of(kind: str, identifier: str) -> str:
    return Index().of(kind, identifier)


PLATE_REF = index_of("plate", "云A12345")


def member(ref: str, tier: str, **more: Any) -> MemberEntry:
    values: dict[str, Any] = {
        "ref": ref,
        "tier": tier,
        "masked_name": "张**",
        "account": f"acc-{ref}",
        "plate_pay": True,
        "fills": 3,
        "indexes": {"card": [index_of("card", f"CARD{ref.upper()}")]},
    }
    return MemberEntry(**(values | more))


MEMBERS = (
    member(
        "gold",
        "gold",
        indexes={"plate": [PLATE_REF], "card": [index_of("card", "6001")]},
        pin_hash="pin:123456",
    ),
    member("silver", "silver", account=None),
    member("poor", "regular"),
)
GRANTED = {"acc-gold": 50_000, "acc-poor": 100}
STAFF = {"李": "pin:654321"}


def code_text(ref: str, nonce: str = "00" * 8, issued_ms: int = NOW_MS, key: HqKeys = KEYS) -> str:
    """What a member's phone shows."""
    code = MemberCode(MemberRef(ref), issued_ms, issued_ms + 60_000, nonce)
    return encode(code, KEYS.key_id, key.sign(signing_bytes(code)))


def by_code(ref: str, nonce: str = "00" * 8) -> SecondFactor:
    return SecondFactor(member_code=code_text(ref, nonce))


def by_pin(pin: str = "123456") -> SecondFactor:
    return SecondFactor(member_pin=pin)


def by_staff(name: str = "李", pin: str = "654321") -> SecondFactor:
    return SecondFactor(operator=name, operator_pin=pin)


class Shop:
    """One station's till, books and catalogues, ready to sell."""

    def __init__(self, store: StationStore, clock: SetClock) -> None:
        self.books = store.books
        self.catalogues = store.catalogues
        self.clock = clock
        self.versions = 0
        self.leases = 0
        self.fuellings = 0
        self.hq = Headquarters(clock, store.books)
        self.pos = self.open_till()

    def open_till(self, books: LedgerBooks | None = None, seed: int = 2) -> PointOfSale:
        masks = {PlateRef(PLATE_REF): "云A·**345"}
        around = Surroundings(
            books or self.books,
            self.catalogues,
            Index(),
            self.clock,
            SeededEntropy(seed),
            self.hq,
            SignedMemberCodes(TrustedKeys({KEYS.key_id: KEYS.public})),
            PlainPins(),
        )
        return PointOfSale(around, Till(PLAN, 480, masks.get, STAFF))

    async def publish(self, policy_json: str, version: int | None = None) -> None:
        self.versions += 1
        await self.catalogues.accept_policy(
            version or self.versions, self.versions, policy_json, sha256="0" * 64
        )

    async def enrol(self, *entries: MemberEntry) -> None:
        self.versions += 1
        await self.catalogues.accept_members(
            self.versions, self.versions, entries, replaced=False, sha256="0" * 64
        )

    async def grant(self, asset: Asset, holder: str, amount: int, **more: Any) -> str:
        """Set something aside for this station; return the lease's id."""
        self.leases += 1
        values: dict[str, Any] = {
            "lease_id": f"lease-{self.leases}",
            "asset": asset,
            "holder": holder,
            "amount": amount,
            "expires_ms": NOW_MS + 7 * DAY_MS,
            "holding": amount,
        }
        entry = LeaseEntry.model_validate(values | more)
        await self.catalogues.accept_leases(self.leases, self.leases, [entry], [], sha256="0" * 64)
        return entry.lease_id

    async def coupon(self, serial: str, template: str, ref: str = "gold", **more: Any) -> str:
        terms: dict[str, Any] = {
            "template": template,
            "member_ref": ref,
            "from_ms": NOW_MS - DAY_MS,
            "until_ms": NOW_MS + 5 * DAY_MS,
        }
        return await self.grant("coupon", serial, 1, **(terms | more))

    async def points(self, count: int, ref: str = "gold", **more: Any) -> str:
        bucket = {"expires_ms": NOW_MS + 400 * DAY_MS, "points": count}
        return await self.grant("points", ref, count, **({"buckets": [bucket]} | more))

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
            "ended_ms": self.clock.wall_ms() - 60_000,
        }
        await self.books.append([FuellingCompleted(**(values | more))])
        return FuellingId(f"f-{self.fuellings}")

    async def settle(
        self,
        fuelling: FuellingId,
        *tenders: TenderOffer,
        by: str | None = None,
        wish: SaleWish | None = None,
        key: str = "key-1",
        pos: PointOfSale | None = None,
        second: SecondFactor | None = None,
    ) -> SettledSale:
        return await (pos or self.pos).settle(
            fuelling,
            wish or SaleWish(member=None if by is None else MemberRef(by)),
            tenders or (CASH,),
            idempotency_key=key,
            operator="till",
            second=second,
        )

    async def refund(self, sale: SettledSale, key: str = "key-r") -> SettledSale:
        return await self.pos.refund(
            SaleId(sale.settled.sale_id), reason="加错油", idempotency_key=key, operator="lead"
        )

    def available(self, ref: str = "gold") -> int:
        return self.books.holding("balance", f"acc-{ref}").available(self.hq.now_ms())

    def bodies(self, kind: str) -> list[Any]:
        """Return what the books hold of a kind, oldest first."""
        body: type[RecordBody] = BODIES[kind]
        return [
            body.model_validate_json(record.body)
            for record in self.books.records_after(0, 1000)
            if record.kind == kind
        ]


async def nothing_left(_asset: Asset, _holder: str, _amount: int) -> LeaseAnswer:
    return LeaseAnswer(0, answered=True, reason="nothing_left")


def code_of(caught: pytest.ExceptionInfo[SaleRefused]) -> str:
    assert caught.value.problem.text_zh
    return caught.value.problem.code


async def refused(wish: Any) -> str:
    with pytest.raises(SaleRefused) as caught:
        await wish
    return code_of(caught)
