"""The quote: what is to be paid, which offers applied, why the others did not, what comes next.

Stages. Every line offer counts from the list amount, every basket offer from the subtotal that the
line offers leave, so within a stage the order changes nothing. Each offer is rounded half up once,
on its own line. The cheapest legal combination wins (`core.combination`). Only then the policy's
limits (and zero) come in: what would lead below them is cut from the last lines, in the order
stage, priority, id. Hence payable = list amount - sum of the lines, whatever the policy says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge_agent.core.combination import cheapest
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
from edge_agent.model.quote import AppliedLine, Quote, QuoteRequest, RejectedLine, RejectReason
from edge_agent.model.quote_record import body_of, request_of
from edge_agent.model.records import NextStep, QuoteBody
from edge_agent.model.units import NO_MONEY, Money, Volume, amount_of, volume_for

STAGES: Final = {"line": 0, "basket": 1}
NEXT_STEP_LIMIT: Final = Money(200_000)
"""A next step dearer than this (2,000 yuan) helps nobody at a pump."""
NEXT_STEP_OFFERS: Final = 2
NEXT_STEP_TRIES: Final = 3
_YUAN: Final = 100


def quote(request: QuoteRequest, policy: Policy) -> Quote:
    """Decide what is to be paid, with reasons and the next best step. Pure and deterministic."""
    decided = _decide(request, policy)
    return _answer(decided, policy, _next_step(decided, policy))


def requote(body: QuoteBody, policy: Policy) -> QuoteBody:
    """Decide a recorded price again from its own facts, as headquarters does.

    The next step is advice, not price: it stays as recorded.

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
    return body_of(_answer(_decide(request_of(body), policy), policy, body.next_step))


# --- the best combination -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Decision:
    """The chosen combination: what each chosen offer takes off, and why each other does not."""

    request: QuoteRequest
    subtotal: Money
    payable: Money
    lines: tuple[tuple[Offer, Money], ...]
    refused: tuple[tuple[Offer, Refusal], ...]


def _decide(request: QuoteRequest, policy: Policy) -> _Decision:
    eligible: list[Offer] = []
    refused: list[tuple[Offer, Refusal]] = []
    for offer in policy.offers:
        why = refusal(offer.conditions, request)
        if why is None:
            eligible.append(offer)
        else:
            refused.append((offer, why))
    chosen = cheapest(eligible, request)
    eligible.sort(key=lambda offer: (STAGES[offer.stage], offer.priority, offer.id))
    return _decided(chosen, eligible, request, least_payable(policy.limits, request), refused)


def _decided(
    chosen: frozenset[str],
    eligible: Sequence[Offer],
    request: QuoteRequest,
    floor: Money,
    refused: list[tuple[Offer, Refusal]],
) -> _Decision:
    """Lay the chosen offers out as lines, cut to the limit, and say why the others are none."""
    listed, litres = request.amount.fen, request.volume.ml
    mine = [offer for offer in eligible if offer.id in chosen]
    taken = {offer.group for offer in mine if offer.group is not None}
    off_lines = sum(worth_of(offer, listed, litres) for offer in mine if offer.stage == "line")
    bases = {"line": listed, "basket": max(listed - off_lines, 0)}
    room, lines = listed - floor.fen, list[tuple[Offer, Money]]()
    for offer in eligible:
        base = bases[offer.stage]
        worth = worth_of(offer, base, litres)
        if offer.id not in chosen:
            refused.append((offer, _not_chosen(offer, Money(base), worth, offer.group in taken)))
        elif room:
            lines.append((offer, Money(min(worth, room))))
            room -= min(worth, room)
        else:
            refused.append((offer, (RejectReason.LIMIT_REACHED, None)))
    payable = Money(floor.fen + room)
    return _Decision(request, Money(bases["basket"]), payable, tuple(lines), tuple(refused))


def _not_chosen(offer: Offer, base: Money, worth: int, group_taken: bool) -> Refusal:
    if not worth:
        missing = missing_of(offer, base)
        if missing is not None:
            return RejectReason.SPEND, missing.fen
        return RejectReason.NO_EFFECT, None
    return (RejectReason.GROUP_TAKEN if group_taken else RejectReason.NOT_BEST), None


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
    for short, offer_id in sorted(_within_reach(decided))[:NEXT_STEP_OFFERS]:
        step = _reached(OfferId(offer_id), Money(short), decided, policy)
        if step is not None:
            return step
    return None


def _within_reach(decided: _Decision) -> Iterator[tuple[int, str]]:
    """Yield what more fuel would bring: the fen short at least, and the offer."""
    for offer, (reason, missing) in decided.refused:
        if missing is None:
            continue
        if reason is RejectReason.MIN_AMOUNT:
            yield missing, offer.id
        elif reason is RejectReason.SPEND:
            yield _least_short(offer, Money(missing), decided), offer.id
        elif reason is RejectReason.MIN_VOLUME:
            yield max(1, amount_of(Volume(missing), decided.request.unit_price).fen), offer.id
    for offer, _ in decided.lines:
        base = decided.request.amount if offer.stage == "line" else decided.subtotal
        further = missing_of(offer, base)
        if further is not None:
            yield _least_short(offer, further, decided), offer.id


def _least_short(offer: Offer, short: Money, decided: _Decision) -> int:
    """What is short if the line offers stay and take their share, or if they go: the lesser."""
    if offer.stage == "line":
        return short.fen
    listed, subtotal = decided.request.amount, max(decided.subtotal.fen, 1)
    with_lines = -(-short.fen * listed.fen // subtotal)
    without = missing_of(offer, listed)
    return with_lines if without is None else min(with_lines, without.fen)


def _reached(wanted: OfferId, short: Money, decided: _Decision, policy: Policy) -> NextStep | None:
    """Look for the preset by adding what is short, again where that was not enough."""
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
