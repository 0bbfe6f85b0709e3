"""What a sale moves of what headquarters holds, and that it adds up.

In the books a sale or refund is followed at once by what it moves: `asset.moved` for stored value,
points, coupons and budgets, and `points.earned`. So a sale's movements are found without an index,
and a movement without a sale cannot be written.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from edge_agent.model.errors import SaleRefused
from edge_agent.model.records import (
    BODIES,
    AssetMoved,
    PointsEarned,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    Tender,
)
from edge_agent.store.refusals import refuse

Moved: TypeAlias = AssetMoved | PointsEarned
_CAUSES: Final = frozenset({SaleSettled.kind, SaleRefunded.kind})
_KINDS: Final = frozenset({AssetMoved.kind, PointsEarned.kind})


def moved_by(bodies: Sequence[RecordBody]) -> list[list[Moved]]:
    """Return for each record of an append what is moved for it: what follows a sale or refund.

    Raises:
        SaleRefused: `movement_without_sale`.
    """
    found: list[list[Moved]] = []
    cause: SaleSettled | SaleRefunded | None = None
    own: list[Moved] = []
    for body in bodies:
        # The kind first: asking a pydantic model for its class is slow, and every record comes by.
        if body.kind in _KINDS and isinstance(body, Moved):
            reason = "sale" if isinstance(cause, SaleSettled) else "refund"
            if cause is None or (body.sale_id, body.reason) != (cause.sale_id, reason):
                raise refuse("movement_without_sale", body.sale_id)
            own.append(body)
            found.append([])
        else:
            cause = None
            if body.kind in _CAUSES and isinstance(body, SaleSettled | SaleRefunded):
                cause = body
            own = []
            found.append(own)
    return found


def read_movements(connection: sqlite3.Connection, position: int) -> Iterator[Moved]:
    """Yield what the sale or refund at a position of the ledger moved, in the order of the books.

    `position` is the record's, as `sale` has it.
    """
    rows = connection.execute(
        "SELECT kind, body FROM ledger WHERE position > ? ORDER BY position", (position,)
    )
    for kind, text in rows:
        if kind not in _KINDS:
            return
        body = BODIES[kind].model_validate_json(text)
        if isinstance(body, Moved):
            yield body


def judge_sale(sale: SaleSettled, moved: Sequence[Moved]) -> None:
    """Check that a sale moves what its tenders, coupons, budgets and points say, no more or less.

    Raises:
        SaleRefused: `movements_unbalanced`.
    """
    due = _tendered(sale.tenders)
    used = [line.coupon for line in sale.quote.applied]
    used += [line.coupon for line in sale.quote.benefits]
    for serial in used:
        if serial is not None:
            due["coupon", serial] += 1
    for line in sale.quote.applied:
        if line.offer in sale.quote.budgets:
            due["budget", line.offer] += line.amount_fen
    if sale.quote.points_earned:
        due["earned", sale.member_ref or ""] += sale.quote.points_earned
    for body in moved:
        if isinstance(body, AssetMoved):
            due[body.asset, body.holder] += body.delta
        else:
            due["earned", body.member_ref] -= body.points
    if any(due.values()):
        raise _unbalanced(sale.sale_id, due)


def judge_refund(
    connection: sqlite3.Connection,
    position: int,
    sale: SaleSettled,
    refund: SaleRefunded,
    moved: Sequence[Moved],
) -> None:
    """Check that a refund gives back what its sale took: each tender to its source, each movement
    to the lease and bucket that it came from (row V5).

    `position` is where the sale stands in the ledger.

    Raises:
        SaleRefused: `refund_differs_from_sale`.
    """
    if Counter(map(_source, refund.tenders)) != Counter(map(_source, sale.tenders)):
        raise refuse("refund_differs_from_sale", refund.sale_id)
    taken = Counter(_mirrored(body, -1) for body in read_movements(connection, position))
    if Counter(_mirrored(body, 1) for body in moved) != taken:
        raise refuse("refund_differs_from_sale", refund.sale_id)


def _tendered(tenders: Sequence[Tender]) -> Counter[tuple[str, str]]:
    due: Counter[tuple[str, str]] = Counter()
    for tender in tenders:
        if tender.means == "stored_value":
            due["balance", tender.account_ref or ""] += tender.amount_fen
        elif tender.means == "points":
            due["points", tender.account_ref or ""] += tender.points
    return due


def _source(tender: Tender) -> tuple[str, str | None, int, int]:
    # The terminal's reference is another one for a refund.
    return tender.means, tender.account_ref, tender.amount_fen, tender.points


def _mirrored(body: Moved, sign: int) -> tuple[object, ...]:
    """Return what has to be the same in a movement (-1) and in what gives it back (1)."""
    if isinstance(body, PointsEarned):
        return "earned", body.member_ref, -sign * body.points
    buckets = sorted((bucket.expires_ms, bucket.points) for bucket in body.buckets)
    return body.asset, body.holder, body.lease_id, sign * body.delta, tuple(buckets)


def _unbalanced(sale_id: str, due: Counter[tuple[str, str]]) -> SaleRefused:
    assets = sorted({asset for (asset, _), amount in due.items() if amount})
    return refuse("movements_unbalanced", f"{sale_id}: {', '.join(assets)}")
