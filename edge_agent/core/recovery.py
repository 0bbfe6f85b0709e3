"""What happened while nobody watched: after a start, or when a dispenser answers again.

Every totaliser and the retained display are read before anything else. A fuelling in hand is
carried on if fuel still flows; otherwise the totalisers decide what it delivered. Fuel that moved
without any fuelling in hand was sold while the agent was down, and is recorded as such.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from edge_agent.core.adoption import UNKNOWN_PRICE_SET, adopt, stop_and_adopt
from edge_agent.core.authorisation import ARMED_MS, START_MS, release
from edge_agent.core.ending import (
    carried,
    cleared,
    deliveries,
    record_of,
    unreadable,
    with_reading,
)
from edge_agent.core.point import FLOWING, Input, Moment, Phase, Point, Step
from edge_agent.core.readiness import ready
from edge_agent.core.reconciliation import Delivered, unwatched
from edge_agent.model.dispenser import (
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserStatus,
    FuellingEnded,
    ReadTotals,
    ReadTransaction,
    Stop,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.records import (
    FuellingCompleted,
    NozzleTotals,
    RecordBody,
)
from edge_agent.model.units import UnitPrice, divide_half_up

RECOVERY_MS = 5_000


def begin(point: Point, at: Moment) -> Step:
    """The dispenser answers (again): ask for everything that it alone knows."""
    reads: frozenset[DispenserCommand] = frozenset(
        (ReadTransaction(point.fp), *(ReadTotals(point.fp, n) for n in point.all_nozzles()))
    )
    unknown = replace(
        point,
        status=None,
        out=(),
        must_hang=False,
        programming=False,
        current=point.current and replace(point.current, watched=False),
    )
    return _ask(unknown, reads, at)


def look_again(point: Point, at: Moment) -> Step:
    """Figures turned up with nothing in hand: the totalisers know whether fuel went with them."""
    reads: frozenset[DispenserCommand] = frozenset(
        ReadTotals(point.fp, nozzle) for nozzle in point.all_nozzles()
    )
    return _ask(point, reads, at)


def _ask(point: Point, reads: frozenset[DispenserCommand], at: Moment) -> Step:
    asking = replace(
        point,
        phase=Phase.RECONCILING,
        readings=MappingProxyType({}),
        awaiting=reads,
        display=None,
        retries=0,
        deadline_ms=at.monotonic_ms + RECOVERY_MS,
    )
    return Step(asking, commands=tuple(sorted(reads, key=repr)))


def on_input(point: Point, given: Input, at: Moment) -> Step:
    """Gather what was asked for; once nothing is missing, decide."""
    if point.status in FLOWING:
        return _carry_on(point, at)
    awaiting = point.awaiting
    match given:
        case TotalsRead():
            read = ReadTotals(point.fp, given.nozzle)
            point = replace(point, readings=with_reading(point.readings, given))
            awaiting = awaiting - {read}
        case FuellingEnded():
            point = replace(point, display=given)
            awaiting = awaiting - {ReadTransaction(point.fp)}
        case CommandDone(command=command):
            awaiting = awaiting - {command}
        case CommandFailed(command=ReadTransaction() as command):
            awaiting = awaiting - {command}
        case _ if point.deadline_ms is not None and at.monotonic_ms >= point.deadline_ms:
            return _ask_again(point, at)
    point = replace(point, awaiting=awaiting)
    if awaiting or point.status is None:
        return Step(point)
    return _conclude(point, at)


def _ask_again(point: Point, at: Moment) -> Step:
    """Totalisers are indispensable; the retained display is not."""
    missing: frozenset[DispenserCommand] = frozenset(
        ReadTotals(point.fp, n) for n in point.all_nozzles() if n not in point.readings
    )
    waiting = replace(
        point,
        awaiting=missing,
        retries=point.retries + 1,
        deadline_ms=at.monotonic_ms + RECOVERY_MS,
    )
    if not missing and point.status is not None:
        return _conclude(waiting, at)
    asked = tuple(sorted(missing, key=repr))
    return Step(waiting, unreadable(waiting, asked), asked)


def _carry_on(point: Point, at: Moment) -> Step:
    """Fuel flows, or may at any moment: go on with the fuelling in hand, or adopt the flow."""
    current = point.current
    if current is None:
        return adopt(point, at)
    if not current.told:
        return stop_and_adopt(point, at)
    released = point.status is DispenserStatus.AUTHORISED
    phase = Phase.RELEASED if released else Phase.DELIVERING
    deadline_ms = at.monotonic_ms + START_MS if released else None
    carried_on = replace(
        point, phase=phase, awaiting=frozenset(), retries=0, deadline_ms=deadline_ms
    )
    stops = () if current.failure is None else (Stop(point.fp),)
    return Step(carried_on, commands=stops)


def _conclude(point: Point, at: Moment) -> Step:
    current = point.current
    if current is not None and not current.told:
        return _still_armed(point, at)
    writes: tuple[RecordBody, ...] = ()
    settled: LogicalNozzle | None = None
    if current is not None:
        current = replace(current, ended=point.display)
        settled, found = deliveries(point, current)
        writes = record_of(point, current, settled, found, at)
        point = replace(point, current=current, totals=carried(point, settled, found))
    point, sold = _sold_unseen(point, settled, at)
    shown = point.status is DispenserStatus.COMPLETE and _has_sale(sold)
    if current is not None or shown:
        return cleared(point, writes + sold, at)  # the next unseen sale shows as a new status
    free = ready(point, at)
    return Step(free.point, writes + sold + free.writes, free.commands)


def _has_sale(writes: tuple[RecordBody, ...]) -> bool:
    return any(isinstance(body, FuellingCompleted) for body in writes)


def _still_armed(point: Point, at: Moment) -> Step:
    """The dispenser was never told of the authorisation: it still waits for its nozzle."""
    point, sold = _sold_unseen(point, None, at)
    current = point.current and replace(point.current, watched=True)
    armed = replace(
        point, phase=Phase.ARMED, current=current, deadline_ms=at.monotonic_ms + ARMED_MS
    )
    released = release(armed, at)
    return Step(released.point, sold, released.commands)


def _sold_unseen(
    point: Point, settled: LogicalNozzle | None, at: Moment
) -> tuple[Point, tuple[RecordBody, ...]]:
    """Record what each nozzle but the settled one sold while nobody watched."""
    writes: list[RecordBody] = []
    totals = dict(point.totals)
    for nozzle in point.all_nozzles():
        after = point.readings.get(nozzle)
        if after is None or nozzle == settled:
            continue
        before = point.totals.get(nozzle)
        price = _price_unseen(point, nozzle, before, after)
        fuelling_id = f"{at.fresh_id}-{nozzle}"
        found = unwatched(point.display, before, after, point.fp, price)
        totals[nozzle] = after
        if found is None:
            continue
        writes.extend(found.findings)
        if found.volume:
            writes.append(_offline_sale(point, nozzle, found, price, fuelling_id, at))
    return replace(point, totals=MappingProxyType(totals)), tuple(writes)


def _price_unseen(
    point: Point, nozzle: LogicalNozzle, before: NozzleTotals | None, after: NozzleTotals
) -> UnitPrice:
    """Return an unseen sale's price: the display's, what the totalisers imply, or the set's."""
    display = point.display
    moved = after.volume_ml - (before.volume_ml if before is not None else after.volume_ml)
    if display is not None and display.nozzle == nozzle and display.volume.ml == moved:
        return display.unit_price
    if before is not None and before.amount_fen is not None and after.amount_fen is not None:
        moved_fen = after.amount_fen - before.amount_fen
        if moved > 0 and moved_fen >= 0:
            return UnitPrice(divide_half_up(moved_fen * 10_000, moved))
    if point.applied is not None and nozzle in point.applied.prices:
        return point.applied.prices[nozzle]
    return UnitPrice(0)


def _offline_sale(
    point: Point,
    nozzle: LogicalNozzle,
    found: Delivered,
    price: UnitPrice,
    fuelling_id: str,
    at: Moment,
) -> FuellingCompleted:
    plan = point.plan.nozzle(nozzle)
    return FuellingCompleted(
        fuelling_id=fuelling_id,
        fp=point.fp,
        nozzle=int(nozzle),
        nozzle_number=int(plan.number),
        grade=plan.grade,
        price_set=UNKNOWN_PRICE_SET if point.applied is None else point.applied.price_set,
        unit_price_milli=price.milli,
        volume_ml=found.volume.ml,
        amount_fen=found.amount.fen,
        totals_before=point.totals.get(nozzle),
        totals_after=point.readings.get(nozzle),
        origin="offline",
        member_ref=None,
        plate_ref=None,
        prepaid_fen=0,
        started_ms=None,
        ended_ms=at.wall_ms,
    )
