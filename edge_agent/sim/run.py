"""`edge-agent simulate`: a station in virtual time, then the question whether anything was lost."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from edge_agent.model.canonical import Json
from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.ids import (
    BayId,
    BusId,
    FpId,
    GradeId,
    LogicalNozzle,
    NozzleNumber,
    StationId,
)
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import AssetMoved
from edge_agent.model.station import BusPlan, FpPlan, Grade, NozzlePlan, StationPlan
from edge_agent.sim.checks import Rest, bodies_of, violations
from edge_agent.sim.customers import Customers
from edge_agent.sim.desk import Desk, strict
from edge_agent.sim.headquarters import SimHeadquarters
from edge_agent.sim.members import invent
from edge_agent.sim.memory_broker import MemoryBroker
from edge_agent.sim.misfortune import KINDS, Misfortune
from edge_agent.sim.process import ProcessLoop
from edge_agent.sim.traffic import Traffic
from edge_agent.sim.virtual_time import VirtualClock
from edge_agent.sim.world import STAFF, World
from edge_agent.sim.yard import Yard

STATION: Final = StationId("SIM-0001")
GRADES: Final = ("92", "95")
FPS_PER_BUS: Final = 2
PRICES: Final = {"92": 7_850, "95": 8_350, "0": 7_500}
OPTIONS: Final[dict[str, Json]] = {
    "decimals_confirmed": True, "idle_poll_ms": 1000, "active_poll_ms": 500, "progress_ms": 2000,
}  # fmt: skip
"""As slow as the protocol allows, since each poll costs the simulator real time."""
POLICY: Final = Path(__file__).parents[2] / "config" / "policy.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found. `ledger_head` is the same for the same seed, hours and faults."""

    ok: bool
    seed: int
    hours: float
    sales: int
    fuellings: int
    starts: int
    faults: dict[str, int]
    records_by_kind: dict[str, int]
    """What moved of what headquarters holds is told by asset too."""
    refused: dict[str, int]
    """How often people were refused, by code."""
    violations: list[str]
    ledger_head: str
    records: int
    seconds: float
    speed: float
    """Virtual seconds in one real second."""


def simulate(
    seed: int,
    hours: float,
    faults: Sequence[str] | None = None,
    *,
    points: int = 4,
    severity: float = 1.0,
) -> Outcome:
    """Run a station for some virtual hours, let it come to rest, and check everything.

    Args:
        seed: the same seed gives the same ledger head.
        hours: virtual hours of traffic and faults.
        faults: kinds of faults from `KINDS`; None for all, empty for none.
        points: fuelling points.
        severity: how many times as often as usual things go wrong.

    Raises:
        ConfigRefused: an unknown kind of fault.
    """
    kinds = list(KINDS if faults is None else faults)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ConfigRefused(
            Problem("fault_unknown", "没有这种故障", "there is no such fault"),
            f"{', '.join(unknown)}; known: {', '.join(KINDS)}",
        )
    began = time.perf_counter()
    shm = Path("/dev/shm")  # noqa: S108 - a RAM disk where there is one: nothing here must last
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        loop = ProcessLoop()
        try:
            story = _Story(seed, hours, kinds, Path(folder), loop, points, severity)
            found, world, ledger = loop.run_until_complete(story.tell())
        finally:
            loop.close()
    seconds = time.perf_counter() - began
    return Outcome(
        ok=not found,
        seed=seed,
        hours=hours,
        sales=sum(record.kind == "sale.settled" for record in ledger),
        fuellings=sum(record.kind == "fuelling.completed" for record in ledger),
        starts=world.starts,
        faults=dict(sorted(world.faults.items())),
        records_by_kind=dict(sorted(_kinds(ledger).items())),
        refused=dict(sorted(world.refused.items())),
        violations=found,
        ledger_head=ledger[-1].hash if ledger else "",
        records=len(ledger),
        seconds=round(seconds, 2),
        speed=round(hours * 3600 / seconds),
    )


def _kinds(ledger: Sequence[LedgerRecord]) -> Counter[str]:
    kinds = Counter(record.kind for record in ledger)
    for body in bodies_of(ledger):
        if isinstance(body, AssetMoved):
            kinds[f"{body.kind} {body.asset if body.lease_id else 'beyond leases'}"] += 1
    return kinds


def as_json(outcome: Outcome) -> dict[str, object]:
    """Return an outcome as plain values."""
    return asdict(outcome)


@dataclass(frozen=True, slots=True)
class _Story:
    seed: int
    hours: float
    kinds: list[str]
    folder: Path
    loop: ProcessLoop
    points: int
    severity: float

    async def tell(self) -> tuple[list[str], World, list[LedgerRecord]]:
        """Let everything happen, then check."""
        clock = VirtualClock(self.loop)
        plan = station_plan(self.points)
        broker = MemoryBroker(self._chance("network"))
        hq = SimHeadquarters(broker, VirtualClock(self.loop), self._chance("hq"))
        yard = Yard(plan, clock, self._chance("line"))
        world = World(plan, self.seed, self.folder, clock, broker, hq, yard)
        invented = invent(self._chance("members"), STATION, clock.wall_ms())
        people, policy = [each for each, _ in invented], strict(POLICY.read_text(encoding="utf-8"))
        hq.open_for_business(STATION, PRICES, policy, [enrolled for _, enrolled in invented])
        desk = Desk(hq, people, self._chance("desk"), policy)
        desk.open()
        serving = self.loop.create_task(hq.run())
        await world.start_agent()
        await asyncio.sleep(60)
        until_ms = clock.monotonic_ms() + round(self.hours * 3_600_000)
        customers = Customers(world, hq, self._chance("till"), STAFF, world.refused)
        traffic = Traffic(
            pumps=yard.pumps, bays={point.fp: point.bay for point in plan.fuelling_points()},
            members=people, till=world, customers=customers, clock=clock,
            chance=self._chance("traffic"),
        )  # fmt: skip
        misfortune = Misfortune(world, self._chance("faults"), self.kinds, until_ms, self.severity)
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.run(until_ms))
            group.create_task(desk.run(until_ms))
            group.create_task(misfortune.run())
        found = [] if await world.come_to_rest() else ["the station did not come to rest"]
        found += world.failures
        if serving.done():
            found.append(f"headquarters: {serving.exception()!r}")
        hq.audit_all()
        ledger = world.ledger()
        found += violations(_rest(world, ledger))
        serving.cancel()
        world.end()
        return found, world, ledger

    def _chance(self, concern: str) -> random.Random:
        return random.Random(f"{self.seed}:{concern}")


def station_plan(points: int) -> StationPlan:
    """Return a station of so many two-nozzle fuelling points, two to a DART bus."""
    plans = [
        FpPlan(
            FpId(number),
            0x50 + (number - 1) % FPS_PER_BUS,
            tuple(
                NozzlePlan(
                    NozzleNumber(2 * number - 1 + place), LogicalNozzle(place + 1), GradeId(grade)
                )
                for place, grade in enumerate(GRADES)
            ),
            BayId(f"bay-{number}"),
        )
        for number in range(1, points + 1)
    ]
    buses = tuple(
        BusPlan(
            BusId(f"bus{1 + first // FPS_PER_BUS}"),
            "dart",
            tuple(plans[first : first + FPS_PER_BUS]),
            OPTIONS,
        )
        for first in range(0, points, FPS_PER_BUS)
    )
    grades = (Grade(GradeId("92"), "92#"), Grade(GradeId("95"), "95#"))
    return StationPlan(STATION, "仿真站", "Simulated station", grades, buses)


def _rest(world: World, ledger: list[LedgerRecord]) -> Rest:
    points = {} if world.agent is None else dict(world.agent.station.forecourt.points())
    epoch = ledger[-1].epoch if ledger else 0
    return Rest(
        pumps=world.yard.pumps,
        points=points,
        ledger=ledger,
        hq=world.hq.records(epoch),
        hq_alarms=world.hq.alarms(),
        hq_sums=world.hq.sums(STATION),
        held=world.hq.held(world.open_leases()),
        limits=world.hq.limits(),
    )
