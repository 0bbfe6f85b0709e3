"""One MQTT connection, from CONNECT to its end. paho runs its network loop in a thread.

A client object serves one connection only. paho keeps unacknowledged messages in memory across
reconnections, and its in-flight count leaks when they are dropped there; a new object has none, so
the ledger stays the only memory.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.model.errors import LinkLost, Problem
from edge_agent.model.wire import MAX_MESSAGE_BYTES
from edge_agent.uplink.settings import RECEIVE_MAXIMUM, MqttSettings

MAX_IN_FLIGHT = 20
"""Publications that the broker has not acknowledged; paho gets slower with every one more."""
WILL_DELAY_S = 15
"""A link that is back within this time was never reported dead."""


def link_lost(detail: str) -> LinkLost:
    """Return the error of a broker that cannot be reached."""
    return LinkLost(
        Problem("uplink_down", "与总部的连接中断，离线营业中", "no link to HQ: selling offline"),
        detail,
    )


class Connection:
    """Callbacks arrive on paho's thread and are handed to the event loop, in order."""

    def __init__(
        self,
        settings: MqttSettings,
        filters: Sequence[str],
        will: tuple[str, bytes],
        on_message: Callable[[Connection, paho.MQTTMessage], None],
    ) -> None:
        self._settings = settings
        self._filters = filters
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[str | None] = self._loop.create_future()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        """Why the connection ended, once it has."""
        self._free = MAX_IN_FLIGHT
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._client = self._build(will)

    async def open(self) -> None:
        """Connect and subscribe. Raises `LinkLost`."""
        settings = self._settings
        properties = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=settings.session_expiry_s,
            ReceiveMaximum=RECEIVE_MAXIMUM,
            MaximumPacketSize=MAX_MESSAGE_BYTES + 1024,
        )
        try:
            await asyncio.to_thread(
                self._client.connect,
                settings.host,
                settings.port,
                settings.keepalive_s,
                clean_start=False,
                properties=properties,
            )
        except (OSError, ValueError) as error:
            raise link_lost(str(error)) from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                failure = await self._ready
        except TimeoutError:
            raise link_lost("the broker did not answer") from None
        if failure is not None:
            raise link_lost(failure)

    async def close(self) -> None:
        """Say goodbye and end paho's thread."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._end("closed")

    async def publish(self, topic: str, payload: bytes, expiry_s: int | None) -> None:
        """Hand a message to paho once fewer than 20 are in flight. Raises `LinkLost`."""
        while self._free == 0:
            turn = self._loop.create_future()
            self._waiting.append(turn)
            await turn
        if self.closed.done():
            raise link_lost(self.closed.result())
        properties = None
        if expiry_s is not None:
            properties = _properties(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_s)
        self._free -= 1
        info = self._client.publish(topic, payload, qos=1, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise link_lost(paho.error_string(info.rc))

    def acknowledge(self, message: paho.MQTTMessage) -> None:
        """Tell the broker that a downlink has been dealt with."""
        if not self.closed.done():
            self._client.ack(message.mid, message.qos)

    # --- on paho's thread ------------------------------------------------------------------------

    def _build(self, will: tuple[str, bytes]) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._settings.connect_timeout_s
        client.max_inflight_messages = MAX_IN_FLIGHT
        client.max_queued_messages = MAX_IN_FLIGHT
        properties = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S)
        client.will_set(will[0], will[1], qos=1, properties=properties)
        if self._settings.tls is not None:
            client.tls_set_context(self._settings.tls.context())
        client.on_socket_open = _without_delay
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = self._message
        return client

    def _hand_over(self, call: Callable[..., None], *args: object) -> None:
        # The loop may have closed while paho's thread was still ending.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    def _connected(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._hand_over(self._end, f"refused: {reason}")
            return
        client.subscribe([(name, SubscribeOptions(qos=1)) for name in self._filters])

    def _subscribed(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._hand_over(self._end, f"subscription refused: {refused[0]}")
        else:
            self._hand_over(self._up)

    def _disconnected(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        self._hand_over(self._end, str(reason))

    def _published(
        self, _client: paho.Client, _data: Any, _mid: int, _reason: ReasonCode, _props: Any
    ) -> None:
        self._hand_over(self._freed)

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._hand_over(self._on_message, self, message)

    # --- on the event loop -----------------------------------------------------------------------

    def _up(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _freed(self) -> None:
        self._free += 1
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _end(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        if not self._ready.done():
            self._ready.set_result(reason)
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(link_lost(reason))
        self._waiting.clear()


def _without_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    # Nagle's algorithm with delayed acknowledgements costs 40 ms in each direction.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _properties(packet: int, **values: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
