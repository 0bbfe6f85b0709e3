"""What a sale says was paid from what headquarters holds must have moved, to the fen.

A sale and its movements stand next to each other in the ledger, since they are one append. Each
notes here what it says, with opposite signs, so that nothing is left once the next record of
another kind is read. Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.records import (
    AssetMoved,
    MemberCodeUsed,
    PointsEarned,
    QuoteBody,
    RiskFlagged,
    SaleRefunded,
    SaleSettled,
)
from hq.books import HqBooks
from hq.findings import Row

TOGETHER = {
    body.kind
    for body in (SaleSettled, SaleRefunded, AssetMoved, PointsEarned, MemberCodeUsed, RiskFlagged)
}
"""Kinds that may stand within one append with a sale."""


def coupons_used(quote: QuoteBody) -> list[str]:
    """Return the serials that a price used up."""
    lowered = [line.coupon for line in quote.applied]
    given = [line.coupon for line in quote.benefits]
    return sorted({serial for serial in (*lowered, *given) if serial is not None})


class Owing:
    """What is still to be accounted for, by stream and sale."""

    def __init__(self, books: HqBooks) -> None:
        self._db = books.connection

    def sale(self, row: Row, body: SaleSettled) -> None:
        """Note what a sale says it took."""
        quote = body.quote
        for tender in body.tenders:
            if tender.means == "stored_value":
                self.settle(
                    row, body.sale_id, "balance", tender.account_ref or "", tender.amount_fen
                )
            elif tender.means == "points":
                self.settle(row, body.sale_id, "points", tender.account_ref or "", tender.points)
        for serial in coupons_used(quote):
            self.settle(row, body.sale_id, "coupon", serial, 1)
        for line in quote.applied:
            if line.offer in quote.budgets:
                self.settle(row, body.sale_id, "budget", line.offer, line.amount_fen)
        self.settle(row, body.sale_id, "earned", quote.member_ref or "", quote.points_earned)

    def refund(self, row: Row, body: SaleRefunded) -> None:
        """Note that a refund gives back all that its sale took."""
        for asset, holder, net in self._db.execute(
            "SELECT asset, holder, sum(net) FROM sale_moved WHERE station = ? AND sale_id = ?"
            " GROUP BY asset, holder",
            (row.station, body.sale_id),
        ).fetchall():
            self.settle(row, body.sale_id, asset, holder, -net)
        for member, points in self._db.execute(
            "SELECT member_ref, points FROM points_sale WHERE station = ? AND sale_id = ?"
            " AND reversed = 0",
            (row.station, body.sale_id),
        ).fetchall():
            self.settle(row, body.sale_id, "earned", member, -points)

    def settle(self, row: Row, sale_id: str, asset: str, holder: str, amount: int) -> None:
        """Add to what is owed, or take from it; what comes to nothing is gone."""
        if not amount:
            return
        (left,) = self._db.execute(
            "INSERT INTO owing (stream, sale_id, asset, holder, amount, seq)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET amount = amount + ?5"
            " RETURNING amount",
            (row.stream, sale_id, asset, holder, amount, row.seq),
        ).fetchone()
        if left == 0:
            self._db.execute(
                "DELETE FROM owing WHERE stream = ? AND sale_id = ? AND asset = ? AND holder = ?",
                (row.stream, sale_id, asset, holder),
            )

    def left_before(self, row: Row) -> list[tuple[int, str]]:
        """Return what no movement accounts for, once a row of another kind comes: where, what."""
        if row.kind in TOGETHER:
            return []
        left = self._db.execute(
            "SELECT seq, sale_id, asset, amount FROM owing WHERE stream = ? ORDER BY seq, asset",
            (row.stream,),
        ).fetchall()
        if left:
            self._db.execute("DELETE FROM owing WHERE stream = ?", (row.stream,))
        return [(seq, f"{sale[:64]}: {asset} {amount}") for seq, sale, asset, amount in left]
