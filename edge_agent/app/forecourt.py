"""The forecourt: every fuelling point's state machine, fed in order, its effects carried out.

Per point one input at a time goes through `core.fuelling.step`. What the step writes is on disk
before its new state counts and before its commands leave. A step without writes runs at once, in
the call that brought its input, so that a lifted nozzle costs no detour through the event loop.

Stopping never waits: the dispenser is told first, the books follow.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from edge_agent.core.authorisation import PROBLEMS, blocked
from edge_agent.core.fuelling import step
from edge_agent.core.identity import uuid7
from edge_agent.core.point import (
    AuthoriseAsked,
    Current,
    Guards,
    Input,
    Moment,
    Phase,
    Point,
    PricesDue,
    PriceTable,
    Step,
    StopAsked,
    Tick,
    fp_state,
)
from edge_agent.model.dispenser import Authorise, DispenserEvent, Progress, Resume, Stop, Suspend
from edge_agent.model.errors import CommandRefused, RefusedError, StorageUnavailable
from edge_agent.model.fuelling import AuthoriseRequest
from edge_agent.model.ids import FpId, FuellingId, LogicalNozzle, PriceSetId
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import (
    FuellingCompleted,
    NozzleTotals,
    OperatorAction,
    RecordBody,
    StopAllOrdered,
)
from edge_agent.model.station import FpPlan
from edge_agent.model.units import UnitPrice
from edge_agent.ports import Books, Clock, Dispensers, Entropy

logger = logging.getLogger(__name__)

STORAGE_RETRY_S = 1.0
ANSWER_S = 10.0
"""How long somebody waits for an authorisation: afterwards the customer may be gone."""
MOST_WAITING = 1_000
"""Inputs that may wait for one point; running figures are dropped first."""

_RUNNING = frozenset(
    {Phase.AUTHORISING, Phase.RELEASED, Phase.DELIVERING, Phase.ENDING, Phase.CLEARING}
)

Changed = Callable[[FpId], None]
Recorded = Callable[[RecordBody], None]
Completed = Callable[[FuellingCompleted], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An input, who waits for its outcome, and how often the point had been stopped by then."""

    given: Input
    answer: asyncio.Future[Point] | None
    stops: int


@dataclass(slots=True)
class _Lane:
    """One fuelling point and the inputs that wait for it."""

    point: Point
    since_ms: int
    waiting: deque[_Waiting] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    busy: bool = False
    stops: int = 0
    """How often the point was told to stop: an authorisation that was being written meanwhile is
    not sent."""
    timer: asyncio.TimerHandle | None = None


class Forecourt:
    """All fuelling points of the station."""

    def __init__(
        self,
        plans: Sequence[FpPlan],
        books: Books,
        dispensers: Dispensers,
        clock: Clock,
        entropy: Entropy,
        unpaid_limit: Callable[[], int],
    ) -> None:
        """Take up every point where the books left it; `unpaid_limit` is asked at each use."""
        self._books = books
        self._dispensers = dispensers
        self._clock = clock
        self._entropy = entropy
        self._unpaid_limit = unpaid_limit
        self._stop_all = books.stop_all_active()
        self._stop_alls = 0
        self._stopping = False
        self._changed: list[Changed] = []
        self._completed: list[Completed] = []
        self._recorded: list[Recorded] = []
        self._following: set[asyncio.Task[None]] = set()
        now_ms = clock.wall_ms()
        self._lanes = {plan.fp: _Lane(restored(plan, books), now_ms) for plan in plans}
        dispensers.subscribe(self._on_event)

    # --- what others see --------------------------------------------------------------------

    def points(self) -> Mapping[FpId, Point]:
        """Return every fuelling point as it stands."""
        return {fp: lane.point for fp, lane in self._lanes.items()}

    def point(self, fp: FpId) -> Point:
        """Return one fuelling point. Raises `KeyError` for an unknown number."""
        return self._lanes[fp].point

    def since_ms(self, fp: FpId) -> int:
        """Return the wall time at which the point entered its IFSF state."""
        return self._lanes[fp].since_ms

    @property
    def stop_all_active(self) -> bool:
        """Whether everything is stopped until somebody releases it."""
        return self._stop_all

    def subscribe(self, listener: Changed) -> None:
        """Call `listener` after each step that changed a point."""
        self._changed.append(listener)

    def on_completed(self, listener: Completed) -> None:
        """Await `listener` after each fuelling that is durably completed."""
        self._completed.append(listener)

    def on_recorded(self, listener: Recorded) -> None:
        """Call `listener` with each record of a point once it is durable."""
        self._recorded.append(listener)

    def guards(self, fp: FpId) -> Guards:
        """Return what the rest of the station says about authorising this point now."""
        unpaid = sum(item.completed.fp == fp for item in self._books.unpaid())
        healthy = self._books.storage_healthy()
        return Guards(healthy, self._stop_all, self._stopping, unpaid, self._unpaid_limit())

    def blocked(self, fp: FpId) -> str | None:
        """Return why the point may not be authorised now, or None."""
        return blocked(self._lanes[fp].point, self.guards(fp))

    # --- what others ask --------------------------------------------------------------------

    async def authorise(self, request: AuthoriseRequest) -> FuellingId:
        """Release a fuelling point for one fuelling.

        Raises:
            KeyError: there is no such point.
            CommandRefused: it cannot be released now, or did not come to it for ten seconds.
            StorageUnavailable: the books cannot be written; nothing was released.
        """
        asked = AuthoriseAsked(request, self.guards(request.fp))
        try:
            async with asyncio.timeout(ANSWER_S):
                point = await self._ask(request.fp, asked)
        except TimeoutError:
            raise CommandRefused(PROBLEMS["fp_busy"], f"FP {request.fp}") from None
        if point.current is None:
            raise RuntimeError("an authorised point has a fuelling")
        return point.current.id

    async def stop(self, fp: FpId, operator: str) -> None:
        """End the fuelling of a point, or take its authorisation back."""
        self._stop(fp, "stopped")
        await self._note(OperatorAction(action="stop", fp=fp, operator=operator))

    def _stop(self, fp: FpId, reason: str) -> None:
        lane = self._lanes[fp]
        lane.stops += 1
        self._dispensers.command(Stop(fp))
        self._give(fp, StopAsked(reason))

    async def suspend(self, fp: FpId, operator: str) -> None:
        """Pause the flow of a point."""
        self._dispensers.command(Suspend(self._lanes[fp].point.fp))
        await self._note(OperatorAction(action="suspend", fp=fp, operator=operator))

    async def resume(self, fp: FpId, operator: str) -> None:
        """Let a suspended point flow on."""
        self._dispensers.command(Resume(self._lanes[fp].point.fp))
        await self._note(OperatorAction(action="resume", fp=fp, operator=operator))

    async def stop_all(self, operator: str) -> None:
        """Stop every point at once and authorise none until released."""
        self._stop_all = True
        self._stop_alls += 1
        for fp in self._lanes:
            self._stop(fp, "stop_all")
        await self._note(StopAllOrdered(active=True, operator=operator))
        self._tell_changed(*self._lanes)

    async def release_stop_all(self, operator: str) -> None:
        """Allow authorising again.

        Raises:
            StorageUnavailable: the books cannot be written; everything stays stopped.
        """
        stop_alls = self._stop_alls
        await self._books.append([StopAllOrdered(active=False, operator=operator)])
        if self._stop_alls != stop_alls:  # pressed again while the release was being written
            await self._note(StopAllOrdered(active=True, operator=operator))
            return
        self._stop_all = False
        self._tell_changed(*self._lanes)

    async def come_to_rest(self, within_s: float) -> bool:
        """Authorise nothing any more, and wait for running fuellings to be recorded.

        Nothing is stopped at the dispensers: what still flows when time is up flows on, and the
        next start takes it up. An authorisation that no dispenser has heard of yet is taken back.
        Returns whether everything came to rest.
        """
        self._stopping = True
        for fp, lane in self._lanes.items():
            if lane.point.phase is Phase.ARMED:
                self._give(fp, StopAsked("agent_stopping"))
        self._tell_changed(*self._lanes)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while any(lane.point.phase in _RUNNING for lane in self._lanes.values()):
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    def set_prices(self, price_set: PriceSet) -> None:
        """Bring a price set into force, point by point as each becomes free.

        A point of which a grade has no price in the set keeps what it has.
        """
        for fp, lane in self._lanes.items():
            nozzles = lane.point.plan.nozzles
            if all(nozzle.grade in price_set.prices for nozzle in nozzles):
                prices = {nozzle.logical: price_set.prices[nozzle.grade] for nozzle in nozzles}
                self._give(fp, PricesDue(PriceTable(price_set.id, MappingProxyType(prices))))

    # --- the lanes --------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry out waiting inputs, for ever."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(self._serve(lane))

    def _on_event(self, event: DispenserEvent) -> None:
        if event.fp in self._lanes:
            self._give(event.fp, event)

    async def _ask(self, fp: FpId, given: Input) -> Point:
        answer: asyncio.Future[Point] = asyncio.get_running_loop().create_future()
        self._give(fp, given, answer)
        return await answer

    def _give(self, fp: FpId, given: Input, answer: asyncio.Future[Point] | None = None) -> None:
        lane = self._lanes[fp]
        if not lane.busy and not lane.waiting and answer is None:
            taken = step(lane.point, given, self._moment())
            if not taken.writes:
                self._enter(lane, taken)
                return
        if isinstance(given, Progress) and len(lane.waiting) >= MOST_WAITING:
            return
        lane.waiting.append(_Waiting(given, answer, lane.stops))
        lane.wake.set()

    async def _serve(self, lane: _Lane) -> None:
        while True:
            await lane.wake.wait()
            lane.wake.clear()
            while lane.waiting:
                lane.busy = True
                await self._take(lane, lane.waiting.popleft())
            lane.busy = False

    async def _take(self, lane: _Lane, asked: _Waiting) -> None:
        taken = await self._answered_step(lane, asked)
        if taken is None:
            return
        answer = asked.answer
        gave_up = answer is not None and answer.done()
        if gave_up or lane.stops != asked.stops:
            kept = tuple(c for c in taken.commands if not isinstance(c, Authorise))
            taken = replace(taken, commands=kept)
        self._enter(lane, taken)
        if gave_up:  # who asked was told that it failed: so it has
            lane.waiting.appendleft(_Waiting(StopAsked("gave_up"), None, lane.stops))
        elif answer is not None:
            answer.set_result(lane.point)
        for body in taken.writes:
            for listener in self._recorded:
                listener(body)
        for body in taken.completed:
            self._follow(body)

    async def _answered_step(self, lane: _Lane, asked: _Waiting) -> Step | None:
        """Take a step; what it raises goes to who asked, and None comes back."""
        given, answer = asked.given, asked.answer
        if answer is None:
            return await self._durable_step(lane, given, wait=True)
        if answer.done():
            return None  # who asked has given up
        if lane.stops != asked.stops:
            point = f"FP {lane.point.fp}"
            _fail(answer, CommandRefused(PROBLEMS["stopped_meanwhile"], point))
            return None
        try:
            return await self._durable_step(lane, given, wait=False)
        except (RefusedError, StorageUnavailable) as error:
            _fail(answer, error)
            return None
        except BaseException:
            answer.cancel()  # nobody waits for ever on a lane that dies
            raise

    async def _durable_step(self, lane: _Lane, given: Input, *, wait: bool) -> Step:
        """Take one step and write it; with `wait`, for as long as the disk takes to recover."""
        while True:
            if isinstance(given, AuthoriseAsked):
                given = replace(given, guards=self.guards(lane.point.fp))
            taken = step(lane.point, given, self._moment())
            if not taken.writes:
                return taken
            try:
                await self._books.append(taken.writes)
            except StorageUnavailable:
                if not wait:
                    raise
                await asyncio.sleep(STORAGE_RETRY_S)
            else:
                return taken

    def _enter(self, lane: _Lane, taken: Step) -> None:
        before, lane.point = lane.point, taken.point
        for command in taken.commands:
            self._dispensers.command(command)
        if before == taken.point:
            return
        if fp_state(before) is not fp_state(taken.point):
            lane.since_ms = self._clock.wall_ms()
        self._schedule(lane)
        self._tell_changed(lane.point.fp)

    def _schedule(self, lane: _Lane) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        point = lane.point
        times = [time for time in (point.deadline_ms, _price_retry(point)) if time is not None]
        if times:
            wait_s = max(min(times) - self._clock.monotonic_ms(), 0) / 1000
            loop = asyncio.get_running_loop()
            lane.timer = loop.call_later(wait_s, self._give, point.fp, Tick())

    def _tell_changed(self, *fps: FpId) -> None:
        for fp in fps:
            for listener in self._changed:
                listener(fp)

    def _follow(self, body: FuellingCompleted) -> None:
        """Let settling and the like run beside the pump, never before it."""
        for listener in self._completed:
            task = asyncio.ensure_future(listener(body))
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def _note(self, body: RecordBody) -> None:
        """Record what a person did; a full disk does not undo it."""
        try:
            await self._books.append([body])
        except StorageUnavailable:
            logger.warning("not recorded, storage unavailable", extra={"kind": body.kind})

    def _moment(self) -> Moment:
        wall_ms = self._clock.wall_ms()
        fresh_id = uuid7(wall_ms, self._entropy.token(10))
        return Moment(wall_ms, self._clock.monotonic_ms(), fresh_id)


def restored(plan: FpPlan, books: Books) -> Point:
    """Return a fuelling point as the books left it, not yet linked to its dispenser."""
    totals = {
        total.nozzle: NozzleTotals(
            nozzle=int(total.nozzle),
            volume_ml=total.volume.ml,
            amount_fen=None if total.amount is None else total.amount.fen,
        )
        for total in books.totals()
        if total.fp == plan.fp
    }
    begun = [item for item in books.open_fuellings() if item.authorised.fp == plan.fp]
    current = Current(begun[-1].authorised, watched=False) if begun else None
    confirmed = books.applied_prices(plan.fp)
    applied = None
    if confirmed is not None:
        prices = {LogicalNozzle(int(n)): UnitPrice(m) for n, m in confirmed.prices.items()}
        applied = PriceTable(PriceSetId(confirmed.price_set), MappingProxyType(prices))
    return replace(Point(plan), totals=MappingProxyType(totals), current=current, applied=applied)


def _price_retry(point: Point) -> int | None:
    waits = point.due is not None and not point.programming and point.phase is Phase.READY
    return point.price_retry_ms if waits and point.price_retry_ms else None


def _fail(answer: asyncio.Future[Point], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
