"""Bounds what idle connections can take, so that an order to stop always finds its way in."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

WHOLE_REQUEST_S = 5.0
"""How long a client may take to send one request, its body included."""

MAX_STRANGERS: Final = 32
"""Connections of one address on which nobody has proved to be known."""

MAX_CONNECTIONS: Final = 128

ADMITTED: Final = "edge_agent.admitted"
"""Set in the state of an ASGI scope by the gate, once its sender is known."""

_numbers = count()


class Connection(H11Protocol):
    """One connection of a client.

    Nobody is turned away for want of room: whoever comes takes the place of the stranger that came
    first. A Unix socket has its own permissions, so that its clients are not counted.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for a connection, and give it some seconds to say what it wants."""
        super().connection_made(transport)
        self._number = next(_numbers)
        self._deadline: asyncio.TimerHandle | None = None
        self._expect_request()
        self._peer = self.client[0] if self.client is not None else None
        if self._peer is not None:
            self._make_room()

    def handle_events(self) -> None:
        """Take what was sent; whatever is still half sent has to be finished in time."""
        super().handle_events()
        theirs = self.conn.their_state
        if theirs is h11.SEND_BODY or (theirs is h11.IDLE and self.conn.trailing_data[0]):
            self._expect_request()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def _admitted(self) -> bool:
        return bool(self.scope) and ADMITTED in self.scope["state"]

    @property
    def _busy(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def _expect_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(WHOLE_REQUEST_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _make_room(self) -> None:
        others = [
            one
            for one in self.connections
            if isinstance(one, Connection)
            and one is not self
            and one._peer is not None
            and not one.transport.is_closing()
        ]
        strangers = [one for one in others if one._peer == self._peer and not one._admitted]
        if len(strangers) >= MAX_STRANGERS:
            min(strangers, key=_came).transport.abort()
        elif len(others) >= MAX_CONNECTIONS:
            min(others, key=_worth).transport.abort()


def _came(connection: Connection) -> int:
    return connection._number


def _worth(connection: Connection) -> tuple[bool, bool, int]:
    """Sort the connections that can be spared before the others."""
    return connection._admitted, connection._busy, connection._number
