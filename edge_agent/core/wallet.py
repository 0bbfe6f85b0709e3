"""What the screen shows of a member's means: balance, points, coupons, what will be lost soon."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from edge_agent.core import leases, points
from edge_agent.core.membership import tier_progress
from edge_agent.core.purse import Purse
from edge_agent.core.spending import NO_ACCOUNT
from edge_agent.core.station_calendar import date_of
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.leases import Lease
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy, StoredValue
from edge_agent.model.units import Money
from edge_agent.model.views import CouponView, ExpiryView, WalletView

COUPON_WARN_DAYS: Final = 3
"""Row C14."""

TOP_UP_OFF: Final = Problem("top_up_off", "本站不办理充值", "accounts are not topped up here")
TOP_UP_AMOUNT: Final = Problem(
    "top_up_amount", "充值金额不符合规定", "the amount may not be topped up"
)
TOP_UP_CAP: Final = Problem(
    "top_up_above_cap",
    "充值后余额超过法定上限",
    "the account would hold more than the law allows",
)


def wallet(
    member: Member,
    purse: Purse,
    policy: Policy,
    now_ms: int,
    utc_offset_minutes: int,
) -> WalletView:
    """Return what a member has, as far as this station knows."""
    standing = tier_progress(member, policy)
    tier = standing.tier
    here = purse.leased(now_ms)
    has_account = purse.account_ref is not None
    return WalletView(
        member=member.masked_name,
        tier=member.tier,
        tier_zh=member.tier if tier is None else tier.label_zh,
        tier_en=member.tier if tier is None else tier.label_en,
        greeting_zh=None if tier is None else tier.greeting_zh,
        greeting_en=None if tier is None else tier.greeting_en,
        account_kind=member.account_kind if has_account else None,
        balance_here_fen=here.fen,
        balance_known_fen=_balance_known(purse),
        low_balance=has_account and is_low(policy.stored_value, purse, now_ms),
        points_here=purse.points_available(now_ms),
        points_known=sum(each.points for each in member.points if each.expires_ms > now_ms),
        points_value_fen=points.value_of(purse.points_available(now_ms), policy.points.redeem).fen,
        coupons=usable_coupons(purse.coupons, policy, now_ms),
        expiring=expiring(member, purse.coupons, policy, now_ms, utc_offset_minutes),
        next_tier_zh=None if standing.next_tier is None else standing.next_tier.label_zh,
        next_tier_en=None if standing.next_tier is None else standing.next_tier.label_en,
        to_next_tier_fen=None if standing.to_next is None else standing.to_next.fen,
        locked=member.locked,
        cache_age_s=purse.cache_age_s,
        progress_zh=standing.text_zh,
        progress_en=standing.text_en,
    )


def is_low(rules: StoredValue, purse: Purse, now_ms: int) -> bool:
    """Whether the till offers a top-up (row V15): by what headquarters knew where that is more,
    since a lease is only a part of the account."""
    most = max(purse.leased(now_ms).fen, _balance_known(purse) or 0)
    return most < rules.low_balance_fen


def usable_coupons(coupons: Sequence[Lease], policy: Policy, now_ms: int) -> tuple[CouponView, ...]:
    """Return the coupons that may be used here now, soonest expiry first."""
    views = [
        CouponView(
            serial=lease.terms.holder,
            template=template.code,
            text_zh=template.offer.text_zh,
            text_en=template.offer.text_en,
            until_ms=lease.terms.until_ms,
        )
        for lease in coupons
        if lease.available(now_ms)
        and lease.terms.from_ms <= now_ms < lease.terms.until_ms
        and (template := policy.template(lease.terms.template or "")) is not None
    ]
    return tuple(sorted(views, key=lambda view: (view.until_ms, view.serial)))


def expiring(
    member: Member,
    coupons: Sequence[Lease],
    policy: Policy,
    now_ms: int,
    utc_offset_minutes: int,
) -> tuple[ExpiryView, ...]:
    """Return what the member will lose soon, and what staff are to say (rows C14, P14)."""
    today = date_of(now_ms, utc_offset_minutes)
    views = list(
        points.warnings(member.points, now_ms, policy.points.warn_days, utc_offset_minutes)
    )
    for coupon in usable_coupons(coupons, policy, now_ms):
        last = date_of(coupon.until_ms - 1, utc_offset_minutes)
        if last - today <= timedelta(days=COUPON_WARN_DAYS):
            days = (last - today).days
            when_zh, when_en = points.when(days)
            views.append(
                ExpiryView(
                    what="coupon",
                    points=0,
                    serial=coupon.serial,
                    expires_ms=coupon.until_ms,
                    days=days,
                    text_zh=f"优惠券“{coupon.text_zh}”{when_zh}过期",
                    text_en=f"the coupon “{coupon.text_en}” expires {when_en}",
                )
            )
    return tuple(sorted(views, key=lambda view: (view.expires_ms, view.what, view.serial or "")))


def require_top_up(rules: StoredValue, member: Member, purse: Purse, amount: Money) -> None:
    """Check that an account may be topped up by an amount (rows V8, V10, V12).

    Raises:
        SaleRefused: `top_up_off`, `stored_value_no_account`, `top_up_amount`, `top_up_above_cap`.
    """
    if not rules.top_up_amounts_fen:
        raise SaleRefused(TOP_UP_OFF)
    if purse.account_ref is None:
        raise SaleRefused(NO_ACCOUNT)
    if not 0 < amount.fen <= rules.top_up_max_fen:
        raise SaleRefused(TOP_UP_AMOUNT, f"up to {Money(rules.top_up_max_fen)}")
    cap_fen = rules.bearer_cap_fen if member.account_kind == "bearer" else rules.named_cap_fen
    held_fen = 0 if purse.account is None else leases.held_at_most(purse.account)
    if held_fen + amount.fen > cap_fen:
        raise SaleRefused(TOP_UP_CAP, f"{Money(held_fen)} held, {Money(cap_fen)} at most")


def _balance_known(purse: Purse) -> int | None:
    return None if purse.account is None else leases.held_at_headquarters(purse.account)
