"""What the tests of transports share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from edge_agent.ports import Transport
from edge_agent.sim.virtual_time import VirtualTimeLoop


def run_virtual(main: Coroutine[None, None, None]) -> None:
    """Run a test in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)


async def read_exactly(transport: Transport, count: int) -> bytes:
    """Read until so many bytes have come."""
    data = b""
    while len(data) < count:
        data += await transport.read()
    return data
