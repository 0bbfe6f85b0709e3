"""Whether somebody may pay so often and so much: allow, ask for more proof, or deny, with a reason.

The rules are the policy's, by class of account (rows R9, M22, Z11): payments within a sliding
minute (row R1), the sum of the station's calendar day (row R2), and a second factor above an amount
(row R10). What was paid comes from the books, so a restart forgets nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from edge_agent.model.books import Usage
from edge_agent.model.errors import Problem
from edge_agent.model.policy import ClassLimits
from edge_agent.model.records import RiskFlagged
from edge_agent.model.units import Money

WINDOW_MS: Final = 60_000
RiskRule: TypeAlias = Literal["payments_per_minute", "amount_per_day", "second_factor"]

PROBLEMS: Final[dict[RiskRule, Problem]] = {
    "payments_per_minute": Problem(
        "risk_payments_per_minute",
        "付款过于频繁，请一分钟后再试或换其他支付方式",
        "too many payments within a minute: wait, or take another means of payment",
    ),
    "amount_per_day": Problem(
        "risk_amount_per_day",
        "超出当日累计支付上限，请换其他支付方式",
        "above what may be paid in a day: take another means of payment",
    ),
    "second_factor": Problem(
        "risk_second_factor",
        "金额较大，请会员输入密码或出示会员码",
        "so large an amount needs the member's PIN or dynamic code",
    ),
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """No rule objects."""


@dataclass(frozen=True, slots=True)
class StepUp:
    """It is allowed once a second factor proves that the member wants it."""

    rule: RiskRule

    @property
    def problem(self) -> Problem:
        """What a person is told."""
        return PROBLEMS[self.rule]


@dataclass(frozen=True, slots=True)
class Denied:
    """A rule forbids it, whatever is proved."""

    rule: RiskRule

    @property
    def problem(self) -> Problem:
        """What a person is told."""
        return PROBLEMS[self.rule]


Assessment: TypeAlias = Allowed | StepUp | Denied
ALLOWED: Final = Allowed()


def minute_since_ms(now_ms: int) -> int:
    """Return the first wall time of the sliding minute that ends now."""
    return now_ms - WINDOW_MS + 1


def assess(
    limits: ClassLimits,
    minute: Usage,
    day: Usage,
    amount: Money,
    *,
    second_factor: bool,
) -> Assessment:
    """Judge a payment from what headquarters holds.

    Args:
        limits: those of the account's class.
        minute: what was paid since `minute_since_ms`, this payment apart.
        day: what was paid since the station's midnight (`station_calendar.day_start_ms`).
        amount: what would be paid now.
        second_factor: the member's PIN or dynamic code was given and is right.
    """
    if minute.payments >= limits.payments_per_minute:
        return Denied("payments_per_minute")
    if day.amount.fen + amount.fen > limits.amount_per_day_fen:
        return Denied("amount_per_day")
    above = limits.second_factor_above_fen
    if above is not None and amount.fen > above and not second_factor:
        return StepUp("second_factor")
    return ALLOWED


def flagged(
    found: StepUp | Denied, amount: Money, *, member_ref: str | None, account_ref: str | None
) -> RiskFlagged:
    """Return the record of a wish that a rule held up (row R4: what was intercepted is kept)."""
    return RiskFlagged(
        rule=found.rule,
        decision="step_up" if isinstance(found, StepUp) else "deny",
        member_ref=member_ref,
        account_ref=account_ref,
        amount_fen=amount.fen,
    )
