"""Turns what the point of sale decides into answers: prices explained, plans, members' wallets."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge_agent.api.till_answers import (
    EstimateAnswer,
    MemberAnswer,
    PayableAnswer,
    PlannedTender,
    PriceAnswer,
    QuoteAnswer,
    RedeemableAnswer,
    suggested,
)
from edge_agent.app.station import Station
from edge_agent.core.points import most_redeemable, value_of
from edge_agent.model.ids import FuellingId, MemberRef
from edge_agent.model.records import QuoteBody
from edge_agent.model.tenders import TENDER_MEANS, TenderMeans
from edge_agent.model.units import Money
from edge_agent.model.views import WalletView
from edge_agent.model.wishes import SaleWish

REST_MEANS: Final[tuple[TenderMeans, ...]] = tuple(
    means for means in TENDER_MEANS if means != "points"
)
"""What may take whatever the other means leave; points pay whole yuan only."""


def quote_answer(station: Station, fuelling: FuellingId, wish: SaleWish) -> QuoteAnswer:
    """Price a fuelling as wished, and say how it may be paid.

    Raises:
        SaleRefused: as `PointOfSale.quote`.
    """
    body = station.pos.quote(fuelling, wish)
    waiting = station.books.unpaid_fuelling(fuelling)
    price = _price(station, body)
    return QuoteAnswer(
        **dict(price),
        fuelling_id=fuelling,
        prepaid_fen=0 if waiting is None else waiting.completed.prepaid_fen,
        plan=[PlannedTender.of(offer) for offer in station.pos.plan(fuelling, wish)],
        payable_by=[
            PayableAnswer(means=means, payable_fen=_payable_by(station, fuelling, wish, means))
            for means in REST_MEANS
            if means != "stored_value" or price.wallet is not None
        ],
        redeemable=_redeemable(station, body, price.wallet),
    )


def estimate_answer(station: Station, body: QuoteBody) -> EstimateAnswer:
    """Explain the price of a fuelling that has not begun."""
    return EstimateAnswer(**dict(_price(station, body)))


def member_answer(station: Station, ref: MemberRef) -> MemberAnswer:
    """Tell who a member is and what may be spent here.

    Raises:
        SaleRefused: `member_unknown`.
    """
    return MemberAnswer.of(station.pos.member(ref), station.pos.wallet(ref))


def _price(station: Station, body: QuoteBody) -> PriceAnswer:
    policy = station.pos.policy()
    ref = None if body.member_ref is None else MemberRef(body.member_ref)
    wallet = None if ref is None else station.pos.wallet(ref)
    member = None
    if ref is not None and wallet is not None:
        member = MemberAnswer.of(station.pos.member(ref), wallet)
    return PriceAnswer(
        policy_version=body.policy_version,
        fuel_amount_fen=body.fuel_amount_fen,
        list_amount_fen=body.list_amount_fen,
        payable_fen=body.payable_fen,
        applied=body.applied,
        rejected=body.rejected,
        benefits=body.benefits,
        goods=body.goods,
        coupons=body.coupons,
        paying=body.paying,
        points_redeemed=body.points_redeemed,
        points_pay_fen=value_of(body.points_redeemed, policy.points.redeem).fen,
        points_earned=body.points_earned,
        next_step=body.next_step,
        member=member,
        wallet=wallet,
        suggested_goods=suggested(policy, body.grade, body.goods),
    )


def _payable_by(station: Station, fuelling: FuellingId, wish: SaleWish, means: TenderMeans) -> int:
    return station.pos.quote(fuelling, replace(wish, paying=means)).payable_fen


def _redeemable(
    station: Station, body: QuoteBody, wallet: WalletView | None
) -> RedeemableAnswer | None:
    redemption = station.pos.policy().points.redeem
    available = 0 if wallet is None else wallet.points_here
    points = most_redeemable(available, Money(body.payable_fen), redemption)
    if not points:
        return None
    return RedeemableAnswer(points=points, amount_fen=value_of(points, redemption).fen)
