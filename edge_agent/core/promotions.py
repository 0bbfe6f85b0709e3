"""The quote: the cheapest legal combination of a policy's offers, explained.

Order. Offers are taken by stage (line, then basket), priority, id; each works on what the ones
before it left, and is rounded half up once, on its own line. A combination is legal when it takes
at most one offer of a group and every offer in it lowers the price. What would bring the price
below the policy's limits is cut down to them.

Choice. Every legal combination is weighed; the lowest payable amount wins. Of equals wins the one
that holds the lowest id in which they differ. Combinations that leave the same amount with the same
groups used have the same future, so only the better of them is followed, and one that cannot reach
the best amount known is dropped: the answer is that of trying them all, at a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge_agent.core.pricing import (
    Refusal,
    least_payable,
    missing_of,
    points_for,
    refusal,
    worth_of,
)
from edge_agent.model.errors import PolicyRefused, Problem
from edge_agent.model.ids import OfferId
from edge_agent.model.policy import Offer, Policy
from edge_agent.model.quote import (
    AppliedLine,
    Quote,
    QuoteRequest,
    RejectedLine,
    RejectReason,
    body_of,
    request_of,
)
from edge_agent.model.records import NextStep, QuoteBody
from edge_agent.model.units import NO_MONEY, Money, Volume, amount_of, volume_for

STAGES: Final = {"line": 0, "basket": 1}
NEXT_STEP_LIMIT: Final = Money(200_000)
"""A next step dearer than this (2,000 yuan) helps nobody at a pump."""
NEXT_STEP_TRIES: Final = 4
_YUAN: Final = 100


def quote(request: QuoteRequest, policy: Policy) -> Quote:
    """Decide what is to be paid, with reasons and the next best step. Pure and deterministic."""
    decided = _decide(request, policy)
    return _answer(decided, policy, _next_step(decided, policy))


def requote(body: QuoteBody, policy: Policy) -> QuoteBody:
    """Decide a recorded price again from its own facts, as headquarters does.

    Raises:
        PolicyRefused: `policy` is not of the version that the record names.
    """
    if policy.version != body.policy_version:
        raise PolicyRefused(
            Problem(
                "policy_version_differs",
                "定价所用政策版本不符，无法复核",
                "the price was decided under another version of the policy",
            ),
            f"record {body.policy_version}, policy {policy.version}",
        )
    return body_of(quote(request_of(body), policy))


# --- the best combination -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Decision:
    """The chosen combination: what each chosen offer takes off, and why each other does not."""

    request: QuoteRequest
    payable: Money
    lines: tuple[tuple[Offer, Money], ...]
    refused: tuple[tuple[Offer, Refusal], ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An offer whose conditions hold; `rank` has one bit, the higher the lower the offer's id."""

    offer: Offer
    rank: int
    group: int
    """One bit for a group of several candidates, else 0."""
    most: int
    """The most fen that it can take off this list amount, whatever comes before it."""


def _decide(request: QuoteRequest, policy: Policy) -> _Decision:
    eligible: list[Offer] = []
    refused: list[tuple[Offer, Refusal]] = []
    for offer in policy.offers:
        why = refusal(offer.conditions, request)
        if why is None:
            eligible.append(offer)
        else:
            refused.append((offer, why))
    eligible.sort(key=lambda offer: (STAGES[offer.stage], offer.priority, offer.id))
    floor = least_payable(policy.limits, request)
    candidates = _candidates(eligible, request)
    chosen = _best(candidates, request, floor)
    return _settled_on(chosen, candidates, request, floor, refused)


def _candidates(eligible: Sequence[Offer], request: QuoteRequest) -> list[_Candidate]:
    by_id = sorted((offer.id for offer in eligible), reverse=True)
    ranks = {offer_id: 1 << place for place, offer_id in enumerate(by_id)}
    named = [offer.group for offer in eligible if offer.group is not None]
    shared = sorted({group for group in named if named.count(group) > 1})
    groups = {group: 1 << place for place, group in enumerate(shared)}
    return [
        _Candidate(
            offer,
            ranks[offer.id],
            groups.get(offer.group, 0) if offer.group is not None else 0,
            worth_of(offer, request.amount, request.volume).fen,
        )
        for offer in eligible
    ]


def _best(candidates: Sequence[_Candidate], request: QuoteRequest, floor: Money) -> int:
    """Return the best combination as a sum of ranks.

    A state is (fen left to pay, groups used); its value is the best choice that leads there. No
    offer takes off more from a smaller amount than from a larger, so `hopes` bound what is to come.
    """
    states = {(request.amount.fen, 0): 0}
    for candidate, hope in zip(candidates, _hopes(candidates), strict=True):
        reached = dict(states)
        for (remaining, used), chosen in states.items():
            if used & candidate.group:
                continue
            worth = worth_of(candidate.offer, Money(remaining), request.volume).fen
            line = min(worth, remaining - floor.fen)
            if line > 0:
                state = (remaining - line, used | candidate.group)
                reached[state] = max(reached.get(state, -1), chosen | candidate.rank)
        best = min(remaining for remaining, _ in reached)
        states = {
            state: chosen
            for state, chosen in reached.items()
            if max(floor.fen, state[0] - hope) <= best
        }
    lowest = min(remaining for remaining, _ in states)
    return max(chosen for (remaining, _), chosen in states.items() if remaining == lowest)


def _hopes(candidates: Sequence[_Candidate]) -> list[int]:
    """Return for each candidate how much the ones after it can take off together at most."""
    hopes: list[int] = []
    alone, of_group = 0, dict[int, int]()
    for candidate in reversed(candidates):
        hopes.append(alone + sum(of_group.values()))
        if candidate.group:
            of_group[candidate.group] = max(of_group.get(candidate.group, 0), candidate.most)
        else:
            alone += candidate.most
    hopes.reverse()
    return hopes


def _settled_on(
    chosen: int,
    candidates: Sequence[_Candidate],
    request: QuoteRequest,
    floor: Money,
    refused: list[tuple[Offer, Refusal]],
) -> _Decision:
    """Walk through the candidates once more, with the choice known, to say what and why."""
    taken = {c.group for c in candidates if c.rank & chosen and c.group}
    remaining, lines = request.amount, list[tuple[Offer, Money]]()
    for candidate in candidates:
        worth = worth_of(candidate.offer, remaining, request.volume)
        if candidate.rank & chosen:
            line = min(worth, remaining - floor)
            lines.append((candidate.offer, line))
            remaining -= line
        else:
            why = _not_chosen(candidate, worth, remaining, floor, candidate.group in taken)
            refused.append((candidate.offer, why))
    return _Decision(request, remaining, tuple(lines), tuple(refused))


def _not_chosen(
    candidate: _Candidate, worth: Money, remaining: Money, floor: Money, group_taken: bool
) -> Refusal:
    if not worth:
        missing = missing_of(candidate.offer, remaining)
        if missing is not None:
            return RejectReason.SPEND, missing.fen
        return RejectReason.NO_EFFECT, None
    if group_taken:
        return RejectReason.GROUP_TAKEN, None
    if remaining == floor:
        return RejectReason.LIMIT_REACHED, None
    return RejectReason.NOT_BEST, None


# --- the answer in words ------------------------------------------------------------------------


def _answer(decided: _Decision, policy: Policy, next_step: NextStep | None) -> Quote:
    place = {offer.id: index for index, offer in enumerate(policy.offers)}
    in_policy_order = sorted(decided.refused, key=lambda entry: place[entry[0].id])
    return Quote(
        request=decided.request,
        policy_version=policy.version,
        payable=decided.payable,
        applied=tuple(
            AppliedLine(OfferId(offer.id), line, offer.text_zh, offer.text_en)
            for offer, line in decided.lines
        ),
        rejected=tuple(_rejected(offer, why) for offer, why in in_policy_order),
        points_earned=points_for(policy.points, decided.payable, decided.request.member),
        next_step=next_step,
    )


_REASONS: Final = {
    RejectReason.MEMBERS_ONLY: ("会员专享", "for members only"),
    RejectReason.TIER: ("会员等级不符", "not for this tier"),
    RejectReason.GRADE: ("不适用此油品", "not for this grade"),
    RejectReason.NOT_YET: ("尚未开始，还有{zh}", "begins in {en}"),
    RejectReason.EXPIRED: ("已结束", "is over"),
    RejectReason.WEEKDAY: ("今天不适用，还有{zh}", "not on this weekday, again in {en}"),
    RejectReason.HOURS: ("不在优惠时段，还有{zh}", "not at this hour, again in {en}"),
    RejectReason.MIN_VOLUME: ("还差{zh}", "{en} more and it applies"),
    RejectReason.MIN_AMOUNT: ("还差{zh}", "{en} more and it applies"),
    RejectReason.SPEND: ("还差{zh}", "{en} more and it applies"),
    RejectReason.GROUP_TAKEN: ("不与已用优惠同享", "not together with an offer applied"),
    RejectReason.LIMIT_REACHED: ("已达优惠上限", "the discount limit is reached"),
    RejectReason.NO_EFFECT: ("不足一分", "worth less than a fen here"),
    RejectReason.NOT_BEST: ("另一组合更优惠", "another combination is cheaper"),
}
_IN_FEN: Final = (RejectReason.MIN_AMOUNT, RejectReason.SPEND)


def _rejected(offer: Offer, why: Refusal) -> RejectedLine:
    reason, missing = why
    amount_zh, amount_en = _amount_missing(reason, missing or 0)
    text_zh, text_en = _REASONS[reason]
    return RejectedLine(
        OfferId(offer.id),
        reason,
        missing,
        f"{offer.text_zh}：{text_zh.format(zh=amount_zh)}",
        f"{offer.text_en} ({text_en.format(en=amount_en)})",
    )


def _amount_missing(reason: RejectReason, missing: int) -> tuple[str, str]:
    if reason in _IN_FEN:
        return f"{Money(missing)}元", f"{Money(missing)} yuan"
    if reason is RejectReason.MIN_VOLUME:
        return f"{Volume(missing)}升", f"{Volume(missing)} litres"
    minutes = -(-missing // 60)
    days, minutes = divmod(minutes, 1440)
    hours, minutes = divmod(minutes, 60)
    if days:
        return f"{days}天{hours}小时", f"{days} d {hours} h"
    return f"{hours}小时{minutes}分", f"{hours} h {minutes} min"


# --- the next best step -------------------------------------------------------------------------


def _next_step(decided: _Decision, policy: Policy) -> NextStep | None:
    """Return the preset from which on the nearest further offer applies and a litre costs less."""
    if not decided.request.unit_price.milli:
        return None
    for short, offer_id in sorted(_within_reach(decided)):
        step = _reached(OfferId(offer_id), Money(short), decided, policy)
        if step is not None:
            return step
    return None


def _within_reach(decided: _Decision) -> Iterator[tuple[int, str]]:
    """Yield what more fuel would bring: the fen short at least, and the offer."""
    listed = remaining = decided.request.amount
    for offer, (reason, missing) in decided.refused:
        if missing is None:
            continue
        if reason is RejectReason.MIN_AMOUNT:
            yield missing, offer.id
        elif reason is RejectReason.SPEND:
            # Enough without the offers before it: dropping those may be the better choice then.
            yield min(missing, (missing_of(offer, listed) or Money(missing)).fen), offer.id
        elif reason is RejectReason.MIN_VOLUME:
            yield max(1, amount_of(Volume(missing), decided.request.unit_price).fen), offer.id
    for offer, line in decided.lines:
        further, at_list = missing_of(offer, remaining), missing_of(offer, listed)
        if further is not None and at_list is not None:
            yield min(further, at_list).fen, offer.id
        remaining -= line


def _reached(wanted: OfferId, short: Money, decided: _Decision, policy: Policy) -> NextStep | None:
    """Look for the preset by adding what is short, again as far as other offers eat into it."""
    amount, saved = decided.request.amount, _saved_by(wanted, decided)
    for _ in range(NEXT_STEP_TRIES):
        amount = Money(-(-(amount + short).fen // _YUAN) * _YUAN)
        if amount > NEXT_STEP_LIMIT:
            return None
        volume = volume_for(amount, decided.request.unit_price)
        then = _decide(replace(decided.request, amount=amount, volume=volume), policy)
        if _saved_by(wanted, then) > saved:
            return _step_to(wanted, then) if _is_cheaper(then, decided) else None
        still_short = {offer: fen for fen, offer in _within_reach(then)}.get(wanted)
        if still_short is None:
            return None
        short = Money(still_short)
    return None


def _saved_by(wanted: OfferId, decided: _Decision) -> Money:
    return next((line for offer, line in decided.lines if offer.id == wanted), NO_MONEY)


def _is_cheaper(then: _Decision, now: _Decision) -> bool:
    """Whether a litre costs less then than now."""
    return then.payable.fen * now.request.amount.fen < now.payable.fen * then.request.amount.fen


def _step_to(wanted: OfferId, then: _Decision) -> NextStep:
    offer = next(offer for offer, _ in then.lines if offer.id == wanted)
    preset, payable = then.request.amount, then.payable
    return NextStep(
        offer=wanted,
        preset_amount_fen=preset.fen,
        payable_fen=payable.fen,
        text_zh=f"加到{preset}元：{offer.text_zh}，实付{payable}元",
        text_en=f"fill up to {preset} yuan, pay {payable}: {offer.text_en}",
    )
