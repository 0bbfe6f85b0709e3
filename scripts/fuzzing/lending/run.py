"""Runs a world to its end: so many operations, then everything mended and reconciled."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_agent.model.errors import EdgeAgentError
from scripts.fuzzing.lending.paper_building import PaperBuilding
from scripts.fuzzing.lending.reconciling import settle_down
from scripts.fuzzing.lending.store_building import StoreBuilding
from scripts.fuzzing.lending.till import BareTill
from scripts.fuzzing.lending.whole_till import WholeTill
from scripts.fuzzing.lending.world import Size, World

USUAL: Final = Size()
OPERATIONS: Final = 25_000
"""In one world; more operations are more worlds, each with a seed of its own."""
RULES: Final = (
    "no more is spent within leases than was put in, at any moment",
    "no balance below zero, no point of any bucket doubled",
    "a coupon is used once, over all stations",
    "no row is lost, doubled or changed on its way",
    "once mended: holdings are credits less audited spends, to the fen and the bucket",
    "once mended: every lease is over, and nothing is set aside",
    "headquarters' journal, holdings and leases agree; no alarm but those that mishaps explain",
)


@dataclass(frozen=True, slots=True)
class Part:
    """One world."""

    seed: str
    operations: int
    size: Size = USUAL


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a world."""

    seed: str
    operations: int
    """How many were done; fewer than asked for when something was found."""
    movements: int
    leases: int
    deaths: int
    messages_lost: int
    messages_doubled: int
    written_off: int
    """Effects of records that a lost disk took along before headquarters had them."""
    seconds: float
    happened: dict[str, int] = field(default_factory=dict)
    found: tuple[str, ...] = ()


def bare_world(part: Part) -> World:
    """Return a world whose stations keep their books on paper."""
    till = BareTill(random.Random(f"{part.seed}:till"))
    return World(part.seed, part.size, PaperBuilding(), till)


def run_real(part: Part) -> Outcome:
    """Let a world live whose stations have real stores and settle whole sales."""
    shm = Path("/dev/shm")  # noqa: S108 - a RAM disk where there is one: nothing here must last
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        building = StoreBuilding(Path(folder))
        till = WholeTill(random.Random(f"{part.seed}:till"))
        made: list[World] = []

        def real_world(part: Part) -> World:
            made.append(World(part.seed, part.size, building, till, whole=True))
            return made[0]

        try:
            return run(part, real_world)
        finally:
            for station in made[0].stations.values():
                building.close(station)


def run(part: Part, made: Callable[[Part], World] = bare_world) -> Outcome:
    """Let a world live, then mend it and hold everything against everything."""
    return asyncio.run(_live(made(part), part))


async def _live(world: World, part: Part) -> Outcome:
    began = time.perf_counter()
    done = 0
    found: list[str] = []
    try:
        await world.open()
        while done < part.operations and not world.found:
            await world.operate()
            done += 1
        found = [*world.found] if world.found else await settle_down(world)
    except EdgeAgentError as error:
        found = [f"{type(error).__name__}: {error}"]
    office = world.office
    [(leases,)] = office.ask("SELECT count(*) FROM lease")
    deaths = office.mishap.deaths + sum(each.mishap.deaths for each in world.stations.values())
    lines = [world.up, *world.down.values()]
    return Outcome(
        seed=part.seed,
        operations=done,
        movements=world.truth.movements,
        leases=leases,
        deaths=deaths,
        messages_lost=sum(line.lost for line in lines),
        messages_doubled=sum(line.doubled for line in lines),
        written_off=world.truth.written_off,
        seconds=time.perf_counter() - began,
        happened=dict(world.happened),
        found=tuple(found[:20]),
    )


def parts(seed: int, operations: int) -> list[Part]:
    """Return the worlds that so many operations take."""
    return [
        Part(f"{seed}:{number}", min(OPERATIONS, operations - first))
        for number, first in enumerate(range(0, operations, OPERATIONS))
    ]


def added(outcomes: list[Outcome]) -> dict[str, int]:
    """Return the sums over worlds."""
    names = ("operations", "movements", "leases", "deaths", "messages_lost", "messages_doubled",
             "written_off")  # fmt: skip
    sums = {name: sum(getattr(each, name) for each in outcomes) for name in names}
    happened: Counter[str] = Counter()
    for each in outcomes:
        happened.update(each.happened)
    return sums | dict(sorted(happened.items()))
