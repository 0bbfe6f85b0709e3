"""Points are taken first in, first out, pay whole yuan, and are announced before they lapse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core import points
from edge_agent.model.errors import SaleRefused
from edge_agent.model.membership import ExpiringPoints
from edge_agent.model.policy import Redemption
from edge_agent.model.records import PointsBucket
from edge_agent.model.units import Money
from tests.core.leasing import CHINA, DAY_MS

P6 = Redemption()
NOON_MS = int(datetime(2026, 11, 3, 4, tzinfo=UTC).timestamp() * 1000)
"""Noon of 3 November 2026 in China."""


def bucket(expires_ms: int, amount: int) -> PointsBucket:
    return PointsBucket(expires_ms=expires_ms, points=amount)


def midnight(year: int, month: int, day: int, utc_offset_minutes: int = CHINA) -> int:
    at = datetime(year, month, day, tzinfo=UTC) - timedelta(minutes=utc_offset_minutes)
    return int(at.timestamp() * 1000)


# --- how long they last -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earned", "months", "gone"),
    [
        ((2026, 11, 3), 24, (2028, 11, 4)),
        ((2026, 12, 31), 24, (2029, 1, 1)),
        ((2026, 8, 31), 6, (2027, 3, 1)),
        ((2028, 2, 29), 12, (2029, 3, 1)),
        ((2027, 1, 31), 1, (2027, 3, 1)),
        ((2026, 11, 3), 1, (2026, 12, 4)),
        ((2026, 11, 3), 120, (2036, 11, 4)),
    ],
)
def test_row_p8_points_last_to_the_end_of_the_day_24_months_later(
    earned: tuple[int, int, int], months: int, gone: tuple[int, int, int]
) -> None:
    for offset in (CHINA, 0, -300):
        for later_ms in (0, DAY_MS - 1):
            at_ms = midnight(*earned, offset) + later_ms
            assert points.expires_ms(at_ms, months, offset) == midnight(*gone, offset)


# --- buckets ------------------------------------------------------------------------------------

buckets = st.lists(st.builds(bucket, st.integers(0, 9), st.integers(1, 500)), max_size=6)


@given(held=buckets, wished=st.integers(0, 2_000))
def test_row_p8_the_oldest_points_go_first_and_come_back_exactly(
    held: list[PointsBucket], wished: int
) -> None:
    total = sum(each.points for each in held)
    if wished > total:
        with pytest.raises(SaleRefused, match="points_insufficient"):
            points.take(held, wished)
        return
    taken, left = points.take(held, wished)
    assert sum(each.points for each in taken) == wished
    assert sum(each.points for each in left) == total - wished
    assert all(each.points > 0 for each in (*taken, *left))
    latest_taken = max((each.expires_ms for each in taken), default=0)
    assert all(each.expires_ms >= latest_taken for each in left)
    assert points.put_back(left, taken) == points.put_back(held, ())


# --- what they pay ------------------------------------------------------------------------------


def test_row_p6_a_hundred_points_pay_a_yuan_and_parts_pay_nothing() -> None:
    assert points.value_of(199, P6) == Money(100)
    assert points.value_of(99, P6) == Money(0)
    assert points.value_of(500, None) == Money(0)
    assert points.value_of(500, Redemption(points_per_yuan=500)) == Money(100)
    assert points.points_for(Money(1_299), P6) == 1_200


def test_row_p7_five_thousand_points_pay_a_car_wash_of_50_yuan() -> None:
    assert points.value_of(5_000, P6) == Money(5_000)
    points.require_redeemable(5_000, Money(5_000), P6)


def test_row_p17_no_more_is_redeemed_than_the_policy_allows() -> None:
    half = Redemption(max_share_bp=5_000, min_points=1_000)
    assert points.most_redeemable(10_000, Money(9_999), half) == 4_900
    assert points.most_redeemable(2_345, Money(9_999), half) == 2_300
    assert points.most_redeemable(1_099, Money(9_999), half) == 1_000
    assert points.most_redeemable(999, Money(9_999), half) == 0
    assert points.most_redeemable(9_999, Money(1_999), half) == 0
    assert points.most_redeemable(10_000, Money(9_999), None) == 0


@pytest.mark.parametrize(
    ("wished", "redemption", "code"),
    [
        (100, None, "points_not_redeemable"),
        (-100, P6, "points_not_redeemable"),
        (150, P6, "points_not_whole_yuan"),
        (100, Redemption(min_points=200), "points_below_minimum"),
        (600, Redemption(max_share_bp=5_000), "points_above_share"),
        (1_100, P6, "points_above_share"),
    ],
)
def test_points_that_may_not_pay_are_refused(
    wished: int, redemption: Redemption | None, code: str
) -> None:
    with pytest.raises(SaleRefused, match=code):
        points.require_redeemable(wished, Money(1_000), redemption)


redemptions = st.builds(
    Redemption,
    points_per_yuan=st.sampled_from([1, 100, 500]),
    max_share_bp=st.integers(0, 10_000),
    min_points=st.integers(0, 3_000),
)


@given(available=st.integers(0, 10**6), payable=st.integers(0, 10**5), redemption=redemptions)
def test_the_most_that_may_be_redeemed_is_allowed_and_a_yuan_more_is_not(
    available: int, payable: int, redemption: Redemption
) -> None:
    most = points.most_redeemable(available, Money(payable), redemption)
    points.require_redeemable(most, Money(payable), redemption)
    more = most + redemption.points_per_yuan
    if most and more <= available:
        with pytest.raises(SaleRefused):
            points.require_redeemable(more, Money(payable), redemption)


# --- before they lapse --------------------------------------------------------------------------


def warned(days: int, warn_days: tuple[int, ...] = (30, 15, 3)) -> tuple[int, str] | None:
    last_day = midnight(2026, 11, 3) + (days + 1) * DAY_MS
    found = points.warnings([ExpiringPoints(last_day, 80)], NOON_MS, warn_days, CHINA)
    assert all(each.points == 80 and each.what == "points" for each in found)
    return (found[0].days, found[0].text_zh) if found else None


def test_row_p14_points_are_announced_30_15_and_3_days_before() -> None:
    assert warned(31) is None
    assert warned(30) == (30, "80积分将于30天后过期")
    assert warned(16) == (16, "80积分将于16天后过期")
    assert warned(15) == (15, "80积分将于15天后过期，可用于抵现或兑换商品")
    assert warned(4) == (4, "80积分将于4天后过期，可用于抵现或兑换商品")
    assert warned(3) == (3, "80积分将于3天后过期，请提醒顾客现在使用")
    assert warned(0) == (0, "80积分今天过期，请提醒顾客现在使用")
    assert warned(7, ()) is None


def test_row_p14_what_lapses_on_one_day_is_told_once_and_what_is_gone_not_at_all() -> None:
    day_ends = midnight(2026, 11, 10)
    held = [
        ExpiringPoints(day_ends, 30),
        ExpiringPoints(day_ends - 7_200_000, 20),
        ExpiringPoints(NOON_MS, 1_000),
        ExpiringPoints(midnight(2026, 11, 5), 5),
        ExpiringPoints(2**53 - 1, 900),
    ]
    found = points.warnings(held, NOON_MS, (30, 15, 3), CHINA)
    assert [(each.points, each.days, each.text_en) for each in found] == [
        (5, 1, "5 points expire in 1 day: ask the customer to use them now"),
        (50, 6, "50 points expire in 6 days: pay or take goods with them"),
    ]
