"""Any sequence of appends, right or wrong, leaves what a plain model says, or nothing at all."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from edge_agent.core.chain import genesis, verify
from edge_agent.core.leases import Draw, draw, movements
from edge_agent.model.catalogues import BucketEntry, LeaseEntry
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import AccountRef, FuellingId, MemberRef, SaleId
from edge_agent.model.leases import LeaseState
from edge_agent.model.records import (
    BODIES,
    Asset,
    EpochOpened,
    FuellingCancelled,
    LeaseClosed,
    MemberCodeUsed,
    NozzleTotals,
    RecordBody,
    StopAllOrdered,
    Tender,
    TotaliserJumped,
)
from edge_agent.store.station import StationStore
from edge_agent.store.verify import verify_books
from tests.store.conftest import NOW_MS, SEALER
from tests.store.plain_books import Plain

FUELLINGS = st.sampled_from(["F1", "F2", "F3", "F4", "F5", "F6", "F7"])
SALES = st.sampled_from(["S1", "S2", "S3", "S4", "S5", "S6", "S7"])
KEYS = st.sampled_from(["K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9"])
FPS = st.sampled_from([1, 1, 1, 2])
VOLUMES_ML = st.sampled_from([0, 1_000, 20_000, 20_000])
LEASES = st.sampled_from(["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8"])
HOLDERS: dict[Asset, tuple[str, ...]] = {
    "balance": ("A", "B"),
    "points": ("M",),
    "coupon": ("C1", "C2"),
    "budget": ("summer",),
}
HELD = st.sampled_from([(asset, holder) for asset, some in HOLDERS.items() for holder in some])
PLANS = st.sampled_from(["cash", "A", "split", "points", "coupon", "budget", "beyond", "all"])
SPOILT = st.sampled_from([None] * 3 + ["less", "more", "dropped", "doubled", "other lease"])
SOON_MS = st.sampled_from([-5, 1_000, 60_000, 60_000, 86_400_000])


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
        self.coupon = "C1"

    @initialize()
    def open(self) -> None:
        self.store = StationStore.open(
            self.folder / "books.db",
            clock=self.clock,
            entropy=self.entropy,
            sealer=SEALER,
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

    def append(self, bodies: Sequence[RecordBody]) -> bool:
        """Ask the books to write; see that they do what the plain ones do; return whether."""
        trial = self.plain.copy()
        try:
            trial.write(bodies, self.clock.wall_ms())
        except (ValueError, KeyError):
            trial = self.plain
        before, written = self.plain.seq, trial is not self.plain
        try:
            records = self.loop.run_until_complete(self.store.books.append(bodies))
        except SaleRefused:
            assert not written, f"refused, but nothing forbids {bodies}"
        else:
            assert written, f"written, but a rule forbids {bodies}"
            assert [record.seq for record in records] == list(range(before + 1, trial.seq + 1))
            self.plain = trial
        return written

    def a_completed(self, fuelling_id: str) -> Any:
        found = self.plain.completed.get(fuelling_id)
        return found or self.bodies.completed(fuelling_id, volume_ml=1_000)

    def settle(self, fuelling: str, sale: str, key: str, plan: str) -> list[RecordBody]:
        """Return a sale that is paid as planned, with what it moves of the leases there are."""
        completed = self.a_completed(fuelling)
        left_fen = completed.amount_fen
        quote: dict[str, Any] = {"member_ref": "M", "points_earned": left_fen // 100}
        if plan in ("coupon", "budget", "all"):
            line = self.bodies.applied(
                "summer", min(left_fen, 100), None if plan == "budget" else self.coupon
            )
            left_fen -= line.amount_fen
            quote |= {"applied": [line], "payable_fen": left_fen, "budgets": {"summer": 1}}
        tenders = []
        if plan in ("points", "all"):
            points = min(50, left_fen)
            tenders.append(
                Tender(means="points", amount_fen=points, account_ref="M", points=points)
            )
            left_fen -= points
        if plan == "all":
            tenders.append(self.bodies.stored_value("A", min(500, left_fen)))
            left_fen -= tenders[-1].amount_fen
        if plan in ("A", "split", "beyond"):
            part_fen = left_fen // 3 if plan == "split" else left_fen
            tenders.append(self.bodies.stored_value("A", part_fen))
            left_fen -= part_fen
        if plan == "split":
            tenders.append(self.bodies.stored_value("B", left_fen))
            left_fen = 0
        tenders.append(Tender(means="cash", amount_fen=left_fen, account_ref=None))
        settled = self.bodies.settled(
            completed,
            tenders,
            quote=self.bodies.quote(completed, **quote),
            sale_id=sale,
            idempotency_key=key,
            member_ref="M",
            plate_ref="p",
        )
        return [settled, *self.moves(settled, plan)]

    def moves(self, sale: Any, plan: str) -> list[Any]:
        moved: list[Any] = []
        for tender in sale.tenders:
            if tender.means == "points":
                moved += self.draws("points", tender.account_ref, tender.points, sale)
            if tender.means == "stored_value" and tender.amount_fen:
                if plan == "beyond":
                    more = {"lease_id": None, "cache_age_s": 7}
                    moved.append(
                        self.bodies.drawn(sale, tender.account_ref, tender.amount_fen, **more)
                    )
                else:
                    moved += self.draws("balance", tender.account_ref, tender.amount_fen, sale)
        for line in sale.quote.applied:
            moved += self.draws("budget", line.offer, line.amount_fen, sale)
            if line.coupon:
                moved += self.draws("coupon", line.coupon, 1, sale)
        if sale.quote.points_earned:
            moved.append(self.bodies.earned(sale, sale.quote.points_earned))
        return moved

    def draws(self, asset: Asset, holder: str, amount: int, sale: Any) -> list[Any]:
        """Draw as the till does; where there is not enough, try all the same."""
        holding = self.store.books.holding(asset, holder)
        now_ms = max(self.clock.wall_ms(), self.store.books.time_floor_ms())
        try:
            return movements(asset, holder, draw(holding, amount, now_ms), sale.sale_id)
        except SaleRefused:
            lease_id = holding.leases[0].terms.lease_id if holding.leases else "L1"
            return movements(asset, holder, [Draw(lease_id, amount)], sale.sale_id)

    def spoil(self, bodies: list[Any], how: str | None, lease_id: str) -> list[Any]:
        """Return the records with a mistake in one of the movements."""
        places = [n for n, body in enumerate(bodies) if body.kind == "asset.moved"]
        if how is None or not places:
            return bodies
        place = places[-1]
        body = bodies[place]
        if how == "dropped":
            return bodies[:place] + bodies[place + 1 :]
        if how == "doubled":
            return [*bodies, body]
        change = {
            "less": {"delta": body.delta + 1},
            "more": {"delta": body.delta - 1},
            "other lease": {"lease_id": lease_id},
        }[how]
        return [*bodies[:place], body.model_copy(update=change), *bodies[place + 1 :]]

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

    @rule(fuelling=FUELLINGS, sale=SALES, key=KEYS, plan=PLANS, spoilt=SPOILT, other=LEASES)
    def settle_a_fuelling(
        self, fuelling: str, sale: str, key: str, plan: str, spoilt: str | None, other: str
    ) -> None:
        self.append(self.spoil(self.settle(fuelling, sale, key, plan), spoilt, other))

    @rule(plan=PLANS, spoilt=SPOILT, other=LEASES, soon_ms=SOON_MS)
    def lend_and_settle(self, plan: str, spoilt: str | None, other: str, soon_ms: int) -> None:
        """A sale under names of its own, for which enough was lent just before, or expired."""
        sale = self.lent(plan, soon_ms)
        wrong = self.spoil(sale, spoilt, other)
        if wrong != sale and self.append(wrong):
            return  # the other lease would do as well
        written = self.append(sale)
        assert written or soon_ms < 0 or self.clock.wall_ms() < self.plain.latest_ms

    def lent(self, plan: str, soon_ms: int) -> list[Any]:
        """Deliver fuel and take leases that cover it; return the records of the sale."""
        number = self.bodies.fresh("N")
        completed = self.bodies.completed(f"F{number}")
        leases = [
            self.terms(f"{number}-{holder}", (asset, holder), 9_000, soon_ms)
            for asset, holders in HOLDERS.items()
            for holder in holders
        ]
        # A coupon that was used once is used for ever, so each of these sales has its own.
        self.coupon = f"C{number}"
        leases.append(self.terms(f"{number}-C", ("coupon", self.coupon), 1, soon_ms))
        assert self.append([completed, self.bodies.taken(*leases)])
        sale = self.settle(completed.fuelling_id, f"S{number}", f"K{number}", plan)
        self.coupon = "C1"
        return sale

    @rule(plan=PLANS, soon_ms=SOON_MS, spoilt=SPOILT, other=LEASES)
    def settle_then_refund(self, plan: str, soon_ms: int, spoilt: str | None, other: str) -> None:
        """Every balance, point and budget is back where it was; the coupon is frozen, not used."""
        bodies = self.lent(plan, soon_ms)
        before = {lease.terms.lease_id: lease for lease in self.store.books.open_leases()}
        used = self.store.books.usage("member", "M", 0)
        beyond = self.store.books.floor_spent(AccountRef("A"), 0)
        if not self.append(bodies):
            return
        back = [self.bodies.refunded(bodies[0]), *self.bodies.given_back(bodies[1:])]
        wrong = self.spoil(back, spoilt, other)
        assert wrong == back or not self.append(wrong)
        assert self.append(back)
        after = {lease.terms.lease_id: lease for lease in self.store.books.open_leases()}
        gone = [before[name] for name in before.keys() - after.keys()]
        assert [lease.terms.asset for lease in gone] == ["coupon"] * (plan in ("coupon", "all"))
        assert after == {name: before[name] for name in after}
        for lease in gone:
            frozen = self.plain.leases[lease.terms.lease_id]
            assert (frozen.state, frozen.spent) == (LeaseState.FROZEN, 0)
        assert self.store.books.usage("member", "M", 0) == used
        assert self.store.books.floor_spent(AccountRef("A"), 0) == beyond

    @rule(which=st.integers(0, 9), spoilt=SPOILT, other=LEASES)
    def refund_one(self, which: int, spoilt: str | None, other: str) -> None:
        """Any sale that was written, at any time later."""
        if not self.plain.order:
            return
        name = self.plain.order[which % len(self.plain.order)][1]
        refund = self.bodies.refunded(self.plain.sales[name])
        back = self.bodies.given_back(self.plain.moved[name])
        written = self.append(self.spoil([refund, *back], spoilt, other))
        assert written or spoilt or name in self.plain.refunds

    @rule(
        sale=SALES,
        key=KEYS,
        fuelling=FUELLINGS,
        wrong=st.booleans(),
        spoilt=SPOILT,
        other=LEASES,
    )
    def refund(
        self, sale: str, key: str, fuelling: str, wrong: bool, spoilt: str | None, other: str
    ) -> None:
        settled = self.plain.sales.get(sale)
        moved: list[Any] = list(self.plain.moved.get(sale, []))
        if settled is None or wrong:
            settled = self.bodies.settled(self.a_completed(fuelling), sale_id=sale)
        refunded = self.bodies.refunded(settled, idempotency_key=key)
        self.append(self.spoil([refunded, *self.bodies.given_back(moved)], spoilt, other))

    @rule(account=st.sampled_from(HOLDERS["balance"]), delta=st.sampled_from([-5, 5]), sale=SALES)
    def move_without_a_sale(self, account: str, delta: int, sale: str) -> None:
        settled = self.bodies.settled(self.a_completed("F1"), sale_id=sale)
        reason = "sale" if delta < 0 else "refund"
        self.append([self.bodies.drawn(settled, account, -delta, reason=reason)])

    # --- leases ---------------------------------------------------------------------------------

    @rule(lease=LEASES, held=HELD, amount=st.sampled_from([0, 300, 9_000]), soon_ms=SOON_MS)
    def take(self, lease: str, held: tuple[Asset, str], amount: int, soon_ms: int) -> None:
        self.append([self.bodies.taken(self.terms(lease, held, amount, soon_ms))])

    def terms(self, lease: str, held: tuple[Asset, str], amount: int, soon_ms: int) -> Any:
        asset, holder = held
        if asset == "coupon":
            amount = min(amount, 1)
        now_ms = self.clock.wall_ms()
        buckets = [(now_ms + soon_ms, amount // 3), (now_ms + 10**9, amount - amount // 3)]
        return self.bodies.terms(
            holder,
            amount,
            asset,
            lease_id=lease,
            expires_ms=now_ms + soon_ms,
            member_ref="M" if asset == "coupon" else None,
            template="T" if asset == "coupon" else None,
            buckets=[
                {"expires_ms": expires_ms, "points": points}
                for expires_ms, points in buckets
                if asset == "points" and points
            ],
        )

    @rule(
        granted=st.lists(st.tuples(LEASES, HELD), max_size=3),
        recalled=st.lists(LEASES, max_size=2),
        soon_ms=SOON_MS,
    )
    def accept(
        self, granted: list[tuple[str, tuple[Asset, str]]], recalled: list[str], soon_ms: int
    ) -> None:
        """A catalogue, in which leases may come again, late, or recalled before they come."""
        self.counter += 1
        entries = []
        for lease, held in granted:
            terms = self.terms(lease, held, 600, soon_ms).model_dump()
            buckets = [BucketEntry(**bucket) for bucket in terms.pop("buckets")]
            entries.append(LeaseEntry(**terms, buckets=buckets))
        before = self.plain.seq
        self.loop.run_until_complete(
            self.store.catalogues.accept_leases(
                self.counter, self.counter, entries, recalled, sha256="0" * 64
            )
        )
        known, plain = set(self.plain.leases), self.plain
        written = [
            BODIES[record.kind].model_validate_json(record.body)
            for record in self.store.books.records_after(before, 99)
        ]
        plain.write(written, self.clock.wall_ms())
        for lease, _held in granted:
            if lease not in known and lease not in recalled:
                assert plain.leases[lease].state is LeaseState.OPEN
                assert plain.leases[lease].terms.lease_id == lease
        for lease in recalled:
            assert plain.leases[lease].state is not LeaseState.OPEN

    @rule(lease=LEASES, reason=st.sampled_from(["expired", "recalled"]), wrong=st.booleans())
    def close_a_lease(self, lease: str, reason: Any, wrong: bool) -> None:
        found = self.plain.leases.get(lease)
        spent = (found.spent if found else 0) + int(wrong)
        self.append([LeaseClosed(lease_id=lease, spent=spent, reason=reason)])

    @rule(top_up=LEASES, account=st.sampled_from(HOLDERS["balance"]), key=KEYS)
    def top_up(self, top_up: str, account: str, key: str) -> None:
        more = {"top_up_id": top_up, "idempotency_key": key}
        self.append([self.bodies.topped_up(account, 2_000, **more)])

    @rule(nonce=st.sampled_from(["n1", "n2", "n3"]), soon_ms=SOON_MS)
    def use_a_code(self, nonce: str, soon_ms: int) -> None:
        expires_ms = self.clock.wall_ms() + soon_ms
        self.append([MemberCodeUsed(nonce=nonce, member_ref="M", expires_ms=expires_ms)])

    @rule(ms=st.sampled_from([500, 60_000, 3_600_000, -30_000, -7_200_000]))
    def time_passes(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule(chance=st.integers(0, 3))
    def a_new_epoch(self, chance: int) -> None:
        if chance:
            return  # seldom, since it ends everything
        opened = EpochOpened(
            reason="restore", previous_epoch=1, previous_seq=1, previous_hash="0" * 64
        )
        assert self.append([opened])
        self.restart()  # as after a restore

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
            assert books.movements(SaleId(sale_id)) == [
                body for body in plain.moved[sale_id] if body.kind == "asset.moved"
            ]
        for key, sale_id in plain.keys.items():
            assert books.sale_by_key(key) == books.sale(SaleId(sale_id))
            assert (books.top_up_by_key(key) is None) == bool(sale_id)
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
        totals = {
            (t.fp, t.nozzle): (t.volume.ml, None if t.amount is None else t.amount.fen)
            for t in books.totals()
        }
        assert totals == plain.totals
        assert books.stop_all_active() == plain.stop_all

    @invariant()
    def leases_and_use_are_the_models(self) -> None:
        books, plain = self.store.books, self.plain
        open_leases = plain.open_leases()
        assert books.open_leases() == open_leases
        assert all(0 <= lease.spent <= lease.terms.amount for lease in plain.leases.values())
        for asset, holders in HOLDERS.items():
            for holder in holders:
                own = (asset, holder)
                assert books.holding(asset, holder).leases == tuple(
                    lease for lease in open_leases if (lease.terms.asset, lease.terms.holder) == own
                )
        used = {
            lease.terms.holder
            for lease in plain.leases.values()
            if lease.spent and lease.terms.asset == "coupon"
        }
        assert books.coupons_of(MemberRef("M")) == [
            lease
            for lease in open_leases
            if lease.terms.asset == "coupon" and lease.terms.holder not in used
        ]
        floor_ms = books.time_floor_ms()
        assert floor_ms == plain.latest_ms
        assert books.due_leases(floor_ms, 99) == [
            lease for lease in open_leases if lease.terms.expires_ms <= floor_ms
        ]
        for who, ref in (("member", "M"), ("account", "A"), ("account", "B"), ("plate", "p")):
            for since_ms in (0, NOW_MS, self.clock.wall_ms() - 60_000):
                found = books.usage(who, ref, since_ms)  # type: ignore[arg-type]
                seen = found.payments, found.amount.fen, found.volume.ml
                assert seen == plain.used(who, ref, since_ms)
        for account in HOLDERS["balance"]:
            assert books.floor_spent(AccountRef(account), 0).fen == plain.beyond(account)
        for nonce in plain.codes:
            recent = plain.codes[nonce] + 86_400_000 > floor_ms
            assert books.code_used(nonce) or not recent


def test_books_are_what_a_plain_model_says(
    bodies: Any, make_clock: Callable[[], Any], make_entropy: Callable[[], Any]
) -> None:
    class Machine(BooksMachine):
        def __init__(self) -> None:
            super().__init__(type(bodies)(), make_clock(), make_entropy())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            # A failure is told as it was found: making it smaller takes longer than a test may.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
