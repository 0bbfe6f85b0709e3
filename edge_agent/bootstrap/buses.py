"""Buses for the tools: whether drivers take their options, frames by name, listening on a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from drivers import registry
from drivers.contract import DecodedFrame, SerialLine
from drivers.transport.capture import CaptureEntry, parse_capture
from drivers.transport.serial import SerialTransport
from drivers.transport.tcp import TcpTransport
from edge_agent.config.paths import StationPaths
from edge_agent.config.station import SerialSection, TcpSection
from edge_agent.model.canonical import Json
from edge_agent.model.errors import ConfigRefused
from edge_agent.model.ids import BusId
from edge_agent.model.station import BusPlan, StationPlan
from edge_agent.ports import Transport

GAP_MS: Final = 20
"""Silence that ends what is decoded together: more than a byte, less than a poll's pause."""
PIECE_BYTES: Final = 4096
"""So much is decoded together at most, however long a line is never silent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes from a line, and when the first of them came, in milliseconds since the start."""

    at_ms: int
    data: bytes


def refused_buses(plan: StationPlan) -> list[str]:
    """Return what drivers refuse of their buses' options, a line each; empty when all is well."""
    refused = []
    for bus in plan.buses:
        try:
            registry.load(bus.driver).build_engine(bus)
        except ConfigRefused as error:
            refused.append(f"bus '{bus.bus}': {error.problem.text_en}: {error.detail}")
    return refused


def decode_frames(protocol: str, data: bytes) -> list[dict[str, Json]]:
    """Decode bytes of a bus, either direction, a JSON object a frame: `ok`, `raw`, `fields`,
    `error`.

    `protocol` is a driver's word, with a variant behind a hyphen: dart, modbus-rtu, modbus-tcp.

    Raises:
        ConfigRefused: there is no such driver or variant.
    """
    return [_as_json(frame) for frame in registry.decode_frames(protocol, data)]


def open_bus(section: SerialSection | TcpSection, bus: BusPlan, paths: StationPaths) -> Transport:
    """Return the transport of a configured bus, not opened yet.

    Raises:
        ConfigRefused: the driver is unknown or refuses its options.
    """
    if isinstance(section, TcpSection):
        return TcpTransport(section.host, section.port)
    line = registry.load(bus.driver).serial_line(bus)
    return SerialTransport(str(paths.beside_config(section.port)), line)


def open_device(target: str, protocol: str, baud: int | None) -> Transport:
    """Return a transport for a device that no configuration names: a path, or HOST:PORT.

    Raises:
        ConfigRefused: the protocol is unknown.
    """
    host, colon, port = target.rpartition(":")
    if colon and port.isdecimal() and not Path(target).exists():
        return TcpTransport(host, int(port))
    word = protocol.partition("-")[0]
    line: SerialLine = registry.load(word).serial_line(BusPlan(BusId(target), word, ()))
    return SerialTransport(target, line if baud is None else replace(line, baud=baud))


async def listen(transport: Transport, seconds: float | None) -> AsyncGenerator[Heard, None]:
    """Open a transport and yield what comes, cut where the line is silent; never writes.

    Args:
        transport: a line that nobody else holds; a device of the running agent is locked.
        seconds: when to stop; None for never.

    Raises:
        LinkLost: the device cannot be opened, or is gone.
    """
    loop = asyncio.get_running_loop()
    await transport.open()
    began = loop.time()
    until = None if seconds is None else began + seconds
    try:
        async with aclosing(_reads(transport, until)) as reads:
            piece, at_ms = b"", 0
            async for data in reads:
                if data is not None:
                    at_ms = at_ms if piece else round((loop.time() - began) * 1000)
                    piece += data
                if piece and (data is None or len(piece) >= PIECE_BYTES):
                    yield Heard(at_ms, piece)
                    piece = b""
            if piece:
                yield Heard(at_ms, piece)
    finally:
        await transport.close()


async def _reads(transport: Transport, until: float | None) -> AsyncGenerator[bytes | None, None]:
    """Yield what is read, and None for each silence, until the time is over."""
    loop = asyncio.get_running_loop()
    reading: asyncio.Task[bytes] | None = None
    try:
        while until is None or loop.time() < until:
            reading = reading or asyncio.create_task(transport.read())
            await asyncio.wait({reading}, timeout=GAP_MS / 1000)
            if reading.done():
                data, reading = reading.result(), None
                yield data
            else:
                yield None
    finally:
        if reading is not None:
            reading.cancel()


def capture_line(heard: Heard) -> str:
    """Return what was heard as a line of a capture, as the agent's own buses write them."""
    return CaptureEntry(heard.at_ms, "in", heard.data).to_line()


def read_capture(lines: Iterable[str]) -> list[Heard]:
    """Read a capture, both directions in one order.

    Raises:
        MessageRefused: a line is no entry; `detail` names it by number.
    """
    return [Heard(entry.t_ms, entry.data) for entry in parse_capture(lines)]


def joined(pieces: Iterable[Heard]) -> Iterator[Heard]:
    """Join the pieces of a recording that follow each other without a silence between them."""
    held: Heard | None = None
    last_ms = 0
    for piece in pieces:
        if held is not None and piece.at_ms - last_ms <= GAP_MS:
            held = Heard(held.at_ms, held.data + piece.data)
        else:
            if held is not None:
                yield held
            held = piece
        last_ms = piece.at_ms
    if held is not None:
        yield held


def _as_json(frame: DecodedFrame) -> dict[str, Json]:
    shown: dict[str, Json] = {"ok": frame.ok, "raw": frame.raw.hex()}
    if frame.fields:
        shown["fields"] = dict(frame.fields)
    if frame.error:
        shown["error"] = frame.error
    return shown
