"""Limits, tiers and calendar of a policy that contradict one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

from edge_agent.model.policy.breach import Breach

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy


def contradicting_limits(policy: Policy) -> Iterator[Breach]:
    """Yield what cannot hold together outside the offers."""
    yield from _grades(policy)
    yield from _tiers(policy)
    yield from _calendar(policy)
    yield from _classes(policy)
    yield from _top_up(policy)
    if policy.referral.points_each and not policy.referral.levels:
        yield Breach(
            "never_applies",
            "referral.points_each",
            "推荐层级为零，推荐积分永远不会发放",
            "with no level of referral nobody ever gets these points",
        )


def _grades(policy: Policy) -> Iterator[Breach]:
    known = {grade.code for grade in policy.grades}
    named: list[tuple[str, Iterable[str]]] = [
        ("limits.price_floors_milli", policy.limits.price_floors_milli),
        ("points.grade_rates_bp", policy.points.grade_rates_bp),
        ("auto_authorise.grades", policy.auto_authorise.grades),
        *((f"goods[{n}].suggest_with", good.suggest_with) for n, good in enumerate(policy.goods)),
    ]
    for place, codes in named:
        for code in codes:
            if known and code not in known:
                yield Breach(
                    "grade_unknown",
                    place,
                    f"油品 {code} 不在 grades 中",
                    f"the grade {code} is not among grades",
                )


def _tiers(policy: Policy) -> Iterator[Breach]:
    before = None
    for index, tier in enumerate(policy.tiers):
        reached = tier.reached_at_fen
        if reached is not None and before is not None and reached <= before:
            yield Breach(
                "tiers_unordered",
                f"tiers[{index}].reached_at_fen",
                "等级须由低到高排列，门槛逐级提高",
                "tiers stand from the lowest to the highest, each reached at more",
            )
        before = before if reached is None else reached


def _calendar(policy: Policy) -> Iterator[Breach]:
    for index, day in enumerate(policy.calendar.workdays):
        if date.fromisoformat(day).isoweekday() <= 5:
            yield Breach(
                "calendar_workday",
                f"calendar.workdays[{index}]",
                f"{day} 本来就不是周末，不是调休",
                f"{day} is no Saturday or Sunday: nothing is worked in exchange",
            )


def _classes(policy: Policy) -> Iterator[Breach]:
    cap = policy.stored_value.named_cap_fen
    for name, limits in policy.classes.items():
        if limits.floor_per_sale_fen > cap:
            yield Breach(
                "floor_limit",
                f"classes.{name}.floor_per_sale_fen",
                "离线单笔限额高于储值余额上限",
                "more may be charged offline at once than an account may hold",
            )
        if limits.floor_per_day_fen > limits.amount_per_day_fen:
            yield Breach(
                "floor_limit",
                f"classes.{name}.floor_per_day_fen",
                "离线每日限额高于每日支付限额",
                "more may be charged offline in a day than in any day",
            )
        second = limits.second_factor_above_fen
        if second is not None and second >= limits.amount_per_day_fen:
            yield Breach(
                "never_applies",
                f"classes.{name}.second_factor_above_fen",
                "不低于每日支付限额，永远不会要求第二验证",
                "no sale of a day comes above it: a second factor is never asked for",
            )


def _top_up(policy: Policy) -> Iterator[Breach]:
    value = policy.stored_value
    most = min(value.named_cap_fen, value.top_up_max_fen)
    for index, amount_fen in enumerate(value.top_up_amounts_fen):
        if amount_fen > most:
            yield Breach(
                "top_up_amount",
                f"stored_value.top_up_amounts_fen[{index}]",
                "充值面额超过余额上限或单次充值上限",
                "more than an account may hold or a top-up may be",
            )
