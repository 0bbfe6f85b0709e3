"""Conditions of offers: each alone, their order, and what is missing where one does not hold."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.eligibility import bucket_of, refusal
from edge_agent.core.worth import Candidate
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import (
    AmountOff,
    Calendar,
    Conditions,
    Experiment,
    FreeItem,
    Hours,
    ItemOff,
    PointsFixed,
    VisitRule,
)
from edge_agent.model.quote import (
    BudgetFacts,
    CouponFacts,
    GoodsLine,
    MemberFacts,
    Paying,
    QuoteRequest,
    RejectReason,
)
from edge_agent.model.units import Money, UnitPrice, Volume

CHINA = 480
GOLD = MemberFacts(MemberRef("m"), "gold")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CALENDAR = Calendar(holidays=("2026-10-01",), workdays=("2026-10-10",), member_days=(8, 18, 28))
CARD = Paying("bank_card")


def asked(at_ms: int = 0, offset: int = CHINA, **more: Any) -> QuoteRequest:
    plain = QuoteRequest(
        GradeId("92"), Volume(10_000), Money(7850), UnitPrice(7850), at_ms, offset, None
    )
    return replace(plain, **more)


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def offer(conditions: Conditions, **more: Any) -> AmountOff:
    values: dict[str, Any] = {"kind": "amount_off", "id": "x", "text_zh": "x", "text_en": "x"}
    return AmountOff(**values | {"off_fen": 1, "conditions": conditions} | more)


def refused(
    conditions: Conditions, request: QuoteRequest
) -> tuple[RejectReason, int | None] | None:
    return refusal(Candidate(offer(conditions)), request, CALENDAR)


def reason(conditions: Conditions, request: QuoteRequest) -> str | None:
    found = refused(conditions, request)
    return None if found is None else found[0].value


def member(**facts: Any) -> MemberFacts:
    return replace(GOLD, **facts)


def test_row_m16_row_z1_member_prices_are_for_members_of_a_tier() -> None:
    wanted = Conditions(tiers=("silver",), grades=("95",))
    assert reason(wanted, asked()) == "members_only"
    assert reason(wanted, asked(member=GOLD)) == "tier"
    assert reason(wanted, asked(member=member(tier="silver"))) == "grade"


@pytest.mark.parametrize(
    ("conditions", "facts", "why"),
    [
        (Conditions(tags=("night", "lorry")), {"tags": ("lorry",)}, "tag"),
        (Conditions(birthday_week=True), {"birthday_week": True}, "birthday"),
        (Conditions(first_fill=True), {"first_fill": True}, "first_fill"),
        (Conditions(visit=VisitRule(number=3)), {"visit_number": 3}, "visit"),
        (Conditions(visit=VisitRule(every=5)), {"visit_number": 10}, "visit"),
    ],
)
def test_row_m17_row_m18_what_is_known_of_a_member_brings_offers(
    conditions: Conditions, facts: dict[str, Any], why: str
) -> None:
    assert reason(conditions, asked()) == "members_only"
    assert reason(conditions, asked(member=GOLD)) == why
    assert reason(conditions, asked(member=member(**facts))) is None


def test_a_visit_says_how_many_fills_are_missing() -> None:
    third, fifth = Conditions(visit=VisitRule(number=3)), Conditions(visit=VisitRule(every=5))
    expected = {1: (2, 4), 3: (None, 2), 4: (None, 1), 9: (None, 1)}
    for number, (to_third, to_fifth) in expected.items():
        request = asked(member=member(visit_number=number))
        found = refused(third, request)
        assert found == (None if number == 3 else (RejectReason.VISIT, to_third))
        assert refused(fifth, request) == (RejectReason.VISIT, to_fifth)
    assert refused(third, asked(member=GOLD)) == (RejectReason.VISIT, None)


def test_row_c6_a_coupon_of_one_grade_is_not_for_another() -> None:
    only_92 = Conditions(grades=("92",))
    assert reason(only_92, asked()) is None
    assert reason(only_92, asked(grade=GradeId("95"))) == "grade"


def test_row_c2_stations_and_plates_are_named() -> None:
    here = Conditions(stations=("S1", "S2"))
    assert reason(here, asked(station="S2")) is None
    assert reason(here, asked(station="S3")) == "station"
    green = Conditions(plate_colours=("green", "yellow-green"))
    assert reason(green, asked(plate_colour="green")) is None
    assert reason(green, asked(plate_colour="blue")) == "plate"
    assert reason(green, asked()) == "plate"


def test_row_c7_validity_begins_with_its_first_instant_and_ends_before_its_last() -> None:
    wanted = Conditions(valid_from_ms=1_000, valid_until_ms=2_000)
    assert refused(wanted, asked(999)) == (RejectReason.NOT_YET, 1)
    assert refused(wanted, asked(1_000)) is None
    assert refused(wanted, asked(1_999)) is None
    assert refused(wanted, asked(2_000)) == (RejectReason.EXPIRED, None)


def test_row_c2_row_c7_a_coupon_has_a_validity_of_its_own() -> None:
    found = [
        refusal(
            Candidate(offer(Conditions()), CouponFacts("s", "x", 1_000, 2_000)),
            asked(at_ms),
            CALENDAR,
        )
        for at_ms in (999, 1_000, 1_999, 2_000)
    ]
    assert found == [(RejectReason.NOT_YET, 1), None, None, (RejectReason.EXPIRED, None)]


@pytest.mark.parametrize(
    ("time", "inside"),
    [("21:59:59", False), ("22:00:00", True), ("05:59:59", True), ("06:00:00", False)],
)
def test_row_c18_a_window_may_run_past_midnight(time: str, inside: bool) -> None:
    night = Conditions(hours=(Hours(start="22:00", end="06:00"),))
    assert (refused(night, asked(at(f"2026-11-03T{time}+08:00"))) is None) == inside


@pytest.mark.parametrize(
    ("time", "inside"), [("12:00:00", True), ("12:59:59", True), ("13:00:00", False)]
)
def test_a_window_ends_before_its_end(time: str, inside: bool) -> None:
    noon = Conditions(hours=(Hours(start="12:00", end="13:00"),))
    assert (refused(noon, asked(at(f"2026-11-03T{time}+08:00"))) is None) == inside


def test_the_last_minute_of_the_day_belongs_to_24_00() -> None:
    evening = Conditions(hours=(Hours(start="18:00", end="24:00"),))
    assert refused(evening, asked(at("2026-11-03T23:59:59+08:00"))) is None
    assert reason(evening, asked(at("2026-11-04T00:00:00+08:00"))) == "hours"


def test_the_stations_own_midnight_counts() -> None:
    saturday = Conditions(weekdays=(6,))
    friday_evening_utc = at("2026-11-06T17:00:00+00:00")
    assert refused(saturday, asked(friday_evening_utc, CHINA)) is None
    assert reason(saturday, asked(friday_evening_utc, 0)) == "weekday"


instants = st.integers(0, 4_000_000_000_000)
offsets = st.integers(-720, 840)


@given(at_ms=instants, offset=offsets)
def test_weekdays_are_those_of_the_calendar(at_ms: int, offset: int) -> None:
    local = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(timezone(timedelta(minutes=offset)))
    for day in range(1, 8):
        holds = refused(Conditions(weekdays=(day,)), asked(at_ms, offset)) is None
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
        Conditions(days=("member_day",)),
        Conditions(valid_from_ms=at_ms + 1 + at_ms % 100_000),
    ):
        found = refused(wanted, asked(at_ms, offset))
        if found is None:
            continue
        assert found[1] is not None
        whole_second = at_ms if wanted.valid_from_ms else at_ms // 1000 * 1000
        assert refused(wanted, asked(whole_second + found[1] * 1000, offset)) is None
        assert refused(wanted, asked(whole_second + found[1] * 1000 - 1000, offset)) is not None


def test_row_c5_row_c19_days_are_judged_by_the_stations_calendar() -> None:
    holiday, workday = Conditions(days=("holiday",)), Conditions(days=("workday",))
    national_day, worked_saturday = at("2026-10-01T12:00:00+08:00"), at("2026-10-10T12:00:00+08:00")
    assert refused(holiday, asked(national_day)) is None
    assert reason(workday, asked(national_day)) == "day"
    assert refused(workday, asked(worked_saturday)) is None
    eighth = at("2026-11-07T18:00:00+08:00")
    assert refused(Conditions(days=("member_day",)), asked(eighth)) == (RejectReason.DAY, 6 * 3600)
    assert refused(holiday, asked(worked_saturday)) == (RejectReason.DAY, None)


def test_row_c12_a_members_bucket_is_the_same_everywhere() -> None:
    digest = hashlib.sha256(b"coupon-5-or-8\0m-17").hexdigest()
    assert bucket_of("coupon-5-or-8", "m-17") == int(digest, 16) % 10_000
    shares = [bucket_of("x", f"m-{n}") < 3_000 for n in range(4_000)]
    assert 1_050 < sum(shares) < 1_350
    halves = [
        Conditions(experiment=Experiment(name="x", until_bp=5_000)),
        Conditions(experiment=Experiment(name="x", from_bp=5_000, until_bp=10_000)),
    ]
    for number in range(40):
        found = [reason(each, asked(member=member(ref=MemberRef(f"{number}")))) for each in halves]
        assert sorted(found, key=str) == [None, "experiment"], "in one of the two halves"


def test_row_c20_an_offer_of_a_means_of_payment_needs_to_be_paid_by_it() -> None:
    card = Conditions(tenders=("bank_card",))
    assert reason(card, asked()) == "tender"
    assert reason(card, asked(paying=Paying("cash"))) == "tender"
    assert reason(card, asked(paying=CARD)) is None
    split = asked(paying=Paying("bank_card", Money(1)))
    assert reason(card, split) == "tender", "before the stage tender, all is paid by it"
    at_tender = Candidate(offer(card, stage="tender"))
    assert refusal(at_tender, split, CALENDAR) is None


def test_an_offer_at_the_tender_stage_waits_for_the_tender() -> None:
    candidate = Candidate(offer(Conditions(), stage="tender"))
    assert refusal(candidate, asked(), CALENDAR) == (RejectReason.TENDER, None)
    assert refusal(candidate, asked(paying=CARD), CALENDAR) is None


def test_goods_have_to_be_bought_to_become_cheaper() -> None:
    texts: dict[str, Any] = {"id": "x", "text_zh": "x", "text_en": "x"}
    cheaper = Candidate(ItemOff(kind="item_off", good="urea", off_fen=100, **texts))
    bought = asked(goods=(GoodsLine("urea", 1, Money(4900)),))
    assert refusal(cheaper, asked(), CALENDAR) == (RejectReason.GOODS, None)
    assert refusal(cheaper, bought, CALENDAR) is None
    assert (
        refusal(Candidate(FreeItem(kind="free_item", good="urea", **texts)), asked(), CALENDAR)
        is None
    )


def test_members_only_earn_points() -> None:
    texts: dict[str, Any] = {"id": "x", "text_zh": "x", "text_en": "x"}
    points = Candidate(PointsFixed(kind="points_fixed", points=5, **texts))
    assert refusal(points, asked(), CALENDAR) == (RejectReason.MEMBERS_ONLY, None)
    assert refusal(points, asked(member=GOLD), CALENDAR) is None


def test_a_budget_that_nobody_named_is_spent() -> None:
    candidate = Candidate(offer(Conditions(), budget_fen=1000))
    for budgets in ((), (BudgetFacts("y", Money(9)),), (BudgetFacts("x", Money(0)),)):
        found = refusal(candidate, asked(budgets=budgets), CALENDAR)
        assert found == (RejectReason.BUDGET_SPENT, None)
    assert refusal(candidate, asked(budgets=(BudgetFacts("x", Money(1)),)), CALENDAR) is None


def test_row_c17_minimum_volume_and_amount_say_how_much_is_missing() -> None:
    assert refused(Conditions(min_volume_ml=10_000), asked()) is None
    assert refused(Conditions(min_volume_ml=10_001), asked()) == (RejectReason.MIN_VOLUME, 1)
    assert refused(Conditions(min_amount_fen=7850), asked()) is None
    assert refused(Conditions(min_amount_fen=7900), asked()) == (RejectReason.MIN_AMOUNT, 50)


def test_more_fuel_is_named_only_when_nothing_else_is_amiss() -> None:
    wanted = Conditions(min_amount_fen=10_000, hours=(Hours(start="00:00", end="01:00"),))
    assert reason(wanted, asked(at("2026-11-03T12:00:00+08:00"))) == "hours"
    assert reason(wanted, asked(at("2026-11-03T00:30:00+08:00"))) == "min_amount"
    paid = Conditions(min_amount_fen=10_000, tenders=("cash",))
    assert reason(paid, asked()) == "tender"
