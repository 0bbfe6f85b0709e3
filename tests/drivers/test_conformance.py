"""Every driver, over every kind of line, through the same scenarios."""

from __future__ import annotations

import asyncio
import sys
import time
import zlib
from collections.abc import Awaitable, Callable

import pytest

from edge_agent.sim.virtual_time import VirtualClock, VirtualTimeLoop
from tests.drivers.conformance import SCENARIOS, a_morning
from tests.drivers.rig import LINES, SUBJECTS, Line, Rig

Scenario = Callable[[Rig], Awaitable[None]]

BAD_LINES = ("loss", "noise", "halves", "strays", "echo", "delay", "everything")


class RealClock:
    """The machine's own clock."""

    trusted = True

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def play(scenario: Scenario, driver: str, line: Line, *, seed: int = 1) -> Rig:
    """Run a scenario in virtual time and check what must hold in the end."""

    async def main() -> Rig:
        clock = VirtualClock(asyncio.get_running_loop())
        rig = Rig(SUBJECTS[driver], line, clock, seed)
        async with rig.running():
            await scenario(rig)
        rig.check()
        return rig

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def name_of(scenario: Scenario) -> str:
    return getattr(scenario, "__name__", "scenario")


@pytest.mark.parametrize("driver", SUBJECTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_scenario(driver: str, scenario: Scenario) -> None:
    play(scenario, driver, LINES["memory"]())


@pytest.mark.parametrize("driver", SUBJECTS)
def test_one_byte_at_a_time(driver: str) -> None:
    play(a_morning, driver, LINES["byte_by_byte"]())


@pytest.mark.parametrize("driver", SUBJECTS)
@pytest.mark.parametrize("line", BAD_LINES)
@pytest.mark.parametrize("seed", [1, 2])
def test_bad_line(driver: str, line: str, seed: int) -> None:
    salt = zlib.crc32(f"{driver} {line}".encode())
    play(a_morning, driver, LINES[line](), seed=salt + seed)


@pytest.mark.parametrize("driver", SUBJECTS)
def test_the_same_seed_gives_the_same_events(driver: str) -> None:
    first = play(a_morning, driver, LINES["everything"](), seed=7)
    second = play(a_morning, driver, LINES["everything"](), seed=7)
    assert first.events == second.events


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are a POSIX thing")
@pytest.mark.parametrize("driver", SUBJECTS)
async def test_on_a_real_serial_device(driver: str) -> None:
    rig = Rig(SUBJECTS[driver], LINES["pty"](), RealClock(), seed=1)
    for pump in rig.pumps.values():
        pump.flow_ml_per_s = 20_000
    async with rig.running():
        await rig.make_ready()
        await rig.sell(wish_ml=6_000)
    rig.check()
