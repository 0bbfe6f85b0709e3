"""The whole station in virtual time: how much faster than real time it runs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from edge_agent.sim.run import Outcome, simulate
from edge_agent.sim.virtual_time import VirtualTimeLoop
from scripts.benchmarks.row import Row, Scale

POLLS_PER_S: Final = 4
"""What the simulated station's four idle points need at least, a poll a second each."""


def measure(scale: Scale) -> list[Row]:
    """Simulate a station's day without faults and with them."""
    hours = scale.of(24 * 60, 2 * 60, 6) / 60
    calm = _run(hours, [])
    rough = _run(scale.of(4 * 60, 30, 6) / 60, None)
    return [
        Row(
            name="station_simulated", value=calm.speed, unit="virtual s per processor s",
            limit=10_000, limit_name="promised", sense="at_least", goal_ratio=1.0,
            goal="a whole station at least 10,000 times as fast as real time",
            peers={"virtual-time loop that does nothing but wake for each poll": _bare(hours)},
            details={"hours": hours, "sales": calm.outcome.sales, "wall_speed": calm.wall_speed,
                     "speed_with_all_faults": rough.speed, "records": calm.outcome.records},
            flaws=(
                *(f"without faults: {flaw}" for flaw in calm.outcome.violations),
                *(f"with all faults: {flaw}" for flaw in rough.outcome.violations),
            ),
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Run:
    """One simulation and its speed, in virtual seconds a second."""

    outcome: Outcome
    speed: float
    wall_speed: float


def _run(hours: float, faults: list[str] | None) -> _Run:
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = simulate(1, hours, faults)
    speed = hours * 3600 / (time.process_time() - cpu)
    return _Run(outcome, speed, hours * 3600 / (time.perf_counter() - wall))


def _bare(hours: float) -> float:
    """Return the speed of a loop that only wakes up as often as the station's polls want."""
    wakes = round(hours * 3600 * POLLS_PER_S)

    async def wake() -> None:
        for _ in range(wakes):
            await asyncio.sleep(1 / POLLS_PER_S)

    loop = VirtualTimeLoop()
    began = time.process_time()
    try:
        loop.run_until_complete(wake())
    finally:
        loop.close()
    return hours * 3600 / (time.process_time() - began)
