"""The projection of use: what was paid for whom and when, for limits that survive a restart.

A row for each of a sale's member, accounts and plate, and one for each account that was charged
beyond its leases; found by (who, when). A refund takes its sale out (rows R1, R2, L1).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Final

from edge_agent.model.records import AssetMoved, SaleRefunded, SaleSettled, Tender

SUM: Final = (
    "SELECT count(*), coalesce(sum(amount_fen), 0), coalesce(sum(volume_ml), 0)"
    " FROM usage WHERE who = ? AND at_ms >= ?"
)
COUNT: Final = "SELECT count(*) FROM usage WHERE who = ? AND at_ms >= ?"
FLOOR: Final = "floor"
"""What stands for an account beyond its leases."""


def who(subject: str, ref: str) -> str:
    """Return the key of a member, account, plate, points or floor."""
    return f"{subject}:{ref}"


def paid(connection: sqlite3.Connection, body: SaleSettled) -> None:
    """Note a sale that was just numbered: for member and plate all of it, for an account its part
    of it, for a member's points theirs where no account was charged beside them.

    It counts at the latest wall time of any record so far: a clock that is set back opens no limit
    anew (row S27).
    """
    amounts = {
        who(subject, ref): body.quote.payable_fen
        for subject, ref in (("member", body.member_ref), ("plate", body.plate_ref))
        if ref is not None
    }
    amounts |= _charged(body.tenders)
    connection.executemany(
        "INSERT INTO usage (who, at_ms, sale, amount_fen, volume_ml)"
        " SELECT ?, latest_ms, sales, ?, ? FROM standing",
        [(key, amount_fen, body.quote.volume_ml) for key, amount_fen in amounts.items()],
    )


def paid_back(connection: sqlite3.Connection, body: SaleRefunded) -> None:
    """Take a refunded sale out. Its floor movements go with the movements that give them back."""
    sale = connection.execute(
        "SELECT ordinal, at_ms, member_ref, plate_ref FROM sale WHERE sale_id = ?", (body.sale_id,)
    ).fetchone()
    if sale is None:
        return
    ordinal, at_ms, member_ref, plate_ref = sale
    keys = [
        *(
            who(subject, ref)
            for subject, ref in (("member", member_ref), ("plate", plate_ref))
            if ref is not None
        ),
        *_charged(body.tenders),
    ]
    connection.executemany(
        "DELETE FROM usage WHERE who = ? AND at_ms = ? AND sale = ?",
        [(key, at_ms, ordinal) for key in keys],
    )


def floor_moved(connection: sqlite3.Connection, body: AssetMoved) -> None:
    """Note what a sale took of an account beyond its leases, or what its refund gave back."""
    key = who(FLOOR, body.holder)
    connection.execute(
        "INSERT INTO usage (who, at_ms, sale, amount_fen, volume_ml)"
        " SELECT ?, at_ms, ordinal, ?, 0 FROM sale WHERE sale_id = ?"
        " ON CONFLICT (who, at_ms, sale)"
        " DO UPDATE SET amount_fen = amount_fen + excluded.amount_fen",
        (key, -body.delta, body.sale_id),
    )
    if body.delta > 0:
        connection.execute(
            "DELETE FROM usage WHERE who = ? AND amount_fen = 0 AND (at_ms, sale) ="
            " (SELECT at_ms, ordinal FROM sale WHERE sale_id = ?)",
            (key, body.sale_id),
        )


def _charged(tenders: Sequence[Tender]) -> Counter[str]:
    """Return what a sale charged, by key: one payment is one, whatever it was made of."""
    amounts: Counter[str] = Counter()
    for subject, means in (("account", "stored_value"), ("points", "points")):
        for tender in tenders:
            if tender.means == means:
                amounts[who(subject, tender.account_ref or "")] += tender.amount_fen
        if amounts:
            break
    return amounts
