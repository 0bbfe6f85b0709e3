"""From a wish to the first flow: authorise, wait for the lift, tell the dispenser, see it start."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from edge_agent.core.adoption import stop_and_adopt
from edge_agent.core.authorisation import (
    ARMED_MS,
    AUTHORISE_MS,
    START_MS,
    release,
    require_free,
)
from edge_agent.core.ending import begin_ending, end_with
from edge_agent.core.point import (
    FLOWING,
    AuthoriseAsked,
    Current,
    Input,
    Moment,
    Phase,
    Point,
    PriceTable,
    Step,
    StopAsked,
    Tick,
)
from edge_agent.core.readiness import ready
from edge_agent.model.dispenser import (
    Authorise,
    CommandDone,
    CommandFailed,
    DispenserStatus,
    FuellingEnded,
    Preset,
    Progress,
    StatusChanged,
    Stop,
)
from edge_agent.model.records import AlarmRecorded, FuellingAuthorised, FuellingCancelled

_STARTED = (DispenserStatus.FUELLING, DispenserStatus.SUSPENDED)


def on_wish(point: Point, given: Input, at: Moment) -> Step:
    """Somebody wants a free point released. Raises `CommandRefused` when it is not free."""
    asked = cast("AuthoriseAsked", given)
    require_free(point, asked.guards)
    table = cast("PriceTable", point.applied)
    request = asked.request
    nozzles = (point.lifted,) if point.lifted is not None else point.all_nozzles()
    preset = request.preset
    if request.prepaid and preset is None:
        preset = Preset(amount=request.prepaid)
    body = FuellingAuthorised(
        fuelling_id=at.fresh_id,
        fp=point.fp,
        nozzles=[int(nozzle) for nozzle in nozzles],
        by=request.by,
        preset_volume_ml=preset.volume.ml if preset and preset.volume else None,
        preset_amount_fen=preset.amount.fen if preset and preset.amount else None,
        price_set=table.price_set,
        prices={str(nozzle): table.prices[nozzle].milli for nozzle in nozzles},
        member_ref=request.member,
        plate_ref=request.plate,
        plate_colour=request.plate_colour,
        odometer_km=request.odometer_km,
        prepaid_fen=request.prepaid.fen,
        totals_before=[point.totals[nozzle] for nozzle in nozzles if nozzle in point.totals],
    )
    armed = replace(
        point,
        phase=Phase.ARMED,
        current=Current(body, told=False),
        retries=0,
        deadline_ms=at.monotonic_ms + ARMED_MS,
    )
    return replace(release(armed, at), writes=(body,))


def on_armed(point: Point, given: Input, at: Moment) -> Step:
    """Authorised in the books; the dispenser hears of it when a nozzle is lifted."""
    match given:
        case StopAsked():
            return _disarm(point, given.reason, at)
        case Tick() if is_due(point, at):
            return _disarm(point, "not_lifted", at)
        case StatusChanged() if given.status in FLOWING:
            return stop_and_adopt(point, at)
    return release(point, at)


def _disarm(point: Point, reason: str, at: Moment) -> Step:
    current = point.current
    if current is None:
        return Step(point)
    body = FuellingCancelled(
        fuelling_id=current.id, fp=point.fp, reason=reason, prepaid_fen=current.body.prepaid_fen
    )
    free = ready(point, at)
    return Step(free.point, (body, *free.writes), free.commands)


def on_authorising(point: Point, given: Input, at: Moment) -> Step:
    """The dispenser was told. Whatever order its news come in, none is lost."""
    match given:
        case CommandDone(command=Authorise()) | StatusChanged(status=DispenserStatus.AUTHORISED):
            return _released(point, at)
        case StatusChanged(status=DispenserStatus.FUELLING | DispenserStatus.SUSPENDED):
            return deliver(point, at)
        case Progress() if given.volume:
            return deliver(point, at)
        case FuellingEnded():
            return end_with(point, given, at)
        case CommandFailed(command=Authorise()):
            return _failed(point, given.reason, at)
        case StopAsked():
            return _give_up(point, given.reason, at)
        case Tick() if is_due(point, at):
            return _failed(point, "no_answer", at)
    return Step(point)


def _released(point: Point, at: Moment) -> Step:
    if point.status in _STARTED:
        return deliver(point, at)
    if point.status is DispenserStatus.COMPLETE:
        return begin_ending(point, at)  # it was over before we heard that it began
    waiting = replace(
        point, phase=Phase.RELEASED, retries=0, deadline_ms=at.monotonic_ms + START_MS
    )
    return Step(waiting)


def _failed(point: Point, reason: str, at: Moment) -> Step:
    """The dispenser may have been released all the same: stop it and ask its totalisers."""
    ended = _give_up(point, f"authorise_{reason}", at)
    alarm = AlarmRecorded(code="authorise_failed", fp=point.fp, detail=reason)
    return Step(ended.point, (alarm,), ended.commands)


def _give_up(point: Point, reason: str, at: Moment) -> Step:
    current = point.current and replace(point.current, failure=reason)
    ending = begin_ending(replace(point, current=current), at)
    return Step(ending.point, commands=(Stop(point.fp), *ending.commands))


def on_released(point: Point, given: Input, at: Moment) -> Step:
    """Released and confirmed; a customer who does not fuel is stopped after a while."""
    match given:
        case StatusChanged(status=DispenserStatus.FUELLING | DispenserStatus.SUSPENDED):
            return deliver(point, at)
        case Progress() if given.volume:
            return deliver(point, at)
        case StatusChanged() if given.status not in FLOWING:
            return begin_ending(point, at)
        case FuellingEnded():
            return end_with(point, given, at)
        case StopAsked():
            return Step(point, commands=(Stop(point.fp),))
        case Tick() if is_due(point, at):
            if point.retries:
                return _give_up(point, "not_started", at)
            waiting = replace(point, retries=1, deadline_ms=at.monotonic_ms + AUTHORISE_MS)
            return Step(waiting, commands=(Stop(point.fp),))
    return Step(point)


def deliver(point: Point, at: Moment) -> Step:
    """Fuel flows."""
    current = point.current and replace(point.current, started_ms=at.wall_ms)
    return Step(replace(point, phase=Phase.DELIVERING, current=current, deadline_ms=None))


def is_due(point: Point, at: Moment) -> bool:
    """Whether the point's deadline has passed."""
    return point.deadline_ms is not None and at.monotonic_ms >= point.deadline_ms
