"""The station's calendar: holidays, the weekends worked for them, members' days."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.calendar_days import counts_as, date_of, days_until, iso_weekday, local_time
from edge_agent.model.policy import Calendar, DayKind

GOLDEN_WEEK = Calendar(
    holidays=tuple(f"2026-10-{day:02}" for day in range(1, 8)),
    workdays=("2026-09-20", "2026-10-10"),
    member_days=(8, 18, 28),
)
KINDS: tuple[DayKind, ...] = ("workday", "weekend", "holiday", "member_day")


def number(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("day", "kinds"),
    [
        ("2026-09-20", {"workday"}),  # a Sunday worked for the holiday
        ("2026-09-30", {"workday"}),
        ("2026-10-03", {"holiday"}),  # a Saturday, yet no weekend
        ("2026-10-08", {"workday", "member_day"}),
        ("2026-10-10", {"workday"}),  # a Saturday worked
        ("2026-10-11", {"weekend"}),
        ("2026-10-18", {"weekend", "member_day"}),
    ],
)
def test_row_c19_row_z15_a_day_counts_as_what_it_is(day: str, kinds: set[DayKind]) -> None:
    assert {kind for kind in KINDS if counts_as(number(day), kind, GOLDEN_WEEK)} == kinds


def test_the_next_day_of_a_kind_may_be_next_year_or_never() -> None:
    assert days_until(number("2026-10-07"), ("workday",), GOLDEN_WEEK) == 1
    assert days_until(number("2026-10-08"), ("weekend",), GOLDEN_WEEK) == 3
    assert days_until(number("2026-10-08"), ("holiday",), GOLDEN_WEEK) is None
    assert days_until(number("2025-10-05"), ("holiday",), GOLDEN_WEEK) == 361
    assert days_until(number("2026-10-08"), ("holiday", "member_day"), GOLDEN_WEEK) == 10
    assert days_until(number("2026-10-08"), ("member_day",), Calendar()) is None
    assert days_until(number("2027-01-31"), ("member_day",), Calendar(member_days=(31,))) == 59


@given(day=st.integers(0, 40_000), kinds=st.lists(st.sampled_from(KINDS), min_size=1))
def test_the_next_day_is_the_first_that_counts(day: int, kinds: list[DayKind]) -> None:
    ahead = (
        n for n in range(1, 367) if any(counts_as(day + n, kind, GOLDEN_WEEK) for kind in kinds)
    )
    assert days_until(day, kinds, GOLDEN_WEEK) == next(ahead, None)


@given(at_ms=st.integers(0, 4_000_000_000_000), offset=st.integers(-720, 840))
def test_days_have_dates_and_weekdays(at_ms: int, offset: int) -> None:
    day, second = local_time(at_ms, offset)
    assert 0 <= second < 86_400
    assert date_of(day).isoweekday() == iso_weekday(day)
    assert number(date_of(day).isoformat()) == day
