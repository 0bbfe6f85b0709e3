"""Days, weeks and months begin at the station's own midnight."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.station_calendar import (
    date_of,
    day_start_ms,
    minute_of_day,
    month_start_ms,
    start_of,
    week_start_ms,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    at_ms=st.integers(0, 4_000_000_000_000), offset=st.sampled_from([-720, -300, 0, 330, 480, 840])
)
def test_row_l1_windows_begin_at_the_stations_midnight(at_ms: int, offset: int) -> None:
    local = EPOCH + timedelta(milliseconds=at_ms, minutes=offset)
    today = local.date()
    assert date_of(at_ms, offset) == today
    assert minute_of_day(at_ms, offset) == local.hour * 60 + local.minute
    for start, begins in (
        (day_start_ms(at_ms, offset), today),
        (week_start_ms(at_ms, offset), today - timedelta(days=today.isoweekday() - 1)),
        (month_start_ms(at_ms, offset), today.replace(day=1)),
    ):
        assert EPOCH + timedelta(milliseconds=start, minutes=offset) == datetime(
            begins.year, begins.month, begins.day, tzinfo=UTC
        )
        assert start <= at_ms
        assert start == start_of(begins, offset)


def test_a_time_beyond_all_calendars_is_no_error() -> None:
    assert date_of(2**53 - 1, 480) == date(9998, 12, 31)
