"""What one offer is worth, whether its conditions hold, and how low a price may go.

Amounts are whole fen. An offer's worth is rounded half up once, on its own line; limits are rounded
up, so that a floor is never undercut by a fraction of a fen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from edge_agent.model.policy import (
    Conditions,
    Hours,
    Limits,
    Offer,
    Points,
)
from edge_agent.model.quote import MemberFacts, QuoteRequest, RejectReason
from edge_agent.model.units import Money, divide_half_up

Refusal: TypeAlias = tuple[RejectReason, int | None]
"""Why an offer does not apply, and how much is missing in the unit that the reason names."""

SECONDS_A_DAY: Final = 86_400
EPOCH_WEEKDAY: Final = 4  # 1970-01-01 was a Thursday


def worth_of(offer: Offer, base_fen: int, volume_ml: int) -> int:
    """Return the fen that an offer takes off, counted from `base_fen` and rounded once."""
    if offer.kind == "percent_off":
        return divide_half_up(base_fen * offer.off_bp, 10_000)
    if offer.kind == "per_litre_off":
        return divide_half_up(volume_ml * offer.off_milli, 10_000)
    steps = base_fen // offer.spend_fen
    return offer.save_fen * (steps if offer.stepwise else min(steps, 1))


def missing_of(offer: Offer, base: Money) -> Money | None:
    """Return how much more to spend for an offer to apply (again); None when that is no help."""
    if offer.kind != "spend_save":
        return None
    if base.fen >= offer.spend_fen and not offer.stepwise:
        return None
    return Money(offer.spend_fen - base.fen % offer.spend_fen)


def least_payable(limits: Limits, request: QuoteRequest) -> Money:
    """Return the amount below which no combination of offers may bring the price."""
    listed = request.amount.fen
    floor = listed - listed * limits.max_discount_bp // 10_000
    net_price_milli = limits.price_floors_milli.get(request.grade)
    if net_price_milli is not None:
        floor = max(floor, -(-request.volume.ml * net_price_milli // 10_000))
    return Money(min(floor, listed))


def points_for(points: Points, payable: Money, member: MemberFacts | None) -> int:
    """Return the points that a member earns on what is paid, on whole yuan only."""
    return 0 if member is None else payable.fen // 100 * points.per_yuan


def refusal(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    """Return the first condition that does not hold, or None when all do."""
    for check in _CHECKS:
        found = check(conditions, request)
        if found is not None:
            return found
    return None


def _tier(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    if conditions.tiers is None:
        return None
    if request.member is None:
        return RejectReason.MEMBERS_ONLY, None
    return None if request.member.tier in conditions.tiers else (RejectReason.TIER, None)


def _grade(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    if conditions.grades is None or request.grade in conditions.grades:
        return None
    return RejectReason.GRADE, None


def _validity(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    start, end = conditions.valid_from_ms, conditions.valid_until_ms
    if end is not None and request.at_ms >= end:
        return RejectReason.EXPIRED, None
    if start is not None and request.at_ms < start:
        return RejectReason.NOT_YET, -(-(start - request.at_ms) // 1000)
    return None


def _weekday(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    if conditions.weekdays is None:
        return None
    day, second = _local(request)
    if _iso_weekday(day) in conditions.weekdays:
        return None
    days = next(n for n in range(1, 7) if _iso_weekday(day + n) in conditions.weekdays)
    return RejectReason.WEEKDAY, days * SECONDS_A_DAY - second


def _hours(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    if conditions.hours is None:
        return None
    _, second = _local(request)
    if any(_within(window, second // 60) for window in conditions.hours):
        return None
    return RejectReason.HOURS, _seconds_until(conditions.hours, second)


def _volume(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    short = (conditions.min_volume_ml or 0) - request.volume.ml
    return (RejectReason.MIN_VOLUME, short) if short > 0 else None


def _amount(conditions: Conditions, request: QuoteRequest) -> Refusal | None:
    short = (conditions.min_amount_fen or 0) - request.amount.fen
    return (RejectReason.MIN_AMOUNT, short) if short > 0 else None


_CHECKS: Final[Sequence[Callable[[Conditions, QuoteRequest], Refusal | None]]] = (
    _tier,
    _grade,
    _validity,
    _weekday,
    _hours,
    _volume,
    _amount,
)
"""What more fuel would mend comes last, so that it is named only when nothing else is amiss."""


def _local(request: QuoteRequest) -> tuple[int, int]:
    """Return the station's day (0 is 1970-01-01) and the second of that day."""
    return divmod(request.at_ms // 1000 + request.utc_offset_minutes * 60, SECONDS_A_DAY)


def _iso_weekday(day: int) -> int:
    return (day + EPOCH_WEEKDAY - 1) % 7 + 1


def _within(window: Hours, minute: int) -> bool:
    if window.start_minute < window.end_minute:
        return window.start_minute <= minute < window.end_minute
    return minute >= window.start_minute or minute < window.end_minute


def _seconds_until(windows: Sequence[Hours], second: int) -> int:
    return min((window.start_minute * 60 - second) % SECONDS_A_DAY for window in windows)
