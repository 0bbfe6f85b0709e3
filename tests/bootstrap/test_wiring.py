"""One station wired as the daemon wires it, and the real headquarters, over a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from edge_agent.app.station import StationFacts
from edge_agent.bootstrap.wiring import Agent, Outside, assemble
from edge_agent.model.ids import FuellingId, GradeId, MemberRef, SaleId
from edge_agent.model.records import FuellingCompleted
from edge_agent.model.station import Grade, StationPlan
from edge_agent.model.units import Money
from edge_agent.model.wishes import SaleWish, SecondFactor, TenderOffer, TopUpWish
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.signatures import TrustedKeys
from edge_agent.sim.memory_broker import MemoryBroker
from edge_agent.sim.virtual_time import EPOCH_2026_MS, VirtualClock
from edge_agent.store.station import StationStore
from hq.enrolment import NewMember
from hq.member_codes import issue_code
from tests.app.shop import POLICY, PlainPins
from tests.sync_kit import KEYS, SEALER, STATION, HqKit, KeptParking, SeededEntropy, run_virtual

NOW = EPOCH_2026_MS
PLAN = StationPlan(STATION, "演示站", "Demo Station", (Grade(GradeId("92"), "92#"),), ())
STORED = TenderOffer("stored_value")


class Together:
    """A station and its headquarters."""

    def __init__(self, agent: Agent, hq: HqKit, broker: MemoryBroker, clock: VirtualClock) -> None:
        self.agent, self.hq, self.broker, self.clock = agent, hq, broker, clock
        self.pos = agent.station.pos
        self.books = agent.outside.store.books
        self.fuellings = 0

    def enrol(self, **more: object) -> None:
        values: dict[str, object] = {
            "ref": "m-1", "name": "李雷", "tier": "gold", "account": "a-1", "cards": ["6001"],
            "opening_fen": 50_000,
        }  # fmt: skip
        with self.hq.books.transaction():
            new = NewMember(**(values | more))  # type: ignore[arg-type]
            self.hq.rules.enrolment.enrol(new, self.clock.wall_ms())

    async def deliver(self, amount_fen: int) -> FuellingId:
        self.fuellings += 1
        body = FuellingCompleted(
            fuelling_id=f"f-{self.fuellings}", fp=1, nozzle=1, nozzle_number=1, grade="92",
            price_set="p-1", unit_price_milli=7850, volume_ml=amount_fen * 10_000 // 7850,
            amount_fen=amount_fen, totals_before=None, totals_after=None, origin="observed",
            member_ref=None, plate_ref=None, prepaid_fen=0, started_ms=None,
            ended_ms=self.clock.wall_ms(),
        )  # fmt: skip
        await self.books.append([body])
        return FuellingId(body.fuelling_id)

    async def settle(self, fuelling: FuellingId) -> str:
        sale = await self.pos.settle(
            fuelling, SaleWish(member=MemberRef("m-1")), (STORED,),
            idempotency_key=fuelling, operator="till",
        )  # fmt: skip
        return sale.settled.sale_id

    def held(self) -> int:
        return self.hq.rules.vault.held("balance", "a-1")

    async def agreed(self) -> list[str]:
        """Let headquarters commit and audit everything; return its alarms."""
        async with asyncio.timeout(3_600):
            await self.agent.station.sync.drained()
        await asyncio.sleep(120)
        return self.hq.alarms()


@asynccontextmanager
async def together(folder: Path) -> AsyncIterator[Together]:
    clock = VirtualClock(asyncio.get_running_loop())
    broker, entropy = MemoryBroker(Random(3)), SeededEntropy("station")
    verifier = TrustedKeys({KEYS.key_id: KEYS.public})
    store = StationStore.open(
        folder / "ledger.db", clock=clock, entropy=entropy, sealer=SEALER, inline=True,
        durable=False, ballast_bytes=0,
    )  # fmt: skip
    agent = assemble(
        Outside(
            facts=StationFacts(PLAN, "test", demo=False), boot_id="boot-1", clock=clock,
            entropy=entropy, store=store, transports=lambda _: None,  # type: ignore[arg-type,return-value]
            uplink=broker.client(STATION), index=KeyedIndex(KEYS.index), verifier=verifier,
            codes=SignedMemberCodes(verifier), pins=PlainPins(), parking=KeptParking(),
            utc_offset_minutes=480, cameras=lambda: (), staff={"李": "pin:654321"},
        )
    )  # fmt: skip
    hq = HqKit(broker, clock)
    with hq.books.transaction():
        hq.rules.publish_policy(POLICY, clock.wall_ms())
        hq.desk.publish_prices("p-1", 0, {"92": 7_850})
    tasks = [asyncio.ensure_future(loop.run()) for loop in agent.loops()]
    try:
        yield Together(agent, hq, broker, clock)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await hq.stop()
        store.close()


def test_row_v19_what_is_not_leased_here_is_asked_for_and_spent_in_one_wish(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with together(tmp_path) as at:
            at.enrol()
            await asyncio.sleep(120)
            member = await at.pos.find_member("card", "6001")
            assert member.ref == "m-1"
            fuelling = await at.deliver(30_000)
            before_ms = at.clock.monotonic_ms()
            sale = await at.settle(fuelling)
            assert at.clock.monotonic_ms() - before_ms < 2_000
            moved = at.books.movements(SaleId(sale))
            assert all(body.lease_id is not None for body in moved)
            assert await at.agreed() == []
            spent = -sum(body.delta for body in moved)
            assert at.held() == 50_000 - spent
            await at.pos.refund(SaleId(sale), reason="x", idempotency_key="r", operator="lead")
            assert await at.agreed() == []
            assert at.held() == 50_000

    run_virtual(scenario())


def test_row_v19_offline_the_lease_then_the_floor_then_no_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with together(tmp_path) as at:
            at.enrol(stations=[STATION], set_aside_fen={STATION: 20_000})
            await asyncio.sleep(120)
            at.broker.stop()
            await asyncio.sleep(3_600)
            leased = at.books.holding("balance", "a-1").available(at.clock.wall_ms())
            assert leased == 20_000
            sale = await at.settle(await at.deliver(30_000))
            beyond = [body for body in at.books.movements(SaleId(sale)) if body.lease_id is None]
            assert sum(-body.delta for body in beyond) < 30_000
            assert all(3_600 <= (body.cache_age_s or 0) < 4_000 for body in beyond)
            at.broker.start()
            assert await at.agreed() == []
            assert at.held() == 50_000 - sum(-b.delta for b in at.books.movements(SaleId(sale)))

    run_virtual(scenario())


def test_row_v8_a_code_that_headquarters_signed_confirms_a_top_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with together(tmp_path) as at:
            at.enrol(stations=[STATION])
            await asyncio.sleep(120)
            text = issue_code(KEYS, "m-1", at.clock.wall_ms())
            before = at.books.holding("balance", "a-1").available(at.clock.wall_ms())
            body = await at.pos.top_up(
                TopUpWish(MemberRef("m-1"), Money(20_000), "cash"),
                second=SecondFactor(member_code=text), idempotency_key="t-1", operator="till",
            )  # fmt: skip
            assert body.confirmed_by == "member_code"
            after = at.books.holding("balance", "a-1").available(at.clock.wall_ms())
            assert after == before + 20_000
            assert await at.agreed() == []
            assert at.held() == 70_000

    run_virtual(scenario())
