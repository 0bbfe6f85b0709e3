"""Offers that contradict themselves or the rest of the policy, whatever the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.offers import (
    AmountOff,
    FixedPrice,
    ItemOff,
    Offer,
    PointsTimes,
    SpendSave,
)

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy


def contradicting_offers(policy: Policy) -> Iterator[Breach]:
    """Yield the offers that can never apply, or never give what they say."""
    for place, offer in policy.all_offers():
        yield from _member_history(place, offer)
        yield from _tenders(place, offer, policy)
        yield from _cap(place, offer)
        yield from _goods(place, offer, policy)
        yield from _points(place, offer, policy)
        yield from _fixed_price(place, offer, policy)
    for index, template in enumerate(policy.coupon_templates):
        if template.total and template.per_member and template.per_member > template.total:
            yield Breach(
                "coupon_count",
                f"coupon_templates[{index}].per_member",
                f"每人限领{template.per_member}张，超过总张数{template.total}张",
                f"{template.per_member} for each member, but {template.total} in all",
            )


def _member_history(place: str, offer: Offer) -> Iterator[Breach]:
    visit = offer.conditions.visit
    if offer.conditions.first_fill and visit is not None and visit.number != 1:
        yield Breach(
            "never_applies",
            f"{place}.conditions.visit",
            "首次加油不可能是本月的后续加油，永远不会生效",
            "a first fill is never a later fill of the month",
        )


def _tenders(place: str, offer: Offer, policy: Policy) -> Iterator[Breach]:
    tenders = offer.conditions.tenders
    if getattr(offer, "stage", None) == "tender" and tenders is None:
        yield Breach(
            "tender_unnamed",
            f"{place}.conditions.tenders",
            "支付阶段的优惠必须写明支付方式",
            "an offer of the stage tender has to name the means of payment",
        )
    if tenders == ("points",) and policy.points.redeem is None:
        yield Breach(
            "never_applies",
            f"{place}.conditions.tenders",
            "政策不允许积分抵扣，永远不会生效",
            "the policy lets nobody pay with points",
        )


def _cap(place: str, offer: Offer) -> Iterator[Breach]:
    promised = 0
    if isinstance(offer, AmountOff):
        promised = offer.off_fen
    elif isinstance(offer, SpendSave):
        promised = offer.save_fen
    elif isinstance(offer, ItemOff):
        promised = offer.off_fen
    else:
        return
    for key, bound in (("cap_fen", offer.cap_fen), ("budget_fen", offer.budget_fen)):
        if bound is not None and bound < promised:
            yield Breach(
                "cap_below_saving",
                f"{place}.{key}",
                f"上限{bound}分低于一次优惠{promised}分，从不兑现",
                f"{bound} fen is less than the {promised} fen that it promises once",
            )


def _goods(place: str, offer: Offer, policy: Policy) -> Iterator[Breach]:
    if not isinstance(offer, ItemOff):
        return
    good = policy.good(offer.good)
    if good is not None and good.floor_fen and good.price_fen - offer.off_fen < good.floor_fen:
        yield Breach(
            "free_goods",
            f"{place}.off_fen",
            f"{good.label_zh}优惠后低于底价{good.floor_fen}分",
            f"{good.label_en} would sell below its floor of {good.floor_fen} fen",
        )


def _points(place: str, offer: Offer, policy: Policy) -> Iterator[Breach]:
    if not isinstance(offer, PointsTimes):
        return
    points, grades = policy.points, offer.conditions.grades
    rated = [] if grades is None else [points.grade_rates_bp.get(each, 10_000) for each in grades]
    if not points.per_yuan or (rated and not any(rated)):
        yield Breach(
            "never_applies",
            f"{place}.times_bp",
            "没有积分可以加倍，永远不会生效",
            "there are no points to multiply",
        )


def _fixed_price(place: str, offer: Offer, policy: Policy) -> Iterator[Breach]:
    if not isinstance(offer, FixedPrice) or not policy.grades:
        return
    named = offer.conditions.grades
    prices = [
        grade.reference_price_milli for grade in policy.grades if not named or grade.code in named
    ]
    if prices and offer.price_milli >= max(prices):
        yield Breach(
            "never_applies",
            f"{place}.price_milli",
            "一口价不低于任何适用油品的参考价，没有优惠",
            "no grade that it is for has a reference price above it",
        )
