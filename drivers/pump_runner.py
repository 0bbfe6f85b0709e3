"""Joins simulated pumps to a transport: the far end of a bus in tests and in the demo."""

from __future__ import annotations

import asyncio

from drivers.contract import PumpSide
from drivers.transport.link import READ_BYTES, link_lost
from edge_agent.ports import Clock, Transport


class PumpRunner:
    """Runs the pump's side of a bus on a transport until the transport is lost."""

    def __init__(self, side: PumpSide, transport: Transport, clock: Clock) -> None:
        self._side = side
        self._transport = transport
        self._clock = clock

    async def run(self) -> None:
        """Serve until cancelled. Raises `LinkLost`."""
        await self._transport.open()
        try:
            while True:
                data = await self._read_until_due()
                now_ms = self._clock.monotonic_ms()
                answers = self._side.on_bytes(now_ms, data) if data else []
                due_ms = self._side.next_deadline_ms()
                if due_ms is not None and due_ms <= now_ms:
                    answers += self._side.on_timer(now_ms)
                for answer in answers:
                    await self._transport.write(answer)
        finally:
            await self._transport.close()

    async def _read_until_due(self) -> bytes:
        due_ms = self._side.next_deadline_ms()
        if due_ms is None:
            return await self._transport.read()
        wait_ms = max(0, due_ms - self._clock.monotonic_ms())
        try:
            async with asyncio.timeout(wait_ms / 1000):
                return await self._transport.read()
        except TimeoutError:
            return b""


class PumpTransport:
    """A transport with the pumps inside: what the engine writes is answered at once.

    Takes the place of a pair of ends and a `PumpRunner` where a bus has no time to lose, in the
    station under virtual time.
    """

    def __init__(self, side: PumpSide, clock: Clock) -> None:
        self._side = side
        self._clock = clock
        self._answered = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False
        self._is_cut = False

    async def open(self) -> None:
        """Open. Raises `LinkLost` while the wire is cut."""
        if self._is_cut:
            raise link_lost("simulated line is cut")
        self._answered.clear()
        self._is_open = True

    async def read(self) -> bytes:
        """Return what the pumps answered. Raises `LinkLost`."""
        while not self._answered:
            if not self._is_open:
                raise link_lost("simulated line is closed")
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = bytes(self._answered[:READ_BYTES])
        del self._answered[:READ_BYTES]
        return data

    async def write(self, data: bytes) -> None:
        """Hand bytes to the pumps. Raises `LinkLost`."""
        if not self._is_open:
            raise link_lost("simulated line is closed")
        self._take(self._side.on_bytes(self._clock.monotonic_ms(), data))

    def exchange(self, data: bytes) -> bytes | None:
        """Hand bytes to the pumps and return what they answer at once. Raises `LinkLost`."""
        if self._answered:
            return None
        if not self._is_open:
            raise link_lost("simulated line is closed")
        answers = self._side.on_bytes(self._clock.monotonic_ms(), data)
        self._arm()
        return answers[0] if len(answers) == 1 else b"".join(answers)

    async def close(self) -> None:
        """Close; closing twice is harmless."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    def cut(self) -> None:
        """Cut the wire: reading, writing and opening raise `LinkLost` until `mend`."""
        self._is_cut = True
        self._is_open = False
        self._answered.clear()
        self._wake()

    def mend(self) -> None:
        """Join the wire again; it has to be opened anew."""
        self._is_cut = False

    def _take(self, answers: list[bytes]) -> None:
        if answers and self._is_open:
            for answer in answers:
                self._answered += answer
            self._wake()
        self._arm()

    def _arm(self) -> None:
        due_ms = self._side.next_deadline_ms()
        if due_ms is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            wait_ms = max(0, due_ms - self._clock.monotonic_ms())
            self._timer = loop.call_at(loop.time() + wait_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        due_ms = self._side.next_deadline_ms()
        now_ms = self._clock.monotonic_ms()
        self._take(self._side.on_timer(now_ms) if due_ms is not None and due_ms <= now_ms else [])

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
