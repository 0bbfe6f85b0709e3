"""A fuelling point with nothing in hand: ready for the next customer, unless fuel flows."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.core.adoption import stop_and_adopt
from edge_agent.core.point import FLOWING, Moment, Phase, Point, Step
from edge_agent.core.price_change import maybe_program
from edge_agent.model.dispenser import DispenserStatus


def ready(point: Point, at: Moment) -> Step:
    """Let go of the fuelling; program prices that are due or were lost in a power cut."""
    free = replace(point, phase=Phase.READY, current=None, deadline_ms=None, retries=0)
    if point.status in FLOWING:
        return stop_and_adopt(free, at)
    if point.status is DispenserStatus.NOT_PROGRAMMED:
        free = replace(free, applied=None, due=point.due or point.applied)
    return maybe_program(free, at)
