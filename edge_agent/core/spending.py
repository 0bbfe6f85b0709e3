"""What a settled sale draws of what headquarters holds: stored value, points, coupons, budgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge_agent.core import leases
from edge_agent.core.points import INSUFFICIENT as POINTS_INSUFFICIENT
from edge_agent.core.purse import Purse
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.leases import Holding
from edge_agent.model.records import AssetMoved, SaleSettled, Tender
from edge_agent.model.units import Money

NO_ACCOUNT: Final = Problem(
    "stored_value_no_account", "该会员没有储值账户", "there is no stored-value account to charge"
)
INSUFFICIENT: Final = Problem(
    "stored_value_insufficient",
    "储值余额不足，请换其他支付方式",
    "not enough stored value: take another means of payment",
)
COUPON_UNAVAILABLE: Final = Problem(
    "coupon_unavailable",
    "优惠券现在不能在本站使用",
    "the coupon cannot be used at this station now",
)
BUDGET_SPENT: Final = Problem(
    "budget_spent",
    "活动额度已用完，请重新计算价格",
    "the campaign's budget here is spent: price it again",
)


def movements(sale: SaleSettled, purse: Purse, now_ms: int) -> list[AssetMoved]:
    """Return the records that draw what a sale takes.

    Raises:
        SaleRefused: it is not here (`stored_value_no_account`, `stored_value_insufficient`,
            `points_insufficient`, `coupon_unavailable`, `budget_spent`).
    """
    moved: list[AssetMoved] = []
    for tender in sale.tenders:
        if tender.means == "stored_value":
            moved += _charged(tender, purse, sale.sale_id, now_ms)
        elif tender.means == "points":
            moved += _redeemed(tender, purse, sale.sale_id, now_ms)
    moved += _coupons(sale, purse, now_ms)
    moved += _budgets(sale, purse, now_ms)
    return moved


def _charged(tender: Tender, purse: Purse, sale_id: str, now_ms: int) -> Iterator[AssetMoved]:
    """Draw stored value from its leases, the rest from the floor limit."""
    account = purse.account_ref
    if account is None or account != tender.account_ref:
        raise SaleRefused(NO_ACCOUNT)
    leased = min(purse.leased(now_ms), Money(tender.amount_fen))
    beyond = Money(tender.amount_fen) - leased
    if beyond > purse.floor:
        raise SaleRefused(INSUFFICIENT, f"{purse.spendable(now_ms)} of {Money(tender.amount_fen)}")
    if purse.account is not None and leased:
        draws = leases.draw(_of(purse.account, account), leased.fen, now_ms)
        yield from leases.movements("balance", account, draws, sale_id)
    if beyond:
        yield AssetMoved(
            asset="balance",
            holder=account,
            delta=-beyond.fen,
            sale_id=sale_id,
            reason="sale",
            lease_id=None,
            cache_age_s=purse.cache_age_s,
        )


def _redeemed(tender: Tender, purse: Purse, sale_id: str, now_ms: int) -> list[AssetMoved]:
    holding, member = purse.points, tender.account_ref
    if holding is None or member is None or purse.points_available(now_ms) < tender.points:
        raise SaleRefused(POINTS_INSUFFICIENT, f"{purse.points_available(now_ms)} here")
    draws = leases.draw(_of(holding, member), tender.points, now_ms)
    return leases.movements("points", member, draws, sale_id)


def _coupons(sale: SaleSettled, purse: Purse, now_ms: int) -> Iterator[AssetMoved]:
    """Use up each coupon that lowered the price or gave something (rows C2, C16)."""
    quoted = sale.quote
    presented = {coupon.serial: coupon.template for coupon in quoted.coupons}
    serials = [line.coupon for line in quoted.applied] + [line.coupon for line in quoted.benefits]
    used: set[str] = set()
    for serial in serials:
        if serial is None:
            continue
        lease = purse.coupon(serial)
        if (
            lease is None
            or serial in used
            or not lease.available(now_ms)
            or lease.terms.template != presented.get(serial)
            or lease.terms.member_ref not in (None, sale.member_ref)
        ):
            raise SaleRefused(COUPON_UNAVAILABLE, serial)
        used.add(serial)
        draw = leases.Draw(lease.terms.lease_id, 1)
        yield from leases.movements("coupon", serial, (draw,), sale.sale_id)


def _budgets(sale: SaleSettled, purse: Purse, now_ms: int) -> Iterator[AssetMoved]:
    """Spend of each campaign's budget what its offer took off."""
    costs: dict[str, int] = {}
    for line in sale.quote.applied:
        if line.offer in sale.quote.budgets and line.amount_fen:
            costs[line.offer] = costs.get(line.offer, 0) + line.amount_fen
    for offer, cost_fen in costs.items():
        holding = purse.budget(offer)
        if holding is None or holding.available(now_ms) < cost_fen:
            raise SaleRefused(BUDGET_SPENT, offer)
        draws = leases.draw(holding, cost_fen, now_ms)
        yield from leases.movements("budget", offer, draws, sale.sale_id)


def _of(holding: Holding, holder: str) -> Holding:
    """Return the holding; one of another holder has nothing for this sale."""
    return holding if holding.holder == holder else Holding(holding.asset, holder, ())
