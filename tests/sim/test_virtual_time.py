from __future__ import annotations

import asyncio
import time

import pytest

from edge_agent.sim import virtual_time
from edge_agent.sim.virtual_time import EPOCH_2026_MS, VirtualClock, VirtualTimeLoop


def run(main: object) -> None:
    assert asyncio.iscoroutine(main)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)


def test_a_day_passes_at_once_and_exactly() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        await asyncio.sleep(86_400)
        assert clock.monotonic_ms() == 86_400_000
        assert clock.wall_ms() == EPOCH_2026_MS + 86_400_000
        assert clock.trusted

    started = time.monotonic()
    run(main())
    assert time.monotonic() - started < 60


def test_timers_fire_in_order_each_at_its_time() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        fired: list[tuple[int, int]] = []

        async def wait(ms: int) -> None:
            await asyncio.sleep(ms / 1000)
            fired.append((ms, clock.monotonic_ms()))

        await asyncio.gather(*(wait(ms) for ms in (700, 1, 333, 333, 59_999)))
        assert fired == [(1, 1), (333, 333), (333, 333), (700, 700), (59_999, 59_999)]

    run(main())


def test_work_takes_no_virtual_time() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        for _ in range(100):
            await asyncio.sleep(0)
        assert clock.monotonic_ms() == 0

    run(main())


def test_a_thread_is_waited_for() -> None:
    async def main() -> None:
        assert await asyncio.get_running_loop().run_in_executor(None, lambda: 7) == 7

    run(main())


def test_standing_still_for_ever_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "STUCK_AFTER_S", 0.01)

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="stands still"):
        run(main())


def test_the_wall_clock_can_be_wrong() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop(), wall_at_start_ms=1_262_304_000_000)
        clock.is_trusted = False
        assert clock.wall_ms() == 1_262_304_000_000
        assert not clock.trusted

    run(main())


def test_time_is_skipped_only_where_nothing_else_happens() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        clock = VirtualClock(loop)
        await asyncio.sleep(1)
        fired: list[int] = []
        loop.call_later(1, lambda: fired.append(clock.monotonic_ms()))
        assert clock.skip_to(1_900)
        assert clock.monotonic_ms() == 1_900
        assert not clock.skip_to(2_000), "the timer comes first"
        loop.call_soon(fired.append, 0)
        assert not clock.skip_to(1_950), "something is ready"
        await asyncio.sleep(5)
        assert fired == [0, 2_000]
        assert clock.skip_to(1), "never back"
        assert clock.monotonic_ms() == 6_900

    run(main())
