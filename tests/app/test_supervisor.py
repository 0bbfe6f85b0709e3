"""A failing loop is started again within a budget; an essential one takes the agent down."""

from __future__ import annotations

import asyncio

import pytest

from edge_agent.app import supervisor
from edge_agent.app.supervisor import Loop, LoopFailed, Supervisor, stale


class StillClock:
    trusted = True
    now_ms = 0

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_loop_that_fails_or_ends_is_started_again_for_ever() -> None:
    runs = 0
    enough = asyncio.Event()

    async def flaky() -> None:
        nonlocal runs
        runs += 1
        if runs == 20:
            enough.set()
            await for_ever()
        if runs % 2:
            raise OSError("gone")

    kept = Supervisor(StillClock())
    task = asyncio.create_task(kept.run([Loop("flaky", flaky), Loop("steady", for_ever)]))
    await enough.wait()
    assert kept.failures["flaky"] == 19
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_pauses_grow_until_a_loop_is_steady_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, pauses = StillClock(), []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            await for_ever()

    async def broken() -> None:
        if len(pauses) == 8:
            clock.now_ms += supervisor.STEADY_MS
        raise OSError("gone")

    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.5)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    task = asyncio.create_task(Supervisor(clock).run([Loop("broken", broken)]))
    while len(pauses) < 9:
        await asyncio.wait({task}, timeout=0.001)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 0.5]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_essential_loop_fails_once() -> None:
    cancelled = False

    async def other() -> None:
        nonlocal cancelled
        try:
            await for_ever()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async def broken() -> None:
        await asyncio.sleep(0)
        raise ValueError("never mind")

    with pytest.raises(LoopFailed, match="books"):
        await Supervisor(StillClock()).run(
            [Loop("books", broken, essential=True), Loop("other", other)]
        )
    assert cancelled


def test_the_watchdog_names_who_stands_still() -> None:
    assert stale({"bus1": 1_000, "bus2": 9_000, "writer": 100}, 10_000, 5_000) == ["bus1", "writer"]
