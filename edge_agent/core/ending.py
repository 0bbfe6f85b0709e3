"""The end of a fuelling: final figures and totalisers are gathered, then one record is written."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from edge_agent.core.point import (
    FLOWING,
    Current,
    Input,
    Moment,
    Phase,
    Point,
    Step,
    TotalsByNozzle,
)
from edge_agent.core.reconciliation import Delivered, interrupted, watched
from edge_agent.model.dispenser import (
    Clear,
    CommandFailed,
    DispenserCommand,
    FuellingEnded,
    ReadTotals,
    ReadTransaction,
    Stop,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle, PriceSetId
from edge_agent.model.records import (
    AlarmRecorded,
    FuellingCancelled,
    FuellingCompleted,
    FuellingOrigin,
    NozzleTotals,
    RecordBody,
)
from edge_agent.model.units import UnitPrice

ENDING_MS = 3_000
"""How long figures and totalisers may take before they are asked for again."""
RETRIES = 5
"""So often are totalisers asked for before a watched fuelling is recorded without them."""
CLEAR_MS = 10_000
PHANTOM_ML = 50
"""So little fuel, with a nozzle lifted, is a leaking valve rather than a customer."""


def nozzles_in_hand(current: Current) -> tuple[LogicalNozzle, ...]:
    """Return the nozzles through which the fuelling in hand may have flowed."""
    if current.ended is not None and current.seen_flowing:
        return (current.ended.nozzle,)
    return tuple(LogicalNozzle(nozzle) for nozzle in current.body.nozzles)


def begin_ending(point: Point, at: Moment) -> Step:
    """The flow ended: read the totalisers of the nozzles in hand."""
    current = point.current
    reads = [ReadTotals(point.fp, nozzle) for nozzle in nozzles_in_hand(current)] if current else []
    ending = replace(
        point,
        phase=Phase.ENDING,
        readings=MappingProxyType({}),
        deadline_ms=at.monotonic_ms + ENDING_MS,
        retries=0,
    )
    return Step(ending, commands=tuple(reads))


def end_with(point: Point, ended: FuellingEnded, at: Moment) -> Step:
    """The dispenser gave final figures: note them and read the totalisers.

    Figures of a fuelling that was not seen to flow, and may flow yet, are the ones retained from
    the sale before: they end nothing.
    """
    if point.status in FLOWING and point.current is not None and not point.current.seen_flowing:
        return Step(point)
    current = point.current and replace(point.current, ended=ended)
    return begin_ending(replace(point, current=current), at)


def on_ending_input(point: Point, given: Input, at: Moment) -> Step:
    """Gather; once nothing is missing, record the fuelling and clear the dispenser."""
    current = point.current
    if current is None:
        return Step(replace(point, phase=Phase.CLEARING), commands=(Clear(point.fp),))
    asked: tuple[DispenserCommand, ...] = ()
    match given:
        case FuellingEnded():
            point = replace(point, current=replace(current, ended=given))
        case TotalsRead() if point.status not in FLOWING:  # else more may flow: asked again later
            point = replace(point, readings=with_reading(point.readings, given))
        case CommandFailed(command=ReadTotals()):
            point = replace(point, retries=point.retries + 1)
        case _ if point.deadline_ms is not None and at.monotonic_ms >= point.deadline_ms:
            point, asked = _ask_again(point, at)
    if _complete(point):
        return _resolve(point, at)
    return Step(point, unreadable(point, asked), asked)


def unreadable(point: Point, asked: tuple[DispenserCommand, ...]) -> tuple[RecordBody, ...]:
    """Return the alarm that is due, once, when totalisers were asked for in vain so often."""
    if point.retries != RETRIES or not any(isinstance(each, ReadTotals) for each in asked):
        return ()
    return (AlarmRecorded(code="totals_unreadable", fp=point.fp, detail=""),)


def with_reading(readings: TotalsByNozzle, read: TotalsRead) -> TotalsByNozzle:
    """Return the readings with one more."""
    totals = NozzleTotals(
        nozzle=int(read.nozzle),
        volume_ml=read.volume.ml,
        amount_fen=None if read.amount is None else read.amount.fen,
    )
    return MappingProxyType({**readings, read.nozzle: totals})


def _ask_again(point: Point, at: Moment) -> tuple[Point, tuple[DispenserCommand, ...]]:
    current = point.current
    if current is None:
        return point, ()
    missing = [n for n in nozzles_in_hand(current) if n not in point.readings]
    asked: list[DispenserCommand] = [ReadTotals(point.fp, nozzle) for nozzle in missing]
    if current.ended is None:
        asked.append(ReadTransaction(point.fp))
    wait_ms = ENDING_MS * min(point.retries + 1, 10)
    if point.status in FLOWING:
        asked.append(Stop(point.fp))
    again = replace(point, retries=point.retries + 1, deadline_ms=at.monotonic_ms + wait_ms)
    return again, tuple(asked)


def _complete(point: Point) -> bool:
    """Whether everything is known, or the totalisers alone suffice, or the figures alone must."""
    current = point.current
    if current is None:
        return True
    if point.status in FLOWING:
        return False  # whatever was said before: it is not over
    has_totals = all(nozzle in point.readings for nozzle in nozzles_in_hand(current))
    if current.ended is not None:
        return has_totals or (current.seen_flowing and point.retries >= RETRIES)
    still = has_totals and all(
        nozzle in point.totals and point.totals[nozzle] == point.readings[nozzle]
        for nozzle in nozzles_in_hand(current)
    )
    return still or (has_totals and point.retries >= 2)


def _resolve(point: Point, at: Moment) -> Step:
    current = point.current
    if current is None:
        return Step(point)
    nozzle, delivered = deliveries(point, current)
    writes = record_of(point, current, nozzle, delivered, at)
    return cleared(replace(point, totals=carried(point, nozzle, delivered)), writes, at)


def cleared(point: Point, writes: tuple[RecordBody, ...], at: Moment) -> Step:
    """The fuelling is decided: write it, then clear the dispenser for the next one."""
    failed = point.current is not None and point.current.failure is not None
    clearing = replace(
        point,
        phase=Phase.CLEARING,
        current=None,  # it is in the books; whatever comes now is not about it
        must_hang=point.lifted is not None and not failed,
        deadline_ms=at.monotonic_ms + CLEAR_MS,
        retries=0,
    )
    return Step(clearing, writes, (Clear(point.fp),))


def deliveries(point: Point, current: Current) -> tuple[LogicalNozzle, Delivered | None]:
    """Return what the fuelling in hand delivered, and through which nozzle."""
    nozzles = nozzles_in_hand(current)
    ended = current.ended
    if ended is not None and current.seen_flowing:
        before, after = point.totals.get(ended.nozzle), point.readings.get(ended.nozzle)
        price = price_of(current, ended.nozzle)
        return ended.nozzle, watched(current.id, ended, before, after, price)
    first: tuple[LogicalNozzle, Delivered | None] = (nozzles[0], None)
    for nozzle in nozzles:
        after = point.readings.get(nozzle)
        if after is None:
            continue
        price = price_of(current, nozzle) or UnitPrice(0)
        found = interrupted(current.id, ended, point.totals.get(nozzle), after, point.fp, price)
        if found is not None and (found.volume or first[1] is None):
            first = (nozzle, found)
        if found is not None and found.volume:
            break
    return first


def price_of(current: Current, nozzle: LogicalNozzle) -> UnitPrice | None:
    """Return the unit price under which a nozzle was authorised."""
    milli = current.body.prices.get(str(nozzle))
    return None if milli is None else UnitPrice(milli)


def record_of(
    point: Point, current: Current, nozzle: LogicalNozzle, found: Delivered | None, at: Moment
) -> tuple[RecordBody, ...]:
    """Return the records of a decided fuelling: completed, or cancelled where nothing flowed."""
    findings = found.findings if found is not None else ()
    if found is None or not found.volume:
        reason = current.failure or "no_fuel"
        cancelled = FuellingCancelled(
            fuelling_id=current.id, fp=point.fp, reason=reason,
            prepaid_fen=current.body.prepaid_fen,
        )  # fmt: skip
        return (cancelled, *findings)
    if found.volume.ml <= PHANTOM_ML:
        phantom = AlarmRecorded(code="phantom_flow", fp=point.fp, detail=f"{found.volume} L")
        findings = (*findings, phantom)
    plan = point.plan.nozzle(nozzle)
    body = current.body
    origin: FuellingOrigin = "observed" if current.watched else "recovered"
    ended = current.ended
    believed = ended is not None and (ended.nozzle, ended.volume) == (nozzle, found.volume)
    price = ended.unit_price if ended is not None and believed else price_of(current, nozzle)
    completed = FuellingCompleted(
        fuelling_id=current.id,
        fp=point.fp,
        nozzle=int(nozzle),
        nozzle_number=int(plan.number),
        grade=plan.grade,
        price_set=PriceSetId(body.price_set),
        unit_price_milli=price.milli if price is not None else 0,
        volume_ml=found.volume.ml,
        amount_fen=found.amount.fen,
        totals_before=point.totals.get(nozzle),
        totals_after=point.readings.get(nozzle),
        origin=origin,
        member_ref=body.member_ref,
        plate_ref=body.plate_ref,
        plate_colour=body.plate_colour,
        odometer_km=body.odometer_km,
        prepaid_fen=body.prepaid_fen,
        started_ms=current.started_ms,
        ended_ms=at.wall_ms,
    )
    return (completed, *findings)


def carried(point: Point, nozzle: LogicalNozzle, found: Delivered | None) -> TotalsByNozzle:
    """Return the ledger's totalisers after this fuelling was recorded."""
    after = point.readings.get(nozzle)
    before = point.totals.get(nozzle)
    if after is None and before is not None and found is not None:
        amount = None if before.amount_fen is None else before.amount_fen + found.amount.fen
        after = NozzleTotals(
            nozzle=before.nozzle, volume_ml=before.volume_ml + found.volume.ml, amount_fen=amount
        )
    return point.totals if after is None else MappingProxyType({**point.totals, nozzle: after})
