"""Writes a quote down as part of a record, and reads the question out of one again."""

from __future__ import annotations

from edge_agent.model.canonical import canonical_json, sha256_hex
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.quote import (
    AppliedLine,
    BenefitLine,
    BudgetFacts,
    CouponFacts,
    GoodsLine,
    MemberFacts,
    Paying,
    Quote,
    QuoteRequest,
    RejectedLine,
)
from edge_agent.model.records import (
    AppliedOffer,
    GivenBenefit,
    PresentedCoupon,
    QuoteBody,
    RejectedOffer,
    SoldGoods,
)
from edge_agent.model.units import Money, UnitPrice, Volume


def body_of(quote: Quote) -> QuoteBody:
    """Write a quote down as part of a record."""
    request, member, paying = quote.request, quote.request.member, quote.request.paying
    return QuoteBody(
        policy_version=quote.policy_version,
        grade=request.grade,
        volume_ml=request.volume.ml,
        unit_price_milli=request.unit_price.milli,
        at_ms=request.at_ms,
        utc_offset_minutes=request.utc_offset_minutes,
        member_ref=None if member is None else member.ref,
        tier=None if member is None else member.tier,
        tags=[] if member is None else list(member.tags),
        birthday_week=member is not None and member.birthday_week,
        first_fill=member is not None and member.first_fill,
        visit_number=None if member is None else member.visit_number,
        station=request.station,
        plate_colour=request.plate_colour,
        fuel_amount_fen=request.amount.fen,
        goods=[
            SoldGoods(good=line.good, pieces=line.pieces, amount_fen=line.amount.fen)
            for line in request.goods
        ],
        coupons=[
            PresentedCoupon(
                serial=coupon.serial,
                template=coupon.template,
                from_ms=coupon.from_ms,
                until_ms=coupon.until_ms,
            )
            for coupon in request.coupons
        ],
        paying=None if paying is None else paying.means,
        paid_otherwise_fen=0 if paying is None else paying.others.fen,
        points_redeemed=request.points_redeemed,
        budgets={budget.offer: budget.left.fen for budget in request.budgets},
        list_amount_fen=request.listed.fen,
        payable_fen=quote.payable.fen,
        applied=[_applied(line) for line in quote.applied],
        rejected=[_rejected(line) for line in quote.rejected],
        benefits=[_benefit(line) for line in quote.benefits],
        points_earned=quote.points_earned,
        next_step=quote.next_step,
    )


def request_of(body: QuoteBody) -> QuoteRequest:
    """Return the question that a written quote answers."""
    member = None
    if body.member_ref is not None and body.tier is not None:
        member = MemberFacts(
            MemberRef(body.member_ref),
            body.tier,
            tuple(body.tags),
            body.birthday_week,
            body.first_fill,
            body.visit_number,
        )
    return QuoteRequest(
        grade=GradeId(body.grade),
        volume=Volume(body.volume_ml),
        amount=Money(body.fuel_amount_fen),
        unit_price=UnitPrice(body.unit_price_milli),
        at_ms=body.at_ms,
        utc_offset_minutes=body.utc_offset_minutes,
        member=member,
        station=body.station,
        plate_colour=body.plate_colour,
        goods=tuple(
            GoodsLine(line.good, line.pieces, Money(line.amount_fen)) for line in body.goods
        ),
        coupons=tuple(
            CouponFacts(each.serial, each.template, each.from_ms, each.until_ms)
            for each in body.coupons
        ),
        paying=None if body.paying is None else Paying(body.paying, Money(body.paid_otherwise_fen)),
        points_redeemed=body.points_redeemed,
        budgets=tuple(
            BudgetFacts(offer, Money(left_fen)) for offer, left_fen in sorted(body.budgets.items())
        ),
    )


def explanation_hash(body: QuoteBody) -> str:
    """Return the SHA-256 of a whole explanation, its texts included.

    A sale keeps it beside what it was decided from, so that the words that were shown can be made
    again from facts and policy, and proved to be the same.
    """
    return sha256_hex(canonical_json(body.model_dump(mode="json")))


def without_words(body: QuoteBody) -> QuoteBody:
    """Return a quote for the ledger: what was refused keeps its reason and drops its texts."""
    plain = [line.model_copy(update={"text_zh": "", "text_en": ""}) for line in body.rejected]
    return body.model_copy(update={"rejected": plain})


def _applied(line: AppliedLine) -> AppliedOffer:
    return AppliedOffer(
        offer=line.offer,
        amount_fen=line.amount.fen,
        text_zh=line.text_zh,
        text_en=line.text_en,
        stage=line.stage,
        coupon=line.coupon,
    )


def _rejected(line: RejectedLine) -> RejectedOffer:
    return RejectedOffer(
        offer=line.offer,
        reason=line.reason.value,
        missing=line.missing,
        text_zh=line.text_zh,
        text_en=line.text_en,
        coupon=line.coupon,
    )


def _benefit(line: BenefitLine) -> GivenBenefit:
    return GivenBenefit(
        offer=line.offer,
        text_zh=line.text_zh,
        text_en=line.text_en,
        good=line.good,
        pieces=line.pieces,
        points=line.points,
        coupon=line.coupon,
    )
