"""Conditions of offers against the calendar, and how low a price may go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.pricing import least_payable, missing_of, points_for, refusal, worth_of
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Conditions, Hours, Limits, PerLitreOff, Points, SpendSave
from edge_agent.model.quote import MemberFacts, QuoteRequest, RejectReason
from edge_agent.model.units import Money, UnitPrice, Volume

CHINA = 480
GOLD = MemberFacts(MemberRef("m"), "gold")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def asked(at_ms: int = 0, offset: int = CHINA, **more: Any) -> QuoteRequest:
    plain = QuoteRequest(
        GradeId("92"), Volume(10_000), Money(7850), UnitPrice(7850), at_ms, offset, None
    )
    return replace(plain, **more)


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def reason(conditions: Conditions, request: QuoteRequest) -> str | None:
    found = refusal(conditions, request)
    return None if found is None else found[0].value


def test_a_tier_is_asked_before_anything_else() -> None:
    wanted = Conditions(tiers=("silver",), grades=("95",))
    assert reason(wanted, asked()) == "members_only"
    assert reason(wanted, asked(member=GOLD)) == "tier"
    assert reason(wanted, asked(member=MemberFacts(MemberRef("m"), "silver"))) == "grade"


def test_validity_begins_with_its_first_instant_and_ends_before_its_last() -> None:
    wanted = Conditions(valid_from_ms=1_000, valid_until_ms=2_000)
    assert refusal(wanted, asked(999)) == (RejectReason.NOT_YET, 1)
    assert refusal(wanted, asked(1_000)) is None
    assert refusal(wanted, asked(1_999)) is None
    assert refusal(wanted, asked(2_000)) == (RejectReason.EXPIRED, None)


@pytest.mark.parametrize(
    ("time", "inside"),
    [("21:59:59", False), ("22:00:00", True), ("05:59:59", True), ("06:00:00", False)],
)
def test_a_window_may_run_past_midnight(time: str, inside: bool) -> None:
    night = Conditions(hours=(Hours(start="22:00", end="06:00"),))
    assert (refusal(night, asked(at(f"2026-11-03T{time}+08:00"))) is None) == inside


@pytest.mark.parametrize(
    ("time", "inside"), [("12:00:00", True), ("12:59:59", True), ("13:00:00", False)]
)
def test_a_window_ends_before_its_end(time: str, inside: bool) -> None:
    noon = Conditions(hours=(Hours(start="12:00", end="13:00"),))
    assert (refusal(noon, asked(at(f"2026-11-03T{time}+08:00"))) is None) == inside


def test_the_last_minute_of_the_day_belongs_to_24_00() -> None:
    evening = Conditions(hours=(Hours(start="18:00", end="24:00"),))
    assert refusal(evening, asked(at("2026-11-03T23:59:59+08:00"))) is None
    assert reason(evening, asked(at("2026-11-04T00:00:00+08:00"))) == "hours"


def test_the_stations_own_midnight_counts() -> None:
    saturday = Conditions(weekdays=(6,))
    friday_evening_utc = at("2026-11-06T17:00:00+00:00")
    assert refusal(saturday, asked(friday_evening_utc, CHINA)) is None
    assert reason(saturday, asked(friday_evening_utc, 0)) == "weekday"


instants = st.integers(0, 4_000_000_000_000)
offsets = st.integers(-720, 840)


@given(at_ms=instants, offset=offsets)
def test_weekdays_are_those_of_the_calendar(at_ms: int, offset: int) -> None:
    local = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(timezone(timedelta(minutes=offset)))
    for day in range(1, 8):
        holds = refusal(Conditions(weekdays=(day,)), asked(at_ms, offset)) is None
        assert holds == (local.isoweekday() == day)


minutes = st.integers(0, 1439).map(lambda n: f"{n // 60:02}:{n % 60:02}")


@given(
    at_ms=instants,
    offset=offsets,
    times=st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]),
    days=st.sets(st.integers(1, 7), min_size=1),
)
def test_the_seconds_missing_are_just_enough(
    at_ms: int, offset: int, times: tuple[str, str], days: set[int]
) -> None:
    window = Hours(start=times[0], end=times[1])
    for wanted in (
        Conditions(hours=(window,)),
        Conditions(weekdays=tuple(sorted(days))),
        Conditions(valid_from_ms=at_ms + 1 + at_ms % 100_000),
    ):
        found = refusal(wanted, asked(at_ms, offset))
        if found is None:
            continue
        assert found[1] is not None
        whole_second = at_ms if wanted.valid_from_ms else at_ms // 1000 * 1000
        assert refusal(wanted, asked(whole_second + found[1] * 1000, offset)) is None
        assert refusal(wanted, asked(whole_second + found[1] * 1000 - 1000, offset)) is not None


def test_minimum_volume_and_amount_say_how_much_is_missing() -> None:
    assert refusal(Conditions(min_volume_ml=10_000), asked()) is None
    assert refusal(Conditions(min_volume_ml=10_001), asked()) == (RejectReason.MIN_VOLUME, 1)
    assert refusal(Conditions(min_amount_fen=7850), asked()) is None
    assert refusal(Conditions(min_amount_fen=7900), asked()) == (RejectReason.MIN_AMOUNT, 50)


def test_a_litre_off_is_rounded_half_up() -> None:
    offer = PerLitreOff(kind="per_litre_off", id="x", text_zh="x", text_en="x", off_milli=100)
    assert [worth_of(offer, 0, ml) for ml in (49, 50, 149, 150)] == [0, 1, 1, 2]


@given(base=st.integers(0, 100_000), spend=st.integers(2, 30_000), stepwise=st.booleans())
def test_what_is_missing_is_the_least_that_saves_more(
    base: int, spend: int, stepwise: bool
) -> None:
    offer = SpendSave(
        kind="spend_save",
        id="x",
        text_zh="x",
        text_en="x",
        spend_fen=spend,
        save_fen=spend // 2,
        stepwise=stepwise,
    )
    missing = missing_of(offer, Money(base))
    if missing is None:
        assert not stepwise
        assert worth_of(offer, base * 1000, 0) == worth_of(offer, base, 0)
    else:
        assert worth_of(offer, base + missing.fen, 0) > worth_of(offer, base, 0)
        assert worth_of(offer, base + missing.fen - 1, 0) == worth_of(offer, base, 0)


@given(
    listed=st.integers(0, 10**7),
    volume_ml=st.integers(0, 10**6),
    share=st.integers(0, 10_000),
    floor=st.none() | st.integers(1, 20_000),
)
def test_the_least_payable_amount_honours_every_limit_by_less_than_a_fen(
    listed: int, volume_ml: int, share: int, floor: int | None
) -> None:
    floors = {} if floor is None else {"92": floor}
    limits = Limits(max_discount_bp=share, price_floors_milli=floors)
    least = least_payable(limits, asked(amount=Money(listed), volume=Volume(volume_ml))).fen
    assert 0 <= least <= listed
    by_share = listed * (10_000 - share)
    by_floor = volume_ml * (floor or 0)
    assert least == listed or least * 10_000 >= max(by_share, by_floor)
    assert least == 0 or (least - 1) * 10_000 < max(by_share, by_floor)


def test_points_count_whole_yuan_and_members_only() -> None:
    assert points_for(Points(per_yuan=1), Money(9999), GOLD) == 99
    assert points_for(Points(per_yuan=3), Money(9999), GOLD) == 297
    assert points_for(Points(per_yuan=1), Money(9999), None) == 0
