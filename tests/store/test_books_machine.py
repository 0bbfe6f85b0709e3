"""Any sequence of appends, right or wrong, leaves what a plain model says, or nothing at all."""

from __future__ import annotations

import asyncio
import copy
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from edge_agent.core.chain import genesis, verify
from edge_agent.model.catalogues import MemberEntry
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import AccountRef, FuellingId, SaleId
from edge_agent.model.records import (
    FuellingCancelled,
    NozzleTotals,
    RecordBody,
    StopAllOrdered,
    StoredValueMoved,
    TotaliserJumped,
)
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books

ACCOUNTS = ("A", "B")
FUELLINGS = st.sampled_from(["F1", "F2", "F3", "F4", "F5"])
SALES = st.sampled_from(["S1", "S2", "S3", "S4", "S5"])
KEYS = st.sampled_from(["K1", "K2", "K3", "K4", "K5", "K6"])
FPS = st.sampled_from([1, 1, 1, 2])
VOLUMES_ML = st.sampled_from([0, 1_000, 20_000, 20_000])


@dataclass
class Plain:
    """The books as anybody would keep them with a pencil. Says no by raising ValueError."""

    state: dict[str, str] = field(default_factory=dict)
    fp: dict[str, int] = field(default_factory=dict)
    completed: dict[str, Any] = field(default_factory=dict)
    sales: dict[str, Any] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)
    refunds: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    granted: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    totals: dict[tuple[int, int], tuple[int, int | None]] = field(default_factory=dict)
    stop_all: bool = False
    seq: int = 0

    def write(self, bodies: Sequence[RecordBody]) -> None:
        moved: Counter[tuple[str, str, str]] = Counter()
        for body in bodies:
            self.seq += 1
            getattr(self, body.kind.replace(".", "_"))(body)
            for tender in getattr(body, "tenders", []):
                if tender.means == "stored_value":
                    kind = "sale" if body.kind == "sale.settled" else "refund"
                    sign = -1 if kind == "sale" else 1
                    sale_id = body.sale_id  # type: ignore[attr-defined]
                    moved[sale_id, kind, tender.account_ref] += sign * tender.amount_fen
            if isinstance(body, StoredValueMoved):
                moved[body.sale_id, body.reason, body.account_ref] -= body.delta_fen
        self.must(not any(moved.values()))

    def must(self, holds: bool) -> None:
        if not holds:
            raise ValueError

    def fuelling_authorised(self, body: Any) -> None:
        self.must(body.fuelling_id not in self.state)
        self.state[body.fuelling_id] = "open"
        self.fp[body.fuelling_id] = body.fp

    def fuelling_cancelled(self, body: Any) -> None:
        self.must(self.state.get(body.fuelling_id) == "open")
        self.must(self.fp[body.fuelling_id] == body.fp)
        self.state[body.fuelling_id] = "cancelled"

    def fuelling_completed(self, body: Any) -> None:
        self.must(self.state.get(body.fuelling_id, "open") == "open")
        self.must(self.fp.setdefault(body.fuelling_id, body.fp) == body.fp)
        self.state[body.fuelling_id] = "payable" if body.volume_ml else "zero"
        self.completed[body.fuelling_id] = body
        self.stands(body.fp, body.totals_after)

    def totaliser_jumped(self, body: Any) -> None:
        self.stands(body.fp, body.after)

    def stands(self, fp: int, totals: Any) -> None:
        self.totals[fp, totals.nozzle] = (totals.volume_ml, totals.amount_fen)

    def sale_settled(self, body: Any) -> None:
        self.must(self.state.get(body.fuelling_id) == "payable")
        self.must(body.sale_id not in self.sales)
        self.must(body.idempotency_key not in self.keys)
        self.state[body.fuelling_id] = "settled"
        self.sales[body.sale_id] = body
        self.order.append((self.seq, body.sale_id))
        self.keys[body.idempotency_key] = body.sale_id

    def sale_refunded(self, body: Any) -> None:
        self.must(body.sale_id in self.sales and body.sale_id not in self.refunds)
        self.must(self.sales[body.sale_id].fuelling_id == body.fuelling_id)
        self.must(body.idempotency_key not in self.keys)
        self.state[body.fuelling_id] = "refunded"
        self.refunds[body.sale_id] = body
        self.keys[body.idempotency_key] = body.sale_id

    def stored_value_moved(self, body: Any) -> None:
        self.spent[body.account_ref] -= body.delta_fen
        if body.delta_fen < 0:
            self.must(self.spent[body.account_ref] <= self.granted[body.account_ref])

    def forecourt_stop_all(self, body: Any) -> None:
        self.stop_all = body.active


class BooksMachine(RuleBasedStateMachine):
    """Drives the real books and the plain ones side by side."""

    def __init__(self, bodies: Any, clock: Any, entropy: Any) -> None:
        super().__init__()
        self.bodies = bodies
        self.clock = clock
        self.entropy = entropy
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.plain = Plain()
        self.acked = 0
        self.counter = 0

    @initialize()
    def open(self) -> None:
        self.store = StationStore.open(
            self.folder / "books.db",
            clock=self.clock,
            entropy=self.entropy,
            inline=True,
            durable=False,
            ballast_bytes=0,
        )

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            report = verify_books(self.folder / "books.db")
            assert report.ok, report
        self.loop.close()
        shutil.rmtree(self.folder)

    # --- what may be asked ----------------------------------------------------------------------

    def append(self, bodies: Sequence[RecordBody]) -> None:
        trial = copy.deepcopy(self.plain)
        try:
            trial.write(bodies)
        except ValueError:
            trial = self.plain
        before = self.plain.seq
        try:
            records = self.loop.run_until_complete(self.store.books.append(bodies))
        except SaleRefused:
            assert trial is self.plain, f"refused, but nothing forbids {bodies}"
        else:
            assert trial is not self.plain, f"written, but a rule forbids {bodies}"
            assert [record.seq for record in records] == list(range(before + 1, trial.seq + 1))
            self.plain = trial

    def a_completed(self, fuelling_id: str) -> Any:
        found = self.plain.completed.get(fuelling_id)
        return found or self.bodies.completed(fuelling_id, volume_ml=1_000)

    def settle(self, fuelling: str, sale: str, key: str, tender: str) -> list[RecordBody]:
        completed = self.a_completed(fuelling)
        amount_fen = completed.amount_fen
        tenders = {
            "cash": None,
            "A": [self.bodies.stored_value("A", amount_fen)],
            "split": [
                self.bodies.stored_value("A", amount_fen // 3),
                self.bodies.stored_value("B", amount_fen - amount_fen // 3),
            ],
        }[tender]
        settled = self.bodies.settled(completed, tenders, sale_id=sale, idempotency_key=key)
        return [settled, *self.bodies.moved(settled)]

    @rule(fuelling=FUELLINGS, fp=FPS)
    def authorise(self, fuelling: str, fp: int) -> None:
        self.append([self.bodies.authorised(fuelling, fp)])

    @rule(fuelling=FUELLINGS, fp=FPS)
    def cancel(self, fuelling: str, fp: int) -> None:
        self.append(
            [FuellingCancelled(fuelling_id=fuelling, fp=fp, reason="hung up", prepaid_fen=0)]
        )

    @rule(fuelling=FUELLINGS, fp=FPS, volume_ml=VOLUMES_ML)
    def complete(self, fuelling: str, fp: int, volume_ml: int) -> None:
        self.append([self.bodies.completed(fuelling, fp, volume_ml)])

    @rule(fuelling=FUELLINGS, sale=SALES, key=KEYS, tender=st.sampled_from(["cash", "A", "split"]))
    def pay(self, fuelling: str, sale: str, key: str, tender: str) -> None:
        self.append(self.settle(fuelling, sale, key, tender))

    @rule(fuelling=FUELLINGS, fp=FPS, sale=SALES, key=KEYS, first=st.booleans())
    def complete_and_pay_in_one(
        self, fuelling: str, fp: int, sale: str, key: str, first: bool
    ) -> None:
        completed = self.bodies.completed(fuelling, fp)
        settled = self.bodies.settled(completed, sale_id=sale, idempotency_key=key)
        self.append([completed, settled] if first else [settled, completed])

    @rule(sale=SALES, key=KEYS, fuelling=FUELLINGS, wrong=st.booleans())
    def refund(self, sale: str, key: str, fuelling: str, wrong: bool) -> None:
        settled = self.plain.sales.get(sale)
        if settled is None or wrong:
            settled = self.bodies.settled(self.a_completed(fuelling), sale_id=sale)
        refunded = self.bodies.refunded(settled, idempotency_key=key)
        self.append([refunded, *self.bodies.moved(settled, back=True)])

    @rule(account=st.sampled_from(ACCOUNTS), delta_fen=st.sampled_from([-500, 500]), sale=SALES)
    def move_without_a_sale(self, account: str, delta_fen: int, sale: str) -> None:
        reason: Any = "sale" if delta_fen < 0 else "refund"
        self.append(
            [
                StoredValueMoved(
                    account_ref=account, delta_fen=delta_fen, sale_id=sale, reason=reason
                )
            ]
        )

    @rule(account=st.sampled_from(ACCOUNTS), granted_fen=st.sampled_from([0, 10_000, 40_000]))
    def grant(self, account: str, granted_fen: int) -> None:
        self.counter += 1
        member = MemberEntry(
            ref=f"M-{account}",
            tier="gold",
            masked_name="王**",
            account=account,
            granted_fen=granted_fen,
            plate_pay=False,
            indexes={},
        )
        self.loop.run_until_complete(
            self.store.catalogues.accept_members(
                self.counter, self.counter, [member], replaced=False, sha256="0" * 64
            )
        )
        self.plain.granted[account] = max(self.plain.granted[account], granted_fen)
        self.plain.seq += 1

    @rule(fp=FPS, nozzle=st.integers(1, 2), volume_ml=VOLUMES_ML, active=st.booleans())
    def jump_and_stop(self, fp: int, nozzle: int, volume_ml: int, active: bool) -> None:
        totals = NozzleTotals(nozzle=nozzle, volume_ml=volume_ml, amount_fen=None)
        jumped = TotaliserJumped(fp=fp, nozzle=nozzle, before=totals, after=totals)
        self.append([jumped, StopAllOrdered(active=active, operator="till")])

    @rule(part=st.floats(0, 1))
    def acknowledge(self, part: float) -> None:
        up_to = int(self.plain.seq * part)
        epoch = self.store.books.head().epoch
        self.loop.run_until_complete(self.store.books.move_acked(epoch, up_to))
        self.acked = max(self.acked, up_to)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.open()

    # --- what must hold after every step --------------------------------------------------------

    @invariant()
    def the_chain_is_whole(self) -> None:
        books = self.store.books
        records = books.records_after(0, 10_000)
        assert verify(records, genesis(books.head().epoch)) == books.head()
        assert books.head().seq == self.plain.seq
        assert books.acked_seq() == self.acked

    @invariant()
    def fuellings_and_sales_are_the_models(self) -> None:
        books, plain = self.store.books, self.plain

        def in_state(state: str) -> set[str]:
            return {fuelling for fuelling, found in plain.state.items() if found == state}

        assert {f.authorised.fuelling_id for f in books.open_fuellings()} == in_state("open")
        unpaid = {f.completed.fuelling_id: f.completed for f in books.unpaid()}
        assert unpaid == {fuelling: plain.completed[fuelling] for fuelling in in_state("payable")}
        assert [s.settled.sale_id for s in books.recent_sales(99)] == [
            sale for _, sale in reversed(plain.order)
        ]
        for sale_id, settled in plain.sales.items():
            sale = books.sale(SaleId(sale_id))
            assert sale is not None
            assert sale.settled == settled
            assert sale.refunded == plain.refunds.get(sale_id)
            assert sale.completed == plain.completed[settled.fuelling_id]
            assert books.sale_of(FuellingId(settled.fuelling_id)) == sale
        for key, sale_id in plain.keys.items():
            assert books.sale_by_key(key) == books.sale(SaleId(sale_id))
        middle = plain.seq // 2
        assert books.sales_after(middle) == sum(seq > middle for seq, _ in plain.order)

    @invariant()
    def money_fuel_and_flags_are_the_models(self) -> None:
        books, plain = self.store.books, self.plain
        sums = books.sums()
        assert sums.fuellings == len(plain.completed)
        assert sums.volume.ml == sum(c.volume_ml for c in plain.completed.values())
        assert sums.amount.fen == sum(c.amount_fen for c in plain.completed.values())
        assert sums.sales == len(plain.sales)
        assert sums.payable.fen == sum(s.quote.payable_fen for s in plain.sales.values())
        for name in ACCOUNTS:
            account = books.account(AccountRef(name))
            if account is not None:
                assert account.granted.fen == plain.granted[name]
                assert account.spent.fen == plain.spent[name] >= 0
                assert account.available.fen >= 0
            else:
                assert plain.spent[name] == 0
        totals = {
            (t.fp, t.nozzle): (t.volume.ml, None if t.amount is None else t.amount.fen)
            for t in books.totals()
        }
        assert totals == plain.totals
        assert books.stop_all_active() == plain.stop_all


def test_books_are_what_a_plain_model_says(
    bodies: Any, make_clock: Callable[[], Any], make_entropy: Callable[[], Any]
) -> None:
    class Machine(BooksMachine):
        def __init__(self) -> None:
            super().__init__(type(bodies)(), make_clock(), make_entropy())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
