"""Serial ports and sockets, real ones: a pseudo terminal and the loopback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.contract import SerialLine
from drivers.transport.pty import PtyTransport
from drivers.transport.serial import SerialTransport
from drivers.transport.tcp import TcpTransport
from edge_agent.model.errors import LinkLost
from tests.drivers.transport.kit import read_exactly

LINE = SerialLine(9600, "odd")


@asynccontextmanager
async def serial_pair() -> AsyncIterator[tuple[SerialTransport, PtyTransport]]:
    pty = PtyTransport()
    serial = SerialTransport(pty.device, LINE)
    await pty.open()
    await serial.open()
    try:
        yield serial, pty
    finally:
        await serial.close()
        await pty.close()


def test_bits_on_the_wire() -> None:
    assert SerialLine(9600, "odd").bits_per_byte == 11
    assert SerialLine(9600, "none").bits_per_byte == 10
    assert SerialLine(9600, "even", stop_bits=2).bits_per_byte == 12


async def test_every_byte_passes_a_serial_port_unchanged() -> None:
    every = bytes(range(256))
    async with serial_pair() as (serial, pty):
        await serial.write(every)
        assert await read_exactly(pty, 256) == every
        await pty.write(every)
        assert await read_exactly(serial, 256) == every


async def test_more_than_a_device_holds() -> None:
    much = os.urandom(200_000)
    async with serial_pair() as (serial, pty):
        writing = asyncio.create_task(serial.write(much))
        assert await read_exactly(pty, len(much)) == much
        await writing
        writing = asyncio.create_task(pty.write(much))
        assert await read_exactly(serial, len(much)) == much
        await writing


async def test_a_port_is_held_by_one_process() -> None:
    async with serial_pair() as (serial, pty):
        with pytest.raises(LinkLost):
            await SerialTransport(pty.device, LINE).open()
        await serial.close()
        second = SerialTransport(pty.device, LINE)
        await second.open()
        await second.close()


async def test_a_pulled_adapter_is_a_lost_link() -> None:
    async with serial_pair() as (serial, pty):
        reading = asyncio.create_task(serial.read())
        await asyncio.sleep(0)
        await pty.close()
        with pytest.raises(LinkLost):
            await reading
        with pytest.raises(LinkLost):
            await serial.write(b"x")
        with pytest.raises(LinkLost):
            await pty.open()


async def test_a_device_that_is_not_there() -> None:
    with pytest.raises(LinkLost, match="no-such-device"):
        await SerialTransport("/dev/no-such-device", LINE).open()


async def test_nothing_works_before_opening_and_closing_twice_is_harmless() -> None:
    serial, tcp = SerialTransport("/dev/null", LINE), TcpTransport("127.0.0.1", 1)
    for transport in (serial, tcp):
        with pytest.raises(LinkLost):
            await transport.read()
        with pytest.raises(LinkLost):
            await transport.write(b"x")
        await transport.close()
        await transport.close()


@asynccontextmanager
async def tcp_pair() -> AsyncIterator[
    tuple[TcpTransport, asyncio.StreamReader, asyncio.StreamWriter]
]:
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put_nowait((reader, writer)), "127.0.0.1", 0
    )
    tcp = TcpTransport(*server.sockets[0].getsockname())
    await tcp.open()
    reader, writer = await accepted.get()
    try:
        yield tcp, reader, writer
    finally:
        await tcp.close()
        writer.close()
        server.close()
        await server.wait_closed()


async def test_bytes_cross_a_socket() -> None:
    async with tcp_pair() as (tcp, reader, writer):
        await tcp.write(b"question")
        assert await reader.readexactly(8) == b"question"
        writer.write(b"answer")
        assert await read_exactly(tcp, 6) == b"answer"


async def test_a_socket_closed_over_there_is_a_lost_link() -> None:
    async with tcp_pair() as (tcp, _, writer):
        writer.close()
        with pytest.raises(LinkLost, match="closed by the other side"):
            await tcp.read()


async def test_nobody_at_the_port() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(LinkLost, match=str(port)):
        await TcpTransport("127.0.0.1", port).open()
