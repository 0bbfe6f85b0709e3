"""A killed process stops between two awaits and cleans nothing up; the others live on."""

from __future__ import annotations

import asyncio

from edge_agent.sim.process import Process, ProcessLoop


def run_until(dies_at: int | None) -> tuple[list[str], list[str], Process]:
    victim_log: list[str] = []
    other_log: list[str] = []
    victim, other = Process("victim", dies_at=dies_at), Process("other")

    async def work(log: list[str]) -> None:
        try:
            for number in range(5):
                log.append(f"step {number}")
                await asyncio.sleep(1)
        finally:
            log.append("cleaned up")

    async def world() -> None:
        victim.spawn(work(victim_log))
        other.spawn(work(other_log))
        await asyncio.sleep(60)

    loop = ProcessLoop()
    try:
        loop.run_until_complete(world())
    finally:
        loop.close()
    return victim_log, other_log, victim


def test_every_kill_point_leaves_a_prefix_and_runs_no_finally_block() -> None:
    whole, _, unharmed = run_until(None)
    assert whole[-1] == "cleaned up"
    prefixes = set()
    for point in range(1, unharmed.steps + 1):
        victim_log, other_log, _ = run_until(point)
        assert victim_log == whole[: len(victim_log)]
        assert other_log == whole
        prefixes.add(len(victim_log))
    assert prefixes >= set(range(6))


def test_children_belong_to_the_process_of_their_parent() -> None:
    log: list[str] = []
    process = Process("parent")

    async def child() -> None:
        await asyncio.sleep(5)
        log.append("child")

    async def parent() -> None:
        children = [asyncio.ensure_future(child()) for _ in range(2)]
        await asyncio.gather(*children)

    async def world() -> None:
        process.spawn(parent())
        await asyncio.sleep(1)
        process.kill()
        await asyncio.sleep(60)

    loop = ProcessLoop()
    try:
        loop.run_until_complete(world())
    finally:
        loop.close()
    assert log == []


def test_what_a_task_raises_is_noted() -> None:
    process = Process("failing")

    async def fails() -> None:
        raise ValueError("seen")

    async def world() -> None:
        process.spawn(fails())
        await asyncio.sleep(1)

    loop = ProcessLoop()
    try:
        loop.run_until_complete(world())
    finally:
        loop.close()
    assert [str(error) for error in process.failures] == ["seen"]
