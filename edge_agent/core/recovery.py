"""What happened while nobody watched: after a start, or when a dispenser answers again.

Every totaliser and the retained display are read before anything else. A fuelling in hand is
carried on if fuel still flows; otherwise the totalisers decide what it delivered. Fuel that moved
without any fuelling in hand was sold while the agent was down, and is recorded as such.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from edge_agent.core.authorisation import ARMED_MS, START_MS, release
from edge_agent.core.ending import (
    carried,
    cleared,
    deliveries,
    record_of,
    with_reading,
)
from edge_agent.core.point import FLOWING, Current, Input, Moment, Phase, Point, Step
from edge_agent.core.price_change import maybe_program
from edge_agent.core.reconciliation import Delivered, unwatched
from edge_agent.model.dispenser import (
    CommandDone,
    CommandFailed,
    DispenserCommand,
    DispenserStatus,
    FuellingEnded,
    ReadTotals,
    ReadTransaction,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.records import (
    FuellingAuthorised,
    FuellingCompleted,
    NozzleTotals,
    RecordBody,
)
from edge_agent.model.units import UnitPrice, divide_half_up

RECOVERY_MS = 5_000
UNKNOWN_PRICE_SET = "unknown"


def begin(point: Point, at: Moment) -> Step:
    """The dispenser answers: ask for everything that it alone knows."""
    reads: frozenset[DispenserCommand] = frozenset(
        (ReadTransaction(point.fp), *(ReadTotals(point.fp, n) for n in point.all_nozzles()))
    )
    asking = replace(
        point,
        phase=Phase.RECONCILING,
        status=None,
        lifted=None,
        must_hang=False,
        readings=MappingProxyType({}),
        awaiting=reads,
        display=None,
        programming=False,
        current=point.current and replace(point.current, watched=False),
        deadline_ms=at.monotonic_ms + RECOVERY_MS,
    )
    return Step(asking, commands=tuple(sorted(reads, key=repr)))


def on_input(point: Point, given: Input, at: Moment) -> Step:
    """Gather what was asked for; once nothing is missing, decide."""
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
    if point.status in FLOWING and not (point.current is not None and not point.current.told):
        return _carry_on(point, at)
    if awaiting or point.status is None:
        return Step(point)
    return _conclude(point, at)


def _ask_again(point: Point, at: Moment) -> Step:
    """Totalisers are indispensable; the retained display is not."""
    missing: frozenset[DispenserCommand] = frozenset(
        ReadTotals(point.fp, n) for n in point.all_nozzles() if n not in point.readings
    )
    waiting = replace(point, awaiting=missing, deadline_ms=at.monotonic_ms + RECOVERY_MS)
    if not missing and point.status is not None:
        return _conclude(waiting, at)
    return Step(waiting, commands=tuple(sorted(missing, key=repr)))


def _carry_on(point: Point, at: Moment) -> Step:
    """Fuel flows, or may at any moment: go on with the fuelling in hand, or adopt the flow."""
    if point.current is None:
        return adopt(point, at)
    released = point.status is DispenserStatus.AUTHORISED
    phase = Phase.RELEASED if released else Phase.DELIVERING
    deadline_ms = at.monotonic_ms + START_MS if released else None
    return Step(replace(point, phase=phase, awaiting=frozenset(), deadline_ms=deadline_ms))


def adopt(point: Point, at: Moment) -> Step:
    """Keep books on fuel that flows though this agent released nothing."""
    applied = point.applied
    prices = {} if applied is None else applied.prices
    nozzles = (point.lifted,) if point.lifted is not None else point.all_nozzles()
    body = FuellingAuthorised(
        fuelling_id=at.fresh_id,
        fp=point.fp,
        nozzles=[int(nozzle) for nozzle in nozzles],
        by="dispenser",
        preset_volume_ml=None,
        preset_amount_fen=None,
        price_set=UNKNOWN_PRICE_SET if applied is None else applied.price_set,
        prices={str(n): prices[n].milli for n in nozzles if n in prices},
        member_ref=None,
        plate_ref=None,
        prepaid_fen=0,
        totals_before=[point.totals[nozzle] for nozzle in nozzles if nozzle in point.totals],
    )
    current = Current(body, started_ms=at.wall_ms, watched=False)
    adopted = replace(
        point, phase=Phase.DELIVERING, current=current, awaiting=frozenset(), deadline_ms=None
    )
    return Step(adopted, (body,))


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
    if current is not None:
        return cleared(point, writes + sold, at)
    ready = replace(point, phase=Phase.READY, deadline_ms=None)
    if point.status is DispenserStatus.NOT_PROGRAMMED:
        ready = replace(ready, applied=None, due=point.due or point.applied)
    priced = maybe_program(ready, at)
    return Step(priced.point, writes + sold, priced.commands)


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
