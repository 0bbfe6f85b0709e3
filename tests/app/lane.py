"""Two points with a camera each, over real books: a lane to drive through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from edge_agent.app.forecourt import Forecourt
from edge_agent.app.self_service import SelfService
from edge_agent.core.point import Phase
from edge_agent.model.dispenser import (
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


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Lane]:
    """Open a lane where an account of 500 yuan has two plates."""
    clock = SetClock()
    store = StationStore.open(
        folder / "ledger.db", clock=clock, entropy=SeededEntropy(), sealer=SEALER, durable=False,
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
