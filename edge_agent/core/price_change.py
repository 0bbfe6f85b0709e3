"""Bringing a price set to a dispenser: never to one that is fuelling, never twice at once.

A dispenser that refuses (tax unit busy at midnight, say) keeps selling under the old set, whose id
stays on every sale, and is asked again after a while.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from edge_agent.core.point import Input, Moment, Phase, Point, PricesDue, Step
from edge_agent.model.dispenser import CommandDone, CommandFailed, DispenserStatus, SetPrices
from edge_agent.model.records import PriceApplied, PriceRefusedByPump

RETRY_MS = 30_000

_PROGRAMMABLE = frozenset(
    {DispenserStatus.IDLE, DispenserStatus.COMPLETE, DispenserStatus.NOT_PROGRAMMED}
)


def prices_due(point: Point, given: Input, at: Moment) -> Step:
    """Note which prices are in force; program them once the point is free.

    While others are being programmed even those that the pump had are due: its answer will be
    about the others.
    """
    table = cast("PricesDue", given).table
    current = point.applied == table and not point.programming
    return maybe_program(replace(point, due=None if current else table, price_retry_ms=0), at)


def maybe_program(point: Point, at: Moment) -> Step:
    """Program the prices that are due, if nothing is in hand and no nozzle is lifted."""
    free = (
        point.phase is Phase.READY
        and not point.out
        and not point.programming
        and point.status in _PROGRAMMABLE
    )
    if point.due is None or not free or at.monotonic_ms < point.price_retry_ms:
        return Step(point)
    prices = tuple(sorted(point.due.prices.items()))
    return Step(replace(point, programming=True), commands=(SetPrices(point.fp, prices),))


def on_price_answer(point: Point, given: Input, at: Moment) -> Step:
    """Take the dispenser's answer to `SetPrices`, in whatever phase it comes."""
    answered = replace(point, programming=False)
    match given:
        case CommandDone(command=SetPrices() as command):
            return _applied(answered, command, at)
        case CommandFailed(command=SetPrices()) if point.due is not None:
            refused = PriceRefusedByPump(
                price_set=point.due.price_set, fp=point.fp, reason=given.reason
            )
            return Step(replace(answered, price_retry_ms=at.monotonic_ms + RETRY_MS), (refused,))
    return Step(answered)


def _applied(point: Point, command: SetPrices, at: Moment) -> Step:
    due = point.due
    if due is None or tuple(sorted(due.prices.items())) != command.prices:
        # Others came into force meanwhile: the pump holds what nobody wants any more.
        return maybe_program(replace(point, applied=None), at)
    body = PriceApplied(
        price_set=due.price_set,
        fp=point.fp,
        prices={str(nozzle): price.milli for nozzle, price in command.prices},
    )
    return Step(replace(point, applied=due, due=None), (body,))
