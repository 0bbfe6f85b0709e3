"""Keeps the loops of the agent alive, and tells whether they are.

A loop that fails is started again, a few times a minute; one that goes on failing, or that must
not fail at all, ends the agent, so that systemd starts it afresh and recovery runs. This is one of
the few places where any exception is caught: what it was is logged and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.ports import Clock

logger = logging.getLogger(__name__)

RESTARTS = 5
WITHIN_MS = 60_000
RESTART_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop of the agent. An `essential` one takes the agent down when it fails."""

    name: str
    run: Callable[[], Awaitable[None]]
    essential: bool = False


class LoopFailed(RuntimeError):
    """A loop failed for good; the agent has to be started afresh."""


@dataclass(slots=True)
class Supervisor:
    """Runs loops until one fails for good or the agent is stopped."""

    clock: Clock
    failures: Counter[str] = field(default_factory=Counter)

    async def run(self, loops: Sequence[Loop]) -> None:
        """Run all loops.

        Raises:
            LoopFailed: an essential loop failed, or another one too often.
        """
        tasks = [asyncio.create_task(self._keep(loop), name=loop.name) for loop in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, loop: Loop) -> None:
        failed_ms: deque[int] = deque(maxlen=RESTARTS)
        while True:
            try:
                await loop.run()
            except Exception as error:
                self.failures[loop.name] += 1
                logger.exception("loop failed", extra={"loop": loop.name})
                now_ms = self.clock.monotonic_ms()
                spent = len(failed_ms) == RESTARTS and now_ms - failed_ms[0] < WITHIN_MS
                if loop.essential or spent:
                    raise LoopFailed(loop.name) from error
                failed_ms.append(now_ms)
                await asyncio.sleep(RESTART_PAUSE_S)
            else:
                return


def stale(ticked_ms: Mapping[str, int], now_ms: int, bound_ms: int) -> list[str]:
    """Return the names of those that have not ticked within the bound: the watchdog's question."""
    return sorted(name for name, tick_ms in ticked_ms.items() if now_ms - tick_ms > bound_ms)
