"""Headquarters' MQTT connection: paho's thread fills a bounded queue, one consumer empties it."""

from __future__ import annotations

import queue
import socket
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.model import topics
from edge_agent.model.wire import MAX_MESSAGE_BYTES
from hq.message import Message

RECEIVE_MAXIMUM = 500
"""Messages that the broker may have under way to us: the bound of the intake queue."""


class HqLink:
    """Publishes and receives; reconnects by itself. The session is clean, since whatever was not
    acknowledged by headquarters itself is sent again by the stations."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._arrived: queue.Queue[paho.MQTTMessage] = queue.Queue(RECEIVE_MAXIMUM)
        self.dropped = 0
        """Messages dropped because the broker sent more than it may."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id="hq-intake",
            protocol=paho.MQTTv5,
            manual_ack=True,
        )
        client.reconnect_delay_set(1, 5)
        client.max_queued_messages = 2000
        client.max_inflight_messages = 100
        client.on_socket_open = _without_delay
        client.on_connect = self._connected
        client.on_message = self._message
        self._client = client

    def start(self) -> None:
        """Connect in the background, for as long as it takes."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_MESSAGE_BYTES + 1024
        self._client.connect_async(
            self._host, self._port, keepalive=30, clean_start=True, properties=properties
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Leave in good order."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def load(self) -> float:
        """How full the intake queue is, from 0 to 1."""
        return self._arrived.qsize() / RECEIVE_MAXIMUM

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._client.is_connected()

    def receive(self, most: int, wait_s: float) -> list[paho.MQTTMessage]:
        """Return up to `most` messages, as soon as there is one; none after `wait_s`."""
        try:
            group = [self._arrived.get(timeout=wait_s)]
        except queue.Empty:
            return []
        while len(group) < most:
            try:
                group.append(self._arrived.get_nowait())
            except queue.Empty:
                break
        return group

    def acknowledge(self, group: list[paho.MQTTMessage]) -> None:
        """Tell the broker that it need not keep these."""
        for message in group:
            self._client.ack(message.mid, message.qos)

    def send(self, message: Message) -> None:
        """Publish while connected. Without a broker it is dropped: the station will ask again."""
        if self._client.is_connected():
            self._client.publish(message.topic, message.payload, qos=1)

    # --- on paho's thread ------------------------------------------------------------------------

    def _connected(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if not reason.is_failure:
            client.subscribe([(topics.EVERY_UP, SubscribeOptions(qos=1))])

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            self._arrived.put_nowait(message)
        except queue.Full:
            self.dropped += 1


def _without_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    # Nagle's algorithm with delayed acknowledgements costs 40 ms in each direction.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
