"""Points and gifts: what is earned on what was paid, and how several offers combine."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core.promotions import quote
from edge_agent.model.quote import Quote, QuoteRequest
from tests.core.offers import TUESDAY_NOON_MS, coupon, percent, policy, reasons, request
from tests.core.price_cases import random_case

GOLD = "gold"


def times(offer_id: str, times_bp: int, **more: Any) -> dict[str, Any]:
    return {"id": offer_id, "kind": "points_times", "times_bp": times_bp} | more


def given_points(answer: Quote) -> dict[str, int]:
    return {line.offer: line.points for line in answer.benefits}


def test_row_p1_row_p17_members_earn_on_whole_yuan_paid() -> None:
    rules = policy(percent("a", 50), points={"per_yuan": 2})
    assert quote(request(10_000, tier=GOLD), rules).points_earned == 198  # 99.50 paid
    assert quote(request(10_000), rules).points_earned == 0


def test_row_p10_a_grade_has_a_rate_of_its_own() -> None:
    rules = policy(points={"grade_rates_bp": {"0": 15_000, "95": 0}})
    assert quote(request(9_999, tier=GOLD, grade="0"), rules).points_earned == 149  # 148.5
    assert quote(request(9_999, tier=GOLD, grade="95"), rules).points_earned == 0
    assert quote(request(9_999, tier=GOLD), rules).points_earned == 99


def test_row_p6_what_points_pay_earns_none() -> None:
    rules = policy(points={"redeem": {"points_per_yuan": 100}})
    asked = replace(request(10_000, tier=GOLD), points_redeemed=2_050)
    assert quote(asked, rules).points_earned == 80
    assert quote(replace(asked, points_redeemed=10**6), rules).points_earned == 0


@pytest.mark.parametrize(("day", "points"), [(0, 100), (4, 200)])
def test_row_p2_saturday_counts_twice(day: int, points: int) -> None:
    rules = policy(times("saturday", 20_000, conditions={"weekdays": [6]}))
    asked = replace(request(10_000, tier=GOLD), at_ms=TUESDAY_NOON_MS + day * 86_400_000)
    assert quote(asked, rules).points_earned == points


def _birthday(**more: Any) -> QuoteRequest:
    asked = request(10_000, tier=GOLD)
    assert asked.member is not None
    return replace(asked, member=replace(asked.member, birthday_week=True), **more)


def test_row_p3_row_m17_the_birthday_week_counts_twice() -> None:
    rules = policy(times("birthday", 20_000, conditions={"birthday_week": True}))
    assert quote(_birthday(), rules).points_earned == 200
    assert quote(request(10_000, tier=GOLD), rules).points_earned == 100


@pytest.mark.parametrize(
    ("combine", "total", "by_offer"),
    [
        ("max", 300, {"b": 200}),
        ("add", 400, {"a": 100, "b": 200}),
        ("multiply", 600, {"a": 100, "b": 400}),
    ],
)
def test_row_z3_row_m16_multipliers_combine_as_the_policy_says(
    combine: str, total: int, by_offer: dict[str, int]
) -> None:
    rules = policy(times("a", 20_000), times("b", 30_000), points={"combine": combine})
    answer = quote(request(10_000, tier=GOLD), rules)
    assert answer.points_earned == total
    assert given_points(answer) == by_offer, "it is said which applied"
    assert reasons(answer) == ({"a": ("not_best", None)} if combine == "max" else {})


def test_of_equal_multipliers_no_coupon_is_used() -> None:
    rules = policy(times("z", 20_000), templates=[times("a", 20_000)])
    answer = quote(replace(request(10_000, tier=GOLD), coupons=(coupon("1", "a"),)), rules)
    assert given_points(answer) == {"z": 100}
    assert reasons(answer) == {"a#1": ("coupon_kept", None)}


def test_a_coupon_that_adds_no_points_is_kept() -> None:
    rules = policy(templates=[times("a", 20_000)], points={"per_yuan": 0})
    answer = quote(replace(request(10_000, tier=GOLD), coupons=(coupon("1", "a"),)), rules)
    assert (answer.benefits, reasons(answer)) == ((), {"a#1": ("coupon_kept", None)})


def test_of_a_group_the_lowest_priority_gives() -> None:
    gift = {"kind": "free_item", "good": "fluid", "group": "gift"}
    rules = policy(
        gift | {"id": "a", "priority": 5},
        {"id": "b", "kind": "points_fixed", "points": 50, "group": "gift", "priority": 4},
        gift | {"id": "c", "pieces": 2},
    )
    answer = quote(request(10_000, tier=GOLD), rules)
    assert (given_points(answer), answer.points_earned) == ({"b": 50}, 150)
    assert reasons(answer) == {"a": ("group_taken", None), "c": ("group_taken", None)}
    passing = quote(request(10_000), rules)
    assert [(line.offer, line.good, line.pieces) for line in passing.benefits] == [
        ("a", "fluid", 1)
    ]


def test_row_m8_a_gift_comes_with_enough_fuel_and_is_not_charged() -> None:
    gift = {"id": "a", "kind": "free_item", "good": "fluid"}
    rules = policy(gift | {"conditions": {"min_amount_fen": 20_000}})
    answer = quote(request(20_000), rules)
    assert [(line.good, line.pieces) for line in answer.benefits] == [("fluid", 1)]
    assert answer.payable.fen == 20_000
    assert reasons(quote(request(15_000), rules)) == {"a": ("min_amount", 5_000)}


@settings(max_examples=60)
@given(chance=st.randoms(use_true_random=False))
def test_all_points_are_those_on_the_amount_and_those_of_the_lines(chance: Random) -> None:
    asked, rules = random_case(chance)
    answer, points = quote(asked, rules), rules.points
    if asked.member is None:
        assert answer.points_earned == 0
        return
    worth = points.redeem and asked.points_redeemed // points.redeem.points_per_yuan * 100
    paid_yuan = max(answer.payable.fen - (worth or 0), 0) // 100
    base = paid_yuan * points.per_yuan * points.grade_rates_bp.get(asked.grade, 10_000)
    added = sum(line.points for line in answer.benefits)
    assert answer.points_earned - added == (2 * base + 10_000) // 20_000
    assert all(line.points > 0 or line.pieces > 0 for line in answer.benefits)
