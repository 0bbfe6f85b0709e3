"""What the till's routes answer: prices explained, sales, members, goods, top-ups."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from edge_agent.model.books import SettledSale
from edge_agent.model.membership import Member
from edge_agent.model.policy import Good, Policy
from edge_agent.model.records import (
    AppliedOffer,
    GivenBenefit,
    NextStep,
    PresentedCoupon,
    RejectedOffer,
    SoldGoods,
    StoredValueToppedUp,
    Tender,
)
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.views import WalletView
from edge_agent.model.wishes import TenderOffer


class MemberAnswer(BaseModel):
    """A member, as far as a screen may know one."""

    ref: str
    tier: str
    tier_zh: str
    tier_en: str
    masked_name: str
    plate_pay: bool
    available_fen: int | None
    """What the stored-value account can pay at this station now; None without an account."""

    @classmethod
    def of(cls, member: Member, wallet: WalletView) -> MemberAnswer:
        """Make the answer out of a member and what it may spend here."""
        return cls(
            ref=member.ref,
            tier=member.tier,
            tier_zh=wallet.tier_zh,
            tier_en=wallet.tier_en,
            masked_name=member.masked_name,
            plate_pay=member.plate_pay,
            available_fen=None if member.account is None else wallet.balance_here_fen,
        )


class PriceAnswer(BaseModel):
    """A price decided and explained: payable = list - sum of applied."""

    policy_version: int
    fuel_amount_fen: int
    list_amount_fen: int
    """Fuel and goods before any offer."""
    payable_fen: int
    applied: list[AppliedOffer]
    rejected: list[RejectedOffer]
    """Each with its reason and, where an amount would help, what is missing."""
    benefits: list[GivenBenefit]
    """What is given beside the price: pieces of a good, points."""
    goods: list[SoldGoods]
    coupons: list[PresentedCoupon]
    """Which of them are used stands in `applied` and `benefits`."""
    paying: TenderMeans | None
    points_redeemed: int
    points_pay_fen: int
    """What the redeemed points pay: a means of payment, no discount."""
    points_earned: int
    next_step: NextStep | None
    member: MemberAnswer | None
    wallet: WalletView | None
    """What the member has; null without one."""
    suggested_goods: list[str]
    """What buyers of this grade are offered (row C28), apart from what is bought already."""


class PayableAnswer(BaseModel):
    """What would be payable if `means` took what the others leave."""

    means: TenderMeans
    payable_fen: int


class PlannedTender(BaseModel):
    """One means of the plan; without an amount it takes whatever the others leave."""

    means: TenderMeans
    amount_fen: int | None

    @classmethod
    def of(cls, offer: TenderOffer) -> PlannedTender:
        """Make the answer out of a tender."""
        return cls(means=offer.means, amount_fen=None if offer.amount is None else offer.amount.fen)


class RedeemableAnswer(BaseModel):
    """The most points that may pay a part of this sale, and what they pay."""

    points: int
    amount_fen: int


class QuoteAnswer(PriceAnswer):
    """The price of a fuelling, and how it may be paid."""

    fuelling_id: str
    prepaid_fen: int
    plan: list[PlannedTender]
    """How the trade would have it paid (row V4); staff may do otherwise."""
    payable_by: list[PayableAnswer]
    """For offers that depend on the means of payment (row C20)."""
    redeemable: RedeemableAnswer | None
    """Null where no points can be redeemed."""


class EstimateAnswer(PriceAnswer):
    """What a fuelling that has not begun would cost; `next_step` says what would be cheaper."""


class SaleAnswer(BaseModel):
    """A settled sale."""

    sale_id: str
    fuelling_id: str
    receipt_no: str
    seq: int
    at_ms: int
    fp: int
    nozzle_number: int
    grade: str
    unit_price_milli: int
    volume_ml: int
    list_amount_fen: int
    payable_fen: int
    applied: list[AppliedOffer]
    benefits: list[GivenBenefit]
    goods: list[SoldGoods]
    points_earned: int
    tenders: list[Tender]
    change_fen: int
    member: bool
    plate: bool
    operator: str
    refunded: bool
    refund_reason: str | None

    @classmethod
    def of(cls, sale: SettledSale) -> SaleAnswer:
        """Make the answer out of a sale in the books."""
        settled, completed, quote = sale.settled, sale.completed, sale.settled.quote
        return cls(
            sale_id=settled.sale_id,
            fuelling_id=settled.fuelling_id,
            receipt_no=settled.receipt_no,
            seq=sale.seq,
            at_ms=sale.at_ms,
            fp=completed.fp,
            nozzle_number=completed.nozzle_number,
            grade=completed.grade,
            unit_price_milli=completed.unit_price_milli,
            volume_ml=completed.volume_ml,
            list_amount_fen=quote.list_amount_fen,
            payable_fen=quote.payable_fen,
            applied=quote.applied,
            benefits=quote.benefits,
            goods=quote.goods,
            points_earned=quote.points_earned,
            tenders=settled.tenders,
            change_fen=settled.change_fen,
            member=settled.member_ref is not None,
            plate=settled.plate_ref is not None,
            operator=settled.operator,
            refunded=sale.refunded is not None,
            refund_reason=sale.refunded.reason if sale.refunded else None,
        )


class GoodAnswer(BaseModel):
    """Something that is sold beside fuel."""

    good: str
    text_zh: str
    text_en: str
    price_fen: int
    suggest_with: list[str]
    """Grades whose buyers are offered it."""

    @classmethod
    def of(cls, good: Good) -> GoodAnswer:
        """Make the answer out of a good of the policy."""
        return cls(
            good=good.code,
            text_zh=good.label_zh,
            text_en=good.label_en,
            price_fen=good.price_fen,
            suggest_with=list(good.suggest_with),
        )


class TopUpChoices(BaseModel):
    """How accounts are topped up here. No amounts: not at all."""

    amounts_fen: list[int]
    max_fen: int
    confirm: str
    """Who confirms beside the attendant: `member`, `second_person`, or `either`."""


class TillAnswer(BaseModel):
    """What the policy in force lets the till do, and who may confirm it."""

    policy_version: int
    goods: list[GoodAnswer]
    top_up: TopUpChoices
    points_per_yuan: int | None
    """Null where points cannot be redeemed."""
    warn_days: int
    """So many days before points or a coupon expire staff have to say so (row P14)."""
    staff: list[str]
    """Who may confirm a charge or a top-up beside the attendant."""

    @classmethod
    def of(cls, policy: Policy, staff: Sequence[str]) -> TillAnswer:
        """Make the answer out of a policy and the station's staff."""
        stored, redeem = policy.stored_value, policy.points.redeem
        return cls(
            policy_version=policy.version,
            goods=[GoodAnswer.of(good) for good in policy.goods],
            top_up=TopUpChoices(
                amounts_fen=list(stored.top_up_amounts_fen),
                max_fen=stored.top_up_max_fen,
                confirm=stored.confirm,
            ),
            points_per_yuan=None if redeem is None else redeem.points_per_yuan,
            warn_days=min(policy.points.warn_days, default=0),
            staff=list(staff),
        )


class TopUpAnswer(BaseModel):
    """Money that was paid into an account, and what the member has now."""

    top_up_id: str
    amount_fen: int
    means: TenderMeans
    confirmed_by: str
    operator: str
    wallet: WalletView

    @classmethod
    def of(cls, record: StoredValueToppedUp, wallet: WalletView) -> TopUpAnswer:
        """Make the answer out of a top-up in the books."""
        return cls(
            top_up_id=record.top_up_id,
            amount_fen=record.amount_fen,
            means=record.means,
            confirmed_by=record.confirmed_by,
            operator=record.operator,
            wallet=wallet,
        )


class LendingAnswer(BaseModel):
    """What this station may still spend without asking headquarters."""

    cache_age_s: int
    """How long ago headquarters was last heard from."""
    balance_fen: int
    points: int
    coupons: int


def suggested(policy: Policy, grade: str, bought: Sequence[SoldGoods]) -> list[str]:
    """Return the goods that buyers of a grade are offered, apart from what is bought already."""
    taken = {line.good for line in bought}
    return [
        good.code for good in policy.goods if grade in good.suggest_with and good.code not in taken
    ]
