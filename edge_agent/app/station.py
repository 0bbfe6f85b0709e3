"""The station as its clients see it: one view of everything, and the use cases behind it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from edge_agent.app.forecourt import Forecourt
from edge_agent.app.point_of_sale import PointOfSale
from edge_agent.app.sale_price import Fuel
from edge_agent.app.self_service import SelfService
from edge_agent.app.sync import Sync
from edge_agent.core.membership import has_priority
from edge_agent.core.point import Point, fp_state
from edge_agent.model.errors import Problem, RefusedError, SaleRefused
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import FpId, FuellingId, GradeId, MemberRef
from edge_agent.model.membership import Member
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import FuellingCancelled, QuoteBody, RecordBody
from edge_agent.model.station import StationPlan
from edge_agent.model.units import Money, volume_for
from edge_agent.model.views import (
    CameraView,
    FpView,
    NozzleView,
    ProblemView,
    StationView,
    UnpaidView,
)
from edge_agent.model.wishes import SaleWish, SecondFactor
from edge_agent.ports import Books, Catalogues, Clock

logger = logging.getLogger(__name__)

PRICE_CHECK_S = 1.0
"""How often the price set in force is looked up, so that one becomes valid within a second."""

RETURN_SHOWN_MS = 600_000
MOST_RETURNS = 20
"""For how long, and for how many at once, the till is told to hand a prepayment back."""

PROBLEMS = {
    problem.code: problem
    for problem in (
        Problem(
            "storage_unavailable",
            "磁盘不可写：暂停新的授权，正在加的油照常完成。请清理磁盘空间",
            "the disk cannot be written: no new authorisations; free some space",
        ),
        Problem(
            "clock_untrusted",
            "系统时钟未同步，请检查网络对时",
            "the clock is not synchronised; check the time service",
        ),
        Problem(
            "hq_fork",
            "总部发现本站账本分叉，请立即联系总部",
            "headquarters found a fork in this station's ledger; call headquarters now",
        ),
        Problem("no_price_set", "尚未收到油价，不能加油", "no price set was received yet"),
        Problem(
            "policy_not_used",
            "新政策无法读取，仍按旧政策计价，请联系总部",
            "the newest policy cannot be read: the last one holds; call headquarters",
        ),
        Problem("camera_trouble", "摄像头异常，请检查", "a camera is blind, lost or frozen"),
        Problem("stop_all", "全站已停止，请先解除", "everything is stopped; release it first"),
    )
}


NOZZLE_UNPRICED = Problem(
    "nozzle_unpriced", "该油枪尚无油价", "there is no such nozzle here, or it has no price yet"
)


@dataclass(frozen=True, slots=True)
class StationFacts:
    """What never changes while the agent runs."""

    plan: StationPlan
    version: str
    demo: bool
    utc_offset_minutes: int = 480
    """What the station's clocks show, ahead of UTC: China's by default."""


class Station:
    """The facade for the local API, the simulator and the tests."""

    def __init__(  # noqa: PLR0913 - the composition root names each part once
        self,
        *,
        facts: StationFacts,
        forecourt: Forecourt,
        pos: PointOfSale,
        self_service: SelfService,
        sync: Sync,
        books: Books,
        catalogues: Catalogues,
        clock: Clock,
        cameras: Callable[[], Sequence[CameraView]],
    ) -> None:
        self.facts = facts
        self.forecourt = forecourt
        self.pos = pos
        self.self_service = self_service
        self.sync = sync
        self.books = books
        self._catalogues = catalogues
        self._clock = clock
        self._cameras = cameras
        self._grades = {grade.grade: grade.name for grade in facts.plan.grades}
        self._watchers: set[asyncio.Event] = set()
        self._problem_since: dict[str, int] = {}
        self._price_set: PriceSet | None = None
        self._returns: deque[ProblemView] = deque(maxlen=MOST_RETURNS)
        forecourt.subscribe(lambda _: self.touch())
        forecourt.on_recorded(self._note_return)
        sync.subscribe(self.touch)

    async def run(self) -> None:
        """Watch for the price set that is in force, and settle what a crash left over."""
        await self.self_service.settle_left_over()
        while True:
            price_set = self._catalogues.price_set(self._clock.wall_ms())
            if price_set is not None and price_set != self._price_set:
                self._price_set = price_set
                self.forecourt.set_prices(price_set)
                self.touch()
            await asyncio.sleep(PRICE_CHECK_S)

    async def authorise(
        self, request: AuthoriseRequest, second: SecondFactor | None = None, operator: str = ""
    ) -> FuellingId:
        """Release a point; the member whose plate stands at its bay is bound to the fuelling.

        A fleet's rules of use hold for a member that is named, and so do those of the vehicle that
        stands there where it is of the same account. A member whose plate merely stands there is
        not bound where they forbid the fuel: then it is an ordinary sale.

        Args:
            request: what is asked for.
            second: what proves a driver whose fleet asks for a PIN.
            operator: who asks.

        Raises:
            KeyError, CommandRefused, StorageUnavailable: as `Forecourt.authorise`.
            CommandRefused: a fleet's rules forbid it (`fleet_...`).
            SaleRefused: the driver has to prove who it is (`second_factor_...`, `pin_...`).
        """
        point = self.forecourt.point(request.fp)
        visit = self.self_service.visit_at(point.plan.bay)
        if visit is not None and request.plate_colour is None:
            request = replace(request, plate_colour=visit.plate.colour)
        fleet = self.pos.charging.fleet
        if request.member is not None:
            member = self._catalogues.member(request.member)
            if member is not None:
                vehicle = None if visit is None or visit.served else visit.plate.member
                request = await fleet.admitted(request, point, member, second, operator, vehicle)
        elif visit is not None and not visit.served and visit.plate.member is not None:
            member = visit.plate.member
            bound = replace(request, member=member.ref, plate=None)
            try:
                request = await fleet.admitted(bound, point, member, second, operator)
            except RefusedError as error:
                logger.info("not bound", extra={"fp": request.fp, "code": error.problem.code})
        return await self.forecourt.authorise(request)

    def estimate(self, fp: FpId, nozzle: int, amount: Money, wish: SaleWish) -> QuoteBody:
        """Price a fuelling that has not begun, for an amount at a nozzle by its logical number.

        Without a member in the wish it is the one whose plate stands at the bay.

        Raises:
            KeyError: there is no such fuelling point.
            SaleRefused: the point has no such nozzle, or no price yet (`nozzle_unpriced`); or as
                `PointOfSale.estimate`.
        """
        point = self.forecourt.point(fp)
        plan = next((one for one in point.plan.nozzles if one.logical == nozzle), None)
        prices = {} if point.applied is None else point.applied.prices
        if plan is None or plan.logical not in prices:
            raise SaleRefused(NOZZLE_UNPRICED, f"FP {fp}, nozzle {nozzle}")
        visit = self.self_service.visit_at(point.plan.bay)
        if wish.member is None and visit is not None and visit.plate.member is not None:
            wish = replace(wish, member=visit.plate.member.ref)
        fuel = Fuel(
            grade=plan.grade,
            volume=volume_for(amount, prices[plan.logical]),
            amount=amount,
            unit_price=prices[plan.logical],
            at_ms=self._clock.wall_ms(),
            plate_colour=None if visit is None else visit.plate.colour,
        )
        return self.pos.estimate(fuel, wish)

    def touch(self) -> None:
        """Tell every watcher that the view may have changed."""
        for watcher in self._watchers:
            watcher.set()

    async def changes(self) -> AsyncIterator[None]:
        """Yield whenever `view()` may have changed; changes in between are folded into one."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            while True:
                await watcher.wait()
                watcher.clear()
                yield None
        finally:
            self._watchers.discard(watcher)

    def view(self) -> StationView:
        """Return the whole station at this instant."""
        plan = self.facts.plan
        unpaid = tuple(self._unpaid_views())
        cameras = tuple(self._cameras())
        versions = self._catalogues.versions()
        return StationView(
            station=plan.station,
            name_zh=plan.name_zh,
            name_en=plan.name_en,
            at_ms=self._clock.wall_ms(),
            version=self.facts.version,
            demo=self.facts.demo,
            utc_offset_minutes=self.facts.utc_offset_minutes,
            clock_trusted=self._clock.trusted,
            storage_ok=self.books.storage_healthy(),
            stop_all=self.forecourt.stop_all_active,
            price_set=None if self._price_set is None else self._price_set.id,
            policy_version=versions.get("policy"),
            catalogues=versions,
            fuelling_points=tuple(
                self._fp_view(point, unpaid) for _, point in sorted(self.forecourt.points().items())
            ),
            unpaid=unpaid,
            sync=self.sync.view(),
            cameras=cameras,
            problems=tuple(self._problems(cameras)),
        )

    def _fp_view(self, point: Point, unpaid: Sequence[UnpaidView]) -> FpView:
        applied = point.applied.prices if point.applied is not None else {}
        body = point.current.body if point.current is not None else None
        visit = self.self_service.visit_at(point.plan.bay)
        bound = body.member_ref if body is not None else None
        if bound is None and visit is not None and visit.plate.member is not None:
            bound = visit.plate.member.ref
        member, shown = self._member(bound), point.current
        tier = None if member is None else self.pos.policy().tier(member.tier)
        return FpView(
            fp=point.fp,
            bay=point.plan.bay,
            state=fp_state(point),
            since_ms=self.forecourt.since_ms(point.fp),
            nozzles=tuple(
                NozzleView(
                    nozzle.number, nozzle.logical, nozzle.grade, self._grade_name(nozzle.grade),
                    applied[nozzle.logical].milli if nozzle.logical in applied else None,
                )
                for nozzle in point.plan.nozzles
            ),
            lifted=point.lifted,
            fuelling_id=shown.id if shown is not None else None,
            volume_ml=shown.volume.ml if shown is not None else 0,
            amount_fen=shown.amount.fen if shown is not None else 0,
            preset_volume_ml=body.preset_volume_ml if body is not None else None,
            preset_amount_fen=body.preset_amount_fen if body is not None else None,
            member=None if member is None else member.masked_name,
            tier_zh=None if tier is None else tier.label_zh,
            tier_en=None if tier is None else tier.label_en,
            priority=member is not None and has_priority(member, self.pos.policy()),
            plate=visit.plate.masked if visit is not None else None,
            unpaid=sum(item.fp == point.fp for item in unpaid),
            blocked=self.forecourt.blocked(point.fp),
            price_set=point.applied.price_set if point.applied is not None else None,
        )  # fmt: skip

    def _unpaid_views(self) -> list[UnpaidView]:
        return [
            UnpaidView(
                fuelling_id=item.completed.fuelling_id,
                fp=item.completed.fp,
                nozzle_number=item.completed.nozzle_number,
                grade=item.completed.grade,
                grade_name=self._grade_name(item.completed.grade),
                unit_price_milli=item.completed.unit_price_milli,
                volume_ml=item.completed.volume_ml,
                amount_fen=item.completed.amount_fen,
                prepaid_fen=item.completed.prepaid_fen,
                ended_ms=item.completed.ended_ms,
                member=self._name(item.completed.member_ref),
                plate=None,
                origin=item.completed.origin,
            )
            for item in self.books.unpaid()
        ]

    def _problems(self, cameras: Sequence[CameraView]) -> list[ProblemView]:
        present = {
            "storage_unavailable": not self.books.storage_healthy(),
            "clock_untrusted": not self._clock.trusted,
            "hq_fork": self.sync.view().fork_alarm,
            "no_price_set": self._price_set is None,
            "policy_not_used": self.pos.policy_problem() is not None,
            "camera_trouble": any(camera.health not in ("ok", "off") for camera in cameras),
            "stop_all": self.forecourt.stop_all_active,
        }
        now_ms = self._clock.wall_ms()
        for code, holds in present.items():
            if holds:
                self._problem_since.setdefault(code, now_ms)
            else:
                self._problem_since.pop(code, None)
        standing = [
            ProblemView(code, PROBLEMS[code].text_zh, PROBLEMS[code].text_en, since_ms)
            for code, since_ms in self._problem_since.items()
        ]
        recent = [one for one in self._returns if now_ms - one.since_ms <= RETURN_SHOWN_MS]
        return standing + recent

    def _note_return(self, body: RecordBody) -> None:
        """A prepayment without fuel has to be handed back: say so at the till."""
        if isinstance(body, FuellingCancelled) and body.prepaid_fen:
            amount = Money(body.prepaid_fen)
            text_zh = f"油机{body.fp}未加油，请退还预付款 ¥{amount}"
            text_en = f"pump {body.fp}: no fuel was taken, hand back the prepaid ¥{amount}"
            now_ms = self._clock.wall_ms()
            self._returns.append(ProblemView("prepaid_return", text_zh, text_en, now_ms))

    def _grade_name(self, grade: str) -> str:
        return self._grades.get(GradeId(grade), grade)

    def _member(self, member_ref: str | None) -> Member | None:
        return None if member_ref is None else self._catalogues.member(MemberRef(member_ref))

    def _name(self, member_ref: str | None) -> str | None:
        member = self._member(member_ref)
        return None if member is None else member.masked_name
