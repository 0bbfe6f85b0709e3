"""Headquarters' own connection against a broker that misbehaves."""

from __future__ import annotations

import asyncio

import pytest

from hq.link import HqLink, topic_of
from tests.uplink.test_hostile_broker import CONNACK_OK, Scripted


def publish(topic: bytes, payload: bytes) -> bytes:
    """PUBLISH at QoS 1 (MQTT 5.0, 3.3) with packet identifier 1 and no properties."""
    body = len(topic).to_bytes(2) + topic + b"\x00\x01" + b"\x00" + payload
    return b"\x32" + bytes([len(body)]) + body


async def received(link: HqLink, count: int) -> list[bytes]:
    """Drive the link, as the service does, until so many messages came."""
    found: list[bytes] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            group = await asyncio.to_thread(link.receive, 10, 0.05)
            link.acknowledge(group)
            found += [bytes(message.payload) for message in group]
            assert all(topic_of(message) == "a/b" for message in group)
    return found


@pytest.mark.parametrize(
    "bad", [publish(b"\xff", b"bad"), b"\xff\xff\xff\xff\xff", b"\x40\x01\x00", b"\x00\x00"]
)
async def test_bad_packets_are_dropped_or_end_a_connection_that_is_made_anew(
    bad: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hq.link.RETRY_S", 0.01)
    script = Scripted(
        CONNACK_OK, 1, lambda turn: (bad if turn == 1 else b"") + publish(b"a/b", b"good")
    )
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    link = HqLink("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        assert await received(link, 1) == [b"good"]
    finally:
        link.stop()
        server.close()
        await server.wait_closed()


async def test_without_a_broker_it_waits_and_sends_nothing() -> None:
    link = HqLink("127.0.0.1", 1)
    assert link.receive(10, 0.0) == []
    assert link.receive(10, 0.01) == []
    link.stop()
