"""A plate pays for its own car, once, and never beyond what its account holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.app.forecourt import Forecourt
from edge_agent.app.self_service import FRESH_MS, SelfService
from edge_agent.core.point import Phase
from edge_agent.model.dispenser import (
    Authorise,
    CommandFailed,
    DispenserStatus,
    LinkChanged,
    NozzleChanged,
    StatusChanged,
)
from edge_agent.model.ids import BayId, CameraId, FpId, GradeId, NozzleNumber, PriceSetId
from edge_agent.model.plates import PlateSighting, parse_plate
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import FuellingAuthorised
from edge_agent.model.station import FpPlan, NozzlePlan
from edge_agent.model.units import UnitPrice
from edge_agent.store.station import StationStore
from tests.app.pumps import ONE, Pumps
from tests.app.shop import (
    POLICY,
    SEALER,
    Index,
    SeededEntropy,
    SetClock,
    Shop,
    index_of,
    member,
    nothing_left,
)

ONE_FP, TWO_FP = FpId(1), FpId(2)
MINE, OURS, STRANGERS = "云A12345", "云A54321", "云A99999"
PLANS = [
    FpPlan(fp, 0x50 + fp, (NozzlePlan(NozzleNumber(fp), ONE, GradeId("92")),), BayId(bay))
    for fp, bay in ((ONE_FP, "A"), (TWO_FP, "B"))
]


class Lane:
    """Two points with a camera each, real books, one account of 500 yuan with two plates."""

    def __init__(self, store: StationStore, clock: SetClock) -> None:
        self.store, self.clock, self.pumps = store, clock, Pumps()
        self.shop = Shop(store, clock)
        self.hq, self.pos = self.shop.hq, self.shop.pos
        self.forecourt = Forecourt(
            plans=PLANS, books=store.books, dispensers=self.pumps, clock=clock,
            entropy=SeededEntropy(3), unpaid_limit=lambda: 2,
        )  # fmt: skip
        self.service = SelfService(
            forecourt=self.forecourt, pos=self.pos, books=store.books,
            catalogues=store.catalogues, index=Index(), clock=clock, policy=self.pos.policy,
        )  # fmt: skip

    def sees(self, plate: str, bay: str = "A", *, confirmed: bool = True, votes: int = 3) -> None:
        self.service.on_sighting(
            PlateSighting(
                CameraId("cam"), BayId(bay), parse_plate(plate), 0.99, votes, confirmed,
                self.clock.wall,
            )
        )  # fmt: skip

    def lifts(self, fp: FpId = ONE_FP) -> None:
        self.pumps.emit(NozzleChanged(fp, ONE, True))

    async def released(self) -> list[FuellingAuthorised]:
        """Let everything come to rest, then tell what was released."""
        for _ in range(40):
            await asyncio.sleep(0.002)
        records = self.store.books.records_after(0, 1_000)
        return [
            FuellingAuthorised.model_validate_json(record.body)
            for record in records
            if record.kind == FuellingAuthorised.kind
        ]


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    clock = SetClock()
    store = StationStore.open(
        tmp_path / "ledger.db", clock=clock, entropy=SeededEntropy(), sealer=SEALER, durable=False,
        ballast_bytes=0,
    )  # fmt: skip
    plates = [index_of("plate", MINE)], [index_of("plate", OURS)]
    family = [
        member(ref, "gold", account="acc-family", indexes={"plate": plate})
        for ref, plate in zip(("mine", "ours"), plates, strict=True)
    ]
    lane = Lane(store, clock)
    lane.hq.answer = nothing_left
    await lane.shop.enrol(*family)
    await lane.shop.publish(POLICY, version=1)
    await lane.shop.grant("balance", "acc-family", 50_000)
    running = asyncio.create_task(lane.forecourt.run())
    for fp in (ONE_FP, TWO_FP):
        lane.pumps.emit(LinkChanged(fp, True), StatusChanged(fp, DispenserStatus.IDLE))
    async with asyncio.timeout(10):
        while {p.phase for p in lane.forecourt.points().values()} != {Phase.READY}:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        prices = PriceSet(PriceSetId("p"), 1, 0, {GradeId("92"): UnitPrice(7850)})
        lane.forecourt.set_prices(prices)
        while any(map(lane.forecourt.blocked, (ONE_FP, TWO_FP))):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    yield lane
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    store.close()


async def test_a_known_plate_releases_its_nozzle_within_its_limit(lane: Lane) -> None:
    lane.sees(MINE)
    lane.lifts()
    (body,) = await lane.released()
    assert (body.by, body.member_ref, body.preset_amount_fen) == ("plate", "mine", 50_000)
    assert body.plate_ref == index_of("plate", MINE)


async def test_a_plate_read_after_the_lift_releases_as_well(lane: Lane) -> None:
    lane.lifts()
    lane.sees(MINE)
    assert len(await lane.released()) == 1


async def test_an_unsure_or_strange_plate_releases_nothing(lane: Lane) -> None:
    lane.sees(MINE, confirmed=False)
    lane.sees(MINE, votes=1)
    lane.sees(STRANGERS)
    lane.lifts()
    assert await lane.released() == []


async def test_a_plate_that_may_have_driven_off_does_not_pay_for_the_next_car(lane: Lane) -> None:
    lane.sees(MINE)
    lane.clock.pass_by(FRESH_MS + 1)
    lane.lifts()
    assert await lane.released() == []


async def test_s27_a_clock_set_back_keeps_no_plate_fresh(lane: Lane) -> None:
    lane.sees(MINE)
    lane.clock.pass_by(FRESH_MS + 1)
    lane.clock.wall -= 3_600_000
    lane.lifts()
    assert await lane.released() == []


async def test_one_account_in_two_bays_is_promised_once(lane: Lane) -> None:
    lane.sees(MINE, "A")
    lane.sees(OURS, "B")
    lane.lifts(ONE_FP)
    lane.lifts(TWO_FP)
    bodies = await lane.released()
    assert sum(body.preset_amount_fen or 0 for body in bodies) == 50_000


async def test_a_pump_that_refuses_is_asked_once_a_lift(lane: Lane) -> None:
    lane.pumps.refuse = Authorise
    lane.sees(MINE)
    lane.lifts()
    assert len(await lane.released()) == 1
    assert sum(isinstance(command, Authorise) for command in lane.pumps.sent) == 1
    assert any(isinstance(event, CommandFailed) for event in lane.pumps.emitted)
