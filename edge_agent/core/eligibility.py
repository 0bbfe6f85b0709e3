"""Whether an offer's conditions hold, and what is missing where one does not.

The checks stand in the order in which a refusal is named: who, what, where, when, how it is paid;
what more fuel would mend comes last, so that it is named only when nothing else is amiss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

from edge_agent.core.calendar_days import (
    SECONDS_A_DAY,
    counts_as,
    days_until,
    iso_weekday,
    local_time,
)
from edge_agent.core.worth import Candidate, budget_left, price_offer
from edge_agent.model.policy import Calendar, Conditions, Hours, Offer
from edge_agent.model.quote import QuoteRequest, RejectReason

Refusal: TypeAlias = tuple[RejectReason, int | None]
"""Why an offer does not apply, and how much is missing in the unit that the reason names."""

BUCKETS: Final = 10_000


def bucket_of(experiment: str, member_ref: str) -> int:
    """Return a member's bucket in an experiment, the same everywhere and always (row C12)."""
    digest = sha256(f"{experiment}\0{member_ref}".encode()).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def refusal(candidate: Candidate, request: QuoteRequest, calendar: Calendar) -> Refusal | None:
    """Return the first condition that does not hold, or None when all do."""
    return lasting_refusal(candidate, request, calendar) or shortfall(candidate, request)


def lasting_refusal(
    candidate: Candidate, request: QuoteRequest, calendar: Calendar
) -> Refusal | None:
    """Return the first condition that does not hold and that no amount of fuel would mend."""
    offer, coupon = candidate
    conditions = offer.conditions
    named = conditions.model_fields_set
    if request.member is None and _is_for_members(candidate.offer):
        return RejectReason.MEMBERS_ONLY, None
    if coupon is not None:
        found = _validity(coupon.from_ms, coupon.until_ms, request.at_ms)
        if found is not None:
            return found
    if named:
        for field, check in _CHECKS:
            if field in named:
                found = check(conditions, request, calendar)
                if found is not None:
                    return found
    return _sale(candidate, request)


def shortfall(candidate: Candidate, request: QuoteRequest) -> Refusal | None:
    """Return which minimum on the dispenser is not reached, and how much more it takes."""
    conditions = candidate.offer.conditions
    if not conditions.model_fields_set:
        return None
    short = (conditions.min_volume_ml or 0) - request.volume.ml
    if short > 0:
        return RejectReason.MIN_VOLUME, short
    short = (conditions.min_amount_fen or 0) - request.amount.fen
    return (RejectReason.MIN_AMOUNT, short) if short > 0 else None


_FOR_MEMBERS: Final = frozenset({"points_times", "points_fixed"})
_ON_MEMBER: Final = ("tiers", "tags", "birthday_week", "first_fill", "visit", "experiment")


def _is_for_members(offer: Offer) -> bool:
    """Members only earn points, and only of members anything is known."""
    if offer.kind in _FOR_MEMBERS:
        return True
    conditions = offer.conditions
    named = conditions.model_fields_set
    return any(f in named and getattr(conditions, f) is not None for f in _ON_MEMBER)


def _tier(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.tiers is None or request.member is None:
        return None
    return None if request.member.tier in conditions.tiers else (RejectReason.TIER, None)


def _tag(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.tags is None or request.member is None:
        return None
    has = any(tag in conditions.tags for tag in request.member.tags)
    return None if has else (RejectReason.TAG, None)


def _grade(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.grades is None or request.grade in conditions.grades:
        return None
    return RejectReason.GRADE, None


def _plate(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.plate_colours is None or request.plate_colour in conditions.plate_colours:
        return None
    return RejectReason.PLATE, None


def _station(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.stations is None or request.station in conditions.stations:
        return None
    return RejectReason.STATION, None


def _offer_validity(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    return _validity(conditions.valid_from_ms or 0, conditions.valid_until_ms, request.at_ms)


def _validity(from_ms: int, until_ms: int | None, at_ms: int) -> Refusal | None:
    if until_ms is not None and at_ms >= until_ms:
        return RejectReason.EXPIRED, None
    if at_ms < from_ms:
        return RejectReason.NOT_YET, -(-(from_ms - at_ms) // 1000)
    return None


def _weekday(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.weekdays is None:
        return None
    day, second = local_time(request.at_ms, request.utc_offset_minutes)
    if iso_weekday(day) in conditions.weekdays:
        return None
    days = next(n for n in range(1, 7) if iso_weekday(day + n) in conditions.weekdays)
    return RejectReason.WEEKDAY, days * SECONDS_A_DAY - second


def _day(conditions: Conditions, request: QuoteRequest, calendar: Calendar) -> Refusal | None:
    if conditions.days is None:
        return None
    day, second = local_time(request.at_ms, request.utc_offset_minutes)
    if any(counts_as(day, kind, calendar) for kind in conditions.days):
        return None
    days = days_until(day, conditions.days, calendar)
    return RejectReason.DAY, None if days is None else days * SECONDS_A_DAY - second


def _hours(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.hours is None:
        return None
    second = local_time(request.at_ms, request.utc_offset_minutes)[1]
    if any(_within(window, second // 60) for window in conditions.hours):
        return None
    waits = ((window.start_minute * 60 - second) % SECONDS_A_DAY for window in conditions.hours)
    return RejectReason.HOURS, min(waits)


def _within(window: Hours, minute: int) -> bool:
    start, end = window.start_minute, window.end_minute
    return start <= minute < end if start < end else minute >= start or minute < end


def _birthday(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.birthday_week is None or request.member is None or request.member.birthday_week:
        return None
    return RejectReason.BIRTHDAY, None


def _first_fill(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.first_fill is None or request.member is None or request.member.first_fill:
        return None
    return RejectReason.FIRST_FILL, None


def _visit(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    rule = conditions.visit
    if rule is None or request.member is None:
        return None
    number = request.member.visit_number
    if number is None:
        return RejectReason.VISIT, None
    short = -number % rule.every if rule.every is not None else (rule.number or 0) - number
    if not short:
        return None
    return RejectReason.VISIT, short if short > 0 else None


def _experiment(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    wanted = conditions.experiment
    if wanted is None or request.member is None:
        return None
    takes_part = wanted.from_bp <= bucket_of(wanted.name, request.member.ref) < wanted.until_bp
    return None if takes_part else (RejectReason.EXPERIMENT, None)


def _tender(conditions: Conditions, request: QuoteRequest, _: Calendar) -> Refusal | None:
    if conditions.tenders is None:
        return None
    paying = request.paying
    if paying is None or paying.means not in conditions.tenders:
        return RejectReason.TENDER, None
    return None


_Check: TypeAlias = Callable[[Conditions, QuoteRequest, Calendar], Refusal | None]
_CHECKS: Final[Sequence[tuple[str, _Check]]] = (
    ("tiers", _tier),
    ("tags", _tag),
    ("grades", _grade),
    ("plate_colours", _plate),
    ("stations", _station),
    ("valid_until_ms", _offer_validity),
    ("valid_from_ms", _offer_validity),
    ("weekdays", _weekday),
    ("days", _day),
    ("hours", _hours),
    ("birthday_week", _birthday),
    ("first_fill", _first_fill),
    ("visit", _visit),
    ("experiment", _experiment),
    ("tenders", _tender),
)


def _sale(candidate: Candidate, request: QuoteRequest) -> Refusal | None:
    """What depends on the offer itself: how the rest is paid, goods bought, money left."""
    offer, paying = price_offer(candidate.offer), request.paying
    if offer is None or offer.stage != "tender":
        conditional = candidate.offer.conditions.tenders is not None
        if conditional and paying is not None and paying.others:
            return RejectReason.TENDER, None
    elif paying is None:
        return RejectReason.TENDER, None
    if offer is None:
        return None
    if offer.kind == "item_off" and all(line.good != offer.good for line in request.goods):
        return RejectReason.GOODS, None
    if offer.budget_fen is not None and not budget_left(offer, request):
        return RejectReason.BUDGET_SPENT, None
    return None
