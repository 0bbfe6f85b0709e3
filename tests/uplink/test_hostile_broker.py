"""What a broker may do wrong: whatever it sends, the uplink reconnects and never hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from edge_agent.ports import Inbound
from edge_agent.uplink.mqtt import MqttUplink
from edge_agent.uplink.settings import MqttSettings
from tests.sync_kit import SeededEntropy

CONNACK_OK = b"\x20\x03\x00\x00\x00"
CONNACK_NOT_AUTHORISED = b"\x20\x03\x00\x87\x00"
TAKEN_OVER = b"\xe0\x02\x8e\x00"
"""Packets of MQTT 5.0, chapter 3: CONNACK (3.2) and DISCONNECT with reason 0x8E (3.14)."""


def suback(request: bytes, reason: int) -> bytes:
    """SUBACK (3.9) for a SUBSCRIBE of one filter with a length of one byte."""
    return b"\x90\x04" + request[2:4] + b"\x00" + bytes([reason])


class Scripted:
    """Answers CONNECT and SUBSCRIBE, then says what the test wants."""

    def __init__(self, connack: bytes, reason: int, after: Callable[[int], bytes]) -> None:
        self.connections = 0
        self.third = asyncio.Event()
        self._connack = connack
        self._reason = reason
        self._after = after

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.connections >= 3:
            self.third.set()
        try:
            while data := await reader.read(4096):
                if data[0] == 0x10:
                    writer.write(self._connack)
                elif data[0] == 0x82:
                    writer.write(suback(data, self._reason))
                    writer.write(self._after(self.connections))
        except ConnectionError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def against(script: Scripted) -> AsyncIterator[MqttUplink]:
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = MqttSettings("127.0.0.1", port, "S-1", retry_first_s=0.01, retry_most_s=0.01)
    uplink = MqttUplink(settings, ["a/b"], ("w", b""), SeededEntropy(1))
    task = asyncio.create_task(uplink.run())
    try:
        async with asyncio.timeout(20):
            yield uplink
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()
        await server.wait_closed()


async def test_a_session_taken_over_by_another_machine_is_counted() -> None:
    script = Scripted(CONNACK_OK, 1, lambda turn: TAKEN_OVER if turn == 1 else b"")
    async with against(script) as uplink:
        stream = uplink.messages()
        assert [await anext(stream) for _ in range(3)] == [True, False, True]
        assert uplink.takeovers == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 10,
        b"\xff\xff\xff\xff\xff\xff",
        b"\x30\x02\x00\x09",
        b"\x32\x05\x00\x01\xff\x00\x01",
        b"\x40\x01\x00",
        b"\x90\x00",
        b"\x20\x00",
        b"\x30\xff\xff\xff\xff\xff",
        b"\xe0\x01\x01",
        b"\x32\x09\x00\x03a/b\x00\x01\x7f\x00",
    ],
)
async def test_garbage_ends_the_connection_and_the_next_one_works(garbage: bytes) -> None:
    script = Scripted(CONNACK_OK, 1, lambda turn: garbage if turn == 1 else b"")
    async with against(script) as uplink:
        stream = uplink.messages()
        news = [await anext(stream) for _ in range(3)]
        assert news == [True, False, True]
        assert script.connections == 2


@pytest.mark.parametrize("topic", [b"\xff", b"\xc3\x28"])
async def test_a_topic_that_is_no_text_is_dropped_and_the_connection_goes_on(topic: bytes) -> None:
    def publish(name: bytes) -> bytes:
        body = len(name).to_bytes(2) + name + b"\x00\x01" + b"\x00" + b"payload"
        return b"\x32" + bytes([len(body)]) + body

    script = Scripted(CONNACK_OK, 1, lambda _turn: publish(topic) + publish(b"a/b"))
    async with against(script) as uplink:
        stream = uplink.messages()
        assert await anext(stream) is True
        assert await anext(stream) == Inbound("a/b", b"payload")
        assert (uplink.dropped, script.connections) == (1, 1)


async def test_an_error_of_our_own_ends_the_connection_and_not_the_uplink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    def broken(*_: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError

    monkeypatch.setattr(MqttUplink, "_on_message", broken)
    message = b"\x32\x08\x00\x03a/b\x00\x01\x00"
    script = Scripted(CONNACK_OK, 1, lambda _turn: message)
    async with against(script) as uplink:
        stream = uplink.messages()
        news = [await anext(stream) for _ in range(3)]
        assert news == [True, False, True]
        assert "ZeroDivisionError" in uplink.last_reason


@pytest.mark.parametrize(
    ("connack", "reason", "expected"),
    [
        (CONNACK_NOT_AUTHORISED, 1, "Not authorized"),
        (CONNACK_OK, 0x87, "subscription refused"),
    ],
)
async def test_a_broker_that_refuses_us_is_asked_again_and_the_reason_is_kept(
    connack: bytes, reason: int, expected: str
) -> None:
    script = Scripted(connack, reason, lambda _turn: b"")
    async with against(script) as uplink:
        await script.third.wait()
        assert not uplink.connected
        assert expected in uplink.last_reason
