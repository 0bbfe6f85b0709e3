"""Prices of a fake station: a tier, coupons, goods, a card's offer, a threshold. They add up."""

from __future__ import annotations

from edge_agent.model.policy.offers import Stage
from edge_agent.model.records import (
    AppliedOffer,
    FuellingCompleted,
    GivenBenefit,
    NextStep,
    PresentedCoupon,
    QuoteBody,
    RejectedOffer,
    SoldGoods,
)
from edge_agent.model.views import WalletView
from edge_agent.model.wishes import SaleWish
from tests.api.fake_figures import now_ms
from tests.api.fake_wallets import POLICY

TIER_BP = {
    "silver": (200, "银牌会员98折", "Silver tier 2% off"),
    "gold": (300, "金牌会员97折", "Gold tier 3% off"),
}
CARD_OFF_FEN = 500


def quote_of(done: FuellingCompleted, wish: SaleWish, wallet: WalletView | None) -> QuoteBody:
    """Price a fuelling as wished."""
    applied: list[AppliedOffer] = []
    rejected: list[RejectedOffer] = []
    benefits: list[GivenBenefit] = []
    tier = None if wallet is None else wallet.tier
    if tier in TIER_BP:
        off_bp, zh, en = TIER_BP[tier]
        applied.append(_applied(tier, done.amount_fen * off_bp // 10_000, zh, en, "line"))
    coupons = _coupons(done, wish, wallet, applied, rejected, benefits)
    _by_card(wish, applied, rejected)
    _threshold(done, rejected)
    goods = [
        SoldGoods(good=each.good, pieces=each.pieces, amount_fen=_price(each.good) * each.pieces)
        for each in wish.goods
    ]
    listed = done.amount_fen + sum(line.amount_fen for line in goods)
    payable = listed - sum(line.amount_fen for line in applied)
    return QuoteBody(
        policy_version=POLICY.version, grade=done.grade, volume_ml=done.volume_ml,
        unit_price_milli=done.unit_price_milli, at_ms=now_ms(),
        member_ref=wish.member or done.member_ref, tier=tier, fuel_amount_fen=done.amount_fen,
        goods=goods, coupons=coupons, paying=wish.paying,
        paid_otherwise_fen=wish.paid_otherwise.fen, points_redeemed=wish.redeem_points,
        list_amount_fen=listed, payable_fen=payable, applied=applied, rejected=rejected,
        benefits=benefits,
        points_earned=0 if wallet is None else payable // 100 - wish.redeem_points // 100,
        next_step=_next_step(done),
    )  # fmt: skip


def _coupons(
    done: FuellingCompleted,
    wish: SaleWish,
    wallet: WalletView | None,
    applied: list[AppliedOffer],
    rejected: list[RejectedOffer],
    benefits: list[GivenBenefit],
) -> list[PresentedCoupon]:
    held = () if wallet is None else wallet.coupons
    used = [each for each in held if wish.coupons is None or each.serial in wish.coupons]
    for each in used:
        if each.template == "wash":
            benefits.append(
                GivenBenefit(
                    offer="wash", text_zh="免费洗车", text_en="A free car wash", good="wash",
                    pieces=1, points=0, coupon=each.serial,
                )
            )  # fmt: skip
        elif each.template == "save-10" and done.amount_fen >= 10_000:
            applied.append(
                _applied("save-10", 1_000, each.text_zh, each.text_en, "basket", each.serial)
            )
        else:
            missing = max(0, 50_000 - done.amount_fen)
            rejected.append(
                RejectedOffer(
                    offer=each.template, reason="spend", missing=missing, coupon=each.serial,
                    text_zh=f"{each.text_zh}：还差{missing // 100}元",
                    text_en=f"{each.text_en}: {missing // 100} yuan more",
                )
            )  # fmt: skip
    return [
        PresentedCoupon(
            serial=each.serial, template=each.template, from_ms=0, until_ms=each.until_ms
        )
        for each in used
    ]


def _by_card(wish: SaleWish, applied: list[AppliedOffer], rejected: list[RejectedOffer]) -> None:
    if wish.paying == "bank_card" and not wish.paid_otherwise:
        applied.append(_applied("card-5", CARD_OFF_FEN, "银行卡立减5元", "5 off by card", "tender"))
        return
    rejected.append(
        RejectedOffer(
            offer="card-5", reason="tender", missing=None, text_zh="用银行卡付款立减5元",
            text_en="5 off when paid by card",
        )
    )  # fmt: skip


def _threshold(done: FuellingCompleted, rejected: list[RejectedOffer]) -> None:
    missing = max(0, 20_000 - done.amount_fen)
    rejected.append(
        RejectedOffer(
            offer="save-200-20", reason="min_amount", missing=missing,
            text_zh=f"满200减20：还差{missing // 100}元",
            text_en=f"20 off from 200: {missing // 100} yuan more",
        )
    )  # fmt: skip


def _next_step(done: FuellingCompleted) -> NextStep | None:
    if done.amount_fen >= 20_000:
        return None
    return NextStep(
        offer="save-200-20", preset_amount_fen=20_000, payable_fen=18_000,
        text_zh="加满200元减20元，每升便宜0.79元", text_en="At 200 yuan a litre costs 0.79 less",
    )  # fmt: skip


def _applied(
    offer: str, amount_fen: int, zh: str, en: str, stage: Stage, coupon: str | None = None
) -> AppliedOffer:
    return AppliedOffer(
        offer=offer, amount_fen=amount_fen, text_zh=zh, text_en=en, stage=stage, coupon=coupon
    )


def _price(good: str) -> int:
    known = POLICY.good(good)
    return 0 if known is None else known.price_fen
