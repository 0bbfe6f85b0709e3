"""The forecourt on real books: what races with the disk, with a stop, with a tired finger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.app import forecourt
from edge_agent.app.forecourt import Forecourt
from edge_agent.core.point import Phase
from edge_agent.model.dispenser import (
    AlarmRaised,
    DispenserStatus,
    LinkChanged,
    NozzleChanged,
    StatusChanged,
)
from edge_agent.model.errors import CommandRefused, Problem, StorageUnavailable
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import FpId, GradeId, NozzleNumber, PriceSetId
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import FuellingAuthorised, FuellingCancelled, RecordBody
from edge_agent.model.station import FpPlan, NozzlePlan
from edge_agent.model.units import Money, UnitPrice
from edge_agent.observe.clock import SystemClock, SystemEntropy
from edge_agent.store.station import StationStore
from tests.app.pumps import ONE, Pumps
from tests.app.shop import SEALER

FP = FpId(1)
PLAN = FpPlan(FP, 0x50, (NozzlePlan(NozzleNumber(1), ONE, GradeId("92")),))
FULL = Problem("storage_full", "满", "full")


class Yard:
    """A forecourt of one point on real books, whose disk can be held up or full."""

    def __init__(self, folder: Path) -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        self.store = StationStore.open(
            folder / "ledger.db", clock=clock, entropy=entropy, sealer=SEALER, durable=False,
            ballast_bytes=0,
        )  # fmt: skip
        self.pumps = Pumps()
        self.disk = asyncio.Event()
        self.disk.set()
        self.full = False
        genuine = self.store.books.append

        async def append(bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
            await self.disk.wait()
            if self.full:
                raise StorageUnavailable(FULL)
            return await genuine(bodies)

        self.store.books.append = append  # type: ignore[method-assign]
        self.forecourt = Forecourt(
            plans=[PLAN], books=self.store.books, dispensers=self.pumps, clock=clock,
            entropy=entropy, unpaid_limit=lambda: 2,
        )  # fmt: skip

    def recorded(self, kind: type[RecordBody]) -> list[str]:
        records = self.store.books.records_after(0, 1_000)
        return [record.body for record in records if record.kind == kind.kind]

    async def until(self, phase: Phase) -> None:
        async with asyncio.timeout(10):
            while self.forecourt.point(FP).phase is not phase:  # noqa: ASYNC110 - looks, as a screen
                await asyncio.sleep(0.001)

    async def open(self) -> None:
        self.pumps.emit(LinkChanged(FP, True), StatusChanged(FP, DispenserStatus.IDLE))
        await self.until(Phase.READY)
        self.forecourt.set_prices(
            PriceSet(PriceSetId("p1"), 1, 0, {GradeId("92"): UnitPrice(7850)})
        )
        async with asyncio.timeout(10):
            while self.forecourt.blocked(FP) is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        self.pumps.sent.clear()


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    yard = Yard(tmp_path)
    running = asyncio.create_task(yard.forecourt.run())
    await yard.open()
    yield yard
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    yard.store.close()


WISH = AuthoriseRequest(FP, "attendant")


async def test_a_stop_during_the_write_of_an_authorisation_wins(yard: Yard) -> None:
    yard.pumps.emit(NozzleChanged(FP, ONE, True))
    yard.disk.clear()
    asking = asyncio.create_task(yard.forecourt.authorise(WISH))
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(yard.forecourt.stop_all("till"))
    await asyncio.sleep(0.01)
    assert yard.pumps.kinds() == ["Stop"]
    yard.disk.set()
    await asyncio.gather(asking, stopping)
    await yard.until(Phase.READY)
    assert "Authorise" not in yard.pumps.kinds()
    assert len(yard.recorded(FuellingAuthorised)) == len(yard.recorded(FuellingCancelled)) == 1


async def test_guards_are_those_of_the_moment_when_the_point_is_released(yard: Yard) -> None:
    yard.pumps.emit(NozzleChanged(FP, ONE, True))
    asking = asyncio.create_task(yard.forecourt.authorise(WISH))
    stopping = asyncio.create_task(yard.forecourt.stop_all("till"))
    done = await asyncio.gather(asking, stopping, return_exceptions=True)
    assert yard.pumps.kinds()[-1:] == ["Stop"] or isinstance(done[0], CommandRefused)
    await yard.until(Phase.READY)
    with pytest.raises(CommandRefused) as refused:
        await yard.forecourt.authorise(WISH)
    assert refused.value.problem.code == "stop_all"


async def test_note_25_two_presses_release_once(yard: Yard) -> None:
    yard.pumps.emit(NozzleChanged(FP, ONE, True))
    pressed = [yard.forecourt.authorise(WISH), yard.forecourt.authorise(WISH)]
    done = await asyncio.gather(*pressed, return_exceptions=True)
    refusals = [error for error in done if isinstance(error, CommandRefused)]
    assert [error.problem.code for error in refusals] == ["fp_busy"]
    assert yard.pumps.kinds() == ["Authorise"]


async def test_note_22_a_full_disk_authorises_nothing_and_finishes_what_flows(yard: Yard) -> None:
    yard.pumps.emit(NozzleChanged(FP, ONE, True))
    await yard.forecourt.authorise(WISH)
    yard.pumps.emit(StatusChanged(FP, DispenserStatus.FUELLING))
    yard.full = True
    yard.pumps.emit(StatusChanged(FP, DispenserStatus.COMPLETE), NozzleChanged(FP, ONE, False))
    await asyncio.sleep(0.05)
    assert "Clear" not in yard.pumps.kinds(), "the only copy of the sale is on the display"
    yard.full = False
    await yard.until(Phase.READY)
    assert "Clear" in yard.pumps.kinds()


async def test_an_authorisation_that_cannot_be_written_is_refused(yard: Yard) -> None:
    yard.pumps.emit(NozzleChanged(FP, ONE, True))
    yard.full = True
    with pytest.raises(StorageUnavailable):
        await yard.forecourt.authorise(WISH)
    assert yard.pumps.kinds() == []
    assert yard.forecourt.point(FP).phase is Phase.READY


async def test_coming_to_rest_takes_an_unheard_authorisation_back(yard: Yard) -> None:
    await yard.forecourt.authorise(AuthoriseRequest(FP, "prepay", prepaid=Money(10_000)))
    assert await yard.forecourt.come_to_rest(5)
    yard.pumps.emit(NozzleChanged(FP, ONE, True))
    await asyncio.sleep(0.01)
    assert yard.pumps.kinds() == []
    assert "agent_stopping" in yard.recorded(FuellingCancelled)[0]
    with pytest.raises(CommandRefused) as refused:
        await yard.forecourt.authorise(WISH)
    assert refused.value.problem.code == "agent_stopping"


async def test_stop_all_pressed_while_its_release_is_written_stays(yard: Yard) -> None:
    await yard.forecourt.stop_all("till")
    yard.disk.clear()
    releasing = asyncio.create_task(yard.forecourt.release_stop_all("till"))
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(yard.forecourt.stop_all("till"))
    await asyncio.sleep(0.01)
    yard.disk.set()
    await asyncio.gather(releasing, stopping)
    assert yard.forecourt.stop_all_active
    assert yard.store.books.stop_all_active()


async def test_an_authorisation_that_was_given_up_releases_nothing(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecourt, "ANSWER_S", 0.02)
    yard.pumps.emit(NozzleChanged(FP, ONE, True))
    yard.disk.clear()
    with pytest.raises(CommandRefused):
        await yard.forecourt.authorise(WISH)
    yard.disk.set()
    async with asyncio.timeout(10):
        while not yard.recorded(FuellingCancelled):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert "Authorise" not in yard.pumps.kinds()
    assert "gave_up" in yard.recorded(FuellingCancelled)[0]


async def test_a_wish_that_was_stopped_before_its_turn_is_refused(yard: Yard) -> None:
    yard.disk.clear()
    yard.pumps.emit(AlarmRaised(FP, "leak"), NozzleChanged(FP, ONE, True))
    asking = asyncio.create_task(yard.forecourt.authorise(WISH))
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(yard.forecourt.stop(FP, "till"))
    await asyncio.sleep(0.01)
    yard.disk.set()
    done = await asyncio.gather(asking, stopping, return_exceptions=True)
    assert isinstance(done[0], CommandRefused)
    assert done[0].problem.code == "stopped_meanwhile"
    assert "Authorise" not in yard.pumps.kinds()
