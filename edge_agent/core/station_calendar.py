"""Where the station's days, weeks and months begin, as wall times.

A station's midnight lies a fixed number of minutes ahead of UTC; China knows no summer time.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from edge_agent.core import calendar_days

_EPOCH: Final = date(1970, 1, 1)
_LAST_DAY: Final = (date(9998, 12, 31) - _EPOCH).days
_MS_A_MINUTE: Final = 60_000
_MS_A_DAY: Final = 86_400_000


def date_of(at_ms: int, utc_offset_minutes: int) -> date:
    """Return the station's date at a wall time; the last of 9998 for whatever lies beyond."""
    day, _ = calendar_days.local_time(at_ms, utc_offset_minutes)
    return calendar_days.date_of(min(day, _LAST_DAY))


def minute_of_day(at_ms: int, utc_offset_minutes: int) -> int:
    """Return the minutes since the station's midnight."""
    return calendar_days.local_time(at_ms, utc_offset_minutes)[1] // 60


def start_of(day: date, utc_offset_minutes: int) -> int:
    """Return the wall time at which a date begins at the station."""
    return (day - _EPOCH).days * _MS_A_DAY - utc_offset_minutes * _MS_A_MINUTE


def day_start_ms(at_ms: int, utc_offset_minutes: int) -> int:
    """Return the wall time of the station's last midnight."""
    return start_of(date_of(at_ms, utc_offset_minutes), utc_offset_minutes)


def week_start_ms(at_ms: int, utc_offset_minutes: int) -> int:
    """Return the wall time at which the station's week began, on Monday."""
    today = date_of(at_ms, utc_offset_minutes)
    return start_of(today - timedelta(days=today.weekday()), utc_offset_minutes)


def month_start_ms(at_ms: int, utc_offset_minutes: int) -> int:
    """Return the wall time at which the station's calendar month began."""
    return start_of(date_of(at_ms, utc_offset_minutes).replace(day=1), utc_offset_minutes)
