"""What it takes to get something done with a pump, step by step.

An acknowledgement means received, not done. Each procedure is a generator of steps; it goes on when
a step is finished and looks at what the pump reported meanwhile. Every wait has an end.

    authorise   [RETURN STATUS, RESET until RESET] CD2 [CD3 or CD4] AUTHORIZE until AUTHORIZED
    clear       RETURN STATUS, RESET until RESET, CD2 all nozzles
    set prices  CD5 once, then only questions until all prices are there
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from drivers.dart.options import DartOptions
from drivers.dart.orders import (
    AMOUNT_COUNTER,
    AllowNozzles,
    Ask,
    Command,
    Order,
    PresetAmount,
    PresetVolume,
    RequestTotal,
    UpdatePrices,
)
from drivers.dart.reports import TotalByMeter, TotalPair
from drivers.dart.side import Figures, Side
from edge_agent.model.dispenser import (
    Authorise,
    DispenserStatus,
    Preset,
    ReadTotals,
    SetPrices,
    TotalsRead,
)
from edge_agent.model.ids import LogicalNozzle
from edge_agent.model.units import Money, UnitPrice

REPORT_WAITS_MS: Final = (0, 10, 30, 60, 100, 200)
"""Polls for a report that was asked for, each after so many milliseconds."""

STATUS_WAITS_MS: Final = (0, 10, 30, 60, 100, 200, 400, 800, 1200)
"""Polls for a state that a command should lead to; about three seconds in all."""

ATTEMPTS: Final = 2
SETTLE_MS: Final = 60
"""The first figures after a nozzle is hung up may still be running ones: wait a cycle."""
READINGS_MAX: Final = 4
PATIENCE_MS: Final = 1_000
"""Until a pump that answers without telling its status is asked again."""

SUSPENDABLE: Final = frozenset({DispenserStatus.AUTHORISED, DispenserStatus.FUELLING})
STOPPED: Final = frozenset(
    {
        DispenserStatus.COMPLETE,
        DispenserStatus.IDLE,
        DispenserStatus.NOT_PROGRAMMED,
        DispenserStatus.CLOSED,
    }
)
IN_SALE: Final = frozenset(
    {DispenserStatus.AUTHORISED, DispenserStatus.FUELLING, DispenserStatus.SUSPENDED}
)


@dataclass(frozen=True, slots=True)
class Tell:
    """Send one order as a data block; finished when it was acknowledged."""

    order: Order


@dataclass(frozen=True, slots=True)
class Poll:
    """Poll after `wait_ms`; finished when the pump answered, whatever it said."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a procedure ended: done if there is no `reason`; `alarm` is for the staff."""

    reason: str = ""
    alarm: str = ""


Steps: TypeAlias = Generator["Tell | Poll", None, Outcome]
Waiting: TypeAlias = Generator["Tell | Poll", None, bool]

DONE: Final = Outcome()
NOT_DONE: Final = Outcome("not_confirmed", "command_not_done")

RETURN_STATUS: Final = Tell(Command(Ask.RETURN_STATUS))
RETURN_FILLING: Final = Tell(Command(Ask.RETURN_FILLING))
RETURN_PRICES: Final = Tell(Command(Ask.RETURN_PRICES))


def bring_up(side: Side) -> Steps:
    """Learn the state of a pump that answers (again), and let it report every nozzle."""
    for _ in range(ATTEMPTS):
        yield RETURN_STATUS
        if (yield from _grows(lambda: side.status_reports)):
            break
    else:
        yield Poll(PATIENCE_MS)
        return Outcome("no_status")
    yield RETURN_FILLING
    yield from _grows(lambda: side.figure_reports)
    yield RETURN_PRICES
    yield from _grows(lambda: side.price_reports)
    if not side.is_in_sale:
        yield _all_nozzles(side)
    return DONE


def confirm_nozzle(side: Side) -> Steps:
    """Ask for the nozzle again at once; some pumps tell it only after a question for totals."""
    first = side.plan.nozzles[0].logical
    for ask in (RETURN_STATUS, RETURN_STATUS, Tell(RequestTotal(first))):
        yield ask
        for wait_ms in REPORT_WAITS_MS[:3]:
            yield Poll(wait_ms)
            if not side.watch.is_in_doubt:
                return DONE
    side.watch.dismiss()
    return DONE


def read_running(side: Side) -> Steps:
    """Ask for the figures of a fuelling under way."""
    yield RETURN_FILLING
    yield from _grows(lambda: side.figure_reports)
    return DONE


def settle(side: Side) -> Steps:
    """Read the final figures until two readings agree, then tell them.

    Where they never do, the last ones are told with an alarm: the totalisers decide.
    """
    if (yield from _read_figures(side)):
        side.alarm("figures_unsettled")
    side.settle()
    return DONE


def authorise(side: Side, command: Authorise, options: DartOptions) -> Steps:
    """Release the point for one fuelling."""
    reason = _hindrance(side, command, options)
    if reason:
        return Outcome(reason)
    preset = _preset_order(side, command.preset)
    if command.preset is not None and preset is None:
        return Outcome("preset_not_representable")
    is_ready = side.status is DispenserStatus.IDLE and side.is_clear
    if not is_ready and not (yield from _reset(side)):
        return NOT_DONE
    yield Tell(AllowNozzles(tuple(command.nozzles)))
    if preset is not None:
        side.is_clear = False
        yield Tell(preset)
    side.expect_fuelling()
    yield Tell(Command(Ask.AUTHORIZE))
    done = yield from _reached(side, IN_SALE)
    return DONE if done else NOT_DONE


def clear(side: Side) -> Steps:
    """Reset the point, so that the next fuelling may be authorised."""
    if side.is_in_sale:
        return Outcome("fuelling")
    if side.status is DispenserStatus.NOT_PROGRAMMED:
        return Outcome("not_programmed")
    if not (yield from _reset(side)):
        return NOT_DONE
    yield _all_nozzles(side)
    return DONE


def order_until(side: Side, ask: Ask, goal: Collection[DispenserStatus]) -> Steps:
    """Give one CD1 command and see the state that it leads to."""
    yield Tell(Command(ask))
    done = yield from _reached(side, goal)
    return DONE if done else NOT_DONE


def suspend(side: Side) -> Steps:
    """Pause the flow."""
    if side.status not in SUSPENDABLE:
        return Outcome("not_fuelling")
    return (yield from order_until(side, Ask.SUSPEND, {DispenserStatus.SUSPENDED}))


def resume(side: Side) -> Steps:
    """Let a suspended fuelling flow on."""
    if side.status is not DispenserStatus.SUSPENDED:
        return Outcome("not_suspended")
    return (yield from order_until(side, Ask.RESUME, SUSPENDABLE))


def stop(side: Side) -> Steps:
    """End the fuelling or the authorisation; sent whatever the state seems to be."""
    return (yield from order_until(side, Ask.STOP, STOPPED))


def read_totals(side: Side, command: ReadTotals) -> Steps:
    """Read the volume and the amount totaliser of a nozzle, in either layout."""
    if all(own.logical != command.nozzle for own in side.plan.nozzles):
        return Outcome("no_such_nozzle")
    volume = yield from _total(side, command.nozzle)
    if volume is None:
        return Outcome("no_totals")
    amount: int | None = None
    if isinstance(volume, TotalPair):
        amount = volume.amount
    elif side.has_amount_totals is not False:
        counted = yield from _total(side, AMOUNT_COUNTER + command.nozzle)
        side.has_amount_totals = counted is not None
        amount = counted.total if isinstance(counted, TotalByMeter) else None
    digits = volume.volume if isinstance(volume, TotalPair) else volume.total
    money: Money | None = None if amount is None else side.decimals.to_amount(amount)
    side.emit(TotalsRead(side.plan.fp, command.nozzle, side.decimals.to_volume(digits), money))
    return DONE


def read_transaction(side: Side) -> Steps:
    """Tell the figures that the display keeps."""
    if side.is_in_sale:
        return Outcome("fuelling")
    reason = yield from _read_figures(side)
    if reason or side.figures is None:
        return Outcome(reason or "no_figures")
    yield RETURN_STATUS  # brings the selected nozzle and its price
    yield from _grows(lambda: side.status_reports)
    side.tell_ended(side.figures)
    return DONE


def set_prices(side: Side, command: SetPrices, options: DartOptions) -> Steps:
    """Program the prices of all nozzles in one CD5, and see them come back."""
    if side.is_in_sale:
        return Outcome("fuelling")
    if side.watch.lifted is not None:
        return Outcome("nozzle_out")
    wanted = dict(command.prices)
    order = _price_order(side, wanted)
    if isinstance(order, Outcome):
        return order
    yield Tell(order)
    for _ in range(options.price_polls):
        if (yield from _prices_are(side, wanted)):
            side.prices.update(wanted)
            return DONE
        yield Poll(options.price_poll_ms)
    return NOT_DONE


# --- parts --------------------------------------------------------------------------------------


def _grows(count: Callable[[], int]) -> Waiting:
    """Poll until a report that was asked for is counted."""
    before = count()
    for wait_ms in REPORT_WAITS_MS:
        yield Poll(wait_ms)
        if count() > before:
            return True
    return False


def _reached(side: Side, goal: Collection[DispenserStatus]) -> Waiting:
    """Poll until a newly reported status lies in `goal`, asking for it now and then."""
    before = side.status_reports
    for attempt, wait_ms in enumerate(STATUS_WAITS_MS):
        yield Poll(wait_ms)
        if side.status_reports > before and side.status in goal:
            return True
        if attempt:
            yield RETURN_STATUS
    return False


def _prices_are(side: Side, wanted: Mapping[LogicalNozzle, UnitPrice]) -> Waiting:
    """Ask for the prices; a pump that cannot tell them all tells that of the selected nozzle."""
    yield RETURN_PRICES
    if (yield from _grows(lambda: side.price_reports)):
        priced = all(side.prices.get(nozzle) == price for nozzle, price in wanted.items())
    else:
        priced = side.selected is not None and side.selected_price == wanted[side.selected]
    if not priced or side.status is DispenserStatus.NOT_PROGRAMMED:
        yield RETURN_STATUS
        yield from _grows(lambda: side.status_reports)
    return priced and side.status is not DispenserStatus.NOT_PROGRAMMED


def _reset(side: Side) -> Waiting:
    """RESET alone may be ignored: RETURN STATUS goes before it; once more if nothing happened."""
    for _ in range(ATTEMPTS):
        yield RETURN_STATUS
        yield Tell(Command(Ask.RESET))
        if (yield from _reached(side, {DispenserStatus.IDLE})):
            side.is_clear = True
            return True
    return False


def _read_figures(side: Side) -> Generator[Tell | Poll, None, str]:
    """Read the display until two readings agree; return why they did not, or nothing."""
    previous: Figures | None = None
    for _ in range(READINGS_MAX):
        yield Poll(SETTLE_MS)
        yield RETURN_FILLING
        if not (yield from _grows(lambda: side.figure_reports)):
            continue
        if side.figures == previous:
            return ""
        previous = side.figures
    return "no_figures" if previous is None else "figures_unsettled"


def _total(
    side: Side, counter: int
) -> Generator[Tell | Poll, None, TotalByMeter | TotalPair | None]:
    for _ in range(ATTEMPTS):
        side.totals.pop(counter, None)
        yield Tell(RequestTotal(counter))
        if (yield from _grows(lambda: counter in side.totals)):
            return side.totals[counter]
    return None


def _all_nozzles(side: Side) -> Tell:
    return Tell(AllowNozzles(tuple(own.logical for own in side.plan.nozzles)))


def _hindrance(side: Side, command: Authorise, options: DartOptions) -> str:
    """Return why the point cannot be authorised now, or nothing."""
    known = {own.logical for own in side.plan.nozzles}
    hindrances = (
        ("decimals_unconfirmed", not options.decimals_confirmed),
        ("decimals_suspect", side.decimals_suspect),
        ("no_such_nozzle", not command.nozzles or not known.issuperset(command.nozzles)),
        ("fuelling", side.is_in_sale),
        ("not_programmed", side.status is DispenserStatus.NOT_PROGRAMMED),
        ("closed", side.status is DispenserStatus.CLOSED),
        (
            "nozzle_not_lifted",
            command.preset is not None
            and options.preset_after_lift
            and side.watch.lifted not in command.nozzles,
        ),
    )
    return next((reason for reason, holds in hindrances if holds), "")


def _preset_order(side: Side, preset: Preset | None) -> PresetVolume | PresetAmount | None:
    if preset is None:
        return None
    if preset.volume is not None:
        volume = side.decimals.of_volume(preset.volume)
        return None if volume is None else PresetVolume(volume)
    amount = None if preset.amount is None else side.decimals.of_amount(preset.amount)
    return None if amount is None else PresetAmount(amount)


def _price_order(side: Side, wanted: dict[LogicalNozzle, UnitPrice]) -> UpdatePrices | Outcome:
    """A pump ignores a CD5 that does not price every nozzle of the side."""
    own = [nozzle.logical for nozzle in side.plan.nozzles]
    if set(own) != set(wanted):
        return Outcome("prices_incomplete")
    digits: list[int] = []
    for number in range(1, max(own) + 1):
        price = wanted.get(LogicalNozzle(number))
        found = 0 if price is None else side.decimals.of_price(price)
        if found is None:
            return Outcome("price_not_representable")
        digits.append(found)
    return UpdatePrices(tuple(digits))
