"""The answer in words: what applied, what did not and why, what is missing. In both languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Final

from edge_agent.core.earning import Earned, Given
from edge_agent.core.eligibility import Refusal
from edge_agent.core.pricing import Decision, Field, refusals
from edge_agent.core.worth import Candidate
from edge_agent.model.ids import OfferId
from edge_agent.model.policy import Policy
from edge_agent.model.quote import (
    AppliedLine,
    BenefitLine,
    CouponFacts,
    Quote,
    QuoteRequest,
    RejectedLine,
    RejectReason,
)
from edge_agent.model.records import NextStep
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money, Volume


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was decided on a question."""

    request: QuoteRequest
    policy: Policy
    field: Field
    decided: Decision
    earned: Earned


def answer(outcome: Outcome, next_step: NextStep | None) -> Quote:
    """Write an outcome down: every offer of the policy and every coupon is named once."""
    request, policy = outcome.request, outcome.policy
    decided, earned = outcome.decided, outcome.earned
    return Quote(
        request=request,
        policy_version=policy.version,
        payable=Money(decided.payable_fen),
        applied=tuple(
            AppliedLine(
                OfferId(bid.offer.id),
                Money(fen),
                bid.offer.text_zh,
                bid.offer.text_en,
                bid.offer.stage,
                _serial(bid.candidate),
            )
            for bid, fen in decided.lines
        ),
        rejected=_rejected(outcome),
        benefits=tuple(_benefit(each) for each in earned.given),
        points_earned=earned.points,
        next_step=next_step,
    )


def _serial(candidate: Candidate) -> str | None:
    return None if candidate.coupon is None else candidate.coupon.serial


def _benefit(given: Given) -> BenefitLine:
    offer = given.candidate.offer
    return BenefitLine(
        OfferId(offer.id),
        offer.text_zh,
        offer.text_en,
        given.good,
        given.pieces,
        given.points,
        _serial(given.candidate),
    )


def _rejected(outcome: Outcome) -> tuple[RejectedLine, ...]:
    """Name what does not apply, in the order of the policy, then of the coupons."""
    policy, request = outcome.policy, outcome.request
    place = {offer.id: index for index, offer in enumerate(policy.offers)}
    shown = {coupon.serial: len(place) + n for n, coupon in enumerate(request.coupons)}
    refused = refusals(outcome.decided, outcome.field, request)
    lines = [
        (
            place[candidate.offer.id]
            if candidate.coupon is None
            else shown[candidate.coupon.serial],
            _line(candidate, why, policy),
        )
        for candidate, why in chain(refused, outcome.earned.refused)
    ]
    lines += [(shown[coupon.serial], _unknown(coupon)) for coupon in outcome.field.unknown]
    return tuple(line for _, line in sorted(lines, key=itemgetter(0)))


_REASONS: Final[Mapping[RejectReason, tuple[str, str]]] = {
    RejectReason.MEMBERS_ONLY: ("会员专享", "for members only"),
    RejectReason.TIER: ("会员等级不符", "not for this tier"),
    RejectReason.TAG: ("不在适用人群", "not for this member"),
    RejectReason.GRADE: ("不适用此油品", "not for this grade"),
    RejectReason.PLATE: ("不适用此车牌类型", "not for this kind of plate"),
    RejectReason.STATION: ("本站不适用", "not at this station"),
    RejectReason.NOT_YET: ("尚未开始，还有{zh}", "begins in {en}"),
    RejectReason.EXPIRED: ("已结束", "is over"),
    RejectReason.WEEKDAY: ("今天不适用，还有{zh}", "not on this weekday, again in {en}"),
    RejectReason.DAY: ("今天不适用，还有{zh}", "not on this day, again in {en}"),
    RejectReason.HOURS: ("不在优惠时段，还有{zh}", "not at this hour, again in {en}"),
    RejectReason.BIRTHDAY: ("限生日周", "in the birthday week only"),
    RejectReason.FIRST_FILL: ("限首次加油", "on the first fill only"),
    RejectReason.VISIT: ("本月再加油{zh}次可享", "{en} more fills this month and it applies"),
    RejectReason.EXPERIMENT: ("不在本次活动范围", "not part of this trial"),
    RejectReason.TENDER: ("需以{zh}支付", "when paid by {en}"),
    RejectReason.GOODS: ("需同时购买{zh}", "when {en} is bought"),
    RejectReason.MIN_VOLUME: ("还差{zh}", "{en} more and it applies"),
    RejectReason.MIN_AMOUNT: ("还差{zh}", "{en} more and it applies"),
    RejectReason.SPEND: ("还差{zh}", "{en} more and it applies"),
    RejectReason.BUDGET_SPENT: ("活动额度已用完", "the campaign's budget is spent"),
    RejectReason.GROUP_TAKEN: ("不与已用优惠同享", "not together with an offer applied"),
    RejectReason.NOT_STACKABLE: ("不与已用优惠叠加", "does not stack with an offer applied"),
    RejectReason.LIMIT_REACHED: ("已达优惠上限", "the discount limit is reached"),
    RejectReason.NO_EFFECT: ("本单无可优惠", "takes nothing off here"),
    RejectReason.NOT_BEST: ("另一组合更优惠", "another combination is better"),
    RejectReason.COUPON_KEPT: ("用了也不更便宜，留待下次", "would not lower the price: kept"),
    RejectReason.COUPON_UNKNOWN: ("现行政策无此券", "no such coupon in the policy in force"),
}
_WITHOUT_AMOUNT: Final[Mapping[RejectReason, tuple[str, str]]] = {
    RejectReason.DAY: ("今天不适用", "not on this day"),
    RejectReason.VISIT: ("不是本次加油可享", "not on this fill"),
}
"""What is said where nobody knows how much is missing."""
_MEANS: Final[Mapping[TenderMeans, tuple[str, str]]] = {
    "points": ("积分", "points"),
    "stored_value": ("储值余额", "stored value"),
    "bank_card": ("银行卡", "bank card"),
    "wallet": ("手机钱包", "mobile wallet"),
    "cash": ("现金", "cash"),
}


def _line(candidate: Candidate, why: Refusal, policy: Policy) -> RejectedLine:
    reason, missing = why
    offer = candidate.offer
    if missing is None and reason in _WITHOUT_AMOUNT:
        text_zh, text_en = _WITHOUT_AMOUNT[reason]
    else:
        text_zh, text_en = _REASONS[reason]
    zh, en = _what(candidate, why, policy)
    return RejectedLine(
        OfferId(offer.id),
        reason,
        missing,
        f"{offer.text_zh}：{text_zh.format(zh=zh)}",
        f"{offer.text_en} ({text_en.format(en=en)})",
        _serial(candidate),
    )


def _unknown(coupon: CouponFacts) -> RejectedLine:
    reason = RejectReason.COUPON_UNKNOWN
    text_zh, text_en = _REASONS[reason]
    return RejectedLine(
        OfferId(coupon.template),
        reason,
        None,
        f"{coupon.template}：{text_zh}",
        f"{coupon.template} ({text_en})",
        coupon.serial,
    )


def _what(candidate: Candidate, why: Refusal, policy: Policy) -> tuple[str, str]:
    """Return what is missing, in Chinese and in English."""
    reason, missing = why
    if reason is RejectReason.TENDER:
        return _means(candidate.offer.conditions.tenders)
    if reason is RejectReason.GOODS and candidate.offer.kind == "item_off":
        good = policy.good(candidate.offer.good)
        return ("", "") if good is None else (good.label_zh, good.label_en)
    amount = missing or 0
    if reason in {RejectReason.MIN_AMOUNT, RejectReason.SPEND}:
        return f"{Money(amount)}元", f"{Money(amount)} yuan"
    if reason is RejectReason.MIN_VOLUME:
        return f"{Volume(amount)}升", f"{Volume(amount)} litres"
    if reason is RejectReason.VISIT:
        return str(amount), str(amount)
    return _duration(amount)


def _means(tenders: Iterable[TenderMeans] | None) -> tuple[str, str]:
    named = [_MEANS[means] for means in tenders or ()]
    if not named:
        return "指定方式", "means that are named"
    return "或".join(zh for zh, _ in named), " or ".join(en for _, en in named)


def _duration(seconds: int) -> tuple[str, str]:
    minutes = -(-seconds // 60)
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    if days:
        return f"{days}天{hours}小时", f"{days} d {hours} h"
    return f"{hours}小时{minutes}分", f"{hours} h {minutes} min"
