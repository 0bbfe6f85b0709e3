"""A whole station on the test's own loop, in real time, with an address that a browser can open.

Everything is the real thing but the pumps' hardware, the broker and the cables: the buses carry
DART, the books are on disk, headquarters prices, acknowledges and signs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.api.server import build_app, serve
from edge_agent.api.sessions import enrolment
from edge_agent.app.station import Station, StationFacts
from edge_agent.app.supervisor import Supervisor
from edge_agent.bootstrap.wiring import Outside, assemble
from edge_agent.model import topics
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import (
    BayId,
    BusId,
    FpId,
    GradeId,
    LogicalNozzle,
    NozzleNumber,
    StationId,
)
from edge_agent.model.station import BusPlan, FpPlan, Grade, NozzlePlan, StationPlan
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.observe.time_service import Synchronisation
from edge_agent.security.blind_index import KeyedIndex
from edge_agent.security.member_codes import SignedMemberCodes
from edge_agent.security.pins import GuardedPins
from edge_agent.security.sealing import Sealer
from edge_agent.security.signatures import TrustedKeys
from edge_agent.sim.headquarters import SimHeadquarters
from edge_agent.sim.memory_broker import MemoryBroker
from edge_agent.sim.yard import Yard
from edge_agent.store.station import StationStore
from hq.enrolment import NewMember

STATION = StationId("km-001")
POINTS = 4
GRADES = {"92": "92#", "95": "95#"}
PRICES = {"92": 7_850, "95": 8_360}
POLICY = Path(__file__).parents[2] / "config" / "policy.json"
WEDNESDAY_NOON_MS = 1_796_184_000_000
"""2026-12-02 12:00 in China: no offer of the sample policy depends on the hour or the day then."""

FLOW_ML_PER_S = 20_000

SILVER = NewMember(
    ref="m-silver",
    name="王小明",
    tier="silver",
    account="a-silver",
    cards=["62000001"],
    phones=["13900000001"],
    plates=["云AD12345"],
    pin="246810",
    stations=[STATION],
    set_aside_fen={STATION: 50_000},
    opening_fen=50_000,
    opening_points=[(WEDNESDAY_NOON_MS + 400 * 86_400_000, 3_000)],
)


class NoParking:
    def park(self, topic: str, reason: str, payload: bytes) -> None:
        pass


@dataclass
class LiveStation:
    """The station, and the hands of its customers."""

    station: Station
    yard: Yard
    broker: MemoryBroker
    clock: SystemClock
    _serving: asyncio.Task[None] | None = None
    port: int = 0
    app: object = field(default=None)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def enrolment_link(self) -> str:
        admission = self.app.state.house.admission  # type: ignore[attr-defined]
        return self.address + enrolment(admission).path

    async def start_serving(self) -> None:
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        app = build_app(self.station, token="token-of-the-tests", demo=False)
        self.app = app
        self._serving = asyncio.create_task(
            serve(app, port=self.port, on_listening=listening.set_result)
        )
        self.port = await listening

    async def stop_serving(self) -> None:
        assert self._serving is not None
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving

    def lift(self, fp: int, logical: int = 1) -> None:
        self.yard.pumps[FpId(fp)].lift(self.clock.monotonic_ms(), LogicalNozzle(logical))

    def squeeze(self, fp: int, volume_ml: int | None = None) -> None:
        self.yard.pumps[FpId(fp)].squeeze(self.clock.monotonic_ms(), volume_ml)

    def hang(self, fp: int) -> None:
        self.yard.pumps[FpId(fp)].hang(self.clock.monotonic_ms())

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - what is waited for happens on a simulated wire
                await asyncio.sleep(0.02)

    def state(self, fp: int) -> str:
        return self.station.view().fuelling_points[fp - 1].state.value

    async def deliver(self, fp: int, volume_ml: int, *, logical: int = 1) -> None:
        """Let somebody fill up without the screen, so that there is something to pay."""
        waiting = len(self.station.books.unpaid())
        self.lift(fp, logical)
        await self.until(lambda: self.state(fp) == "calling")
        await self.station.authorise(_request(fp))
        self.squeeze(fp, volume_ml)
        await self.until(lambda: self.station.view().fuelling_points[fp - 1].volume_ml == volume_ml)
        self.hang(fp)
        await self.until(lambda: len(self.station.books.unpaid()) > waiting)
        await self.until(lambda: self.station.view().fuelling_points[fp - 1].blocked is None)


@contextlib.asynccontextmanager
async def live_station(folder: Path) -> AsyncIterator[LiveStation]:
    """Run a station until the end of the context."""
    began_s = time.monotonic()
    clock = SystemClock(
        lambda: Synchronisation(synchronised=True, max_error_ms=1, source="test"),
        lambda: WEDNESDAY_NOON_MS + int((time.monotonic() - began_s) * 1000),
    )
    chance = random.Random(1)
    plan = _plan()
    broker = MemoryBroker(chance)
    hq = SimHeadquarters(broker, clock, chance)
    hq.open_for_business(STATION, PRICES, POLICY.read_text(encoding="utf-8"), [SILVER])
    hq.issue_coupon("spend-200-save-25", SILVER.ref)
    yard = Yard(plan, clock, chance)
    for pump in yard.pumps.values():
        pump.flow_ml_per_s = FLOW_ML_PER_S
    entropy = SystemEntropy()
    with StationStore.open(
        folder / "ledger.db",
        clock=clock,
        entropy=entropy,
        ballast_bytes=0,
        sealer=Sealer(bytes(32)),
    ) as store:
        verifier = TrustedKeys({hq.keys.key_id: hq.keys.public})
        agent = assemble(
            Outside(
                facts=StationFacts(plan, "0.1.0", demo=False),
                boot_id="boot", clock=clock, entropy=entropy, store=store,
                transports=yard.open_bus,
                uplink=broker.client(STATION, topics.station_filters(STATION)),
                index=KeyedIndex(hq.keys.index),
                verifier=verifier, codes=SignedMemberCodes(verifier), pins=GuardedPins(clock),
                parking=NoParking(), utc_offset_minutes=480, cameras=tuple,
            )
        )  # fmt: skip
        running = [
            asyncio.create_task(hq.run()),
            asyncio.create_task(Supervisor(clock).run(agent.loops())),
        ]
        live = LiveStation(agent.station, yard, broker, clock)
        await live.until(
            lambda: all(point.blocked is None for point in agent.station.view().fuelling_points)
        )
        await live.start_serving()
        try:
            yield live
        finally:
            await live.stop_serving()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _request(fp: int) -> AuthoriseRequest:
    return AuthoriseRequest(FpId(fp), "attendant")


def _plan() -> StationPlan:
    plans = [
        FpPlan(
            FpId(number),
            0x50 + (number - 1) % 2,
            tuple(
                NozzlePlan(
                    NozzleNumber(2 * number - 1 + place), LogicalNozzle(place + 1), GradeId(grade)
                )
                for place, grade in enumerate(GRADES)
            ),
            BayId(f"bay-{number}"),
        )
        for number in range(1, POINTS + 1)
    ]
    buses = tuple(
        BusPlan(
            BusId(f"bus-{first // 2 + 1}"),
            "dart",
            tuple(plans[first : first + 2]),
            {"decimals_confirmed": True, "idle_poll_ms": 100},
        )
        for first in range(0, POINTS, 2)
    )
    grades = tuple(Grade(GradeId(grade), name) for grade, name in GRADES.items())
    return StationPlan(STATION, "昆明北站加油站", "Kunming North", grades, buses)
