"""Whether an offer's conditions hold: the specification read once more, for the reference.

Written from `docs/pricing.md` with dates of the standard library; nothing here calls
`edge_agent.core`, or an error there would hide itself.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from edge_agent.model.policy import Calendar, Offer, VisitRule
from edge_agent.model.quote import CouponFacts, QuoteRequest

MEMBERS_KINDS = ("points_times", "points_fixed")


def hold(
    offer: Offer, coupon: CouponFacts | None, request: QuoteRequest, calendar: Calendar
) -> bool:
    """Whether everything that an offer asks for is there."""
    return (
        _person(offer, request)
        and _place(offer, request)
        and _time(offer, coupon, request, calendar)
        and _payment(offer, request)
        and _purchase(offer, request)
    )


def _person(offer: Offer, request: QuoteRequest) -> bool:
    wanted, member = offer.conditions, request.member
    asks = (wanted.tiers, wanted.tags, wanted.birthday_week, wanted.first_fill, wanted.visit,
            wanted.experiment)  # fmt: skip
    if member is None:
        return offer.kind not in MEMBERS_KINDS and all(ask is None for ask in asks)
    if wanted.tiers is not None and member.tier not in wanted.tiers:
        return False
    if wanted.tags is not None and not set(wanted.tags) & set(member.tags):
        return False
    if wanted.birthday_week and not member.birthday_week:
        return False
    if wanted.first_fill and not member.first_fill:
        return False
    if wanted.visit is not None and not _is_visit(wanted.visit, member.visit_number):
        return False
    if wanted.experiment is not None:
        text = wanted.experiment.name + "\0" + member.ref
        bucket = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10_000
        return wanted.experiment.from_bp <= bucket < wanted.experiment.until_bp
    return True


def _is_visit(wanted: VisitRule, visit: int | None) -> bool:
    if visit is None:
        return False
    return visit == wanted.number if wanted.every is None else visit % wanted.every == 0


def _place(offer: Offer, request: QuoteRequest) -> bool:
    wanted = offer.conditions
    pairs = (
        (wanted.grades, request.grade),
        (wanted.stations, request.station),
        (wanted.plate_colours, request.plate_colour),
    )
    return all(allowed is None or given in allowed for allowed, given in pairs)


def _time(
    offer: Offer, coupon: CouponFacts | None, request: QuoteRequest, calendar: Calendar
) -> bool:
    wanted, at_ms = offer.conditions, request.at_ms
    if coupon is not None and not coupon.from_ms <= at_ms < coupon.until_ms:
        return False
    if wanted.valid_from_ms is not None and at_ms < wanted.valid_from_ms:
        return False
    if wanted.valid_until_ms is not None and at_ms >= wanted.valid_until_ms:
        return False
    offset = timedelta(minutes=request.utc_offset_minutes)
    local = datetime.fromtimestamp(at_ms // 1000, UTC) + offset
    if wanted.weekdays is not None and local.isoweekday() not in wanted.weekdays:
        return False
    if wanted.days is not None and not set(wanted.days) & _kinds(local, calendar):
        return False
    if wanted.hours is None:
        return True
    clock = local.strftime("%H:%M")
    return any(
        window.start <= clock < window.end
        if window.start < window.end
        else clock >= window.start or clock < window.end
        for window in wanted.hours
    )


def _kinds(local: datetime, calendar: Calendar) -> set[str]:
    day = local.date().isoformat()
    kinds = {"member_day"} if local.day in calendar.member_days else set()
    if day in calendar.holidays:
        return kinds | {"holiday"}
    weekend = local.isoweekday() >= 6 and day not in calendar.workdays
    return kinds | {"weekend" if weekend else "workday"}


def _payment(offer: Offer, request: QuoteRequest) -> bool:
    paying, wanted = request.paying, offer.conditions.tenders
    late = getattr(offer, "stage", None) == "tender"
    if paying is None:
        return wanted is None and not late
    if wanted is None:
        return True
    return paying.means in wanted and (late or paying.others.fen == 0)


def _purchase(offer: Offer, request: QuoteRequest) -> bool:
    wanted = offer.conditions
    if request.volume.ml < (wanted.min_volume_ml or 0):
        return False
    if request.amount.fen < (wanted.min_amount_fen or 0):
        return False
    if offer.kind == "item_off":
        return any(line.good == offer.good for line in request.goods)
    return True
