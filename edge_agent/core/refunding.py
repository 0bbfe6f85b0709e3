"""Paying a sale back: each tender to its source, and all that it moved to where it came from.

A coupon that goes back is frozen at the station until headquarters has looked (row V5); points that
the sale earned are taken back from the very bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from edge_agent.core import leases, points
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.policy import Points
from edge_agent.model.records import (
    AssetMoved,
    PointsEarned,
    RecordBody,
    SaleRefunded,
    SaleSettled,
)

MAX_REASON_LENGTH: Final = 80

REASON_MISSING: Final = Problem(
    "refund_reason_missing",
    "请填写退款原因（80字以内）",
    "a refund needs a reason of up to 80 characters",
)
ALREADY_REFUNDED: Final = Problem(
    "sale_already_refunded", "这笔销售已经退款", "this sale has been refunded already"
)


def refund(
    sale: SettledSale,
    moved: Sequence[AssetMoved],
    rules: Points,
    *,
    refund_id: str,
    reason: str,
    idempotency_key: str,
    operator: str,
) -> list[RecordBody]:
    """Return the records that pay a sale back, to be appended together.

    Args:
        sale: what is paid back, whole.
        moved: what it moved of what headquarters holds (`ports.Books.movements`).
        rules: of points. Headquarters finds the bucket by the sale; the expiry beside it is that
            of the rules now in force.
        refund_id: the refund's own name.
        reason: why, in the attendant's words.
        idempotency_key: of the wish.
        operator: who pays it back.

    Raises:
        SaleRefused: it was refunded already, or no reason is given.
    """
    if sale.refunded is not None:
        raise SaleRefused(ALREADY_REFUNDED)
    if not reason.strip() or len(reason) > MAX_REASON_LENGTH:
        raise SaleRefused(REASON_MISSING)
    settled = sale.settled
    refunded = SaleRefunded(
        refund_id=refund_id,
        sale_id=settled.sale_id,
        fuelling_id=settled.fuelling_id,
        tenders=settled.tenders,
        reason=reason.strip(),
        idempotency_key=idempotency_key,
        operator=operator,
    )
    return [refunded, *leases.given_back(moved), *_unearned(settled, rules)]


def _unearned(settled: SaleSettled, rules: Points) -> Iterator[PointsEarned]:
    quoted = settled.quote
    if quoted.member_ref is not None and quoted.points_earned:
        yield PointsEarned(
            member_ref=quoted.member_ref,
            sale_id=settled.sale_id,
            points=-quoted.points_earned,
            expires_ms=points.expires_ms(
                quoted.at_ms, rules.valid_months, quoted.utc_offset_minutes
            ),
            reason="refund",
        )
