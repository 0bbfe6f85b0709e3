"""What a member's facts are worth: to pricing, to the screen, and for paying by number plate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.core.points import FEN_A_YUAN
from edge_agent.core.purse import Purse
from edge_agent.core.station_calendar import date_of
from edge_agent.model.errors import Problem
from edge_agent.model.membership import Member
from edge_agent.model.policy import PlatePay, Policy, Tier
from edge_agent.model.quote import MemberFacts
from edge_agent.model.units import Money

PLATE_PAY_OFF = Problem(
    "plate_pay_off", "本站未开通车牌付，请到收银台付款", "plate pay is off here; pay at the till"
)
PLATE_PAY_NO_MEMBER = Problem(
    "plate_pay_no_member",
    "车牌未绑定会员，请到收银台付款",
    "no member holds this plate; pay at the till",
)
PLATE_PAY_OTHER_MEMBER = Problem(
    "plate_pay_other_member",
    "已登记其他会员，请到收银台付款",
    "the fuelling is bound to another member; pay at the till",
)
PLATE_PAY_NO_CONSENT = Problem(
    "plate_pay_no_consent",
    "会员未授权车牌付，请到收银台付款",
    "the member has not agreed to plate pay",
)
PLATE_PAY_OVER_LIMIT = Problem(
    "plate_pay_over_limit",
    "金额超出车牌付限额，请到收银台付款",
    "too dear for plate pay; pay at the till",
)
PLATE_PAY_UNCOVERED = Problem(
    "plate_pay_uncovered", "储值余额不足，请到收银台付款", "stored value does not cover this sale"
)

PRIORITY_TIERS: Final = 1
"""Members of so many of the highest tiers are served first (rows M3, M16)."""


def facts_of(
    member: Member | None,
    at_ms: int,
    utc_offset_minutes: int,
    *,
    visits_this_month: int | None = None,
    fills_here: int = 0,
) -> MemberFacts | None:
    """Return what pricing may know of a member; None for a passing driver.

    Args:
        member: as the catalogue has it.
        at_ms: when the fuelling ended.
        utc_offset_minutes: of the station, whose calendar decides about the birthday week.
        visits_this_month: the member's sales here since the month began, this one apart; None
            where nobody counted.
        fills_here: all that this station ever sold to the member, this sale apart: headquarters
            may not know of them yet.
    """
    if member is None:
        return None
    return MemberFacts(
        ref=member.ref,
        tier=member.tier,
        tags=member.tags,
        birthday_week=in_birthday_week(member, at_ms, utc_offset_minutes),
        first_fill=member.fills == 0 and fills_here == 0,
        visit_number=None if visits_this_month is None else visits_this_month + 1,
    )


def in_birthday_week(member: Member, at_ms: int, utc_offset_minutes: int) -> bool:
    """Whether a wall time lies in the member's birthday week (row M17), at the turn of the year
    too."""
    if member.birthday_week is None:
        return False
    first, last = member.birthday_week
    today = date_of(at_ms, utc_offset_minutes).strftime("%m-%d")
    if first <= last:
        return first <= today <= last
    return today >= first or today <= last


@dataclass(frozen=True, slots=True)
class TierProgress:
    """How far a member is from the next tier, or from keeping the present one (rows M6, M12).

    Headquarters decides about tiers; these are provisional (row Z2).
    """

    tier: Tier | None
    """None: the policy in force does not know the member's tier."""
    next_tier: Tier | None
    to_next: Money | None
    to_keep: Money | None
    """What is missing for the present tier; None where nothing is."""

    @property
    def text_zh(self) -> str | None:
        """The line for screen and receipt, or None when there is nothing to tell."""
        if self.to_keep is not None:
            return f"再消费{_yuan(self.to_keep)}元即可保级"
        if self.to_next is None or self.next_tier is None:
            return None
        if not self.to_next:
            return f"已达到{self.next_tier.label_zh}，待总部确认"
        return f"再消费{_yuan(self.to_next)}元升至{self.next_tier.label_zh}"

    @property
    def text_en(self) -> str | None:
        """The same in English."""
        if self.to_keep is not None:
            return f"{_yuan(self.to_keep)} yuan more to keep the tier"
        if self.to_next is None or self.next_tier is None:
            return None
        if not self.to_next:
            return f"{self.next_tier.label_en} is reached: headquarters will confirm"
        return f"{_yuan(self.to_next)} yuan more to {self.next_tier.label_en}"


def tier_progress(member: Member, policy: Policy, spent_here: Money | None = None) -> TierProgress:
    """Return where a member stands between tiers.

    Args:
        member: with what it has spent as headquarters knew.
        policy: its tiers, from the lowest to the highest.
        spent_here: what was paid here since, where that is known.
    """
    spent_fen = member.spent_fen + (0 if spent_here is None else spent_here.fen)
    codes = [tier.code for tier in policy.tiers]
    if member.tier not in codes:
        return TierProgress(None, None, None, None)
    place = codes.index(member.tier)
    tier = policy.tiers[place]
    short_fen = (tier.reached_at_fen or 0) - spent_fen
    above = next((each for each in policy.tiers[place + 1 :] if each.reached_at_fen), None)
    to_next = None
    if above is not None and above.reached_at_fen is not None:
        to_next = Money(max(0, above.reached_at_fen - spent_fen))
    return TierProgress(tier, above, to_next, Money(short_fen) if short_fen > 0 else None)


def has_priority(member: Member, policy: Policy) -> bool:
    """Whether a member is served first: one of the highest tier where there are several."""
    highest = [tier.code for tier in policy.tiers[1:]][-PRIORITY_TIERS:]
    return member.tier in highest


def plate_pay_problem(
    settings: PlatePay, member: Member, purse: Purse, payable: Money, now_ms: int
) -> Problem | None:
    """Return why a sale may not be charged to the member of the plate that was read, or None.

    What the floor limit allows counts as covered. Locks and the grace period are for
    `core.usage_rules` to judge.
    """
    if not settings.enabled:
        return PLATE_PAY_OFF
    if not member.plate_pay:
        return PLATE_PAY_NO_CONSENT
    if payable.fen > settings.max_amount_fen:
        return PLATE_PAY_OVER_LIMIT
    if purse.spendable(now_ms) < payable:
        return PLATE_PAY_UNCOVERED
    return None


def _yuan(amount: Money) -> str:
    """Write an amount as people say it: 34, or 34.50 where there are fen."""
    yuan, fen = divmod(amount.fen, FEN_A_YUAN)
    return f"{yuan}.{fen:02d}" if fen else str(yuan)
