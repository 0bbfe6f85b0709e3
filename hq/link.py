"""Headquarters' MQTT connection, driven by the one thread that also writes the books.

Messages that arrive while a group is being committed wait in the socket, and beyond that at the
broker, which by Receive Maximum sends no more than we acknowledge: no queue of ours can overflow.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.model import topics
from edge_agent.model.wire import MAX_MESSAGE_BYTES
from hq.message import Message

RECEIVE_MAXIMUM = 500
"""Messages that the broker may have under way to us."""
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 2.0
RETRY_S = 0.5


class HqLink:
    """Publishes and receives; reconnects by itself. The session is clean, since whatever
    headquarters itself did not acknowledge is sent again by the stations."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._client: paho.Client | None = None
        self._arrived: deque[paho.MQTTMessage] = deque()
        self._retry_at = 0.0

    def stop(self) -> None:
        """Leave in good order."""
        if self._client is not None:
            self._client.disconnect()
            self._client = None

    def receive(self, most: int, wait_s: float) -> list[paho.MQTTMessage]:
        """Return up to `most` messages, as soon as there is one; none after `wait_s`."""
        self._drive(wait_s)
        before = -1
        while before < len(self._arrived) < most:
            before = len(self._arrived)
            self._drive(0)
        return [self._arrived.popleft() for _ in range(min(most, len(self._arrived)))]

    def acknowledge(self, group: list[paho.MQTTMessage]) -> None:
        """Tell the broker that it need not keep these."""
        for message in group:
            if self._client is not None:
                self._client.ack(message.mid, message.qos)

    def send(self, message: Message) -> None:
        """Publish while connected. Without a broker it is dropped: the station will ask again."""
        if self._client is not None and self._client.is_connected():
            self._client.publish(message.topic, message.payload, qos=1)

    def _drive(self, wait_s: float) -> None:
        """Let paho read, write and keep the connection alive; begin anew where there is none."""
        if self._client is None:
            self._connect(wait_s)
            return
        code = self._client.loop(wait_s)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._client = None
            self._arrived.clear()

    def _connect(self, wait_s: float) -> None:
        if time.monotonic() < self._retry_at:
            time.sleep(wait_s)
            return
        self._retry_at = time.monotonic() + RETRY_S
        client = self._build()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_MESSAGE_BYTES + 1024
        try:
            client.connect(
                self._host, self._port, KEEPALIVE_S, clean_start=True, properties=properties
            )
        except OSError:
            return
        self._client = client

    def _build(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id="hq-intake",
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.max_queued_messages = 2000
        client.max_inflight_messages = 100
        client.on_socket_open = _without_delay
        client.on_connect = _connected
        client.on_message = self._message
        return client

    def _message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if topic_of(message) is None:
            client.ack(message.mid, message.qos)
        else:
            self._arrived.append(message)


def topic_of(message: paho.MQTTMessage) -> str | None:
    """Return a message's topic; None where it is no UTF-8, which paho finds out only when asked."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return None


def _connected(
    client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
) -> None:
    if not reason.is_failure:
        client.subscribe([(topics.EVERY_UP, SubscribeOptions(qos=1))])


def _without_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    # Nagle's algorithm with delayed acknowledgements costs 40 ms in each direction.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
