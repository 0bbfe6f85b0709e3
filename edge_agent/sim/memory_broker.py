"""An MQTT broker in memory for virtual time: many clients, and all the faults of a bad network.

Messages can be lost, doubled and delayed, a client can be cut off, the broker can be gone, all by
one seed. What was under way to a client that is cut off is lost, as with a broker that dies.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from random import Random

from edge_agent.model import topics
from edge_agent.model.errors import UPLINK_DOWN, LinkLost
from edge_agent.ports import Inbound

QUEUE_MESSAGES = 1000
"""Messages that wait for one client; beyond that the broker drops, as real ones do."""


@dataclass(slots=True)
class Faults:
    """How bad the network is now. Shares lie between 0 and 1; times are in milliseconds."""

    lost: float = 0.0
    doubled: float = 0.0
    reordered: float = 0.0
    """Share of messages that take up to ten times as long as the others."""
    delay_ms: int = 5


class MemoryBroker:
    """Carries messages between its clients on one event loop."""

    def __init__(self, chance: Random, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.delivered = 0
        self._chance = chance
        self._clients: list[MemoryUplink] = []
        self._up = True

    def client(self, name: str, filters: Iterable[str] | None = None) -> MemoryUplink:
        """Return a new client, connected when the broker is up; an earlier one of that name goes.

        Without `filters` it subscribes as the station of that name does.
        """
        for earlier in [client for client in self._clients if client.name == name]:
            self.forget(earlier)
        uplink = MemoryUplink(self, name, tuple(filters or topics.station_filters(name)))
        self._clients.append(uplink)
        if self._up:
            uplink.join()
        return uplink

    def forget(self, uplink: MemoryUplink) -> None:
        """Drop a client whose process died."""
        uplink.leave()
        self._clients.remove(uplink)

    def stop(self) -> None:
        """The broker is gone, with everything that was under way."""
        self._up = False
        for uplink in self._clients:
            uplink.leave()

    def start(self) -> None:
        """The broker is back; every client that is not cut off reconnects."""
        self._up = True
        for uplink in self._clients:
            if not uplink.cut_off:
                uplink.join()

    def cut(self, uplink: MemoryUplink) -> None:
        """Cut one client's line."""
        uplink.cut_off = True
        uplink.leave()

    def join(self, uplink: MemoryUplink) -> None:
        """Mend one client's line."""
        uplink.cut_off = False
        if self._up:
            uplink.join()

    def mend(self) -> None:
        """End every fault: lines, network and the broker itself."""
        self.faults = Faults(delay_ms=self.faults.delay_ms)
        for uplink in self._clients:
            uplink.cut_off = False
        self.start()

    def carry(self, topic: str, payload: bytes) -> None:
        """Bring a message to every client that subscribed to its topic, or not, as chance will."""
        for uplink in self._clients:
            if any(matches(wanted, topic) for wanted in uplink.filters):
                for _ in range(self._copies()):
                    self._deliver(uplink, Inbound(topic, payload))

    def _copies(self) -> int:
        if self._chance.random() < self.faults.lost:
            return 0
        return 2 if self._chance.random() < self.faults.doubled else 1

    def _deliver(self, uplink: MemoryUplink, inbound: Inbound) -> None:
        delay_ms = float(self.faults.delay_ms)
        if self._chance.random() < self.faults.reordered:
            delay_ms *= 1 + 9 * self._chance.random()
        connection = uplink.connection
        loop = asyncio.get_running_loop()
        loop.call_later(delay_ms / 1000, self._arrive, uplink, connection, inbound)

    def _arrive(self, uplink: MemoryUplink, connection: int, inbound: Inbound) -> None:
        if uplink.connected and uplink.connection == connection and uplink.put(inbound):
            self.delivered += 1


class MemoryUplink:
    """`ports.Uplink` of one client of a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, name: str, filters: tuple[str, ...]) -> None:
        self.name = name
        self.filters = filters
        self.cut_off = False
        self.connection = 0
        """Counts connections, so that a message of an earlier one does not arrive in a later."""
        self._broker = broker
        self._connected = False
        self._arrived: deque[Inbound | bool] = deque()
        self._wake = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether messages can be published now."""
        return self._connected

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None) -> None:
        """Hand a message to the broker. Raises `LinkLost` when there is no connection."""
        del expiry_s  # this broker keeps nothing for those who are away
        await asyncio.sleep(0)
        if not self._connected:
            raise LinkLost(UPLINK_DOWN, self.name)
        self._broker.carry(topic, payload)

    async def messages(self) -> AsyncIterator[Inbound | bool]:
        """Yield inbound messages, and True/False whenever the connection comes or goes."""
        while True:
            while not self._arrived:
                self._wake.clear()
                await self._wake.wait()
            yield self._arrived.popleft()

    def put(self, item: Inbound | bool) -> bool:
        """Queue something for the client; False when the queue is full."""
        if len(self._arrived) >= QUEUE_MESSAGES and not isinstance(item, bool):
            return False
        self._arrived.append(item)
        self._wake.set()
        return True

    def join(self) -> None:
        """The connection is there."""
        if not self._connected:
            self._connected = True
            self.connection += 1
            self.put(True)

    def leave(self) -> None:
        """The connection is gone."""
        if self._connected:
            self._connected = False
            self.put(False)


def matches(wanted: str, topic: str) -> bool:
    """Whether a topic matches a subscription, by the wildcards of MQTT (3.1.1, section 4.7)."""
    levels, parts = wanted.split("/"), topic.split("/")
    for place, level in enumerate(levels):
        if level == "#":
            return True
        if place >= len(parts) or level not in {"+", parts[place]}:
            return False
    return len(levels) == len(parts)
