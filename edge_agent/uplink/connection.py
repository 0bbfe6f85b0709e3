"""One MQTT connection, from CONNECT to its end, with paho's I/O driven by the event loop.

paho's own network thread dies without a word when a callback or a decoder raises, and its writes
race with those of other threads. So the event loop calls paho when the socket is ready, and
whatever paho raises ends the connection, which the uplink then makes anew.

A client object serves one connection only. paho keeps unacknowledged messages in memory across
reconnections, and its count of messages in flight leaks when they are dropped there; a new object
has none, so the ledger stays the only memory.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.model.errors import UPLINK_DOWN, LinkLost
from edge_agent.model.wire import MAX_MESSAGE_BYTES
from edge_agent.uplink.settings import RECEIVE_MAXIMUM, MqttSettings

MAX_IN_FLIGHT = 20
"""Publications that the broker has not acknowledged; paho gets slower with every one more."""
WILL_DELAY_S = 15
"""A link that is back within this time was never reported dead."""
KEEPALIVE_CHECK_S = 1.0


class SocketLike(Protocol):
    """What is needed of the socket that paho made."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


def link_lost(detail: str) -> LinkLost:
    """Return the error of a broker that cannot be reached."""
    return LinkLost(UPLINK_DOWN, detail)


class Connection:
    """Lives on the event loop that made it."""

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
        self.refusal = ""
        """Why the broker refused a publication, if it did: not authorised, quota exceeded."""
        self._free = MAX_IN_FLIGHT
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._socket: SocketLike | None = None
        self._fd = -1
        self._keepalive: asyncio.TimerHandle | None = None
        self._tls = None if settings.tls is None else settings.tls.context()
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
            # Resolving the name, connecting and shaking hands all block.
            await asyncio.to_thread(
                self._client.connect,
                settings.host,
                settings.port,
                settings.keepalive_s,
                clean_start=False,
                properties=properties,
            )
        except (OSError, ValueError) as error:
            if self._tls is not None:
                self._tls.close_last()
            raise link_lost(str(error)) from error
        self._attach()
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                failure = await self._ready
        except TimeoutError:
            raise link_lost("the broker did not answer") from None
        if failure is not None:
            raise link_lost(failure)

    def close(self) -> None:
        """Leave, and ask the broker to tell headquarters so by our last will."""
        if self._socket is not None and not self.closed.done():
            goodbye = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
            self._guarded(lambda: self._client.disconnect(goodbye))
            self._write()
        self._end("closed")

    async def publish(self, topic: str, payload: bytes, expiry_s: int | None) -> None:
        """Hand a message to the broker once fewer than 20 are in flight. Raises `LinkLost`."""
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
        self._write()
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise link_lost(paho.error_string(info.rc))

    def acknowledge(self, message: paho.MQTTMessage) -> None:
        """Tell the broker that a downlink has been dealt with."""
        if not self.closed.done():
            self._client.ack(message.mid, message.qos)
            self._write()

    # --- the socket ------------------------------------------------------------------------------

    def _attach(self) -> None:
        self._socket = self._client.socket()
        if self._socket is None:
            self._end("the connection ended at once")
            return
        self._fd = self._socket.fileno()
        self._loop.add_reader(self._fd, self._read)
        self._check_keepalive()
        self._write()

    def _read(self) -> None:
        self._guarded(self._client.loop_read)
        # What TLS has decrypted already is not seen by the selector.
        while isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            self._guarded(self._client.loop_read)

    def _write(self) -> None:
        if self._socket is None:
            return
        self._guarded(self._client.loop_write)
        if self.closed.done():
            return
        if self._client.want_write():
            self._loop.add_writer(self._fd, self._write)
        else:
            self._loop.remove_writer(self._fd)

    def _check_keepalive(self) -> None:
        self._guarded(self._client.loop_misc)
        if not self.closed.done():
            self._keepalive = self._loop.call_later(KEEPALIVE_CHECK_S, self._check_keepalive)

    def _guarded(self, step: Callable[[], MQTTErrorCode]) -> None:
        """Let paho do something; whatever goes wrong in it ends this connection and no more."""
        try:
            code = step()
        except Exception as error:
            self._end(f"{type(error).__name__} in the MQTT client")
            return
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(paho.error_string(code))

    # --- called by paho --------------------------------------------------------------------------

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
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_socket_open = _without_delay
        # With this callback set, paho leaves all writing to whoever drives it: `_write`.
        client.on_socket_register_write = _nothing
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = self._message
        return client

    def _connected(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._end(f"refused: {reason}")
            return
        client.subscribe([(name, SubscribeOptions(qos=1)) for name in self._filters])
        self._loop.call_soon(self._write)

    def _subscribed(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._end(f"subscription refused: {refused[0]}")
        elif not self._ready.done():
            self._ready.set_result(None)

    def _disconnected(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        self._end(str(reason))

    def _published(
        self, _client: paho.Client, _data: Any, _mid: int, reason: ReasonCode, _props: Any
    ) -> None:
        if reason.is_failure:
            self.refusal = str(reason)
        self._free += 1
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._on_message(self, message)

    def _end(self, reason: str) -> None:
        if self.closed.done():
            return
        self.closed.set_result(reason)
        if not self._ready.done():
            self._ready.set_result(reason)
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(link_lost(reason))
        self._waiting.clear()
        if self._keepalive is not None:
            self._keepalive.cancel()
        if self._socket is not None:
            # By number, since paho may have closed the socket a moment ago.
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._socket.close()
            self._socket = None


def _without_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    # Nagle's algorithm with delayed acknowledgements costs 40 ms in each direction.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _nothing(_client: paho.Client, _data: Any, _socket: Any) -> None:
    return


def _properties(packet: int, **values: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
