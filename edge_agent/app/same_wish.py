"""Keys of wishes that move money: the same wish again finds what it led to, another is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_agent.core import settlement
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import Problem, SaleRefused, invariant
from edge_agent.model.ids import FuellingId
from edge_agent.model.records import QuoteBody
from edge_agent.model.wishes import SaleWish, TenderOffer

MAX_KEY_LENGTH: Final = 128

KEY_INVALID: Final = Problem(
    "idempotency_key_invalid", "操作号缺失或过长", "the request key is missing or too long"
)
KEY_CONFLICT: Final = Problem(
    "idempotency_conflict",
    "同一操作号对应了不同内容，请重新操作",
    "the same request key came with other content: start again",
)


def require_key(idempotency_key: str) -> None:
    """Check that a wish that moves money names itself.

    Raises:
        SaleRefused: `idempotency_key_invalid`.
    """
    if not 0 < len(idempotency_key) <= MAX_KEY_LENGTH:
        raise SaleRefused(KEY_INVALID)


def same_sale(
    earlier: SettledSale,
    idempotency_key: str,
    fuelling: FuellingId,
    wish: SaleWish,
    tenders: Sequence[TenderOffer],
) -> SettledSale:
    """Return the sale that a key led to, if this wish is the one that it came with.

    Raises:
        SaleRefused: `idempotency_conflict`.
    """
    settled = earlier.settled
    same_wish = (settled.idempotency_key, settled.fuelling_id) == (idempotency_key, fuelling)
    same_buyer = wish.member in (None, settled.member_ref)
    offers = list(tenders)
    if wish.redeem_points and not any(offer.means == "points" for offer in offers):
        offers.append(TenderOffer("points"))
    bought = same_wish and same_buyer and _same_purchase(settled.quote, wish)
    if not (bought and settlement.paid_as(earlier, offers)):
        raise SaleRefused(KEY_CONFLICT)
    return earlier


def _same_purchase(quoted: QuoteBody, wish: SaleWish) -> bool:
    """Whether a wish asks for what was priced. What was shown is no part of a wish."""
    goods = {line.good: line.pieces for line in quoted.goods}
    presented = {coupon.serial for coupon in quoted.coupons}
    return (
        wish.redeem_points == quoted.points_redeemed
        and {each.good: each.pieces for each in wish.goods} == goods
        and (wish.coupons is None or set(wish.coupons) == presented)
    )


def refunded_by(sale: SettledSale, idempotency_key: str) -> bool:
    """Whether a sale was refunded under this key."""
    return sale.refunded is not None and sale.refunded.idempotency_key == idempotency_key


def same_refund(sale: SettledSale, reason: str) -> SettledSale:
    """Return a refunded sale, if it was refunded for this reason.

    Raises:
        SaleRefused: `idempotency_conflict`.
    """
    invariant(sale.refunded is not None, "an appended refund is in the books")
    if sale.refunded is not None and sale.refunded.reason != reason.strip():
        raise SaleRefused(KEY_CONFLICT)
    return sale
