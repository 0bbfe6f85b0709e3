"""In which order a sale is paid (row V4): coupons that expire soonest, the balance, third parties.

Coupons are offers and are chosen by the quote; a percentage has to be priced before anything is
paid (row Z12). Then come points where the customer asks for them, stored value, what the customer
named, and cash. The attendant may depart from the plan; that is recorded with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_agent.core import points
from edge_agent.core.purse import Purse
from edge_agent.model.policy import Redemption
from edge_agent.model.records import OperatorAction
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import NO_MONEY, Money
from edge_agent.model.wishes import SaleWish, TenderOffer

DEPARTED: Final = "tender.order_overridden"
CUSTOMERS_WISH: Final = "customer's wish"


def plan(
    payable: Money,
    prepaid: Money,
    purse: Purse,
    wish: SaleWish,
    redemption: Redemption | None,
    now_ms: int,
) -> tuple[TenderOffer, ...]:
    """Return the tenders that pay a sale, in the order of row V4; they sum to what is to be paid.

    Args:
        payable: as the quote says.
        prepaid: what lies in the till already; it pays first.
        purse: what may be drawn from. Stored value pays as far as it goes.
        wish: `redeem_points`, and as `paying` the means that takes what the others leave. Naming
            one of a third party or cash is the customer's wish not to use the balance; None is
            the order of the row, with cash for what the balance does not cover.
        redemption: of the policy that the price was made with.
        now_ms: by which leases are judged.

    Raises:
        SaleRefused: so many points may not be redeemed (`points_...`).
    """
    left = payable - min(payable, prepaid)
    offers: list[TenderOffer] = []
    points.require_redeemable(wish.redeem_points, payable, redemption)
    redeemed = min(points.value_of(wish.redeem_points, redemption), left)
    if redeemed:
        offers.append(TenderOffer("points", redeemed))
        left = left - redeemed
    rest: TenderMeans = wish.paying or "cash"
    if wish.paying in (None, "stored_value"):
        stored = min(purse.spendable(now_ms), left)
        rest = "cash"
        if stored:
            offers.append(TenderOffer("stored_value", stored))
            left = left - stored
    if left and rest != "points":
        offers.append(TenderOffer(rest, left))
    return tuple(offers)


def departure(
    planned: Sequence[TenderOffer],
    given: Sequence[TenderOffer],
    *,
    fp: int | None,
    operator: str,
    reason: str = CUSTOMERS_WISH,
) -> OperatorAction | None:
    """Return the record of tenders that depart from the plan, or None when they follow it.

    They follow it when they draw as much stored value or more; which third party pays, and how,
    is nobody's concern.
    """
    stored = _amount(planned, "stored_value")
    if not stored or any(o.means == "stored_value" and o.amount is None for o in given):
        return None
    if _amount(given, "stored_value") >= stored:
        return None
    means = "+".join(offer.means for offer in given) or "none"
    return OperatorAction(
        action=DEPARTED, fp=fp, operator=operator, detail=f"{means}: {reason}"[:200]
    )


def _amount(offers: Sequence[TenderOffer], means: TenderMeans) -> Money:
    return sum((o.amount for o in offers if o.means == means and o.amount is not None), NO_MONEY)
