"""A station in memory that has the facade's methods, for tests of the API and the screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from edge_agent.app.station import StationFacts
from edge_agent.core import usage_rules
from edge_agent.core.authorisation import PROBLEMS
from edge_agent.model.books import FuelSums, Totals
from edge_agent.model.errors import CommandRefused
from edge_agent.model.fuelling import AuthoriseRequest, FpState
from edge_agent.model.ids import FpId, FuellingId, LogicalNozzle
from edge_agent.model.ledger import LedgerHead, LedgerRecord
from edge_agent.model.records import FuellingCompleted
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of
from edge_agent.model.views import FpView, ProblemView, StationView, SyncView
from edge_agent.model.wishes import SecondFactor
from tests.api.fake_figures import empty_view, facts_of, now_ms, unpaid_view
from tests.api.fake_till import FakeTill, fuelling_of

ODOMETER_MISSING = usage_rules.PROBLEMS["fleet_odometer_missing"]


class FakeStation(FakeTill):
    """Fuelling points that tests move by hand, and a till that adds up."""

    def __init__(self, points: int = 8) -> None:
        super().__init__()
        self._wakes: set[asyncio.Event] = set()
        self.views = 0
        self.fleet_asks = False
        self._view = empty_view(points)
        self.forecourt = self.pos = self.sync = self.books = self

    # --- the facade ---------------------------------------------------------------------------

    def view(self) -> StationView:
        self.views += 1
        return replace(self._view, at_ms=now_ms())

    async def changes(self) -> AsyncIterator[None]:
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            while True:
                await wake.wait()
                wake.clear()
                yield
        finally:
            self._wakes.discard(wake)

    @property
    def watchers(self) -> int:
        return len(self._wakes)

    # --- what tests do to it ------------------------------------------------------------------

    def change(self, **fields: object) -> None:
        self._view = replace(self._view, **fields)  # type: ignore[arg-type]
        for wake in self._wakes:
            wake.set()

    def point(self, fp: int) -> FpView:
        return next(point for point in self._view.fuelling_points if point.fp == fp)

    def change_point(self, fp: int, **fields: object) -> None:
        if "state" in fields:
            fields.setdefault("since_ms", now_ms())
        points = tuple(
            replace(point, **fields) if point.fp == fp else point  # type: ignore[arg-type]
            for point in self._view.fuelling_points
        )
        self.change(fuelling_points=points)

    def lift(self, fp: int, logical: int = 1) -> None:
        self.change_point(fp, state=FpState.CALLING, lifted=logical, volume_ml=0, amount_fen=0)

    def flow(self, fp: int, volume_ml: int) -> None:
        point = self.point(fp)
        price = self._price(point, point.lifted or 1)
        amount = amount_of(Volume(volume_ml), UnitPrice(price)).fen
        state = {} if point.state is FpState.FUELLING else {"state": FpState.FUELLING}
        self.change_point(fp, volume_ml=volume_ml, amount_fen=amount, **state)

    def deliver(self, fp: int, volume_ml: int, *, logical: int = 1, **more: object) -> str:
        point = self.point(fp)
        nozzle = next(nozzle for nozzle in point.nozzles if nozzle.logical == logical)
        fuelling = f"f-{len(self.waiting) + len(self.sold) + 1:04d}"
        price = nozzle.unit_price_milli or 0
        fields = fuelling_of(fuelling, fp, volume_ml, price)
        fields |= {
            "nozzle": logical, "nozzle_number": nozzle.number, "grade": nozzle.grade,
        }  # fmt: skip
        done = FuellingCompleted.model_validate(fields | more)
        self.waiting[fuelling] = done
        self.change_point(
            fp, state=FpState.IDLE, lifted=None, volume_ml=volume_ml, amount_fen=done.amount_fen,
            fuelling_id=None, preset_amount_fen=None, preset_volume_ml=None,
        )  # fmt: skip
        self.show_unpaid()
        return fuelling

    def show_unpaid(self) -> None:
        unpaid = tuple(unpaid_view(done) for done in self.waiting.values())
        counts = {point.fp: 0 for point in self._view.fuelling_points}
        for one in unpaid:
            counts[one.fp] += 1
        points = tuple(
            replace(
                point,
                unpaid=counts[point.fp],
                blocked="unpaid_limit" if counts[point.fp] >= 2 else None,
            )
            for point in self._view.fuelling_points
        )
        self.change(unpaid=unpaid, fuelling_points=points)

    def _price(self, point: FpView, logical: int) -> int:
        nozzle = next(nozzle for nozzle in point.nozzles if nozzle.logical == logical)
        return nozzle.unit_price_milli or 0

    # --- forecourt ----------------------------------------------------------------------------

    async def authorise(
        self, request: AuthoriseRequest, second: SecondFactor | None = None, operator: str = ""
    ) -> FuellingId:
        self._ask("authorise", request)
        if self.fleet_asks and request.member is not None:
            if request.odometer_km is None:
                raise CommandRefused(ODOMETER_MISSING)
            self._confirm(second)
        point = self.point(request.fp)
        reason = "stop_all" if self._view.stop_all else point.blocked
        if reason is None and point.state not in {FpState.IDLE, FpState.CALLING}:
            reason = "fp_busy"
        if reason is not None:
            raise CommandRefused(PROBLEMS[reason], f"FP {request.fp}")
        preset = request.preset
        self.change_point(
            request.fp,
            state=FpState.STARTED if point.lifted else FpState.AUTHORISED,
            preset_amount_fen=preset.amount.fen if preset and preset.amount else None,
            preset_volume_ml=preset.volume.ml if preset and preset.volume else None,
            member="王**" if request.member else None,
            fuelling_id="f-open",
        )
        return FuellingId("f-open")

    async def stop(self, fp: FpId, operator: str) -> None:
        self._ask("stop", (fp, operator))
        self.change_point(fp, state=FpState.IDLE, lifted=None)

    async def suspend(self, fp: FpId, operator: str) -> None:
        self._ask("suspend", (fp, operator))
        self.change_point(fp, state=FpState.SUSPENDED_FUELLING)

    async def resume(self, fp: FpId, operator: str) -> None:
        self._ask("resume", (fp, operator))
        self.change_point(fp, state=FpState.FUELLING)

    async def stop_all(self, operator: str) -> None:
        self._ask("stop_all", operator)
        self.change(stop_all=True)

    async def release_stop_all(self, operator: str) -> None:
        self._ask("release_stop_all", operator)
        self.change(stop_all=False)

    def points(self) -> dict[int, FpView]:
        return {point.fp: point for point in self._view.fuelling_points}

    # --- books and sync -----------------------------------------------------------------------

    def head(self) -> LedgerHead:
        return LedgerHead(1, 30, "e" * 64)

    def acked_seq(self) -> int:
        return 12

    def records_after(self, seq: int, limit: int) -> list[LedgerRecord]:
        last = min(30, seq + limit)
        return [
            LedgerRecord(1, n, "station.stopped", n, "{}", "0" * 64, "1" * 64)
            for n in range(seq + 1, last + 1)
        ]

    @property
    def facts(self) -> StationFacts:
        return facts_of(self._view)

    def totals(self) -> list[Totals]:
        return [
            Totals(FpId(2), LogicalNozzle(1), Volume(7_000), None),
            Totals(FpId(1), LogicalNozzle(2), Volume(5_000), Money(4_000)),
            Totals(FpId(77), LogicalNozzle(1), Volume(1), None),
        ]

    def sums(self) -> FuelSums:
        return FuelSums(3, Volume(45_000), Money(35_325), 2, Money(20_000), 1, 1)

    async def drained(self) -> None:
        async for _ in self.changes():
            if not self._view.sync.waiting:
                return


class FakeSync:
    """The sync part of a `FakeStation`, whose `view` is another one than the station's."""

    def __init__(self, station: FakeStation) -> None:
        self._station = station

    def view(self) -> SyncView:
        return self._station.view().sync

    async def drained(self) -> None:
        if self._station.view().sync.waiting:
            await self._station.drained()


def fake_station(points: int = 8) -> FakeStation:
    """Return a station with its parts in place."""
    station = FakeStation(points)
    station.sync = FakeSync(station)  # type: ignore[assignment]
    return station


def offline(station: FakeStation, since_ms: int, sales: int) -> None:
    """Take the link to headquarters away."""
    sync = replace(
        station._view.sync, connected=False, since_ms=since_ms, waiting=sales * 4,
        waiting_sales=sales, last_ack_ms=since_ms,
    )  # fmt: skip
    station.change(sync=sync)


def problem(code: str, zh: str, en: str) -> ProblemView:
    """Return a problem that began just now."""
    return ProblemView(code, zh, en, now_ms())
