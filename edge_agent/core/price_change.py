"""Bringing a price set to a dispenser: never to one that is fuelling, never twice at once.

A dispenser that refuses (tax unit busy at midnight, say) keeps selling under the old set, whose id
stays on every sale, and is asked again after a while.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from edge_agent.core.point import Input, Moment, Phase, Point, PricesDue, PriceTable, Step
from edge_agent.model.dispenser import CommandDone, CommandFailed, DispenserStatus, SetPrices
from edge_agent.model.records import PriceApplied, PriceRefusedByPump

RETRY_MS = 30_000

_PROGRAMMABLE = frozenset(
    {DispenserStatus.IDLE, DispenserStatus.COMPLETE, DispenserStatus.NOT_PROGRAMMED}
)


def prices_due(point: Point, given: Input, at: Moment) -> Step:
    """Note that a price set is in force; program it at once if the point is free."""
    table = cast("PricesDue", given).table
    current = point.applied is not None and point.applied.price_set == table.price_set
    return maybe_program(replace(point, due=None if current else table, price_retry_ms=0), at)


def maybe_program(point: Point, at: Moment) -> Step:
    """Program the prices that are due, if nothing is in hand and no nozzle is lifted."""
    free = (
        point.phase is Phase.READY
        and point.lifted is None
        and not point.programming
        and point.status in _PROGRAMMABLE
    )
    if point.due is None or not free or at.monotonic_ms < point.price_retry_ms:
        return Step(point)
    prices = tuple(sorted(point.due.prices.items()))
    return Step(replace(point, programming=True), commands=(SetPrices(point.fp, prices),))


def on_price_answer(point: Point, given: Input, at: Moment) -> Step:
    """Take the dispenser's answer to `SetPrices`; other answers change nothing."""
    match given:
        case CommandDone(command=SetPrices() as command) if point.due is not None:
            return _applied(point, point.due, command, at)
        case CommandFailed(command=SetPrices()) if point.due is not None:
            refused = PriceRefusedByPump(
                price_set=point.due.price_set, fp=point.fp, reason=given.reason
            )
            waiting = replace(point, programming=False, price_retry_ms=at.monotonic_ms + RETRY_MS)
            return Step(waiting, (refused,))
    return Step(point)


def _applied(point: Point, due: PriceTable, command: SetPrices, at: Moment) -> Step:
    if tuple(sorted(due.prices.items())) != command.prices:
        return maybe_program(replace(point, programming=False), at)
    body = PriceApplied(
        price_set=due.price_set,
        fp=point.fp,
        prices={str(nozzle): price.milli for nozzle, price in command.prices},
    )
    return Step(replace(point, applied=due, due=None, programming=False), (body,))
