"""How transports say that the link is gone."""

from __future__ import annotations

from edge_agent.model.errors import LinkLost, Problem

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
