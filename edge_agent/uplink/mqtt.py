"""The uplink over MQTT 5: keeps one connection to the broker and reconnects for ever."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import paho.mqtt.client as paho

from edge_agent.model.errors import LinkLost
from edge_agent.ports import Entropy, Inbound
from edge_agent.uplink.connection import Connection, link_lost
from edge_agent.uplink.settings import RECEIVE_MAXIMUM, MqttSettings

TAKEN_OVER = "Session taken over"


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A downlink, and how to acknowledge it."""

    topic: str
    message: paho.MQTTMessage
    connection: Connection


class MqttUplink:
    """`ports.Uplink` over paho. `run` lives as long as the station."""

    def __init__(
        self,
        settings: MqttSettings,
        filters: Sequence[str],
        will: tuple[str, bytes],
        entropy: Entropy,
    ) -> None:
        if not filters:
            raise ValueError("an uplink listens to something")
        self._settings = settings
        self._filters = tuple(filters)
        self._will = will
        self._entropy = entropy
        self._connection: Connection | None = None
        # Each message that the broker may have under way, and news of the link beside them.
        self._arrived: asyncio.Queue[_Arrived | bool] = asyncio.Queue(RECEIVE_MAXIMUM + 64)
        self._early: deque[_Arrived] = deque(maxlen=RECEIVE_MAXIMUM)
        self.dropped = 0
        """Inbound messages dropped: more than a broker may send, or a topic that is no text."""
        self.takeovers = 0
        """Times that another client with our name took the session: two stations, one identity."""
        self.last_refusal = ""
        """Why the broker last refused a publication; empty when it never did."""
        self.last_reason = ""
        """Why the last connection ended or could not be made."""

    @property
    def connected(self) -> bool:
        """Whether messages can be published now."""
        return self._connection is not None and not self._connection.closed.done()

    async def run(self) -> None:
        """Connect, wait for the end of the connection, and again, until cancelled."""
        attempt = 0
        while True:
            self._early.clear()
            connection = Connection(self._settings, self._filters, self._will, self._on_message)
            try:
                await connection.open()
                attempt = 0
                await self._serve(connection)
            except LinkLost as lost:
                self.last_reason = lost.detail
            finally:
                self._connection = None
                connection.close()
            await asyncio.sleep(self._pause_s(attempt))
            attempt += 1

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None) -> None:
        """Hand a message to the broker. Raises `LinkLost` when there is no connection."""
        connection = self._connection
        if connection is None or connection.closed.done():
            raise link_lost("not connected")
        await connection.publish(topic, payload, expiry_s)

    async def messages(self) -> AsyncIterator[Inbound | bool]:
        """Yield messages and news of the link. A message counts as dealt with, and is acknowledged,
        when the next one is asked for."""
        while True:
            item = await self._arrived.get()
            if isinstance(item, bool):
                yield item
            else:
                yield Inbound(item.topic, bytes(item.message.payload))
                item.connection.acknowledge(item.message)

    async def _serve(self, connection: Connection) -> None:
        self._connection = connection
        await self._arrived.put(True)
        while self._early:
            self._enqueue(self._early.popleft())
        # Shielded, since a task that is cancelled cancels the future that it waits for.
        self.last_reason = await asyncio.shield(connection.closed)
        self.last_refusal = connection.refusal or self.last_refusal
        if self.last_reason == TAKEN_OVER:
            self.takeovers += 1
        self._connection = None
        await self._arrived.put(False)

    def _on_message(self, connection: Connection, message: paho.MQTTMessage) -> None:
        try:
            arrived = _Arrived(message.topic, message, connection)
        except UnicodeDecodeError:
            # paho decodes the topic only when it is asked for.
            self.dropped += 1
            connection.acknowledge(message)
            return
        if self._connection is not connection:
            # A session that goes on brings messages before the subscription is confirmed; news of
            # the link comes first all the same.
            self._early.append(arrived)
        else:
            self._enqueue(arrived)

    def _enqueue(self, arrived: _Arrived) -> None:
        try:
            self._arrived.put_nowait(arrived)
        except asyncio.QueueFull:
            self.dropped += 1

    def _pause_s(self, attempt: int) -> float:
        # Half of it is chance, so that a thousand stations do not come back in one instant.
        settings = self._settings
        pause_s = min(settings.retry_most_s, settings.retry_first_s * 2.0 ** min(attempt, 16))
        return pause_s * (0.5 + self._entropy.uniform() / 2)
