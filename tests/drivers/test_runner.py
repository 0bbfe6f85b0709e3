"""The runner: order, time, loss, return; and that no failure passes in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

import pytest

from drivers.pump_runner import PumpTransport
from drivers.runner import BACK_OFF_CAP_MS, WRITES_WAITING_MAX, BusRunner
from drivers.transport.link import link_lost
from drivers.transport.memory import memory_pair
from edge_agent.model.dispenser import AlarmRaised, Clear, DispenserCommand, DispenserEvent
from edge_agent.model.ids import BusId, FpId
from edge_agent.ports import Emit, Engine, Fault, Output, Send, Transport
from edge_agent.sim.virtual_time import VirtualClock, VirtualTimeLoop

FP = FpId(1)


def event(code: str) -> Emit:
    return Emit(AlarmRaised(FP, code))


class ScriptedEngine:
    """Does what it is told and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.deadline_ms: int | None = None
        self.on: dict[str, Callable[[], list[Output]]] = {}

    def _answer(self, now_ms: int, asked: str) -> list[Output]:
        self.asked.append((now_ms, asked))
        return self.on.get(asked, list)()

    def on_connected(self, now_ms: int) -> list[Output]:
        return self._answer(now_ms, "connected")

    def on_disconnected(self, now_ms: int) -> list[Output]:
        return self._answer(now_ms, "disconnected")

    def on_bytes(self, now_ms: int, data: bytes) -> list[Output]:
        return self._answer(now_ms, data.decode())

    def on_timer(self, now_ms: int) -> list[Output]:
        self.deadline_ms = None
        return self._answer(now_ms, "timer")

    def submit(self, now_ms: int, command: DispenserCommand) -> list[Output]:
        return self._answer(now_ms, type(command).__name__)

    def next_deadline_ms(self) -> int | None:
        return self.deadline_ms


class Halfway:
    """An `Entropy` without surprises."""

    def token(self, bytes_count: int) -> bytes:
        return bytes(bytes_count)

    def uniform(self) -> float:
        return 0.5


class EchoSide:
    """Pumps that answer every write with its capitals, now or a second later."""

    def __init__(self) -> None:
        self.late: list[tuple[int, bytes]] = []
        self.is_late = False

    def on_bytes(self, now_ms: int, data: bytes) -> list[bytes]:
        if self.is_late:
            self.late.append((now_ms + 1_000, data.upper()))
            return []
        return [data.upper()]

    def on_timer(self, now_ms: int) -> list[bytes]:
        due = [data for due_ms, data in self.late if due_ms <= now_ms]
        self.late = [each for each in self.late if each[0] > now_ms]
        return due

    def next_deadline_ms(self) -> int | None:
        return min((due_ms for due_ms, _ in self.late), default=None)


class Stage:
    """A runner over an engine, with what came out of it."""

    def __init__(self, engine: Engine, transport: Transport) -> None:
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.events: list[DispenserEvent] = []
        self.faults: list[tuple[str, bytes]] = []
        self.runner = BusRunner(
            BusId("south"),
            engine,
            transport,
            self.clock,
            self.events.append,
            lambda _, reason, data: self.faults.append((reason, data)),
            entropy=Halfway(),
        )
        self.task = asyncio.create_task(self.runner.run())

    def connected(self) -> bool:
        return self.runner.is_connected

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


def run_virtual(main: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main)


def test_outputs_keep_their_order_even_when_a_listener_submits() -> None:
    async def main() -> None:
        engine = ScriptedEngine()
        near, far = memory_pair()
        await far.open()
        engine.on["connected"] = lambda: [event("lifted"), Send(b"ack "), event("after")]
        engine.on["Clear"] = lambda: [Send(b"command "), event("done")]
        stage = Stage(engine, near)
        heard: list[str] = []

        def listen(heard_event: DispenserEvent) -> None:
            assert isinstance(heard_event, AlarmRaised)
            heard.append(heard_event.code)
            if heard_event.code == "lifted":
                stage.runner.submit(Clear(FP))
                heard.append("lifted is dealt with")

        stage.runner._emit = listen
        await asyncio.sleep(0.1)
        assert heard == ["lifted", "lifted is dealt with", "after", "done"]
        assert await far.read() == b"ack command "
        await stage.stop()

    run_virtual(main())


def test_timers_fire_when_due_and_move() -> None:
    async def main() -> None:
        engine = ScriptedEngine()
        near, far = memory_pair()
        await far.open()

        def later(deadline_ms: int) -> list[Output]:
            engine.deadline_ms = deadline_ms
            return []

        engine.on["connected"] = lambda: later(1_000)
        engine.on["sooner"] = lambda: later(300)
        engine.on["later"] = lambda: later(2_000)
        stage = Stage(engine, near)
        await asyncio.sleep(0.1)
        await far.write(b"sooner")
        await asyncio.sleep(0.4)
        engine.on["sooner"] = lambda: later(600)
        await far.write(b"sooner")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await far.write(b"later")
        await asyncio.sleep(5)
        assert [now_ms for now_ms, asked in engine.asked if asked == "timer"] == [300, 2_000]
        await stage.stop()

    run_virtual(main())


def test_a_lost_link_is_reported_and_reopened_with_growing_pauses() -> None:
    async def main() -> None:
        engine = ScriptedEngine()
        near, far = memory_pair()
        stage = Stage(engine, near)
        await asyncio.sleep(0.1)
        assert stage.connected()
        near.cut()
        await asyncio.sleep(60)
        assert not stage.connected()
        assert stage.clock.monotonic_ms() - stage.runner.ticked_ms <= BACK_OFF_CAP_MS
        lost = stage.runner.counters.faults["link_lost"]
        assert 60_000 / BACK_OFF_CAP_MS < lost < 2 * 60_000 / BACK_OFF_CAP_MS
        near.mend()
        await asyncio.sleep(BACK_OFF_CAP_MS / 1000)
        assert [asked for _, asked in engine.asked] == ["connected", "disconnected", "connected"]
        assert stage.runner.counters.connections == 2
        assert far is not near
        await stage.stop()

    run_virtual(main())


def test_an_engine_that_raises_ends_the_run(subtests: pytest.Subtests) -> None:
    async def main(where: str) -> None:
        engine = ScriptedEngine()
        near, far = memory_pair()
        await far.open()

        def fail() -> list[Output]:
            raise ZeroDivisionError(where)

        def soon() -> list[Output]:
            engine.deadline_ms = 10
            return []

        engine.on["connected"] = soon
        engine.on[where] = fail
        stage = Stage(engine, near)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await asyncio.sleep(0.001)
        await far.write(b"bytes")
        await asyncio.sleep(1)
        with pytest.raises(ZeroDivisionError, match=where):
            await stage.task

    for where in ("bytes", "timer", "connected"):
        with subtests.test(where):
            run_virtual(main(where))


def test_faults_are_counted_by_reason() -> None:
    async def main() -> None:
        engine = ScriptedEngine()
        near, far = memory_pair()
        await far.open()
        engine.on["x"] = lambda: [Fault("crc", b"x")]
        stage = Stage(engine, near)
        await asyncio.sleep(0.01)
        for _ in range(3):
            await far.write(b"x")
            await asyncio.sleep(0.01)
        assert stage.runner.counters.faults == {"crc": 3}
        assert stage.faults == [("crc", b"x")] * 3
        assert stage.runner.counters.bytes_received == 3
        await stage.stop()

    run_virtual(main())


class StuckTransport:
    """Takes no bytes, and says nothing."""

    def __init__(self) -> None:
        self.opened = 0

    async def open(self) -> None:
        self.opened += 1

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        raise link_lost("never")

    async def write(self, data: bytes) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        return


def test_a_device_that_takes_no_bytes_is_reopened() -> None:
    async def main() -> None:
        engine = ScriptedEngine()
        engine.on["Clear"] = lambda: [Send(b"x")]
        stuck = StuckTransport()
        stage = Stage(engine, stuck)
        await asyncio.sleep(0.01)
        for _ in range(WRITES_WAITING_MAX + 2):
            stage.runner.submit(Clear(FP))
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        assert stuck.opened == 2
        assert stage.runner.counters.faults["link_lost"] == 1
        await stage.stop()

    run_virtual(main())


def test_what_is_sent_while_disconnected_is_dropped() -> None:
    async def main() -> None:
        engine = ScriptedEngine()
        engine.on["Clear"] = lambda: [Send(b"stale"), event("failed")]
        near, far = memory_pair()
        near.cut()
        stage = Stage(engine, near)
        await asyncio.sleep(0.01)
        stage.runner.submit(Clear(FP))
        assert stage.events == [AlarmRaised(FP, "failed")]
        near.mend()
        await far.open()
        await asyncio.sleep(5)
        assert stage.connected()
        assert stage.runner.counters.bytes_sent == 0
        await stage.stop()

    run_virtual(main())


def test_pumps_in_the_transport_answer_within_the_call_or_later() -> None:
    async def main() -> None:
        engine, side = ScriptedEngine(), EchoSide()
        engine.on["Clear"] = lambda: [Send(b"now")]
        clock = VirtualClock(asyncio.get_running_loop())
        line = PumpTransport(side, clock)
        stage = Stage(engine, line)
        await asyncio.sleep(0.5)
        stage.runner.submit(Clear(FP))
        assert engine.asked[-1] == (500, "NOW")
        side.is_late = True
        engine.on["Clear"] = lambda: [Send(b"late")]
        stage.runner.submit(Clear(FP))
        await asyncio.sleep(3)
        assert engine.asked[-1] == (1_500, "LATE")
        assert stage.runner.counters.writes == 2
        line.cut()
        await asyncio.sleep(1)
        assert not stage.connected()
        line.mend()
        await asyncio.sleep(5)
        assert stage.connected()
        await stage.stop()

    run_virtual(main())


def test_a_line_cut_within_the_call_is_a_lost_link_and_no_error_of_the_caller() -> None:
    async def main() -> None:
        engine, side = ScriptedEngine(), EchoSide()
        engine.on["Clear"] = lambda: [Send(b"now")]
        line = PumpTransport(side, VirtualClock(asyncio.get_running_loop()))
        stage = Stage(engine, line)
        await asyncio.sleep(0.5)
        line.cut()
        stage.runner.submit(Clear(FP))
        await asyncio.sleep(0.1)
        assert stage.runner.counters.faults["link_lost"] >= 1
        assert engine.asked[-1][1] == "disconnected"
        await stage.stop()

    run_virtual(main())
