"""Joins an engine to a transport: the one place where the protocols meet asyncio.

The same runner serves a serial port, a TCP connection and a wire in memory under virtual time. It
never interprets a byte.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from drivers.transport.link import exchange_of, link_lost
from edge_agent.model.dispenser import DispenserCommand, DispenserEvent
from edge_agent.model.durations import Durations
from edge_agent.model.errors import LinkLost
from edge_agent.model.ids import BusId
from edge_agent.ports import Clock, Emit, Engine, Entropy, Output, Send, Transport

BACK_OFF_FIRST_MS: Final = 100
BACK_OFF_CAP_MS: Final = 2_000
STEPS_AT_ONCE_MAX: Final = 256
"""So often does an engine act without the event loop in between, where a clock can skip."""
WRITES_WAITING_MAX: Final = 64
"""A device that takes no bytes while the engine sends this often is treated as lost."""


@runtime_checkable
class SkippingClock(Protocol):
    """A virtual clock that can pass over time in which nothing else happens."""

    def skip_to(self, monotonic_ms: int) -> bool:
        """Move on to a time, unless anything else is ready or due before it."""


@dataclass(slots=True)
class BusCounters:
    """What happened on a bus since the runner was made."""

    connections: int = 0
    writes: int = 0
    bytes_sent: int = 0
    reads: int = 0
    bytes_received: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    exchanges: Durations = field(default_factory=Durations)
    """From a write to the first bytes that came back."""

    @property
    def was_tried(self) -> bool:
        """Whether something was sent, or the device could not be opened."""
        return self.writes > 0 or bool(self.faults)


class BusRunner:
    """Runs one engine on one transport for ever, reopening the transport whenever it is lost.

    Args:
        bus: the name under which faults are reported.
        engine: the protocol; called only from the event loop, never re-entered.
        transport: opened, and reopened with growing pauses, by `run`.
        clock: its monotonic time is the engine's time.
        emit: takes each event, in the order of the wire; may call `submit`.
        on_fault: takes each fault with its reason and the bytes at fault.
        entropy: jitter for the pauses, so that many buses do not come back in step.
    """

    def __init__(
        self,
        bus: BusId,
        engine: Engine,
        transport: Transport,
        clock: Clock,
        emit: Callable[[DispenserEvent], None],
        on_fault: Callable[[BusId, str, bytes], None],
        *,
        entropy: Entropy,
    ) -> None:
        self.bus = bus
        self.counters = BusCounters()
        self._engine = engine
        self._transport = transport
        self._clock = clock
        self._emit = emit
        self._on_fault = on_fault
        self._entropy = entropy
        self._skip_to = clock.skip_to if isinstance(clock, SkippingClock) else None
        self._ticked_ms = clock.monotonic_ms()
        self._is_connected = False
        self._outputs: deque[Output] = deque()
        self._is_applying = False
        self._writes: deque[bytes] = deque()
        self._is_writing = False
        self._write_waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ms = 0
        self._alarm: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._exchange = exchange_of(transport)
        self._answers: deque[bytes] = deque()
        self._asked_ms: int | None = None

    @property
    def ticked_ms(self) -> int:
        """Monotonic time at which this bus last did something; the watchdog's sign of life."""
        return self._ticked_ms

    @property
    def is_connected(self) -> bool:
        """Whether the transport is open."""
        return self._is_connected

    def submit(self, command: DispenserCommand) -> None:
        """Hand a command to the engine, on the event loop; the answer comes as an event."""
        self._apply(self._engine.submit(self._clock.monotonic_ms(), command))

    async def run(self) -> None:
        """Serve the bus until cancelled. An engine that raises ends this with its exception."""
        attempt = 0
        while True:
            received = self.counters.reads
            try:
                await self._transport.open()
                await self._serve()
            except LinkLost as lost:
                self._count_fault("link_lost", str(lost.detail).encode())
            finally:
                self._disarm()
                await self._transport.close()
            if self._is_connected:
                self._is_connected = False
                self._writes.clear()
                self._apply(self._engine.on_disconnected(self._tick()))
            self._tick()
            attempt = 0 if self.counters.reads > received else attempt + 1
            await asyncio.sleep(self._pause_ms(attempt) / 1000)

    async def _serve(self) -> None:
        """Read, write and keep time until the link is lost or something raises."""
        self.counters.connections += 1
        self._asked_ms = None
        self._writes.clear()
        self._answers.clear()
        self._is_writing = False
        self._is_connected, self._failure = True, None
        self._apply(self._engine.on_connected(self._tick()))
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        for task in tasks:
            task.add_done_callback(self._wake)
        try:
            await self._watch(tasks)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [error for error in ended if isinstance(error, Exception)]
        for failure in sorted(failures, key=lambda error: isinstance(error, LinkLost)):
            raise failure  # an engine's own error before the loss that came with it

    async def _watch(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait until a task ends, the link is lost, or the engine fails in its own time."""
        loop = asyncio.get_running_loop()
        while not any(task.done() for task in tasks):
            if self._failure is not None:
                raise self._failure
            self._alarm = loop.create_future()
            await self._alarm

    async def _read(self) -> None:
        while True:
            data = await self._transport.read()
            self._apply(self._received(data))

    def _received(self, data: bytes) -> list[Output]:
        self.counters.reads += 1
        self.counters.bytes_received += len(data)
        now_ms = self._tick()
        if self._asked_ms is not None:
            self.counters.exchanges.add(now_ms - self._asked_ms)
            self._asked_ms = None
        return self._engine.on_bytes(now_ms, data)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._writes:
                data = self._writes.popleft()
                self._tick()
                self._count_write(data)
                self._is_writing = True
                await self._transport.write(data)
                self._is_writing = False
            self._write_waiter = loop.create_future()
            await self._write_waiter

    def _apply(self, outputs: Iterable[Output]) -> None:
        self._outputs.extend(outputs)
        if self._is_applying:  # a listener submitted a command: its outputs wait their turn
            return
        self._is_applying = True
        try:
            while self._outputs or self._answers:
                if not self._outputs:
                    self._outputs.extend(self._received(self._answers.popleft()))
                    continue
                output = self._outputs.popleft()
                if isinstance(output, Send):
                    self._transmit(output.data)
                elif isinstance(output, Emit):
                    self._emit(output.event)
                else:
                    self._count_fault(output.reason, output.data)
        finally:
            self._is_applying = False
        self._arm()

    def _transmit(self, data: bytes) -> None:
        if not self._is_connected or self._is_exchanged(data):
            return
        if len(self._writes) >= WRITES_WAITING_MAX:
            self._fail(link_lost(f"bus {self.bus}: the device takes no bytes"))
            return
        self._writes.append(data)
        if self._write_waiter is not None and not self._write_waiter.done():
            self._write_waiter.set_result(None)

    def _is_exchanged(self, data: bytes) -> bool:
        """Write at once and queue the answer, where the transport can do that."""
        if self._exchange is None or self._is_writing or self._writes:
            return False
        try:
            answer = self._exchange(data)
        except LinkLost as lost:
            self._fail(lost)
            return True
        if answer is None:
            return False
        self._count_write(data)
        if answer:
            self._answers.append(answer)
        return True

    def _count_write(self, data: bytes) -> None:
        self.counters.writes += 1
        self.counters.bytes_sent += len(data)
        self._asked_ms = self._ticked_ms

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._wake()

    def _arm(self) -> None:
        if self._is_connected:
            due_ms = self._engine.next_deadline_ms()
            if due_ms is not None:
                self._arm_for(due_ms)

    def _arm_for(self, due_ms: int) -> None:
        if self._timer is not None:
            if self._timer_due_ms <= due_ms:
                return  # it fires early, finds nothing due and arms itself again
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        wait_ms = max(0, due_ms - self._clock.monotonic_ms())
        self._timer = loop.call_at(loop.time() + wait_ms / 1000, self._on_timer)
        self._timer_due_ms = due_ms

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        """Let the engine do what is due, without a detour through a task."""
        self._timer = None
        try:
            self._keep_time()
        finally:
            failure = sys.exc_info()[1]
            if failure is not None:  # `run` raises it again, for the supervisor
                self._fail(failure)

    def _keep_time(self) -> None:
        now_ms = self._tick()
        for _ in range(STEPS_AT_ONCE_MAX):
            due_ms = self._engine.next_deadline_ms()
            if due_ms is None or not self._is_connected:
                return
            if due_ms > now_ms:
                if self._skip_to is None or not self._skip_to(due_ms):
                    self._arm_for(due_ms)
                    return
                now_ms = self._tick()
            self._step(now_ms)
        self._arm()

    def _step(self, now_ms: int) -> None:
        """Let the engine act; a poll that brings nothing new costs no more than its two calls."""
        outputs = self._engine.on_timer(now_ms)
        only = outputs[0] if len(outputs) == 1 else None
        if isinstance(only, Send) and not self._outputs and self._is_exchanged(only.data):
            outputs = self._received(self._answers.popleft()) if self._answers else []
        if outputs:
            self._apply(outputs)

    def _wake(self, _: object = None) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    def _tick(self) -> int:
        self._ticked_ms = self._clock.monotonic_ms()
        return self._ticked_ms

    def _pause_ms(self, attempt: int) -> float:
        longest: int = min(BACK_OFF_CAP_MS, BACK_OFF_FIRST_MS << min(attempt, 10))
        return longest * (0.5 + 0.5 * self._entropy.uniform())

    def _count_fault(self, reason: str, data: bytes) -> None:
        self.counters.faults[reason] += 1
        self._on_fault(self.bus, reason, data)
