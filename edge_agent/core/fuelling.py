"""The state machine of a fuelling point, as a table.

`TABLE` says which handler takes an input in which phase; an input without a row changes nothing
but what was observed (status, nozzles, figures). The handlers stand beside each other by what they
are about: `releasing` from wish to flow, `ending` the figures, `recovery` what nobody watched,
`price_change`, `readiness`. Three rules hold throughout:

* What must survive is returned as `writes`, which are on disk before the commands of the same step
  are sent: an authorisation is in the books before the dispenser is released, a fuelling is in the
  books before its display is cleared.
* A fuelling ends once, by its figures and the totalisers read after it.
* Only flow itself may last as long as it likes; every other wait has a deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias, cast

from edge_agent.core import recovery
from edge_agent.core.adoption import stop_and_adopt
from edge_agent.core.authorisation import require_free
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
    Step,
    StopAsked,
    Tick,
)
from edge_agent.core.price_change import maybe_program, on_price_answer, prices_due
from edge_agent.core.readiness import ready
from edge_agent.core.releasing import is_due, on_armed, on_authorising, on_released, on_wish
from edge_agent.model.dispenser import (
    AlarmRaised,
    Clear,
    CommandDone,
    CommandFailed,
    DispenserStatus,
    FuellingEnded,
    LinkChanged,
    NozzleChanged,
    Progress,
    SetPrices,
    StatusChanged,
    Stop,
    TotalsRead,
)
from edge_agent.model.errors import invariant
from edge_agent.model.records import AlarmRecorded

Handler: TypeAlias = Callable[[Point, Input, Moment], Step]


def step(point: Point, given: Input, at: Moment) -> Step:
    """Take one input.

    Raises:
        CommandRefused: an `AuthoriseAsked` that the point cannot follow now.
    """
    seen = _observe(point, given)
    taken = _handler(point.phase, given)(seen, given, at)
    phase = taken.point.phase
    legal = phase is point.phase or phase in LEGAL[point.phase]
    invariant(
        legal or phase in (Phase.LOST, Phase.RECONCILING), f"{point.phase} does not lead to {phase}"
    )
    return taken


def _handler(phase: Phase, given: Input) -> Handler:
    if isinstance(given, CommandDone | CommandFailed) and isinstance(given.command, SetPrices):
        return on_price_answer
    return TABLE.get((phase, type(given))) or ANYWHERE.get(type(given)) or _unchanged


def _observe(point: Point, given: Input) -> Point:
    match given:
        case StatusChanged():
            return replace(point, status=given.status)
        case NozzleChanged():
            others = tuple(nozzle for nozzle in point.out if nozzle != given.nozzle)
            out = (*others, given.nozzle) if given.lifted else others
            return replace(point, out=out, must_hang=point.must_hang and bool(out))
        case Progress() if point.current is not None and given.volume >= point.current.volume:
            current = replace(point.current, volume=given.volume, amount=given.amount)
            return replace(point, current=current)
    return point


def _unchanged(point: Point, _given: Input, _at: Moment) -> Step:
    return Step(point)


def _on_link(point: Point, given: Input, at: Moment) -> Step:
    if cast("LinkChanged", given).online:
        return recovery.begin(point, at)
    lost = replace(
        point,
        phase=Phase.LOST,
        status=None,
        out=(),
        current=point.current and replace(point.current, watched=False),
        display=None,
        awaiting=frozenset(),
        programming=False,
        deadline_ms=None,
    )
    return Step(lost)


def _stop_unheard(point: Point, given: Input, _at: Moment) -> Step:
    """The dispenser may not have heard the Stop: the fuelling in hand carries it along."""
    current = point.current
    if current is None or point.phase not in (Phase.LOST, Phase.RECONCILING):
        return Step(point)
    stopped = replace(current, told=True, failure=cast("StopAsked", given).reason)
    return Step(replace(point, current=stopped))


def _refuse_busy(point: Point, given: Input, _at: Moment) -> Step:
    require_free(point, cast("AuthoriseAsked", given).guards)
    return Step(point)


def _on_ready(point: Point, given: Input, at: Moment) -> Step:
    """Nothing is in hand: fuel that flows is stopped, figures that turn up are looked into."""
    match given:
        case StatusChanged() if given.status in FLOWING:
            return stop_and_adopt(point, at)
        case StatusChanged(status=DispenserStatus.NOT_PROGRAMMED):
            return ready(point, at)
        case FuellingEnded() | StatusChanged(status=DispenserStatus.COMPLETE):
            return recovery.look_again(point, at)
    return maybe_program(point, at)


def _on_armed(point: Point, given: Input, at: Moment) -> Step:
    if isinstance(given, StatusChanged) and given.status is DispenserStatus.COMPLETE:
        return recovery.look_again(point, at)  # something was sold that nobody here released
    return on_armed(point, given, at)


def _on_delivering(point: Point, given: Input, at: Moment) -> Step:
    match given:
        case StatusChanged() if given.status not in FLOWING:
            return begin_ending(point, at)
        case FuellingEnded():
            return end_with(point, given, at)
        case StopAsked():
            return Step(point, commands=(Stop(point.fp),))
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


def _on_clearing(point: Point, given: Input, at: Moment) -> Step:
    match given:
        case CommandDone(command=Clear()) | StatusChanged(status=DispenserStatus.IDLE):
            return ready(point, at)
        case CommandFailed(command=Clear()):
            alarm = AlarmRecorded(code="clear_failed", fp=point.fp, detail=given.reason)
            free = ready(point, at)
            return replace(free, writes=(alarm, *free.writes))
        case StatusChanged() if given.status in FLOWING:
            return stop_and_adopt(point, at)
        case Tick() if is_due(point, at):
            return ready(point, at)
    return Step(point)


def _alarm(point: Point, given: Input, _at: Moment) -> Step:
    code = cast("AlarmRaised", given).code
    return Step(point, (AlarmRecorded(code=code, fp=point.fp, detail=""),))


ANYWHERE: Mapping[type[Input], Handler] = {
    LinkChanged: _on_link,
    AlarmRaised: _alarm,
    AuthoriseAsked: _refuse_busy,
    PricesDue: prices_due,
    StopAsked: _stop_unheard,
}
"""What an input does in a phase that has no row of its own for it."""

_ROWS: Mapping[Phase, tuple[Handler, tuple[type[Input], ...]]] = {
    Phase.READY: (_on_ready, (StatusChanged, NozzleChanged, FuellingEnded, Tick)),
    Phase.ARMED: (_on_armed, (NozzleChanged, StatusChanged, StopAsked, Tick)),
    Phase.AUTHORISING: (
        on_authorising,
        (CommandDone, CommandFailed, StatusChanged, Progress, FuellingEnded, StopAsked, Tick),
    ),
    Phase.RELEASED: (on_released, (StatusChanged, Progress, FuellingEnded, StopAsked, Tick)),
    Phase.DELIVERING: (_on_delivering, (StatusChanged, Progress, FuellingEnded, StopAsked)),
    Phase.ENDING: (
        on_ending_input,
        (FuellingEnded, TotalsRead, StatusChanged, CommandFailed, Tick),
    ),
    Phase.CLEARING: (_on_clearing, (CommandDone, CommandFailed, StatusChanged, Tick)),
    Phase.RECONCILING: (
        recovery.on_input,
        (StatusChanged, FuellingEnded, TotalsRead, CommandDone, CommandFailed, Tick),
    ),
}

TABLE: Mapping[tuple[Phase, type[Input]], Handler] = {
    (phase, given): handler for phase, (handler, inputs) in _ROWS.items() for given in inputs
} | {(Phase.READY, AuthoriseAsked): on_wish}
"""Which handler takes which input in which phase."""
