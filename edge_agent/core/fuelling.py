"""The state machine of a fuelling point. Everything that moves a point from phase to phase is here
and in `core.recovery`.

`TABLE` says which handler takes an input in which phase; an input without a row changes nothing
but what was observed (status, nozzle, figures). Three rules hold throughout:

* What must survive is returned as `writes`, which are on disk before the commands of the same step
  are sent: an authorisation is in the books before the dispenser is released, a fuelling is in the
  books before its display is cleared.
* A fuelling ends once, by its figures and the totalisers read after it.
* Every wait has a deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias, cast

from edge_agent.core import recovery
from edge_agent.core.authorisation import ARMED_MS, AUTHORISE_MS, START_MS, release, require_free
from edge_agent.core.ending import begin_ending, end_with, on_ending_input
from edge_agent.core.point import (
    FLOWING,
    LEGAL,
    AuthoriseAsked,
    Current,
    Input,
    Moment,
    Phase,
    Point,
    PricesDue,
    PriceTable,
    Step,
    StopAsked,
    Tick,
)
from edge_agent.core.price_change import maybe_program, on_price_answer, prices_due
from edge_agent.model.dispenser import (
    AlarmRaised,
    Authorise,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserStatus,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Preset,
    Progress,
    StatusChanged,
    Stop,
    TotalsRead,
)
from edge_agent.model.errors import invariant
from edge_agent.model.records import AlarmRecorded, FuellingAuthorised, FuellingCancelled

Handler: TypeAlias = Callable[[Point, Input, Moment], Step]


def step(point: Point, given: Input, at: Moment) -> Step:
    """Take one input.

    Raises:
        CommandRefused: an `AuthoriseAsked` or `StopAsked` that the point cannot follow now.
    """
    seen = _observe(point, given)
    handler = TABLE.get((point.phase, type(given))) or ANYWHERE.get(type(given)) or _unchanged
    taken = handler(seen, given, at)
    phase = taken.point.phase
    legal = phase is point.phase or phase in LEGAL[point.phase]
    invariant(
        legal or phase in (Phase.LOST, Phase.RECONCILING), f"{point.phase} does not lead to {phase}"
    )
    return taken


def _observe(point: Point, given: Input) -> Point:
    match given:
        case StatusChanged():
            return replace(point, status=given.status)
        case NozzleChanged():
            if given.lifted:
                return replace(point, lifted=given.nozzle)
            hung = point.lifted == given.nozzle
            return replace(point, lifted=None, must_hang=False) if hung else point
        case Progress() if point.current is not None and given.volume >= point.current.volume:
            current = replace(point.current, volume=given.volume, amount=given.amount)
            return replace(point, current=current)
    return point


def _unchanged(point: Point, _given: Input, _at: Moment) -> Step:
    return Step(point)


# --- link ---------------------------------------------------------------------------------------


def _on_link(point: Point, given: Input, at: Moment) -> Step:
    if cast("LinkChanged", given).online:
        return recovery.begin(point, at)
    current = point.current and replace(point.current, watched=False)
    return Step(
        replace(
            point, phase=Phase.LOST, status=None, lifted=None, current=current, display=None,
            awaiting=frozenset(), programming=False, deadline_ms=None,
        )
    )  # fmt: skip


# --- authorise ----------------------------------------------------------------------------------


def _authorise(point: Point, given: Input, at: Moment) -> Step:
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
        prepaid_fen=request.prepaid.fen,
        totals_before=[point.totals[nozzle] for nozzle in nozzles if nozzle in point.totals],
    )
    armed = replace(point, phase=Phase.ARMED, current=Current(body, told=False), retries=0,
                    deadline_ms=at.monotonic_ms + ARMED_MS)  # fmt: skip
    return replace(release(armed, at), writes=(body,))


def _refuse_busy(point: Point, given: Input, _at: Moment) -> Step:
    require_free(point, cast("AuthoriseAsked", given).guards)
    return Step(point)


def _armed_nozzle(point: Point, _given: Input, at: Moment) -> Step:
    return release(point, at)


def _disarm(point: Point, given: Input, at: Moment) -> Step:
    if isinstance(given, Tick) and not _due(point, at):
        return Step(point)
    current = point.current
    if current is None:
        return Step(point)
    reason = given.reason if isinstance(given, StopAsked) else "not_lifted"
    body = FuellingCancelled(
        fuelling_id=current.id, fp=point.fp, reason=reason, prepaid_fen=current.body.prepaid_fen
    )
    ready = replace(point, phase=Phase.READY, current=None, deadline_ms=None)
    return _with_prices(Step(ready, (body,)), at)


def _authorise_answer(point: Point, given: Input, at: Moment) -> Step:
    match given:
        case CommandDone(command=Authorise()):
            return _released(point, at)
        case CommandFailed(command=Authorise()):
            return _authorise_failed(point, at, given.reason)
        case StatusChanged(status=DispenserStatus.AUTHORISED):
            return _released(point, at)
        case StatusChanged(status=DispenserStatus.FUELLING | DispenserStatus.SUSPENDED):
            return _deliver(point, at)
        case Tick() if _due(point, at):
            return _authorise_failed(point, at, "no_answer")
    return Step(point)


def _released(point: Point, at: Moment) -> Step:
    if point.status in (DispenserStatus.FUELLING, DispenserStatus.SUSPENDED):
        return _deliver(point, at)
    return Step(replace(point, phase=Phase.RELEASED, deadline_ms=at.monotonic_ms + START_MS))


def _authorise_failed(point: Point, at: Moment, reason: str) -> Step:
    """The dispenser may have been released all the same: stop it and ask its totalisers."""
    current = point.current and replace(point.current, failure=f"authorise_{reason}")
    ending = begin_ending(replace(point, current=current), at)
    alarm = AlarmRecorded(code="authorise_failed", fp=point.fp, detail=reason)
    return Step(ending.point, (alarm,), (Stop(point.fp), *ending.commands))


# --- delivery -----------------------------------------------------------------------------------


def _released_input(point: Point, given: Input, at: Moment) -> Step:
    match given:
        case StatusChanged(status=DispenserStatus.FUELLING | DispenserStatus.SUSPENDED):
            return _deliver(point, at)
        case Progress() if given.volume:
            return _deliver(point, at)
        case StatusChanged() if given.status not in FLOWING:
            return begin_ending(point, at)
        case FuellingEnded():
            return end_with(point, given, at)
        case Tick() if _due(point, at):
            waiting = replace(point, deadline_ms=at.monotonic_ms + AUTHORISE_MS)
            return Step(waiting, commands=(Stop(point.fp),))
    return Step(point)


def _deliver(point: Point, at: Moment) -> Step:
    current = point.current and replace(point.current, started_ms=at.wall_ms)
    return Step(replace(point, phase=Phase.DELIVERING, current=current, deadline_ms=None))


def _delivering_input(point: Point, given: Input, at: Moment) -> Step:
    match given:
        case StatusChanged() if given.status not in FLOWING:
            return begin_ending(point, at)
        case FuellingEnded():
            return end_with(point, given, at)
        case Progress() if point.current is not None and given.volume < point.current.volume:
            return _backwards(point, point.current)
    return Step(point)


def _backwards(point: Point, current: Current) -> Step:
    """A meter that runs back is broken or tampered with: stop, and say so once."""
    if current.failure is not None:
        return Step(point)
    told = replace(point, current=replace(current, failure="volume_backwards"))
    alarm = AlarmRecorded(code="volume_backwards", fp=point.fp, detail="")
    return Step(told, (alarm,), (Stop(point.fp),))


def _self_authorised(point: Point, given: Input, at: Moment) -> Step:
    """Fuel may flow though nobody released it: stop it, and keep books on what flows."""
    status = cast("StatusChanged", given).status
    if status is DispenserStatus.NOT_PROGRAMMED:
        return maybe_program(replace(point, applied=None, due=point.due or point.applied), at)
    if status not in FLOWING:
        return _with_prices(Step(point), at)
    adopted = recovery.adopt(point, at)
    alarm = AlarmRecorded(code="delivery_without_authorise", fp=point.fp, detail=status)
    return Step(adopted.point, (alarm, *adopted.writes), (Stop(point.fp), *adopted.commands))


# --- clearing -----------------------------------------------------------------------------------


def _clearing_input(point: Point, given: Input, at: Moment) -> Step:
    match given:
        case CommandDone(command=Clear()) | StatusChanged(status=DispenserStatus.IDLE):
            return _ready(point, at)
        case CommandFailed(command=Clear()):
            alarm = AlarmRecorded(code="clear_failed", fp=point.fp, detail=given.reason)
            return replace(_ready(point, at), writes=(alarm,))
        case StatusChanged() if given.status in FLOWING:
            return _self_authorised(point, given, at)
        case Tick() if _due(point, at):
            return _ready(point, at)
    return Step(point)


def _ready(point: Point, at: Moment) -> Step:
    ready = replace(point, phase=Phase.READY, current=None, deadline_ms=None, retries=0)
    return _with_prices(Step(ready), at)


def _with_prices(taken: Step, at: Moment) -> Step:
    priced = maybe_program(taken.point, at)
    return Step(priced.point, taken.writes + priced.writes, taken.commands + priced.commands)


# --- anywhere -----------------------------------------------------------------------------------


def _alarm(point: Point, given: Input, _at: Moment) -> Step:
    return Step(
        point, (AlarmRecorded(code=cast("AlarmRaised", given).code, fp=point.fp, detail=""),)
    )


def _ready_nozzle(point: Point, _given: Input, at: Moment) -> Step:
    return _with_prices(Step(point), at)


def _due(point: Point, at: Moment) -> bool:
    return point.deadline_ms is not None and at.monotonic_ms >= point.deadline_ms


ANYWHERE: Mapping[type[Input], Handler] = {
    LinkChanged: _on_link,
    AlarmRaised: _alarm,
    AuthoriseAsked: _refuse_busy,
    PricesDue: prices_due,
    CommandDone: on_price_answer,
    CommandFailed: on_price_answer,
}
"""What an input does in a phase that has no row of its own for it."""

_RELEASED_ROWS = dict.fromkeys((StatusChanged, Progress, FuellingEnded, Tick), _released_input)
_ENDING_ROWS = dict.fromkeys(
    (FuellingEnded, TotalsRead, StatusChanged, CommandFailed, Tick), on_ending_input
)
_RECOVERY_ROWS = dict.fromkeys(
    (StatusChanged, FuellingEnded, TotalsRead, CommandDone, CommandFailed, Tick),
    recovery.on_input,
)

TABLE: Mapping[tuple[Phase, type[Input]], Handler] = {
    (Phase.READY, AuthoriseAsked): _authorise,
    (Phase.READY, StatusChanged): _self_authorised,
    (Phase.READY, NozzleChanged): _ready_nozzle,
    (Phase.READY, Tick): _ready_nozzle,
    (Phase.ARMED, NozzleChanged): _armed_nozzle,
    (Phase.ARMED, StopAsked): _disarm,
    (Phase.ARMED, Tick): _disarm,
    (Phase.AUTHORISING, CommandDone): _authorise_answer,
    (Phase.AUTHORISING, CommandFailed): _authorise_answer,
    (Phase.AUTHORISING, StatusChanged): _authorise_answer,
    (Phase.AUTHORISING, Tick): _authorise_answer,
    (Phase.DELIVERING, StatusChanged): _delivering_input,
    (Phase.DELIVERING, FuellingEnded): _delivering_input,
    (Phase.DELIVERING, Progress): _delivering_input,
    (Phase.CLEARING, CommandDone): _clearing_input,
    (Phase.CLEARING, CommandFailed): _clearing_input,
    (Phase.CLEARING, StatusChanged): _clearing_input,
    (Phase.CLEARING, Tick): _clearing_input,
    **{(Phase.RELEASED, given): handler for given, handler in _RELEASED_ROWS.items()},
    **{(Phase.ENDING, given): handler for given, handler in _ENDING_ROWS.items()},
    **{(Phase.RECONCILING, given): handler for given, handler in _RECOVERY_ROWS.items()},
}
"""Which handler takes which input in which phase."""
