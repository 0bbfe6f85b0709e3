"""Fuel that flows, or may at any moment, although this agent has not released it."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.core.point import Current, Moment, Phase, Point, Step
from edge_agent.model.dispenser import Stop
from edge_agent.model.records import AlarmRecorded, FuellingAuthorised

UNKNOWN_PRICE_SET = "unknown"


def adopt(point: Point, at: Moment) -> Step:
    """Keep books on the flow: under the authorisation in hand, or under one of its own."""
    delivering = replace(
        point, phase=Phase.DELIVERING, awaiting=frozenset(), deadline_ms=None, retries=0
    )
    if point.current is not None:
        current = replace(point.current, told=True, started_ms=at.wall_ms)
        return Step(replace(delivering, current=current))
    body = _authorised_by_dispenser(point, at)
    current = Current(body, started_ms=at.wall_ms, watched=False)
    return Step(replace(delivering, current=current), (body,))


def stop_and_adopt(point: Point, at: Moment) -> Step:
    """A pump cannot authorise itself: stop it, say so, and lose nothing of what flowed."""
    adopted = adopt(point, at)
    status = "" if point.status is None else point.status.value
    alarm = AlarmRecorded(code="delivery_without_authorise", fp=point.fp, detail=status)
    return Step(adopted.point, (alarm, *adopted.writes), (Stop(point.fp), *adopted.commands))


def _authorised_by_dispenser(point: Point, at: Moment) -> FuellingAuthorised:
    applied = point.applied
    prices = {} if applied is None else applied.prices
    nozzles = (point.lifted,) if point.lifted is not None else point.all_nozzles()
    return FuellingAuthorised(
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
