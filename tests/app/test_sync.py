"""Station and headquarters over a bad network, in virtual time: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.model import topics
from edge_agent.model.errors import Problem, StorageUnavailable
from edge_agent.model.ledger import GENESIS_HASH
from edge_agent.model.records import AlarmRecorded
from edge_agent.model.wire import MAX_MESSAGE_BYTES, Ack, decode, encode
from edge_agent.ports import Inbound
from edge_agent.sim.memory_broker import Faults, MemoryBroker
from edge_agent.sim.virtual_time import VirtualClock
from edge_agent.store.backup import backup_books, restore_books
from hq.message import Message
from tests.sync_kit import STATION, HqKit, SeededEntropy, StationKit, action, run_virtual


@dataclass
class Pair:
    """A station and a headquarters on one broker."""

    broker: MemoryBroker
    clock: VirtualClock
    hq: HqKit
    station: StationKit
    path: Path
    lives: int = 1

    async def restart_station(self) -> None:
        await self.station.stop()
        self.lives += 1
        self.station = StationKit(self.path, self.broker, self.clock, self.lives)

    def agree(self) -> None:
        """HQ holds exactly what the station's ledger holds."""
        books = self.station.books
        epoch = books.head().epoch
        own = [record.hash for record in books.records_after(0, books.head().seq)]
        assert self.hq.hashes(epoch) == own
        assert books.acked_seq() == len(own)


@asynccontextmanager
async def pair(path: Path, seed: int = 0) -> AsyncIterator[Pair]:
    clock = VirtualClock(asyncio.get_running_loop())
    broker = MemoryBroker(Random(seed))
    made = Pair(broker, clock, HqKit(broker, clock), StationKit(path, broker, clock), path)
    try:
        yield made
    finally:
        await made.station.stop()
        await made.hq.stop()


async def drained(station: StationKit, within_s: float = 3600) -> None:
    async with asyncio.timeout(within_s):
        await station.sync.drained()


def test_rows_reach_headquarters_and_only_its_own_word_counts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            both.hq.up = False
            await both.station.append(250)
            await asyncio.sleep(120)
            view = both.station.sync.view()
            assert (view.connected, view.waiting, view.acked_seq) == (True, 250, 0)
            both.hq.up = True
            await drained(both.station)
            both.agree()
            view = both.station.sync.view()
            assert (view.waiting, view.acked_seq, view.fork_alarm) == (0, 250, False)
            assert view.last_ack_ms is not None

    run_virtual(scenario())


def test_headquarters_that_is_down_is_not_flooded(tmp_path: Path) -> None:
    async def scenario() -> int:
        async with pair(tmp_path / "ledger.db") as both:
            both.hq.up = False
            await both.station.append(1000)
            before = both.broker.delivered
            await asyncio.sleep(24 * 3600)
            return both.broker.delivered - before

    # Only births, ever rarer: at most one a half minute once the waits have grown.
    assert run_virtual(scenario()) < 24 * 120 + 20


def test_a_day_offline_is_drained_without_loss_or_doubling(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            await both.station.append(10)
            await drained(both.station)
            both.broker.stop()
            for _ in range(24):
                await both.station.append(40)
                await asyncio.sleep(3600)
            view = both.station.sync.view()
            assert not view.connected
            assert view.waiting == 960
            assert both.clock.wall_ms() - view.since_ms >= 24 * 3_600_000
            both.broker.start()
            await drained(both.station)
            both.agree()
            assert both.hq.alarms() == []

    run_virtual(scenario())


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32),
    faults=st.builds(
        Faults,
        lost=st.sampled_from([0.0, 0.1, 0.4]),
        doubled=st.sampled_from([0.0, 0.3]),
        reordered=st.sampled_from([0.0, 0.3]),
        delay_ms=st.integers(1, 3000),
    ),
    steps=st.lists(
        st.sampled_from(["append", "restart", "hq", "broker", "line", "wait"]), max_size=12
    ),
)
def test_whatever_happens_on_the_way_both_sides_agree_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, seed: int, faults: Faults, steps: list[str]
) -> None:
    async def scenario() -> None:
        async with pair(tmp_path_factory.mktemp("case") / "ledger.db", seed) as both:
            both.broker.faults = faults
            await both.station.append(120)
            for step in steps:
                await _happen(step, both)
                await asyncio.sleep(2)
                held = len(both.hq.hashes(both.station.books.head().epoch))
                assert both.station.books.acked_seq() <= held
            both.broker.mend()
            both.hq.up = True
            await drained(both.station)
            both.agree()
            assert both.hq.alarms() == []
            assert not both.station.sync.view().fork_alarm

    run_virtual(scenario())


async def _happen(step: str, both: Pair) -> None:
    if step == "append":
        await both.station.append(30)
    elif step == "restart":
        await both.restart_station()
    elif step == "hq":
        both.hq.up = not both.hq.up
    elif step == "broker":
        both.broker.stop()
        await asyncio.sleep(5)
        both.broker.start()
    elif step == "line":
        both.broker.cut(both.station.uplink)
        await asyncio.sleep(5)
        both.broker.join(both.station.uplink)
    else:
        await asyncio.sleep(100)


def _forged(kit: StationKit, /, **changes: object) -> bytes:
    head = kit.books.head()
    fields = {
        "station": STATION,
        "epoch": head.epoch,
        "up_to_seq": head.seq,
        "head_hash": head.hash,
        "credit": 10,
    }
    return encode(Ack.model_validate(fields | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epoch": 12}, "other_epoch"),
        ({"up_to_seq": 2}, "beyond_sent"),
        ({"up_to_seq": 99}, "beyond_sent"),
        ({"station": "S-2"}, "wrong_station"),
        ({"v": 1, "credit": 0, "hello": "x" * 64, "up_to_seq": 1}, "beyond_sent"),
    ],
)
def test_an_untrue_ack_is_refused_recorded_and_parked(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            both.hq.up = False
            station = both.station
            await station.append(3)
            topic = topics.down(STATION, "ack")
            await both.hq.send([Message(topic, _forged(station, **changes))])
            await asyncio.sleep(1)
            assert station.books.acked_seq() == 0
            assert station.parking.parked == [(topic, reason)]
            assert station.books.records_after(3, 1)[0].kind == "downlink.refused"

    run_virtual(scenario())


def test_a_stale_ack_of_an_earlier_database_moves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "old.db") as both:
            await both.station.append(50)
            await drained(both.station)
            stale = _forged(both.station)
            await both.station.stop()
            both.path = tmp_path / "new.db"
            both.station = StationKit(both.path, both.broker, both.clock, life=9)
            both.hq.up = False
            await both.station.append(50)
            await both.hq.send([Message(topics.down(STATION, "ack"), stale)])
            await asyncio.sleep(1)
            assert both.station.books.acked_seq() == 0
            both.hq.up = True
            await drained(both.station)
            both.agree()
            assert both.hq.alarms() == ["epoch_changed"]

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (topics.down(STATION, "ack"), b"garbage", "malformed"),
        (topics.down(STATION, "ack"), b"\0" * (MAX_MESSAGE_BYTES + 1), "oversized"),
        (topics.down(STATION, "command"), b"", "unknown_topic"),
        (topics.down(STATION, "catalogue"), b"", "malformed"),
        (topics.SHARED_CATALOGUE, b"x", "malformed"),
    ],
)
def test_bad_bytes_from_above_are_refused_and_the_loop_goes_on(
    tmp_path: Path, topic: str, payload: bytes, reason: str
) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            await both.hq.send([Message(topic, payload)] * 3)
            await both.station.append(5)
            await drained(both.station)
            assert both.station.parking.parked == [(topic, reason)] * 3
            both.agree()

    run_virtual(scenario())


def test_a_flood_of_bad_messages_fills_neither_ledger_nor_parking(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            bad = Message(topics.down(STATION, "ack"), b"garbage")
            for _ in range(10):
                await both.hq.send([bad] * 50)
                await asyncio.sleep(1)
            assert both.station.downlink.refused == 500
            assert both.station.books.head().seq == len(both.station.parking.parked) == 30
            await asyncio.sleep(700)
            await both.hq.send([bad])
            await asyncio.sleep(1)
            assert both.station.books.head().seq == 31

    run_virtual(scenario())


def test_a_database_set_back_raises_the_alarm_on_both_sides(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "ledger.db"
        async with pair(path) as both:
            await both.station.append(20)
            await drained(both.station)
            await both.station.stop()
            old = path.read_bytes()
            both.station = StationKit(path, both.broker, both.clock, life=2)
            await both.station.append(20)
            await drained(both.station)
            await both.station.stop()
            path.write_bytes(old)
            both.station = StationKit(path, both.broker, both.clock, life=3)
            await asyncio.sleep(60)
            assert both.station.sync.view().fork_alarm
            assert "fork_reported" in both.hq.alarms()
            kinds = [record.kind for record in both.station.books.records_after(20, 10)]
            assert kinds == ["alarm.raised"]
            assert len(both.hq.hashes(both.station.books.head().epoch)) == 40

    run_virtual(scenario())


def test_two_machines_with_one_identity_are_found_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "ledger.db"
        async with pair(path) as both:
            await both.station.append(5)
            await drained(both.station)
            await both.station.stop()
            cloned = path.read_bytes()
            both.station = StationKit(path, both.broker, both.clock, life=2)
            await both.station.books.append([action(1000)])
            await drained(both.station)
            await both.station.stop()
            path.write_bytes(cloned)
            both.station = StationKit(path, both.broker, both.clock, life=3)
            both.broker.cut(both.station.uplink)
            for number in range(2000, 2005):
                await both.station.books.append([action(number)])
            both.broker.join(both.station.uplink)
            await asyncio.sleep(120)
            assert both.station.sync.view().fork_alarm
            assert both.station.books.acked_seq() == 5
            assert len(both.hq.hashes(both.station.books.head().epoch)) == 6

    run_virtual(scenario())


@pytest.mark.parametrize("sold_after_backup", [0, 7])
def test_what_a_restored_backup_held_unsent_arrives_under_its_own_epoch(
    tmp_path: Path, sold_after_backup: int
) -> None:
    async def scenario() -> None:
        path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
        async with pair(path) as both:
            await both.station.append(10)
            await drained(both.station)
            both.broker.cut(both.station.uplink)
            await both.station.append(250)
            old = both.station.books.head()
            backup_books(path, backup)
            if sold_after_backup:
                await both.station.append(sold_after_backup)
                both.broker.join(both.station.uplink)
                await drained(both.station)
            await both.station.stop()
            restored = tmp_path / "restored.db"
            restore_books(backup, restored, clock=both.clock, entropy=SeededEntropy(3))
            both.path = restored
            both.station = StationKit(restored, both.broker, both.clock, life=2)
            await both.station.append(5)
            assert both.station.sync.view().waiting == 256
            await drained(both.station)
            assert len(both.hq.hashes(old.epoch)) == 260 + sold_after_backup
            assert both.hq.hashes(old.epoch)[259] == old.hash
            both.agree()
            assert both.station.books.head().seq == 6
            assert not both.station.sync.view().fork_alarm
            assert "ledger_fork" not in both.hq.alarms()

    run_virtual(scenario())


def test_an_epoch_whose_last_ack_came_late_does_not_hold_up_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by `scripts/fuzz leases`: the ack of the last row came while a birth was waiting for
    its answer, and the present epoch was never taken up."""

    async def scenario() -> None:
        path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
        async with pair(path) as both:
            both.hq.up = False
            await both.station.append(20)
            backup_books(path, backup)
            await both.station.stop()
            restored = tmp_path / "restored.db"
            restore_books(backup, restored, clock=both.clock, entropy=SeededEntropy(3))
            both.path = restored
            late: list[Message] = []
            send = both.hq.send

            async def slowly(messages: list[Message]) -> None:
                for message in messages:
                    is_ack = message.topic == topics.down(STATION, "ack")
                    if is_ack and not decode(Ack, message.payload).hello and len(late) < 5:
                        late.append(message)
                        continue
                    await send([*late, message] if is_ack and late else [message])

            monkeypatch.setattr(both.hq, "send", slowly)
            both.hq.up = True
            both.station = StationKit(restored, both.broker, both.clock, life=2)
            await drained(both.station)
            assert late
            both.agree()

    run_virtual(scenario())


def test_an_ack_that_the_disk_would_not_take_is_noted_once_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            books = both.station.books
            good = books.move_acked
            full = Problem("storage_full", "磁盘已满", "the disk is full")

            async def bad(epoch: int, up_to_seq: int) -> None:
                raise StorageUnavailable(full)

            monkeypatch.setattr(books, "move_acked", bad)
            await both.station.append(5)
            before = both.broker.delivered
            await asyncio.sleep(3600)
            assert both.broker.delivered - before < 100, "a broken disk is no reason to shout"
            assert (len(both.hq.hashes(books.head().epoch)), books.acked_seq()) == (5, 0)
            monkeypatch.setattr(books, "move_acked", good)
            await drained(both.station)
            both.agree()

    run_virtual(scenario())


def test_listeners_hear_of_link_and_acks_and_drained_returns_at_once_when_empty(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            heard: list[tuple[bool, int]] = []

            def listen() -> None:
                view = both.station.sync.view()
                heard.append((view.connected, view.acked_seq))

            both.station.sync.subscribe(listen)
            await drained(both.station, within_s=1)
            await both.station.append(4)
            await drained(both.station)
            both.broker.stop()
            await asyncio.sleep(1)
            assert (True, 4) in heard
            assert heard[-1] == (False, 4)

    run_virtual(scenario())


def test_large_rows_are_cut_into_batches_that_the_wire_takes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            chance = Random(1)
            for _ in range(20):
                detail = "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(30_000))
                await both.station.books.append([AlarmRecorded(code="c", fp=None, detail=detail)])
            await drained(both.station)
            both.agree()
            assert both.hq.parked() == []

    run_virtual(scenario())


def test_the_first_ack_carries_the_hash_of_the_last_row(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pair(tmp_path / "ledger.db") as both:
            heard = both.broker.client("listener", [topics.down(STATION, "ack")])
            await both.station.append(3)
            await drained(both.station)
            acks = []
            stream = heard.messages()
            async for item in stream:
                if isinstance(item, Inbound):
                    acks.append(decode(Ack, item.payload))
                    if acks[-1].up_to_seq == 3:
                        break
            assert acks[0].hello
            assert acks[0].head_hash == GENESIS_HASH or acks[0].up_to_seq > 0
            assert acks[-1].head_hash == both.station.books.head().hash

    run_virtual(scenario())
