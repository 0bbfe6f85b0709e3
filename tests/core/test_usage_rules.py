"""A fleet's rules hold before fuel flows, without a network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.usage_rules import (
    MEMBER_LOCKED,
    OFFLINE_TOO_LONG,
    PROBLEMS,
    Fills,
    UsageFacts,
    exceeded,
    limit,
    locked_problem,
    offline_problem,
    problem,
    problem_of_all,
)
from edge_agent.model.dispenser import Preset
from edge_agent.model.ids import AccountRef, MemberRef
from edge_agent.model.membership import Member, UsageRules
from edge_agent.model.policy import ClassLimits
from edge_agent.model.units import Money, UnitPrice, Volume
from tests.core.leasing import CHINA

TEN_MS = int(datetime(2026, 11, 3, 2, tzinfo=UTC).timestamp() * 1000)
"""Ten in the morning in China."""
FACTS = UsageFacts("K-001", TEN_MS, CHINA, grade="0", odometer_km=1_000, pin_proven=True)
PRICE = UnitPrice(7_850)


def found(rules: UsageRules, **facts: object) -> str | None:
    told = problem(rules, replace(FACTS, **facts))  # type: ignore[arg-type]
    return None if told is None else told.code


def test_row_l1_without_rules_everything_is_allowed() -> None:
    assert found(UsageRules(), odometer_km=None, pin_proven=False) is None


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (UsageRules(stations=("K-002",)), "fleet_station"),
        (UsageRules(stations=("K-002", "K-001")), None),
        (UsageRules(grades=("92", "95")), "fleet_grade"),
        (UsageRules(grades=("0",)), None),
        (UsageRules(hours=((600, 601),)), None),
        (UsageRules(hours=((601, 700), (500, 600))), "fleet_hours"),
        (UsageRules(hours=((1_300, 601),)), None),
        (UsageRules(hours=((1_300, 600),)), "fleet_hours"),
        (UsageRules(hours=((0, 1_440),)), None),
    ],
)
def test_row_l1_station_grade_and_hours(rules: UsageRules, code: str | None) -> None:
    assert found(rules) == code


def test_row_c6_row_l1_the_grade_is_judged_at_the_lift_not_before() -> None:
    rules = UsageRules(grades=("92",))
    assert found(rules, grade=None) is None
    assert found(rules, grade="0") == "fleet_grade"


@pytest.mark.parametrize(
    ("rules", "fills", "code"),
    [
        (UsageRules(visits_per_day=2), Fills(today=1), None),
        (UsageRules(visits_per_day=2), Fills(today=2), "fleet_visits_day"),
        (UsageRules(visits_per_week=5), Fills(today=1, this_week=5), "fleet_visits_week"),
        (UsageRules(visits_per_month=9), Fills(this_week=3, this_month=9), "fleet_visits_month"),
        (UsageRules(visits_per_month=0), Fills(), "fleet_visits_month"),
        (UsageRules(amount_per_month_fen=500), Fills(amount_this_month=Money(499)), None),
        (
            UsageRules(amount_per_month_fen=500),
            Fills(amount_this_month=Money(500)),
            "fleet_amount_month",
        ),
        (UsageRules(amount_per_day_fen=5), Fills(amount_today=Money(5)), "fleet_amount_day"),
        (UsageRules(amount_per_week_fen=5), Fills(amount_this_week=Money(5)), "fleet_amount_week"),
        (UsageRules(volume_per_day_ml=5), Fills(volume_today=Volume(5)), "fleet_volume_day"),
        (UsageRules(volume_per_week_ml=5), Fills(volume_this_week=Volume(5)), "fleet_volume_week"),
        (
            UsageRules(volume_per_month_ml=5),
            Fills(volume_this_month=Volume(5)),
            "fleet_volume_month",
        ),
        (UsageRules(volume_per_month_ml=5), Fills(volume_this_month=Volume(4)), None),
    ],
)
def test_row_l1_visits_and_amounts(rules: UsageRules, fills: Fills, code: str | None) -> None:
    assert found(rules, fills=fills) == code


def test_row_l2_the_odometer_is_said_and_never_runs_backwards() -> None:
    rules = UsageRules(odometer=True)
    assert found(rules, odometer_km=None) == "fleet_odometer_missing"
    assert found(rules, last_odometer_km=1_001) == "fleet_odometer_backwards"
    assert found(rules, last_odometer_km=1_000) is None
    assert found(UsageRules(), last_odometer_km=1_001) == "fleet_odometer_backwards"


def test_row_l2_the_driver_proves_who_it_is() -> None:
    assert found(UsageRules(pin=True), pin_proven=False) == "fleet_pin_missing"
    assert found(UsageRules(pin=True)) is None


def test_row_l1_row_l2_the_vehicles_and_the_drivers_rules_both_hold() -> None:
    vehicle, driver = UsageRules(grades=("0",)), UsageRules(visits_per_day=1)
    filled = replace(FACTS, fills=Fills(today=1))
    assert problem_of_all([(vehicle, FACTS), (driver, FACTS)]) is None
    assert problem_of_all([(vehicle, FACTS), (driver, filled)]) is PROBLEMS["fleet_visits_day"]
    assert problem_of_all([(vehicle, filled), (driver, FACTS)]) is None
    assert problem_of_all([(None, FACTS)]) is None


# --- how much may be filled ---------------------------------------------------------------------


def litres(ml: int) -> Preset:
    return Preset(volume=Volume(ml))


def yuan(fen: int) -> Preset:
    return Preset(amount=Money(fen))


@pytest.mark.parametrize(
    ("rules", "wished", "preset"),
    [
        (UsageRules(), None, None),
        (UsageRules(), yuan(100), yuan(100)),
        (UsageRules(max_volume_ml=50_000), None, litres(50_000)),
        (UsageRules(max_volume_ml=50_000), yuan(39_250), yuan(39_250)),
        (UsageRules(max_volume_ml=50_000), yuan(39_251), litres(50_000)),
        (UsageRules(max_volume_ml=50_000, max_amount_fen=20_000), litres(90_000), yuan(20_000)),
        (UsageRules(amount_per_month_fen=30_000), None, yuan(25_000)),
    ],
)
def test_row_l1_the_preset_is_what_the_tightest_rule_leaves(
    rules: UsageRules, wished: Preset | None, preset: Preset | None
) -> None:
    fills = Fills(amount_this_month=Money(5_000))
    assert limit([(rules, fills), (None, Fills())], PRICE, wished) == preset


@given(
    litre_limit=st.none() | st.integers(1, 10**6),
    yuan_limit=st.none() | st.integers(1, 10**6),
    month=st.none() | st.integers(1, 10**6),
    spent=st.integers(0, 10**6),
)
def test_row_l1_a_preset_never_exceeds_any_rule(
    litre_limit: int | None, yuan_limit: int | None, month: int | None, spent: int
) -> None:
    rules = UsageRules(
        max_volume_ml=litre_limit, max_amount_fen=yuan_limit, amount_per_month_fen=month
    )
    preset = limit([(rules, Fills(amount_this_month=Money(spent)))], PRICE, None)
    if preset is None:
        assert (litre_limit, yuan_limit, month) == (None, None, None)
        return
    exact = (
        preset.amount.fen * 10_000
        if preset.amount is not None
        else (preset.volume or Volume(0)).ml * PRICE.milli
    )
    assert litre_limit is None or exact <= litre_limit * PRICE.milli
    assert yuan_limit is None or exact <= yuan_limit * 10_000
    assert month is None or exact <= max(0, month - spent) * 10_000


WINDOWS = (
    ("amount_per_day_fen", "amount_today", Money),
    ("amount_per_week_fen", "amount_this_week", Money),
    ("amount_per_month_fen", "amount_this_month", Money),
    ("volume_per_day_ml", "volume_today", Volume),
    ("volume_per_week_ml", "volume_this_week", Volume),
    ("volume_per_month_ml", "volume_this_month", Volume),
)


@given(
    most=st.lists(st.none() | st.integers(0, 10**6), min_size=6, max_size=6),
    done=st.lists(st.integers(0, 10**6), min_size=6, max_size=6),
)
def test_row_l1_a_preset_fits_into_every_window_and_is_as_large_as_the_tightest(
    most: list[int | None], done: list[int]
) -> None:
    rules = UsageRules(**{name: one for (name, *_), one in zip(WINDOWS, most, strict=True)})  # type: ignore[arg-type]
    fills = Fills(**{name: of(one) for (_, name, of), one in zip(WINDOWS, done, strict=True)})  # type: ignore[arg-type]
    left = [
        max(0, one - so_far) * (10_000 if of is Money else PRICE.milli)
        for (_, _, of), one, so_far in zip(WINDOWS, most, done, strict=True)
        if one is not None
    ]
    preset = limit([(rules, fills)], PRICE, None)
    if preset is None:
        assert not left
        return
    volume, amount = preset.volume or Volume(0), preset.amount or Money(0)
    assert volume.ml * PRICE.milli + amount.fen * 10_000 == min(left)
    assert not exceeded(rules, fills, volume, amount)
    assert exceeded(rules, fills, Volume(10**7), Money(10**7))


# --- whoever may not be charged -----------------------------------------------------------------


def test_row_r5_a_locked_member_is_locked_offline_too() -> None:
    member = Member(MemberRef("m-1"), "gold", "张**", AccountRef("a-1"), True)
    assert locked_problem(member) is None
    assert locked_problem(replace(member, locked="lost")) is MEMBER_LOCKED


def test_row_l1_after_the_grace_period_nothing_is_charged_offline() -> None:
    limits = ClassLimits(grace_s=3_600)
    assert offline_problem(3_600, limits) is None
    assert offline_problem(3_601, limits) is OFFLINE_TOO_LONG


def test_every_reason_is_told_in_both_languages() -> None:
    assert all(each.text_zh and each.text_en for each in PROBLEMS.values())
