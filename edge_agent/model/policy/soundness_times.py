"""Offers whose weekdays, days and hours never come together within their validity.

A policy does not say where a station's midnight is; it is proved for China's one time zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain
from typing import TYPE_CHECKING, Final

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.calendar import Calendar, DayKind
from edge_agent.model.policy.offers import Conditions

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy

_OFFSET_MS: Final = 8 * 3_600_000
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_ANY_DAY: Final = date(2001, 1, 1).toordinal() - _EPOCH
"""Where a validity without bounds is looked into; the days that a calendar names are beside."""
_HORIZON_DAYS: Final = 800
"""Each weekday meets each day of the month in so many days, leap years included."""


class _Days:
    """Which days are what, by their number since 1970-01-01."""

    def __init__(self, calendar: Calendar) -> None:
        self.holidays = {_number(day) for day in calendar.holidays}
        self.workdays = {_number(day) for day in calendar.workdays}
        self.member_days = set(calendar.member_days)

    def are(self, day: int, kinds: Iterable[DayKind]) -> bool:
        """Whether a day counts as one of these."""
        return any(self._is(day, kind) for kind in kinds)

    def _is(self, day: int, kind: DayKind) -> bool:
        if kind == "member_day":
            return date.fromordinal(day + _EPOCH).day in self.member_days
        if day in self.holidays:
            return kind == "holiday"
        worked = _weekday(day) <= 5 or day in self.workdays
        return kind == ("workday" if worked else "weekend")


def times_that_never_come(policy: Policy) -> Iterator[Breach]:
    """Yield the offers whose time never comes (`never_applies`)."""
    days = _Days(policy.calendar)
    for place, offer in policy.all_offers():
        conditions = offer.conditions
        if not (conditions.weekdays or conditions.days or conditions.hours):
            continue
        if any(_comes(conditions, day, days) for day in _candidates(conditions, days)):
            continue
        kinds = conditions.days
        if kinds and not any(days.are(day, kinds) for day in _candidates(conditions, days)):
            named = ", ".join(kinds)
            yield Breach(
                "never_applies",
                f"{place}.conditions.days",
                f"有效期内没有一天是 {named}：请核对日历",
                f"no day of its validity counts as {named}: see the calendar",
            )
        else:
            yield Breach(
                "never_applies",
                f"{place}.conditions",
                "有效期内星期、日期类型与时段从不同时满足，永远不会生效",
                "weekdays, days and hours never come together within its validity",
            )


def _candidates(conditions: Conditions, days: _Days) -> Iterator[int]:
    """Yield days that prove the rest: of a long validity its beginning and every named day."""
    start, end = conditions.valid_from_ms, conditions.valid_until_ms
    first = None if start is None else (start + _OFFSET_MS) // _DAY_MS
    last = None if end is None else (end - 1 + _OFFSET_MS) // _DAY_MS
    if first is None:
        first = _ANY_DAY if last is None else last - _HORIZON_DAYS
    until = first + _HORIZON_DAYS if last is None else min(last, first + _HORIZON_DAYS)
    named = (day for day in chain(days.holidays, days.workdays) if day >= first)
    yield from chain(range(first, until + 1), (day for day in named if last is None or day <= last))


def _comes(conditions: Conditions, day: int, days: _Days) -> bool:
    """Whether an instant of this day fulfils all that the conditions say about time."""
    if conditions.weekdays is not None and _weekday(day) not in conditions.weekdays:
        return False
    if conditions.days is not None and not days.are(day, conditions.days):
        return False
    midnight = day * _DAY_MS - _OFFSET_MS
    start = max(conditions.valid_from_ms or midnight, midnight)
    end = min(conditions.valid_until_ms or midnight + _DAY_MS, midnight + _DAY_MS)
    return any(
        max(start, midnight + opens * _MINUTE_MS) < min(end, midnight + closes * _MINUTE_MS)
        for opens, closes in _windows(conditions)
    )


def _windows(conditions: Conditions) -> Iterator[tuple[int, int]]:
    """Yield the minutes of a day that count, from the first to just before the second."""
    if conditions.hours is None:
        yield 0, 1440
        return
    for window in conditions.hours:
        if window.start_minute < window.end_minute:
            yield window.start_minute, window.end_minute
        else:
            yield 0, window.end_minute
            yield window.start_minute, 1440


def _number(day: str) -> int:
    return date.fromisoformat(day).toordinal() - _EPOCH


def _weekday(day: int) -> int:
    """Return the ISO weekday; 1970-01-01 was a Thursday."""
    return (day + 3) % 7 + 1
