"""The projections: what each kind of record changes in the tables that the till and pumps ask.

One handler a kind. Handlers depend on the record, its position and the projections alone, never on
time, chance or catalogues, so that a rebuild from the ledger gives the same tables again. They do
not judge: `store.rules` has done so before a record is written.

Sums count completed fuellings in every payment state, and settled sales including those refunded
later: a refund is a record of its own, it does not unmake the sale.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from edge_agent.model.errors import invariant
from edge_agent.model.records import (
    FuellingAuthorised,
    FuellingCancelled,
    FuellingCompleted,
    NozzleTotals,
    PriceApplied,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StopAllOrdered,
    StoredValueMoved,
    TotaliserBaseline,
    TotaliserJumped,
)

PROJECTION_VERSION: Final = 1
"""Goes up with every change of what a handler writes; opening older books then rebuilds them."""

TABLES: Final = {
    "fuelling": "fuelling_id",
    "sale": "position",
    "idempotency": "key",
    "totaliser": "fp, nozzle",
    "account_spent": "account_ref",
    "applied_price": "fp",
    "forecourt_standing": "id",
    "fuel_sums": "id",
}
"""What a rebuild empties and fills again, each with its primary key."""


def reset(connection: sqlite3.Connection) -> None:
    """Bring the projections to the state before the first record."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608  # names are our own
    connection.execute("INSERT INTO forecourt_standing (id) VALUES (1)")
    connection.execute("INSERT INTO fuel_sums (id) VALUES (1)")


def project(connection: sqlite3.Connection, position: int, body: RecordBody) -> None:
    """Apply a record to the projections, within the caller's transaction.

    Raises:
        CorruptionError: the record contradicts the projections; only a rebuild of a ledger that
            breaks its own rules can meet this.
    """
    handler = _HANDLERS.get(type(body))
    if handler is not None:
        handler(connection, position, body)


def _authorised(connection: sqlite3.Connection, position: int, body: FuellingAuthorised) -> None:
    connection.execute(
        "INSERT INTO fuelling (fuelling_id, fp, state, authorised) VALUES (?, ?, 'open', ?)",
        (body.fuelling_id, body.fp, position),
    )


def _cancelled(connection: sqlite3.Connection, _position: int, body: FuellingCancelled) -> None:
    _moved_on(
        connection.execute(
            "UPDATE fuelling SET state = 'cancelled' WHERE fuelling_id = ? AND state = 'open'",
            (body.fuelling_id,),
        ),
        body.fuelling_id,
    )


def _completed(connection: sqlite3.Connection, position: int, body: FuellingCompleted) -> None:
    # Fuel that flowed while no agent watched was never authorised here, so its row is new.
    _moved_on(
        connection.execute(
            "INSERT INTO fuelling (fuelling_id, fp, state, completed) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (fuelling_id) DO UPDATE"
            " SET state = excluded.state, completed = excluded.completed WHERE state = 'open'",
            (body.fuelling_id, body.fp, "payable" if body.volume_ml else "zero", position),
        ),
        body.fuelling_id,
    )
    connection.execute(
        "UPDATE fuel_sums SET fuellings = fuellings + 1, volume_ml = volume_ml + ?,"
        " amount_fen = amount_fen + ?",
        (body.volume_ml, body.amount_fen),
    )
    after = body.totals_after or _totals_by_figures(body)
    if after is not None:
        _totaliser_stands(connection, body.fp, after)


def _totals_by_figures(body: FuellingCompleted) -> NozzleTotals | None:
    """Return where unreadable totalisers must stand by the fuelling's own figures."""
    before = body.totals_before
    if before is None:
        return None
    amount_fen = None if before.amount_fen is None else before.amount_fen + body.amount_fen
    return NozzleTotals(
        nozzle=before.nozzle, volume_ml=before.volume_ml + body.volume_ml, amount_fen=amount_fen
    )


def _jumped(connection: sqlite3.Connection, _position: int, body: TotaliserJumped) -> None:
    _totaliser_stands(connection, body.fp, body.after)


def _baseline(connection: sqlite3.Connection, _position: int, body: TotaliserBaseline) -> None:
    _totaliser_stands(connection, body.fp, body.totals)


def _settled(connection: sqlite3.Connection, position: int, body: SaleSettled) -> None:
    _moved_on(
        connection.execute(
            "UPDATE fuelling SET state = 'settled', settled = ?"
            " WHERE fuelling_id = ? AND state = 'payable'",
            (position, body.fuelling_id),
        ),
        body.fuelling_id,
    )
    connection.execute(
        "UPDATE fuel_sums SET sales = sales + 1, payable_fen = payable_fen + ?,"
        " member_sales = member_sales + ?, plate_sales = plate_sales + ?",
        (
            body.quote.payable_fen,
            int(body.member_ref is not None),
            int(body.plate_ref is not None),
        ),
    )
    connection.execute(
        "INSERT INTO sale (position, ordinal, sale_id, fuelling_id)"
        " VALUES (?, (SELECT sales FROM fuel_sums), ?, ?)",
        (position, body.sale_id, body.fuelling_id),
    )
    _key_used(connection, body.idempotency_key, position, body.fuelling_id)


def _refunded(connection: sqlite3.Connection, position: int, body: SaleRefunded) -> None:
    _moved_on(
        connection.execute(
            "UPDATE fuelling SET state = 'refunded', refunded = ?"
            " WHERE fuelling_id = ? AND state = 'settled'",
            (position, body.fuelling_id),
        ),
        body.fuelling_id,
    )
    _key_used(connection, body.idempotency_key, position, body.fuelling_id)


def _stored_value(connection: sqlite3.Connection, _position: int, body: StoredValueMoved) -> None:
    moved = connection.execute(
        "UPDATE account_spent SET spent_fen = spent_fen - ? WHERE account_ref = ?",
        (body.delta_fen, body.account_ref),
    )
    if moved.rowcount == 0:
        connection.execute(
            "INSERT INTO account_spent (account_ref, spent_fen) VALUES (?, ?)",
            (body.account_ref, -body.delta_fen),
        )


def _price_applied(connection: sqlite3.Connection, position: int, body: PriceApplied) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO applied_price (fp, position) VALUES (?, ?)", (body.fp, position)
    )


def _stop_all(connection: sqlite3.Connection, _position: int, body: StopAllOrdered) -> None:
    connection.execute("UPDATE forecourt_standing SET stop_all = ?", (int(body.active),))


def _totaliser_stands(connection: sqlite3.Connection, fp: int, totals: NozzleTotals) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO totaliser (fp, nozzle, volume_ml, amount_fen) VALUES (?, ?, ?, ?)",
        (fp, totals.nozzle, totals.volume_ml, totals.amount_fen),
    )


def _key_used(connection: sqlite3.Connection, key: str, position: int, fuelling_id: str) -> None:
    connection.execute(
        "INSERT INTO idempotency (key, position, fuelling_id) VALUES (?, ?, ?)",
        (key, position, fuelling_id),
    )


def _moved_on(cursor: sqlite3.Cursor, fuelling_id: str) -> None:
    invariant(cursor.rowcount == 1, f"fuelling {fuelling_id} is not in the state for this record")


# Each handler takes its own kind of body, which no type of a table of handlers can say.
_HANDLERS: Final[dict[type[RecordBody], Callable[[sqlite3.Connection, int, Any], None]]] = {
    FuellingAuthorised: _authorised,
    FuellingCancelled: _cancelled,
    FuellingCompleted: _completed,
    TotaliserJumped: _jumped,
    TotaliserBaseline: _baseline,
    SaleSettled: _settled,
    SaleRefunded: _refunded,
    StoredValueMoved: _stored_value,
    PriceApplied: _price_applied,
    StopAllOrdered: _stop_all,
}
PROJECTED_KINDS: Final = frozenset(body.kind for body in _HANDLERS)
"""Kinds of record that change a projection."""
