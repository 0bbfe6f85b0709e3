"""What a member's facts are worth: to pricing, and for paying by number plate."""

from __future__ import annotations

from edge_agent.model.errors import Problem
from edge_agent.model.membership import Account, Member
from edge_agent.model.policy import PlatePay
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


def facts_of(member: Member | None) -> MemberFacts | None:
    """Return what pricing may know of a member."""
    return None if member is None else MemberFacts(member.ref, member.tier)


def plate_pay_problem(
    settings: PlatePay, member: Member, account: Account | None, payable: Money
) -> Problem | None:
    """Return why a sale may not be charged to the member of the plate that was read, or None."""
    if not settings.enabled:
        return PLATE_PAY_OFF
    if not member.plate_pay:
        return PLATE_PAY_NO_CONSENT
    if payable.fen > settings.max_amount_fen:
        return PLATE_PAY_OVER_LIMIT
    if account is None or account.available < payable:
        return PLATE_PAY_UNCOVERED
    return None
