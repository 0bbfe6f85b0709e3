"""What the books must hold: once means once, money adds up, and every answer matches the ledger."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.core.chain import genesis, verify
from edge_agent.model.canonical import canonical_json
from edge_agent.model.errors import CorruptionError, SaleRefused, StorageUnavailable
from edge_agent.model.ids import AccountRef, FpId, FuellingId, MemberRef, SaleId
from edge_agent.model.ledger import GENESIS_HASH, LedgerRecord
from edge_agent.model.records import (
    BODIES,
    FuellingCancelled,
    NozzleTotals,
    PriceApplied,
    StationStarted,
    StopAllOrdered,
    TotaliserBaseline,
    TotaliserJumped,
)
from edge_agent.model.units import Money, Volume
from edge_agent.ports import Books, CatalogueAcceptor, Catalogues
from edge_agent.store.station import StationStore

OpenStore = Callable[..., StationStore]


async def refused(store: StationStore, *bodies: Any) -> str:
    """Append, expect a refusal, see that nothing was written, return the code."""
    before = store.books.head(), store.books.sums(), store.books.unpaid()
    with pytest.raises(SaleRefused) as caught:
        await store.books.append(bodies)
    assert (store.books.head(), store.books.sums(), store.books.unpaid()) == before
    assert caught.value.problem.text_zh
    return caught.value.problem.code


async def test_a_sale_from_nozzle_to_refund(store: StationStore, bodies: Any) -> None:
    books = store.books
    authorised = bodies.authorised("F1", fp=3)
    await books.append([authorised])
    (open_,) = books.open_fuellings()
    assert (open_.seq, open_.authorised) == (1, authorised)

    completed = bodies.completed("F1", fp=3, volume_ml=20_000)
    await books.append([completed])
    assert books.open_fuellings() == []
    (unpaid,) = books.unpaid()
    assert unpaid.completed == completed
    assert books.unpaid_fuelling(FuellingId("F1")) == unpaid

    settled = bodies.settled(completed, member_ref="M1", plate_ref="plate")
    (record,) = await books.append([settled])
    assert books.unpaid() == []
    assert books.unpaid_fuelling(FuellingId("F1")) is None
    sale = books.sale(settled.sale_id)
    assert sale is not None
    assert (sale.seq, sale.settled, sale.completed, sale.refunded) == (3, settled, completed, None)
    assert sale.at_ms == record.at_ms
    assert books.sale_of(FuellingId("F1")) == sale
    assert books.sale_by_key(settled.idempotency_key) == sale

    refunded = bodies.refunded(settled)
    await books.append([refunded])
    sale = books.sale(settled.sale_id)
    assert sale is not None
    assert sale.refunded == refunded
    assert books.sale_by_key(refunded.idempotency_key) == sale

    sums = books.sums()
    assert (sums.fuellings, sums.volume, sums.amount) == (1, Volume(20_000), Money(15_700))
    assert (sums.sales, sums.payable, sums.member_sales, sums.plate_sales) == (
        1,
        Money(15_700),
        1,
        1,
    )


async def test_two_equal_sales_are_two_sales(store: StationStore, bodies: Any) -> None:
    for _ in range(2):
        await store.books.append([bodies.completed(volume_ml=10_000)])
    assert len(store.books.unpaid()) == 2


async def test_records_are_chained_canonical_and_gap_free(store: StationStore, bodies: Any) -> None:
    assert store.books.head() == genesis(store.books.head().epoch)
    appended: list[LedgerRecord] = []
    for size in (1, 3, 2):
        appended += await store.books.append([bodies.completed() for _ in range(size)])
    assert store.books.records_after(0, 100) == appended
    assert [record.seq for record in appended] == [1, 2, 3, 4, 5, 6]
    assert verify(appended, genesis(store.books.head().epoch)) == store.books.head()
    assert store.books.records_after(2, 3) == appended[2:5]
    assert store.books.records_after(6, 3) == []
    assert store.books.hash_at(0) == GENESIS_HASH
    assert [store.books.hash_at(seq) for seq in (1, 6, 7, -1)] == [
        appended[0].hash,
        appended[5].hash,
        None,
        None,
    ]
    body = bodies.completed()
    (record,) = await store.books.append([body])
    assert record.body == canonical_json(body.model_dump()).decode()


async def test_nothing_appended_writes_nothing(store: StationStore) -> None:
    assert await store.books.append([]) == ()
    assert store.books.head().seq == 0


async def test_fuelling_is_authorised_completed_and_paid_once(
    store: StationStore, bodies: Any
) -> None:
    await store.books.append([bodies.authorised("F1")])
    assert await refused(store, bodies.authorised("F1")) == "fuelling_already_known"
    completed = bodies.completed("F1")
    assert await refused(store, bodies.settled(completed)) == "fuelling_not_completed"
    assert await refused(store, bodies.completed("F1", fp=2)) == "fuelling_other_point"
    await store.books.append([completed])
    assert await refused(store, bodies.completed("F1")) == "fuelling_already_completed"
    assert await refused(store, bodies.authorised("F1")) == "fuelling_already_known"
    settled = bodies.settled(completed)
    await store.books.append([settled])
    assert await refused(store, bodies.settled(completed)) == "sale_already_settled"
    other = bodies.completed("F2")
    await store.books.append([other])
    again = bodies.settled(other, sale_id=settled.sale_id)
    assert await refused(store, again) == "sale_id_taken"
    await store.books.append([bodies.refunded(settled)])
    assert await refused(store, bodies.refunded(settled)) == "sale_already_refunded"
    assert await refused(store, bodies.settled(completed)) == "sale_already_settled"


async def test_cancelled_and_unknown_fuellings_are_not_paid(
    store: StationStore, bodies: Any
) -> None:
    await store.books.append([bodies.authorised("F1")])
    cancelled = FuellingCancelled(fuelling_id="F1", fp=1, reason="nozzle hung up", prepaid_fen=0)
    await store.books.append([cancelled])
    assert store.books.open_fuellings() == []
    assert await refused(store, cancelled) == "fuelling_cancelled"
    assert await refused(store, bodies.completed("F1")) == "fuelling_cancelled"
    assert await refused(store, bodies.settled(bodies.completed("F1"))) == "fuelling_cancelled"
    assert await refused(store, bodies.settled(bodies.completed("F9"))) == "fuelling_unknown"
    unknown = cancelled.model_copy(update={"fuelling_id": "F9"})
    assert await refused(store, unknown) == "fuelling_unknown"
    assert await refused(store, bodies.refunded(bodies.settled(bodies.completed("F9")))) == (
        "sale_unknown"
    )


async def test_zero_sale_never_becomes_payable(store: StationStore, bodies: Any) -> None:
    zero = bodies.completed("F1", volume_ml=0)
    await store.books.append([zero])
    assert store.books.unpaid() == []
    assert store.books.sums().fuellings == 1
    assert await refused(store, bodies.settled(zero)) == "fuelling_not_payable"


async def test_prepaid_fuelling_becomes_payable(store: StationStore, bodies: Any) -> None:
    await store.books.append([bodies.completed("F1", prepaid_fen=20_000)])
    assert [unpaid.completed.prepaid_fen for unpaid in store.books.unpaid()] == [20_000]


async def test_same_key_with_other_content_is_a_conflict(store: StationStore, bodies: Any) -> None:
    one, two = bodies.completed("F1"), bodies.completed("F2")
    await store.books.append([one, two])
    settled = bodies.settled(one, idempotency_key="K")
    await store.books.append([settled])
    # The same request again, as a retry makes it: another sale id, the same money.
    assert await refused(store, bodies.settled(one, idempotency_key="K")) == "sale_already_settled"
    assert await refused(store, bodies.settled(two, idempotency_key="K")) == "idempotency_conflict"
    other_tenders = bodies.settled(
        one, [bodies.stored_value("A", one.amount_fen)], idempotency_key="K"
    )
    assert await refused(store, other_tenders, *bodies.moved(other_tenders)) == (
        "idempotency_conflict"
    )
    assert await refused(store, bodies.refunded(settled, idempotency_key="K")) == (
        "idempotency_conflict"
    )
    refund = bodies.refunded(settled, idempotency_key="K2")
    await store.books.append([refund])
    assert await refused(store, bodies.refunded(settled, idempotency_key="K2")) == (
        "sale_already_refunded"
    )


async def test_a_refused_second_record_takes_the_first_along(
    store: StationStore, bodies: Any
) -> None:
    completed = bodies.completed()
    await store.books.append([completed])
    settled = bodies.settled(completed, [bodies.stored_value("A", completed.amount_fen)])
    assert await refused(store, settled, *bodies.moved(settled)) == "lease_unknown"
    assert store.books.sale(settled.sale_id) is None
    assert len(store.books.unpaid()) == 1


async def test_figures_out_of_range_are_refused(store: StationStore, bodies: Any) -> None:
    assert await refused(store, bodies.completed(volume_ml=-1)) == "figure_out_of_range"
    assert await refused(store, bodies.completed(amount_fen=2**70)) == "figure_out_of_range"
    huge = StationStarted(version="x" * 200_000, boot_id="b", config_sha256="c", clock_trusted=True)
    assert await refused(store, huge) == "figure_out_of_range"


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_no_record_can_carry_a_float(kind: str) -> None:
    """Bodies are rendered without looking for floats again, because their types admit none."""

    def types(schema: Any) -> Iterator[str | None]:
        if isinstance(schema, dict):
            if "title" in schema or "$ref" in schema:
                known = {"type", "$ref", "anyOf", "enum", "const"} & set(schema)
                yield str(schema.get("type", known or None))
            for part in schema.values():
                yield from types(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from types(part)

    found = set(types(BODIES[kind].model_json_schema()))
    assert found
    assert not found & {"number", "None"}


def test_the_store_is_what_the_application_expects(store: StationStore) -> None:
    books: Books = store.books
    catalogues: Catalogues = store.catalogues
    acceptor: CatalogueAcceptor = store.catalogues
    assert books.head().seq == 0
    assert catalogues.versions() == {}
    assert callable(acceptor.accept_members)


async def test_a_part_of_a_record_is_no_record(store: StationStore) -> None:
    with pytest.raises(CorruptionError):
        await store.books.append([NozzleTotals(nozzle=1, volume_ml=1, amount_fen=None)])


async def test_totalisers_follow_baseline_fuelling_and_jump(
    store: StationStore, bodies: Any
) -> None:
    def totals(nozzle: int, volume_ml: int, amount_fen: int | None) -> NozzleTotals:
        return NozzleTotals(nozzle=nozzle, volume_ml=volume_ml, amount_fen=amount_fen)

    def seen() -> list[tuple[int, int, int, int | None]]:
        return [
            (t.fp, t.nozzle, t.volume.ml, None if t.amount is None else t.amount.fen)
            for t in store.books.totals()
        ]

    await store.books.append([TotaliserBaseline(fp=2, totals=totals(1, 500, None))])
    await store.books.append([TotaliserBaseline(fp=1, totals=totals(2, 700, 70))])
    assert seen() == [(1, 2, 700, 70), (2, 1, 500, None)]
    await store.books.append([bodies.completed(fp=2, totals_after=totals(1, 900, 40))])
    await store.books.append([bodies.completed(fp=2, totals_after=None)])
    assert seen() == [(1, 2, 700, 70), (2, 1, 900, 40)]
    jump = TotaliserJumped(fp=1, nozzle=2, before=totals(2, 700, 70), after=totals(2, 0, 0))
    await store.books.append([jump])
    assert seen() == [(1, 2, 0, 0), (2, 1, 900, 40)]


async def test_prices_and_stop_all(store: StationStore) -> None:
    assert store.books.applied_prices(FpId(1)) is None
    for price_set in ("P1", "P2"):
        await store.books.append([PriceApplied(price_set=price_set, fp=1, prices={"1": 7850})])
    applied = store.books.applied_prices(FpId(1))
    assert applied is not None
    assert applied.price_set == "P2"
    assert not store.books.stop_all_active()
    await store.books.append([StopAllOrdered(active=True, operator="till")])
    assert store.books.stop_all_active()
    await store.books.append([StopAllOrdered(active=False, operator="till")])
    assert not store.books.stop_all_active()


async def test_recent_sales_come_newest_first(store: StationStore, bodies: Any) -> None:
    sold = []
    for _ in range(5):
        completed = bodies.completed()
        settled = bodies.settled(completed)
        await store.books.append([completed, settled])
        sold.append(settled.sale_id)
    assert [sale.settled.sale_id for sale in store.books.recent_sales(3)] == sold[:1:-1]
    assert store.books.recent_sales(0) == []
    assert store.books.sale(SaleId("none")) is None
    assert store.books.sale_by_key("none") is None


async def test_waiting_sales_are_counted(store: StationStore, bodies: Any) -> None:
    assert store.books.sales_after(0) == 0
    seqs = []
    for _ in range(4):
        completed = bodies.completed()
        await store.books.append([completed])
        seqs.append((await store.books.append([bodies.settled(completed)]))[0].seq)
    for seq in range(store.books.head().seq + 2):
        assert store.books.sales_after(seq) == sum(s > seq for s in seqs)


async def test_acknowledgement_is_kept_and_never_goes_back(
    open_store: OpenStore, bodies: Any
) -> None:
    store = open_store()
    await store.books.append([bodies.completed() for _ in range(5)])
    epoch = store.books.head().epoch
    await store.books.move_acked(epoch, 3)
    await store.books.move_acked(epoch, 2)
    assert store.books.acked_seq() == 3
    with pytest.raises(CorruptionError):
        await store.books.move_acked(epoch, 6)
    with pytest.raises(CorruptionError):
        await store.books.move_acked(epoch + 1, 1)
    head = store.books.head()
    store.close()
    again = open_store()
    assert (again.books.acked_seq(), again.books.head()) == (3, head)


async def test_reopened_books_say_the_same(open_store: OpenStore, bodies: Any) -> None:
    store = open_store()
    completed = bodies.completed("F1")
    await store.books.append([bodies.authorised("F0"), bodies.authorised("F1")])
    await store.books.append([completed])
    await store.books.append([bodies.settled(completed)])

    def said(store: StationStore) -> list[object]:
        books = store.books
        return [
            books.head(),
            books.open_fuellings(),
            books.unpaid(),
            books.recent_sales(9),
            books.totals(),
            books.sums(),
        ]

    before = said(store)
    store.close()
    assert said(open_store()) == before


@pytest.mark.parametrize("inline", [False, True])
async def test_appends_asked_for_together_are_all_written(
    open_store: OpenStore, bodies: Any, inline: bool
) -> None:
    store = open_store(inline=inline)
    heads: list[int] = []
    store.books.subscribe(lambda head: heads.append(head.seq))
    answers = await asyncio.gather(
        *(store.books.append([bodies.completed(), bodies.completed()]) for _ in range(50))
    )
    assert sorted(record.seq for answer in answers for record in answer) == list(range(1, 101))
    assert verify(store.books.records_after(0, 1000), genesis(store.books.head().epoch)).seq == 100
    assert len(heads) == 50
    assert heads[-1] == 100


async def test_append_ends_even_when_its_caller_gives_up(store: StationStore, bodies: Any) -> None:
    slow = threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        slow.wait(timeout=30)

    holding = asyncio.create_task(store.writer.submit(hold))
    task = asyncio.create_task(store.books.append([bodies.completed("F1")]))
    await asyncio.sleep(0)
    task.cancel()  # while it waits behind a disk that takes its time
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.set()
    await holding
    await store.books.append([bodies.completed("F2")])
    assert [unpaid.completed.fuelling_id for unpaid in store.books.unpaid()] == ["F1", "F2"]


async def test_closed_books_refuse(open_store: OpenStore, bodies: Any) -> None:
    store = open_store()
    store.close()
    store.close()
    with pytest.raises(StorageUnavailable) as caught:
        await store.books.append([bodies.completed()])
    assert caught.value.problem.code == "storage_closed"


async def test_the_ledger_refuses_update_delete_and_gaps(
    store: StationStore, bodies: Any, tmp_path: Path
) -> None:
    await store.books.append([bodies.completed() for _ in range(3)])
    outside = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
    row = outside.execute("SELECT * FROM ledger WHERE position = 3").fetchone()
    for statement, values in [
        ("UPDATE ledger SET body = '{}' WHERE seq = 2", ()),
        ("DELETE FROM ledger WHERE seq = 3", ()),
        ("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (5, row[1], 5, *row[3:])),
        ("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (4, row[1], 5, *row[3:])),
        ("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (4, row[1] + 1, 4, *row[3:])),
        ("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row),
        ("DELETE FROM epoch", ()),
        ("UPDATE epoch SET epoch = 7", ()),
        ("UPDATE epoch SET acked_seq = -1", ()),
    ]:
        with pytest.raises(sqlite3.IntegrityError):
            outside.execute(statement, values)
    outside.close()


async def test_reads_do_not_scan(store: StationStore) -> None:
    """Every query of the books finds its rows by a key, however long the ledger grows."""
    plans: list[str] = []
    reader = store.books._reader

    class Explaining:
        def execute(self, query: str, values: Any = ()) -> sqlite3.Cursor:
            plan = reader.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
            plans.extend(step[3] for step in plan)
            return reader.execute(query, values)

    store.books._reader = Explaining()  # type: ignore[assignment]
    store.catalogues._reader = Explaining()  # type: ignore[assignment]
    store.books.open_fuellings()
    store.books.unpaid()
    store.books.unpaid_fuelling(FuellingId("F"))
    store.books.sale(SaleId("S"))
    store.books.sale_of(FuellingId("F"))
    store.books.sale_by_key("K")
    store.books.recent_sales(5)
    store.books.sales_after(5)
    store.books.holding("balance", "A")
    store.books.coupons_of(MemberRef("M"))
    store.books.open_leases()
    store.books.lent(1)
    store.books.due_leases(1, 10)
    store.books.movements(SaleId("S"))
    store.books.usage("account", "A", 0)
    store.books.visits(MemberRef("M"), 0)
    store.books.last_odometer_km(MemberRef("M"))
    store.books.floor_spent(AccountRef("A"), 0)
    store.books.code_used("n")
    store.books.top_up_by_key("K")
    store.books.applied_prices(FpId(1))
    store.books.records_after(0, 10)
    store.books.epochs()
    store.catalogues.member_by_index("plate", "0")
    scans = {step for step in plans if step.startswith("SCAN") or "TEMP B-TREE" in step}
    # A partial index holds only what is open or payable; `sale` is walked from its end; all open
    # leases is what `open_leases` asks for, and `lent` sums.
    assert scans <= {
        "SCAN CONSTANT ROW",
        "SCAN sale",
        "SCAN epoch",
        "SCAN f USING INDEX fuelling_open",
        "SCAN f USING INDEX fuelling_payable",
        "SCAN lease USING INDEX lease_due",
        "SCAN lease USING INDEX lease_open",
    }, plans
