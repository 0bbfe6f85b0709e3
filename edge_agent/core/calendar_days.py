"""The station's calendar: days, weekdays, and what a day counts as (rows C5, C19).

A day is the number of days since 1970-01-01 at the station's own midnight.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from edge_agent.model.policy import Calendar, DayKind

SECONDS_A_DAY: Final = 86_400
DAYS_AHEAD: Final = 366
"""How far ahead the next day that counts is looked for."""
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY: Final = 4  # 1970-01-01 was a Thursday
_SATURDAY: Final = 6


def local_time(at_ms: int, utc_offset_minutes: int) -> tuple[int, int]:
    """Return the station's day and the second of that day."""
    return divmod(at_ms // 1000 + utc_offset_minutes * 60, SECONDS_A_DAY)


def iso_weekday(day: int) -> int:
    """Return 1 for Monday to 7 for Sunday."""
    return (day + _EPOCH_WEEKDAY - 1) % 7 + 1


def date_of(day: int) -> date:
    """Return the date that a day has on the calendar."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def counts_as(day: int, kind: DayKind, calendar: Calendar) -> bool:
    """Whether a day is of a kind.

    A holiday is neither workday nor weekend. A Saturday or Sunday that is worked in exchange for a
    holiday (调休) is a workday. A members' day is that beside any of these.
    """
    if kind == "member_day":
        return date_of(day).day in calendar.member_days
    if day in _days(calendar.holidays):
        return kind == "holiday"
    off = iso_weekday(day) >= _SATURDAY and day not in _days(calendar.workdays)
    return kind == ("weekend" if off else "workday")


def days_until(day: int, kinds: Sequence[DayKind], calendar: Calendar) -> int | None:
    """Return in how many days the next one of any kind is; None when there is none in a year."""
    return min((n for kind in kinds for n in _until(day, kind, calendar)), default=None)


def _until(day: int, kind: DayKind, calendar: Calendar) -> Iterator[int]:
    if kind == "holiday":
        days = sorted(_days(calendar.holidays))
        after = bisect_right(days, day)
        ahead = [days[after] - day] if after < len(days) else []
        yield from (n for n in ahead if n <= DAYS_AHEAD)
        return
    if kind == "member_day" and not calendar.member_days:
        return
    found = (n for n in range(1, DAYS_AHEAD + 1) if counts_as(day + n, kind, calendar))
    yield from (n for n in (next(found, None),) if n is not None)


@lru_cache(maxsize=64)
def _days(written: tuple[str, ...]) -> frozenset[int]:
    return frozenset(date.fromisoformat(day).toordinal() - _EPOCH_ORDINAL for day in written)
