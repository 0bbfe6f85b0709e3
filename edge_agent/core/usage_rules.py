"""What a fleet allows its vehicles and drivers, judged before fuel flows (rows L1, L2).

Both the vehicle's rules and the driver's have to hold. Locked members (row R5) and members of whom
headquarters was not heard for too long (row S06) may not be charged at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge_agent.core.station_calendar import minute_of_day
from edge_agent.model.dispenser import Preset
from edge_agent.model.errors import Problem
from edge_agent.model.membership import Member, UsageRules
from edge_agent.model.policy import ClassLimits
from edge_agent.model.units import NO_MONEY, NO_VOLUME, Money, UnitPrice, Volume

PROBLEMS: Final = {
    problem.code: problem
    for problem in (
        Problem("fleet_station", "车队未授权在本站加油", "the fleet does not allow this station"),
        Problem("fleet_grade", "车队未授权该油品", "the fleet does not allow this grade"),
        Problem("fleet_hours", "不在车队允许的加油时段", "not within the hours the fleet allows"),
        Problem("fleet_visits_day", "超出当日加油次数", "no more fills are allowed today"),
        Problem("fleet_visits_week", "超出本周加油次数", "no more fills are allowed this week"),
        Problem("fleet_visits_month", "超出本月加油次数", "no more fills are allowed this month"),
        Problem("fleet_amount_day", "当日加油额度已用完", "the day's amount is used up"),
        Problem("fleet_amount_week", "本周加油额度已用完", "the week's amount is used up"),
        Problem("fleet_amount_month", "本月加油额度已用完", "the month's amount is used up"),
        Problem("fleet_volume_day", "当日加油升数已用完", "the day's litres are used up"),
        Problem("fleet_volume_week", "本周加油升数已用完", "the week's litres are used up"),
        Problem("fleet_volume_month", "本月加油升数已用完", "the month's litres are used up"),
        Problem("fleet_odometer_missing", "请输入里程表读数", "enter what the odometer shows"),
        Problem(
            "fleet_odometer_backwards",
            "里程小于上次读数，请核对",
            "the odometer shows less than last time: check it",
        ),
        Problem("fleet_pin_missing", "请司机输入密码", "the driver has to enter the PIN"),
    )
}
"""Every reason for which a fleet's rules hold fuel back, by its stable code."""

MEMBER_LOCKED: Final = Problem(
    "member_locked",
    "该会员已被锁定，请用其他方式付款",
    "nothing may be charged to this member: take another means of payment",
)
OFFLINE_TOO_LONG: Final = Problem(
    "offline_too_long",
    "与总部失联过久，储值和积分暂停使用，请现金或刷卡付款",
    "headquarters was not heard for too long: stored value and points are suspended, sell at the"
    " till",
)


@dataclass(frozen=True, slots=True)
class Fills:
    """What a vehicle or driver has filled at this station so far; this fill apart."""

    today: int = 0
    this_week: int = 0
    this_month: int = 0
    amount_today: Money = NO_MONEY
    amount_this_week: Money = NO_MONEY
    amount_this_month: Money = NO_MONEY
    volume_today: Volume = NO_VOLUME
    volume_this_week: Volume = NO_VOLUME
    volume_this_month: Volume = NO_VOLUME


@dataclass(frozen=True, slots=True)
class UsageFacts:
    """What a wish for fuel is judged by. `grade` None is a nozzle not lifted yet."""

    station: str
    at_ms: int
    utc_offset_minutes: int
    grade: str | None = None
    fills: Fills = Fills()
    odometer_km: int | None = None
    last_odometer_km: int | None = None
    """As it was said last time, where that is known."""
    pin_proven: bool = False


def problem(rules: UsageRules, facts: UsageFacts) -> Problem | None:
    """Return why these rules hold fuel back, or None when they allow it."""
    code = _forbidden(rules, facts) or _used_up(rules, facts.fills) or _unproved(rules, facts)
    return None if code is None else PROBLEMS[code]


def problem_of_all(judged: Iterable[tuple[UsageRules | None, UsageFacts]]) -> Problem | None:
    """Return the first reason of a vehicle's and a driver's rules, each with its own facts."""
    for rules, facts in judged:
        found = None if rules is None else problem(rules, facts)
        if found is not None:
            return found
    return None


def _forbidden(rules: UsageRules, facts: UsageFacts) -> str | None:
    if rules.stations and facts.station not in rules.stations:
        return "fleet_station"
    if rules.grades and facts.grade is not None and facts.grade not in rules.grades:
        return "fleet_grade"
    minute = minute_of_day(facts.at_ms, facts.utc_offset_minutes)
    if rules.hours and not any(_within(start, end, minute) for start, end in rules.hours):
        return "fleet_hours"
    return None


def _used_up(rules: UsageRules, fills: Fills) -> str | None:
    for code, most, so_far in (
        ("fleet_visits_day", rules.visits_per_day, fills.today),
        ("fleet_visits_week", rules.visits_per_week, fills.this_week),
        ("fleet_visits_month", rules.visits_per_month, fills.this_month),
        *_amounts(rules, fills),
        *_volumes(rules, fills),
    ):
        if most is not None and so_far >= most:
            return code
    return None


def _amounts(rules: UsageRules, fills: Fills) -> tuple[tuple[str, int | None, int], ...]:
    return (
        ("fleet_amount_day", rules.amount_per_day_fen, fills.amount_today.fen),
        ("fleet_amount_week", rules.amount_per_week_fen, fills.amount_this_week.fen),
        ("fleet_amount_month", rules.amount_per_month_fen, fills.amount_this_month.fen),
    )


def _volumes(rules: UsageRules, fills: Fills) -> tuple[tuple[str, int | None, int], ...]:
    return (
        ("fleet_volume_day", rules.volume_per_day_ml, fills.volume_today.ml),
        ("fleet_volume_week", rules.volume_per_week_ml, fills.volume_this_week.ml),
        ("fleet_volume_month", rules.volume_per_month_ml, fills.volume_this_month.ml),
    )


def _most_fen(rules: UsageRules, fills: Fills) -> int | None:
    """Return the amount that one more fill may come to, or None for any."""
    left = [max(0, most - done) for _, most, done in _amounts(rules, fills) if most is not None]
    return min(
        left if rules.max_amount_fen is None else [*left, rules.max_amount_fen], default=None
    )


def _most_ml(rules: UsageRules, fills: Fills) -> int | None:
    """Return the volume that one more fill may come to, or None for any."""
    left = [max(0, most - done) for _, most, done in _volumes(rules, fills) if most is not None]
    return min(left if rules.max_volume_ml is None else [*left, rules.max_volume_ml], default=None)


def _unproved(rules: UsageRules, facts: UsageFacts) -> str | None:
    if rules.odometer and facts.odometer_km is None:
        return "fleet_odometer_missing"
    said, before = facts.odometer_km, facts.last_odometer_km
    if said is not None and before is not None and said < before:
        return "fleet_odometer_backwards"
    if rules.pin and not facts.pin_proven:
        return "fleet_pin_missing"
    return None


def limit(
    judged: Iterable[tuple[UsageRules | None, Fills]], unit_price: UnitPrice, wished: Preset | None
) -> Preset | None:
    """Return the preset that lets nobody fill more than the rules allow; None: nothing bounds it.

    Args:
        judged: the vehicle's and the driver's rules, each with what was filled under them.
        unit_price: at which volumes and amounts are compared. The amount is the list amount: what
            is paid after discounts is less.
        wished: the preset that was asked for, if any; it is kept when it is the tightest.
    """
    presets: list[Preset] = [] if wished is None else [wished]
    for rules, fills in judged:
        if rules is None:
            continue
        most_ml, most_fen = _most_ml(rules, fills), _most_fen(rules, fills)
        if most_ml is not None:
            presets.append(Preset(volume=Volume(most_ml)))
        if most_fen is not None:
            presets.append(Preset(amount=Money(most_fen)))
    return min(presets, key=lambda preset: _weight(preset, unit_price), default=None)


def exceeded(rules: UsageRules, fills: Fills, volume: Volume, amount: Money) -> bool:
    """Whether a fill that has been made already is more than the rules allow."""
    most_ml, most_fen = _most_ml(rules, fills), _most_fen(rules, fills)
    too_much = most_ml is not None and volume.ml > most_ml
    return too_much or (most_fen is not None and amount.fen > most_fen)


def offline_problem(cache_age_s: int, limits: ClassLimits) -> Problem | None:
    """Return why nothing may be charged after so long without headquarters, or None (row S06)."""
    return OFFLINE_TOO_LONG if cache_age_s > limits.grace_s else None


def locked_problem(member: Member) -> Problem | None:
    """Return why nothing may be charged to a member, or None (row R5)."""
    return None if member.locked is None else MEMBER_LOCKED


def _within(start: int, end: int, minute: int) -> bool:
    if start < end:
        return start <= minute < end
    return minute >= start or minute < end


def _weight(preset: Preset, unit_price: UnitPrice) -> int:
    """Return what a preset lets through in ten-thousandths of a fen, so nothing is rounded."""
    if preset.amount is not None:
        return preset.amount.fen * 10_000
    return 0 if preset.volume is None else preset.volume.ml * unit_price.milli
