"""What transports have in common: how they say that the link is gone, and how some are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from edge_agent.model.errors import LinkLost, Problem
from edge_agent.ports import Transport

READ_BYTES = 4096
"""The most that one read takes from a device."""

BUFFER_BYTES = 65_536
"""The most that a transport holds for a reader who does not come."""


def link_lost(what: str) -> LinkLost:
    """Return the error for a link that is gone, to be raised; `what` says which and why."""
    return LinkLost(
        Problem(
            "bus_link_lost",
            "与加油机的通信线路中断，正在自动重连；请检查接线和串口",
            "the line to the dispensers is gone and is being reopened; check wiring and port",
        ),
        what,
    )


@runtime_checkable
class Immediate(Protocol):
    """A transport in memory whose other side may answer within the call.

    It spares a simulated bus the event loop: a station's year has a billion polls.
    """

    def exchange(self, data: bytes) -> bytes | None:
        """Write, and return what came back at once (perhaps nothing).

        None: not possible now, nothing was written; use `write` and `read`. Raises `LinkLost`.
        """


def exchange_of(transport: Transport) -> Callable[[bytes], bytes | None] | None:
    """Return the `exchange` of an immediate transport; None for every other one."""
    return transport.exchange if isinstance(transport, Immediate) else None
