"""Limits allow, ask for more proof or deny, and say why; each class of account has its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge_agent.core import floor_limit
from edge_agent.core.risk import (
    ALLOWED,
    PROBLEMS,
    Assessment,
    Denied,
    StepUp,
    assess,
    flagged,
    minute_since_ms,
)
from edge_agent.core.station_calendar import day_start_ms
from edge_agent.model.books import Usage
from edge_agent.model.policy import NO_POLICY, ClassLimits
from edge_agent.model.units import NO_VOLUME, Money
from tests.core.leasing import CHINA, NOON_MS
from tests.core.offers import policy

STANDARD = ClassLimits()


def judged(
    amount_fen: int,
    *,
    payments: int = 0,
    today_fen: int = 0,
    limits: ClassLimits = STANDARD,
    second: bool = False,
) -> Assessment:
    minute = Usage(payments, Money(0), NO_VOLUME)
    day = Usage(9, Money(today_fen), NO_VOLUME)
    return assess(limits, minute, day, Money(amount_fen), second_factor=second)


def test_row_r1_three_payments_a_minute() -> None:
    assert judged(100, payments=2) == ALLOWED
    assert judged(100, payments=3) == Denied("payments_per_minute")
    assert judged(100, payments=3, second=True) == Denied("payments_per_minute")


def test_row_r1_the_minute_slides() -> None:
    assert minute_since_ms(60_000) == 1
    """A payment 60 s ago is out of it, one 59.999 s ago within."""


def test_row_r2_ten_thousand_yuan_a_day() -> None:
    assert judged(1, today_fen=999_999) == ALLOWED
    assert judged(2, today_fen=999_999) == Denied("amount_per_day")
    assert judged(1_000_001) == Denied("amount_per_day")


def test_row_r2_the_day_is_the_stations_own() -> None:
    assert day_start_ms(NOON_MS, CHINA) == _ms(2026, 9, 20, 16)
    assert day_start_ms(NOON_MS, 0) == _ms(2026, 9, 21)
    assert day_start_ms(_ms(2026, 9, 20, 16), CHINA) == _ms(2026, 9, 20, 16)
    assert day_start_ms(_ms(2026, 9, 20, 16) - 1, CHINA) == _ms(2026, 9, 19, 16)


def _ms(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def test_row_r10_above_an_amount_more_proof_is_asked_for() -> None:
    limits = ClassLimits(second_factor_above_fen=50_000)
    assert judged(50_000, limits=limits) == ALLOWED
    assert judged(50_001, limits=limits) == StepUp("second_factor")
    assert judged(50_001, limits=limits, second=True) == ALLOWED
    assert judged(900_000) == ALLOWED


def test_row_r10_every_answer_says_why_in_both_languages() -> None:
    for rule, problem in PROBLEMS.items():
        assert Denied(rule).problem is StepUp(rule).problem is problem
        assert problem.code == f"risk_{rule}"
        assert problem.text_zh
        assert problem.text_en


def test_row_r9_row_m22_limits_are_the_policys_by_class_of_account() -> None:
    lorry = {"amount_per_day_fen": 5_000_000, "payments_per_minute": 1}
    found = policy(classes={"lorry": lorry, "standard": {"amount_per_day_fen": 100}})
    assert judged(4_000_000, limits=found.limits_of("lorry")) == ALLOWED
    assert judged(1, payments=1, limits=found.limits_of("lorry")) == Denied("payments_per_minute")
    assert judged(101, limits=found.limits_of("private")) == Denied("amount_per_day")
    assert judged(1_000_000, limits=NO_POLICY.limits_of("private")) == ALLOWED


@pytest.mark.parametrize(
    ("found", "decision"),
    [(Denied("amount_per_day"), "deny"), (StepUp("second_factor"), "step_up")],
)
def test_what_was_held_up_is_recorded(found: Denied | StepUp, decision: str) -> None:
    body = flagged(found, Money(700), member_ref="m-1", account_ref="a-1")
    assert (body.rule, body.decision, body.amount_fen) == (found.rule, decision, 700)
    assert (body.member_ref, body.account_ref) == ("m-1", "a-1")


# --- beyond the leases --------------------------------------------------------------------------

FLOOR = ClassLimits(floor_per_sale_fen=30_000, floor_per_day_fen=60_000, grace_s=86_400)


@pytest.mark.parametrize(
    ("spent_fen", "age_s", "allowed_fen"),
    [
        (0, 0, 30_000),
        (30_000, 60, 30_000),
        (45_000, 60, 15_000),
        (60_000, 60, 0),
        (70_000, 60, 0),
        (-5, 60, 30_000),
        (0, 86_400, 30_000),
        (0, 86_401, 0),
    ],
)
def test_row_v19_beyond_the_leases_the_owner_accepts_a_bounded_loss(
    spent_fen: int, age_s: int, allowed_fen: int
) -> None:
    assert floor_limit.allowance(FLOOR, Money(spent_fen), age_s) == Money(allowed_fen)
    assert floor_limit.allowance(ClassLimits(), Money(spent_fen), age_s) == Money(0)
