"""A transport on a bad day: lost, garbled, halved, doubled and late bytes, all by given chances."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields

from drivers.transport.link import exchange_of
from edge_agent.ports import Transport

STRAY_BYTES_MAX = 6


@dataclass(slots=True)
class Faults:
    """What goes wrong, in both directions; may be changed while the transport is in use.

    Attributes:
        noise: chance that a byte arrives as another one.
        loss: chance that a write, or what one read brings, is lost.
        halves: chance that it is cut short.
        strays: chance that a few bytes of nothing come before it.
        delay_ms: longest time that what arrives is held up; each time another one.
        echo: what is written is read back, before anything else.
        one_byte_at_a_time: a read brings a single byte.
    """

    noise: float = 0.0
    loss: float = 0.0
    halves: float = 0.0
    strays: float = 0.0
    delay_ms: int = 0
    echo: bool = False
    one_byte_at_a_time: bool = False

    def clear(self) -> None:
        """Let everything work again."""
        for fault in fields(self):
            setattr(self, fault.name, fault.default)

    @property
    def is_none(self) -> bool:
        """Whether nothing goes wrong."""
        return not (
            self.noise
            or self.loss
            or self.halves
            or self.strays
            or self.delay_ms
            or self.echo
            or self.one_byte_at_a_time
        )


class FaultyTransport:
    """Wraps a transport; `chance` returns numbers in [0, 1) and is the only source of chance."""

    def __init__(self, inner: Transport, faults: Faults, chance: Callable[[], float]) -> None:
        self._inner = inner
        self._faults = faults
        self._chance = chance
        self._waiting: deque[bytes] = deque()
        self._reader: asyncio.Task[bytes] | None = None
        self._echoed: asyncio.Future[None] | None = None
        self._exchange = exchange_of(inner)

    async def open(self) -> None:
        """Open the inner transport. Raises `LinkLost`."""
        self._waiting.clear()
        await self._inner.open()

    async def read(self) -> bytes:
        """Return what got through. Raises `LinkLost`."""
        while not self._waiting:
            await self._receive()
        data = self._waiting.popleft()
        if self._faults.one_byte_at_a_time and len(data) > 1:
            self._waiting.appendleft(data[1:])
            data = data[:1]
        return data

    async def write(self, data: bytes) -> None:
        """Write what gets through. Raises `LinkLost`."""
        spoiled = self._spoil(data)
        if spoiled:
            if self._faults.echo:
                self._waiting.append(spoiled)
                if self._echoed is not None and not self._echoed.done():
                    self._echoed.set_result(None)
            await self._inner.write(spoiled)

    async def close(self) -> None:
        """Close the inner transport; closing twice is harmless."""
        await self._stop_reading()
        await self._inner.close()

    def exchange(self, data: bytes) -> bytes | None:
        """Pass on to an immediate inner transport while nothing goes wrong; else None."""
        if self._exchange is None or self._waiting or not self._faults.is_none:
            return None
        return self._exchange(data)

    async def _receive(self) -> None:
        """Wait for bytes from the other side, or for our own echo."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._inner.read())
        self._echoed = asyncio.get_running_loop().create_future()
        try:
            waited = (self._reader, self._echoed)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._stop_reading()
            raise
        if self._reader.done():
            reader, self._reader = self._reader, None
            arrived = self._spoil(reader.result())
            if self._faults.delay_ms:
                await asyncio.sleep(self._chance() * self._faults.delay_ms / 1000)
            if arrived:
                self._waiting.append(arrived)

    async def _stop_reading(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def _spoil(self, data: bytes) -> bytes:
        faults, chance = self._faults, self._chance
        if faults.is_none:
            return data
        if faults.loss and chance() < faults.loss:
            return b""
        if faults.halves and chance() < faults.halves:
            data = data[: int(chance() * len(data))]
        if faults.noise:
            data = bytes(int(chance() * 256) if chance() < faults.noise else byte for byte in data)
        if faults.strays and chance() < faults.strays:
            count = 1 + int(chance() * STRAY_BYTES_MAX)
            data = bytes(int(chance() * 256) for _ in range(count)) + data
        return data
