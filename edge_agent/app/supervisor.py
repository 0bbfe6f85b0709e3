"""Keeps the loops of the agent alive, and tells whether they are.

A loop that fails, or that returns though it should not, is started again, with growing pauses and
for ever: a camera or the uplink must never take the pumps down. Only an essential one, without
which nothing can be sold rightly, ends the agent, so that systemd starts it afresh and recovery
runs. One of the few places where any exception is caught: what it was is logged and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.ports import Clock

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_MS = 60_000
"""A loop that ran for so long before it failed starts again without a long pause."""


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
            LoopFailed: an essential loop failed.
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
        pause_s = FIRST_PAUSE_S
        while True:
            began_ms = self.clock.monotonic_ms()
            try:
                await loop.run()
                logger.error("loop ended", extra={"loop": loop.name})
            except Exception as error:
                logger.exception("loop failed", extra={"loop": loop.name})
                if loop.essential:
                    self.failures[loop.name] += 1
                    raise LoopFailed(loop.name) from error
            self.failures[loop.name] += 1
            if self.clock.monotonic_ms() - began_ms >= STEADY_MS:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def stale(ticked_ms: Mapping[str, int], now_ms: int, bound_ms: int) -> list[str]:
    """Return the names of those that have not ticked within the bound: the watchdog's question."""
    return sorted(name for name, tick_ms in ticked_ms.items() if now_ms - tick_ms > bound_ms)
