"""The point of sale over the real books: paid once, refunded once, balances exact, keys kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app.point_of_sale import PointOfSale, Till
from edge_agent.core.promotions import requote
from edge_agent.core.settlement import TenderOffer
from edge_agent.model.books import SettledSale
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
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.policy import NO_POLICY, load_policy
from edge_agent.model.records import FuellingCompleted, RecordBody, SaleSettled, StoredValueMoved
from edge_agent.model.station import Grade, StationPlan
from edge_agent.model.units import Money
from edge_agent.model.wire import MemberEntry
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


class Station:
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


@pytest.fixture
def open_station(tmp_path: Path) -> Iterator[Callable[[], Station]]:
    opened: list[StationStore] = []

    def open_() -> Station:
        store = StationStore.open(
            tmp_path / "books.db",
            clock=FixedClock(),
            entropy=SeededEntropy(),
            ballast_bytes=0,
            durable=False,
        )
        opened.append(store)
        return Station(store)

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
async def station(open_station: Callable[[], Station]) -> Station:
    opened = open_station()
    await opened.catalogues.accept_members(1, 1, MEMBERS, replaced=True, sha256="0" * 64)
    await opened.publish(POLICY)
    return opened


def code_of(caught: pytest.ExceptionInfo[SaleRefused]) -> str:
    assert caught.value.problem.text_zh
    return caught.value.problem.code


async def refused(wish: Any) -> str:
    with pytest.raises(SaleRefused) as caught:
        await wish
    return code_of(caught)


# --- quote --------------------------------------------------------------------------------------


async def test_the_member_bound_to_the_fuelling_is_priced_by_default(station: Station) -> None:
    bound = await station.deliver(31_400, member_ref="gold")
    assert station.pos.quote(bound).payable_fen == 28_458
    assert station.pos.quote(bound, MemberRef("silver")).tier == "silver"
    assert station.pos.quote(await station.deliver(31_400)).payable_fen == 31_400


async def test_a_bound_member_that_is_gone_pays_the_list_price(station: Station) -> None:
    fuelling = await station.deliver(31_400, member_ref="erased")
    quoted = station.pos.quote(fuelling)
    assert (quoted.member_ref, quoted.payable_fen) == (None, 31_400)


async def test_what_cannot_be_quoted_says_why(station: Station) -> None:
    fuelling = await station.deliver()
    with pytest.raises(SaleRefused) as caught:
        station.pos.quote(fuelling, MemberRef("nobody"))
    assert code_of(caught) == "member_unknown"
    with pytest.raises(SaleRefused) as caught:
        station.pos.quote(FuellingId("f-99"))
    assert code_of(caught) == "fuelling_unknown"
    await station.settle(fuelling)
    with pytest.raises(SaleRefused) as caught:
        station.pos.quote(fuelling)
    assert code_of(caught) == "sale_already_settled"


async def test_what_was_shown_is_charged_when_the_policy_changes_meanwhile(
    station: Station,
) -> None:
    fuelling = await station.deliver(31_400)
    shown = station.pos.quote(fuelling, MemberRef("gold"))
    dearer = json.loads(POLICY) | {"version": 2, "offers": []}
    await station.publish(json.dumps(dearer))
    sale = await station.settle(fuelling, by="gold")
    assert sale.settled.quote == shown
    assert requote(sale.settled.quote, load_policy(POLICY)) == shown
    later = await station.deliver(31_400)
    assert station.pos.quote(later, MemberRef("gold")).payable_fen == 31_400


async def test_a_policy_that_cannot_be_read_is_passed_over(station: Station) -> None:
    assert station.pos.policy_problem() is None
    assert station.pos.policy() is station.pos.policy(), "read once a version"
    await station.publish('{"format": 9}')
    assert station.pos.policy().version == 1
    problem = station.pos.policy_problem()
    assert problem is not None
    assert problem.code == "policy_value_refused"


async def test_a_station_without_a_policy_sells_at_the_list_price(
    open_station: Callable[[], Station],
) -> None:
    station = open_station()
    assert station.pos.policy() is NO_POLICY
    sale = await station.settle(await station.deliver(5000))
    assert (sale.settled.quote.payable_fen, sale.settled.quote.policy_version) == (5000, 0)


# --- settle -------------------------------------------------------------------------------------


async def test_a_split_payment_is_one_append(station: Station) -> None:
    fuelling = await station.deliver(31_400)
    before = station.books.head().seq
    sale = await station.settle(
        fuelling, TenderOffer("stored_value", Money(10_000)), CASH, by="gold"
    )
    assert {t.means: t.amount_fen for t in sale.settled.tenders} == {
        "stored_value": 10_000,
        "cash": 18_458,
    }
    assert station.available() == 40_000
    assert station.books.head().seq == before + 2
    assert station.books.unpaid() == []
    assert sale == station.books.sale_of(fuelling)


async def test_the_same_press_brings_the_same_sale(station: Station) -> None:
    fuelling = await station.deliver()
    first = await station.settle(fuelling, TenderOffer("cash", Money(30_000)))
    again = await station.settle(fuelling, TenderOffer("cash", Money(30_000)))
    assert again == first
    assert station.books.sums().sales == 1


async def test_a_key_belongs_to_one_wish(station: Station) -> None:
    fuelling, other = await station.deliver(), await station.deliver()
    sale = await station.settle(fuelling, by="gold")
    assert await refused(station.settle(other, by="gold")) == "idempotency_conflict"
    assert await refused(station.settle(fuelling, by="silver")) == "idempotency_conflict"
    assert await refused(station.settle(fuelling, STORED)) == "idempotency_conflict"
    assert await refused(station.refund(sale, key="key-1")) == "idempotency_conflict"
    assert await refused(station.settle(fuelling, key="key-2")) == "sale_already_settled"
    assert await refused(station.settle(other, key="")) == "idempotency_key_invalid"
    assert await refused(station.settle(other, key="x" * 129)) == "idempotency_key_invalid"


async def test_a_key_outlives_the_till(station: Station) -> None:
    fuelling = await station.deliver()
    first = await station.settle(fuelling)
    assert await station.settle(fuelling, pos=station.open_till(seed=9)) == first


@pytest.mark.parametrize("seed", range(6))
async def test_however_often_and_wherever_it_is_pressed_it_is_paid_once(
    station: Station, seed: int
) -> None:
    """Two screens without a common lock, a few keys, presses that are given up half-way."""
    chance = random.Random(seed)
    fuelling = await station.deliver(20_300)
    screens = [station.pos, station.open_till(seed=seed)]
    tasks = []
    for _ in range(12):
        key = chance.choice(["key-1", "key-2"])
        press = station.settle(fuelling, STORED, by="gold", key=key, pos=chance.choice(screens))
        task = asyncio.ensure_future(press)
        tasks.append(task)
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    final = await _until_settled(station, fuelling)
    assert station.books.sums().sales == 1
    assert station.available() == 50_000 - 18_300
    for result in results:
        if isinstance(result, SaleRefused):
            assert result.problem.code == "sale_already_settled"
        elif not isinstance(result, asyncio.CancelledError):
            assert result == final


async def _until_settled(station: Station, fuelling: FuellingId) -> SettledSale:
    """Press once more under each key: one of them is, or was, the one."""
    for key in ("key-1", "key-2"):
        try:
            return await station.settle(fuelling, STORED, by="gold", key=key)
        except SaleRefused as refusal:
            code = refusal.problem.code
            if code != "sale_already_settled":
                raise
    raise AssertionError("neither key had settled the fuelling, yet it is settled")


async def test_a_press_that_loses_the_race_to_the_books_finds_the_sale(station: Station) -> None:
    """The first press reached the books after its caller had gone; the second asks them too."""
    fuelling = await station.deliver()

    class LateBooks:
        """Books whose first look-up by key comes too early."""

        def __init__(self, books: LedgerBooks) -> None:
            self.books = books
            self.asked = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.books, name)

        def sale_by_key(self, key: str) -> SettledSale | None:
            self.asked += 1
            return None if self.asked == 1 else self.books.sale_by_key(key)

        async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
            if isinstance(bodies[0], SaleSettled):
                await station.settle(fuelling)
            return await self.books.append(bodies)

    late: Any = LateBooks(station.books)
    sale = await station.settle(fuelling, pos=station.open_till(late))
    assert sale == station.books.sale_of(fuelling)
    assert station.books.sums().sales == 1


async def test_while_it_is_being_paid_a_fuelling_is_locked(station: Station) -> None:
    """Later presses wait for the first instead of racing it to the books."""
    fuelling = await station.deliver()

    class CountingBooks:
        def __init__(self, books: LedgerBooks) -> None:
            self.books = books
            self.appends = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.books, name)

        async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
            self.appends += 1
            return await self.books.append(bodies)

    counting: Any = CountingBooks(station.books)
    till = station.open_till(counting)
    presses = [station.settle(fuelling, key=f"key-{n % 2}", pos=till) for n in range(6)]
    results = await asyncio.gather(*presses, return_exceptions=True)
    assert sum(isinstance(result, SettledSale) for result in results) == 3
    assert counting.appends == 1


async def test_one_account_is_never_overspent_by_two_fuellings_at_once(station: Station) -> None:
    fuellings = [await station.deliver(40_000), await station.deliver(40_000)]
    wishes = [station.settle(fuelling, STORED, by="gold", key=fuelling) for fuelling in fuellings]
    results = await asyncio.gather(*wishes, return_exceptions=True)
    refusals = [result for result in results if isinstance(result, SaleRefused)]
    assert [refusal.problem.code for refusal in refusals] == ["stored_value_insufficient"]
    assert station.available() == 50_000 - 36_800
    assert len(station.books.unpaid()) == 1


async def test_stored_value_is_the_members_own(station: Station) -> None:
    fuelling = await station.deliver()
    assert await refused(station.settle(fuelling, STORED)) == "stored_value_no_account"
    by_silver = station.settle(fuelling, STORED, by="silver")
    assert await refused(by_silver) == "stored_value_no_account"
    by_poor = station.settle(fuelling, STORED, by="poor")
    assert await refused(by_poor) == "stored_value_insufficient"


# --- prepaid and plate --------------------------------------------------------------------------


async def test_a_prepaid_fuelling_settles_itself_with_change(station: Station) -> None:
    fuelling = await station.deliver(8700, prepaid_fen=10_000, member_ref="silver")
    sale = await station.pos.settle_prepaid(fuelling)
    assert (sale.settled.quote.payable_fen, sale.settled.change_fen) == (8526, 1474)
    assert await station.pos.settle_prepaid(fuelling) == sale


async def test_an_over_run_prepaid_fuelling_waits_for_the_rest(station: Station) -> None:
    fuelling = await station.deliver(10_002, prepaid_fen=10_000)
    assert await refused(station.pos.settle_prepaid(fuelling)) == "tender_short"
    sale = await station.settle(fuelling, TenderOffer("cash", Money(2)))
    assert (sale.settled.tenders[0].amount_fen, sale.settled.change_fen) == (10_002, 0)


async def test_a_consenting_members_plate_pays_from_stored_value(station: Station) -> None:
    fuelling = await station.deliver(31_400, plate_ref=PLATE_REF, member_ref="gold")
    sale = await station.pos.settle_by_plate(fuelling)
    assert {t.means: t.amount_fen for t in sale.settled.tenders} == {"stored_value": 28_458}
    assert (sale.settled.plate_ref, sale.settled.operator) == (PLATE_REF, "plate-pay")
    assert station.available() == 50_000 - 28_458
    assert await station.pos.settle_by_plate(fuelling) == sale
    assert station.books.sums().plate_sales == 1


@pytest.mark.parametrize(
    ("fuelling", "changed", "settings", "code"),
    [
        ({}, {"plate_pay": False}, {}, "plate_pay_no_consent"),
        ({}, {"granted_fen": 100}, {}, "plate_pay_uncovered"),
        ({}, {"account": None, "granted_fen": 0}, {}, "plate_pay_uncovered"),
        ({}, {}, {"enabled": False}, "plate_pay_off"),
        ({}, {}, {"enabled": True, "max_amount_fen": 18_000}, "plate_pay_over_limit"),
        ({"plate_ref": None}, {}, {}, "plate_pay_no_member"),
        ({"plate_ref": "f" * 64}, {}, {}, "plate_pay_no_member"),
        ({"member_ref": "silver"}, {}, {}, "plate_pay_other_member"),
    ],
)
async def test_what_a_plate_may_not_pay_stays_unpaid(
    open_station: Callable[[], Station],
    fuelling: dict[str, Any],
    changed: dict[str, Any],
    settings: dict[str, Any],
    code: str,
) -> None:
    station = open_station()
    by_plate = member("gold", "gold", indexes={"plate": [PLATE_REF]}, **changed)
    await station.catalogues.accept_members(
        1, 1, [by_plate, MEMBERS[1]], replaced=True, sha256="0" * 64
    )
    policy = json.loads(POLICY)
    await station.publish(json.dumps(policy | {"plate_pay": settings or policy["plate_pay"]}))
    unpaid = await station.deliver(
        20_300, **({"plate_ref": PLATE_REF, "member_ref": "gold"} | fuelling)
    )
    assert await refused(station.pos.settle_by_plate(unpaid)) == code
    assert [item.completed.fuelling_id for item in station.books.unpaid()] == [unpaid]


# --- refund -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_settling_and_refunding_restores_every_balance(station: Station, seed: int) -> None:
    chance = random.Random(seed)
    sales = []
    for number in range(6):
        who = chance.choice(["gold", "poor", None])
        fuelling = await station.deliver(chance.randrange(100, 12_000))
        tenders = [CASH]
        if who is not None:
            share = min(chance.randrange(1, 100), station.available(who))
            tenders = [TenderOffer("stored_value", Money(share)), CASH] if share else tenders
        sales.append(await station.settle(fuelling, *tenders, by=who, key=f"s{number}"))
    assert station.available("gold") <= 50_000
    chance.shuffle(sales)
    for sale in sales:
        refunded = await station.refund(sale, key=f"r-{sale.settled.sale_id}")
        assert refunded.refunded is not None
        assert refunded.refunded.tenders == sale.settled.tenders
    assert (station.available("gold"), station.available("poor")) == (50_000, 100)


async def test_a_refund_pressed_twice_is_one_refund(station: Station) -> None:
    sale = await station.settle(await station.deliver(), STORED, by="gold")
    presses = [station.refund(sale) for _ in range(3)]
    results = await asyncio.gather(*presses)
    assert results[0] == results[1] == results[2]
    assert station.available() == 50_000
    assert await refused(station.refund(sale, key="key-3")) == "sale_already_refunded"
    assert sum(isinstance(b, StoredValueMoved) for b in _bodies(station)) == 2


def _bodies(station: Station) -> list[RecordBody]:
    return [
        StoredValueMoved.model_validate_json(record.body)
        for record in station.books.records_after(0, 1000)
        if record.kind == StoredValueMoved.kind
    ]


async def test_a_refund_that_loses_the_race_to_the_books_is_the_same_refund(
    station: Station,
) -> None:
    sale = await station.settle(await station.deliver())
    tills = [station.pos, station.open_till(seed=5)]
    presses = [
        till.refund(SaleId(sale.settled.sale_id), reason="x", idempotency_key="k", operator="lead")
        for till in tills
    ]
    one, other = await asyncio.gather(*presses)
    assert one == other


async def test_a_refund_with_another_reason_is_another_wish(station: Station) -> None:
    sale = await station.settle(await station.deliver())
    await station.refund(sale)
    other = station.pos.refund(
        SaleId(sale.settled.sale_id), reason="other", idempotency_key="key-r", operator="lead"
    )
    assert await refused(other) == "idempotency_conflict"


async def test_a_refund_names_its_sale(station: Station) -> None:
    wish = station.pos.refund(SaleId("nope"), reason="x", idempotency_key="k", operator="lead")
    assert await refused(wish) == "sale_unknown"


# --- members and receipts -----------------------------------------------------------------------


async def test_a_member_is_found_by_what_is_shown(station: Station) -> None:
    assert station.pos.find_member("card", "6001").ref == "gold"
    assert station.pos.find_member("plate", "云A12345").tier == "gold"
    for nothing in ("", "  ", "138 0000 0000"):
        with pytest.raises(SaleRefused) as caught:
            station.pos.find_member("phone", nothing)
        assert code_of(caught) == "member_unknown"
        assert nothing.strip() == "" or nothing not in str(caught.value)


async def test_a_receipt_shows_the_ledgers_own_number_and_hash(station: Station) -> None:
    fuelling = await station.deliver(31_400, plate_ref=PLATE_REF, member_ref="gold")
    sale = await station.pos.settle_by_plate(fuelling)
    text = station.pos.receipt(SaleId(sale.settled.sale_id))
    sealed = station.books.hash_at(sale.seq)
    assert sealed is not None
    assert f"{sale.seq} {sealed[:12]}" in text
    for shown in ("演示站", "92#", "云A·**345", "张** 金牌会员", sale.settled.receipt_no):
        assert shown in text
    assert "重打" not in text
    assert "重打" in station.pos.receipt(SaleId(sale.settled.sale_id), reprint=True)
    refunded = await station.refund(sale)
    assert "退款凭证" in station.pos.receipt(SaleId(refunded.settled.sale_id))


async def test_a_receipt_of_a_forgotten_plate_shows_the_beginning_of_its_reference(
    station: Station,
) -> None:
    sale = await station.settle(await station.deliver(plate_ref="ab" * 32), by="gold")
    text = station.pos.receipt(SaleId(sale.settled.sale_id))
    assert "#abababab\n" in text
    assert "ab" * 5 not in text


async def test_receipt_numbers_are_the_day_and_eight_unmistakable_characters(
    station: Station,
) -> None:
    sales = [await station.settle(await station.deliver(), key=f"k{n}") for n in range(3)]
    numbers = {sale.settled.receipt_no for sale in sales}
    assert len(numbers) == 3
    for number in numbers:
        day, digits = number.split("-")
        assert (day, len(digits)) == ("261103", 8)
        assert not set(digits) & set("ILOU")
        assert len(set(digits)) > 2
