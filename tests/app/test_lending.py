"""Leases at the station: asked for within two seconds, closed in time, revived by no clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from edge_agent.app.lending import ASK_S, KEEP_HEARD_MS, LOOK_S
from edge_agent.model import topics
from edge_agent.model.ledger import GENESIS_HASH
from edge_agent.model.records import LeaseClosed, LeasesTaken, LeaseTerms
from edge_agent.model.wire import Ack, LeaseReply, LeaseRequest, decode_request, encode
from edge_agent.ports import Inbound, LeaseAnswer
from edge_agent.sim.memory_broker import MemoryBroker
from edge_agent.sim.virtual_time import EPOCH_2026_MS, VirtualClock
from tests.sync_kit import STATION, StationKit, run_virtual

NOW = EPOCH_2026_MS
MINUTE_MS, DAY_MS = 60_000, 86_400_000
SILENT = LeaseAnswer(0, answered=False)


class Asked:
    """A station, and a client that plays headquarters."""

    def __init__(self, station: StationKit, clock: VirtualClock, broker: MemoryBroker) -> None:
        self.station, self.clock, self.broker = station, clock, broker
        self.client = broker.client("hq", [topics.up(STATION, "request")])
        self.requests: list[LeaseRequest] = []

    async def answer(self, reply: Callable[[LeaseRequest], LeaseReply | None]) -> None:
        async for item in self.client.messages():
            if isinstance(item, Inbound):
                request = decode_request(item.payload, STATION)
                if isinstance(request, LeaseRequest):
                    self.requests.append(request)
                    said = reply(request)
                    if said is not None:
                        await self.client.publish(topics.down(STATION, "reply"), encode(said))

    async def ask(self) -> LeaseAnswer:
        return await self.station.lending.ask("balance", "a-1", 20_000)

    def kinds(self) -> list[str]:
        return [record.kind for record in self.station.books.records_after(0, 1000)]


@asynccontextmanager
async def lending(folder: Path) -> AsyncIterator[Asked]:
    clock = VirtualClock(asyncio.get_running_loop())
    broker = MemoryBroker(Random(0))
    station = StationKit(folder / "ledger.db", broker, clock)
    at = Asked(station, clock, broker)
    await asyncio.sleep(1)
    try:
        yield at
    finally:
        await at.station.stop()


def taken(lease_id: str, expires_ms: int) -> LeasesTaken:
    terms = LeaseTerms(
        lease_id=lease_id, asset="balance", holder="a-1", amount=500, expires_ms=expires_ms
    )
    return LeasesTaken(leases=[terms])


def granted(request: LeaseRequest) -> LeaseReply:
    return LeaseReply(station=STATION, request_id=request.request_id, granted=request.amount)


def test_row_v19_headquarters_is_asked_and_its_answer_waited_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            hq = asyncio.create_task(at.answer(granted))
            assert await at.ask() == LeaseAnswer(20_000, answered=True)
            (request,) = at.requests
            assert (request.asset, request.holder, request.amount) == ("balance", "a-1", 20_000)
            assert request.epoch == at.station.books.head().epoch
            hq.cancel()

    run_virtual(scenario())


def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:

            def refused(request: LeaseRequest) -> LeaseReply:
                return LeaseReply(
                    station=STATION, request_id=request.request_id, granted=0, reason="elsewhere"
                )

            hq = asyncio.create_task(at.answer(refused))
            assert await at.ask() == LeaseAnswer(0, answered=True, reason="elsewhere")
            hq.cancel()

    run_virtual(scenario())


def test_row_v19_nobody_waits_longer_than_two_seconds_for_headquarters(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            hq = asyncio.create_task(at.answer(lambda _: None))
            before_ms = at.clock.monotonic_ms()
            assert await at.ask() == SILENT
            assert at.clock.monotonic_ms() - before_ms == ASK_S * 1000
            late = granted(at.requests[0])
            await at.client.publish(topics.down(STATION, "reply"), encode(late))
            await asyncio.sleep(1)
            assert at.station.parking.parked == [], "too late is nobody's, and no offence"
            hq.cancel()

    run_virtual(scenario())


def test_without_a_link_nobody_waits_at_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            at.broker.cut(at.station.uplink)
            await asyncio.sleep(0)
            before_ms = at.clock.monotonic_ms()
            assert not at.station.lending.linked()
            assert await at.ask() == SILENT
            assert at.clock.monotonic_ms() == before_ms

    run_virtual(scenario())


def test_an_answer_goes_to_who_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:

            def by_amount(request: LeaseRequest) -> LeaseReply:
                return granted(request)

            hq = asyncio.create_task(at.answer(by_amount))
            asks = [at.station.lending.ask("points", f"m-{n}", n) for n in (300, 100, 200)]
            answers = await asyncio.gather(*asks)
            assert [answer.granted for answer in answers] == [300, 100, 200]
            hq.cancel()

    run_virtual(scenario())


def test_row_v19_leases_that_are_over_are_closed_with_what_was_spent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            books = at.station.books
            await books.append([taken("soon", NOW + MINUTE_MS), taken("late", NOW + DAY_MS)])
            await asyncio.sleep(60 + LOOK_S)
            (left,) = books.open_leases()
            assert left.terms.lease_id == "late"
            assert at.kinds()[-1] == "lease.closed"
            await at.station.lending.close_due()
            assert at.kinds().count("lease.closed") == 1

    run_virtual(scenario())


def test_s27_a_clock_set_back_revives_no_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            books, lender = at.station.books, at.station.lending
            at.clock.wall_at_start_ms += DAY_MS
            await books.append([taken("brief", NOW + DAY_MS + MINUTE_MS)])
            seen_ms = lender.now_ms()
            at.clock.wall_at_start_ms -= DAY_MS
            assert at.clock.wall_ms() < seen_ms
            assert lender.now_ms() >= NOW + DAY_MS
            at.clock.wall_at_start_ms += DAY_MS + 2 * MINUTE_MS
            await lender.close_due()
            at.clock.wall_at_start_ms -= 2 * DAY_MS
            assert books.holding("balance", "a-1").available(lender.now_ms()) == 0

    run_virtual(scenario())


def test_a_lease_that_changed_while_it_was_being_closed_is_closed_by_the_next_look(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            books = at.station.books
            await books.append([taken("soon", NOW + MINUTE_MS)])
            stale = books.open_leases()
            await books.append([LeaseClosed(lease_id="soon", spent=0, reason="recalled")])
            seen = iter([stale])
            due = books.due_leases
            books.due_leases = lambda *asked: next(seen, None) or due(*asked)  # type: ignore[method-assign]
            at.clock.wall_at_start_ms += 2 * MINUTE_MS
            await books.append([taken("other", NOW + 2 * MINUTE_MS)])
            await asyncio.sleep(3 * LOOK_S)
            assert books.open_leases() == [], "the station goes on looking"
            assert at.kinds().count("lease.closed") == 2

    run_virtual(scenario())


def test_s27_a_clock_set_back_lets_no_station_live_on_old_knowledge(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            await at.station.books.note_heard(NOW)
            await at.station.stop()
            at.broker.stop()
            at.clock.wall_at_start_ms -= 30 * DAY_MS
            at.station = StationKit(tmp_path / "ledger.db", at.broker, at.clock, life=2)
            await asyncio.sleep(4 * 3600)
            assert at.station.lending.heard_ms_ago() >= 4 * 3_600_000

    run_virtual(scenario())


def test_s06_how_long_headquarters_was_silent_is_known_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            assert at.station.lending.heard_ms_ago() > 365 * DAY_MS, "never heard from"
            head = at.station.books.head()
            ack = Ack(
                station=STATION, epoch=head.epoch, up_to_seq=0, head_hash=GENESIS_HASH, credit=100
            )
            await at.client.publish(topics.down(STATION, "ack"), encode(ack))
            await asyncio.sleep(LOOK_S + 1)
            assert at.station.lending.heard_ms_ago() <= (LOOK_S + 1) * 1000
            await asyncio.sleep(3600)
            await at.station.stop()
            at.station = StationKit(tmp_path / "ledger.db", at.broker, at.clock, life=2)
            known_ms = at.station.lending.heard_ms_ago()
            assert abs(known_ms - 3_600_000) <= KEEP_HEARD_MS
            await asyncio.sleep(3600)
            assert at.station.lending.heard_ms_ago() - known_ms == 3_600_000

    run_virtual(scenario())


def test_s06_the_first_word_of_headquarters_is_kept_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            head = at.station.books.head()
            ack = Ack(
                station=STATION, epoch=head.epoch, up_to_seq=0, head_hash=GENESIS_HASH, credit=100
            )
            await at.client.publish(topics.down(STATION, "ack"), encode(ack))
            await asyncio.sleep(1)
            await at.station.stop()
            at.broker.stop()
            at.station = StationKit(tmp_path / "ledger.db", at.broker, at.clock, life=2)
            assert at.station.lending.heard_ms_ago() <= 2_000

    run_virtual(scenario())


def test_a_reply_for_another_station_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lending(tmp_path) as at:
            stray = LeaseReply(station="S-2", request_id="r-1", granted=5)
            await at.client.publish(topics.down(STATION, "reply"), encode(stray))
            await asyncio.sleep(1)
            assert at.station.parking.parked == [(topics.down(STATION, "reply"), "wrong_station")]

    run_virtual(scenario())
