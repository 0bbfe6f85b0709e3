"""Leases, purses, fuellings and quotes, made by hand; and a station that plays its own books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge_agent.core import leases
from edge_agent.core.purse import Purse
from edge_agent.model.ids import AccountRef
from edge_agent.model.leases import Lease, LeaseState
from edge_agent.model.policy import Points, Redemption
from edge_agent.model.records import (
    AppliedOffer,
    Asset,
    FuellingCompleted,
    GivenBenefit,
    LeasesTaken,
    LeaseTerms,
    PointsBucket,
    PresentedCoupon,
    QuoteBody,
    RecordBody,
)
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money

NOON_MS = 1_790_000_000_000
"""2026-09-21 22:13 in China."""
DAY_MS = 86_400_000
CHINA = 480
RULES = Points(redeem=Redemption())


def terms(
    lease_id: str,
    amount: int,
    *,
    asset: Asset = "balance",
    holder: str = "a-1",
    expires_ms: int = NOON_MS + DAY_MS,
    holding: int = 0,
    member_ref: str | None = None,
    template: str | None = None,
    buckets: Sequence[tuple[int, int]] = (),
) -> LeaseTerms:
    return LeaseTerms(
        lease_id=lease_id,
        asset=asset,
        holder=holder,
        amount=amount,
        expires_ms=expires_ms,
        holding=holding,
        member_ref=member_ref,
        template=template,
        from_ms=0,
        until_ms=expires_ms,
        buckets=[PointsBucket(expires_ms=at_ms, points=points) for at_ms, points in buckets],
    )


def points_terms(
    lease_id: str, buckets: Sequence[tuple[int, int]], expires_ms: int = NOON_MS + DAY_MS
) -> LeaseTerms:
    amount = sum(points for _, points in buckets)
    return terms(
        lease_id, amount, asset="points", holder="m-1", expires_ms=expires_ms, buckets=buckets
    )


def coupon_terms(serial: str, template: str = "voucher", lease_id: str | None = None) -> LeaseTerms:
    return terms(
        lease_id or f"lease of {serial}",
        1,
        asset="coupon",
        holder=serial,
        member_ref="m-1",
        template=template,
    )


def taken(*granted: LeaseTerms) -> dict[str, Lease]:
    return leases.apply({}, LeasesTaken(leases=list(granted)), NOON_MS)


def lease(granted: LeaseTerms, spent: int = 0, state: LeaseState = LeaseState.OPEN) -> Lease:
    return Lease(granted, spent, state)


def after(
    found: Mapping[str, Lease], bodies: Iterable[RecordBody], at_ms: int = NOON_MS
) -> dict[str, Lease]:
    station = dict(found)
    for body in bodies:
        station = leases.apply(station, body, at_ms)
    return station


def purse_of(
    found: Mapping[str, Lease],
    *,
    floor_fen: int = 0,
    cache_age_s: int = 0,
    budget: str = "campaign",
) -> Purse:
    """What a sale of member m-1 with account a-1 may draw from."""
    coupons = tuple(
        each
        for each in found.values()
        if each.terms.asset == "coupon" and each.state is LeaseState.OPEN
    )
    return Purse(
        account_ref=AccountRef("a-1"),
        account=leases.holding_of(found, "balance", "a-1"),
        points=leases.holding_of(found, "points", "m-1"),
        coupons=coupons,
        budgets=(leases.holding_of(found, "budget", budget),),
        floor=Money(floor_fen),
        cache_age_s=cache_age_s,
    )


def fuelling(amount_fen: int, prepaid_fen: int = 0) -> FuellingCompleted:
    return FuellingCompleted(
        fuelling_id="f-1",
        fp=1,
        nozzle=1,
        nozzle_number=3,
        grade="92",
        price_set="p-1",
        unit_price_milli=7850,
        volume_ml=amount_fen * 10_000 // 7850,
        amount_fen=amount_fen,
        totals_before=None,
        totals_after=None,
        origin="observed",
        member_ref=None,
        plate_ref="0123456789abcdef",
        prepaid_fen=prepaid_fen,
        started_ms=None,
        ended_ms=NOON_MS,
    )


def applied(offer: str, amount_fen: int, coupon: str | None = None) -> AppliedOffer:
    return AppliedOffer(
        offer=offer,
        amount_fen=amount_fen,
        text_zh="减",
        text_en="off",
        stage="basket",
        coupon=coupon,
    )


def gift(offer: str, coupon: str | None = None) -> GivenBenefit:
    return GivenBenefit(
        offer=offer, text_zh="送", text_en="gift", good="water", pieces=1, points=0, coupon=coupon
    )


def quoted(
    amount_fen: int,
    *lines: AppliedOffer,
    member_ref: str | None = "m-1",
    benefits: Sequence[GivenBenefit] = (),
    budgets: Mapping[str, int] | None = None,
    paying: TenderMeans | None = None,
    otherwise_fen: int = 0,
    redeemed: int = 0,
    earned: int = 0,
) -> QuoteBody:
    used = [(line.coupon, line.offer) for line in lines] + [
        (each.coupon, each.offer) for each in benefits
    ]
    return QuoteBody(
        policy_version=1,
        grade="92",
        volume_ml=amount_fen * 10_000 // 7850,
        unit_price_milli=7850,
        at_ms=NOON_MS,
        member_ref=member_ref,
        tier=None if member_ref is None else "gold",
        fuel_amount_fen=amount_fen,
        coupons=[
            PresentedCoupon(serial=serial, template=offer, from_ms=0, until_ms=NOON_MS + DAY_MS)
            for serial, offer in used
            if serial is not None
        ],
        paying=paying,
        paid_otherwise_fen=otherwise_fen,
        points_redeemed=redeemed,
        budgets=dict(budgets or {}),
        list_amount_fen=amount_fen,
        payable_fen=amount_fen - sum(line.amount_fen for line in lines),
        applied=list(lines),
        rejected=[],
        benefits=list(benefits),
        points_earned=earned,
    )
