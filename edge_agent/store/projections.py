"""The projections: what each kind of record changes in the tables that the till and pumps ask.

One handler a kind. Handlers depend on the record, its place and the projections alone, never on
the clock, chance or catalogues, so that a rebuild from the ledger gives the same tables again. They
do not judge: `store.rules` has done so before a record is written.

Sums count completed fuellings in every payment state, and settled sales including those refunded
later: a refund is a record of its own, it does not unmake the sale.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from edge_agent.core.leases import top_up_terms
from edge_agent.model.errors import invariant
from edge_agent.model.records import (
    AssetMoved,
    EpochOpened,
    FuellingAuthorised,
    FuellingCancelled,
    FuellingCompleted,
    LeaseClosed,
    LeasesTaken,
    MemberCodeUsed,
    NozzleTotals,
    PriceApplied,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StopAllOrdered,
    StoredValueToppedUp,
    TotaliserBaseline,
    TotaliserJumped,
)
from edge_agent.store import leases, usage

PROJECTION_VERSION: Final = 4
"""Goes up with every change of what a handler writes; opening older books then rebuilds them."""

TABLES: Final = {
    "fuelling": "fuelling_id",
    "sale": "position",
    "idempotency": "key",
    "totaliser": "fp, nozzle",
    "applied_price": "fp",
    "standing": "id",
    "lease": "lease_id",
    "usage": "who, at_ms, sale",
    "odometer": "member_ref",
    "member_code": "nonce",
}
"""What a rebuild empties and fills again, each with its primary key."""

CODES_KEPT_MS: Final = 24 * 3_600_000
"""So long after its expiry a used code is remembered, by the times of later codes' records."""


def reset(connection: sqlite3.Connection) -> None:
    """Bring the projections to the state before the first record."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608  # names are our own
    connection.execute("INSERT INTO standing (id) VALUES (1)")


def pass_time(connection: sqlite3.Connection, at_ms: int) -> None:
    """Note the wall time of a record, before it is projected: the latest one counts (row S27)."""
    connection.execute("UPDATE standing SET latest_ms = ? WHERE latest_ms < ?", (at_ms, at_ms))


def project(connection: sqlite3.Connection, position: int, at_ms: int, body: RecordBody) -> None:
    """Apply a record to the projections, within the caller's transaction.

    Raises:
        CorruptionError: the record contradicts the projections; only a rebuild of a ledger that
            breaks its own rules can meet this.
    """
    handler = _HANDLERS.get(type(body))
    if handler is not None:
        handler(connection, Place(position, at_ms), body)


class Place(NamedTuple):
    """Where and when a record stands."""

    position: int
    at_ms: int


def _epoch_opened(connection: sqlite3.Connection, place: Place, _body: EpochOpened) -> None:
    # Nothing of before can be spent any more, so a clock that once ran ahead is forgiven here.
    leases.void_all(connection)
    connection.execute("UPDATE standing SET latest_ms = ?", (place.at_ms,))


def _authorised(connection: sqlite3.Connection, place: Place, body: FuellingAuthorised) -> None:
    connection.execute(
        "INSERT INTO fuelling (fuelling_id, fp, state, authorised) VALUES (?, ?, 'open', ?)",
        (body.fuelling_id, body.fp, place.position),
    )


def _cancelled(connection: sqlite3.Connection, _place: Place, body: FuellingCancelled) -> None:
    _moved_on(
        connection.execute(
            "UPDATE fuelling SET state = 'cancelled' WHERE fuelling_id = ? AND state = 'open'",
            (body.fuelling_id,),
        ),
        body.fuelling_id,
    )


def _completed(connection: sqlite3.Connection, place: Place, body: FuellingCompleted) -> None:
    # Fuel that flowed while no agent watched was never authorised here, so its row is new.
    _moved_on(
        connection.execute(
            "INSERT INTO fuelling (fuelling_id, fp, state, completed) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (fuelling_id) DO UPDATE"
            " SET state = excluded.state, completed = excluded.completed WHERE state = 'open'",
            (body.fuelling_id, body.fp, "payable" if body.volume_ml else "zero", place.position),
        ),
        body.fuelling_id,
    )
    connection.execute(
        "UPDATE standing SET fuellings = fuellings + 1, volume_ml = volume_ml + ?,"
        " amount_fen = amount_fen + ?",
        (body.volume_ml, body.amount_fen),
    )
    if body.odometer_km is not None and body.member_ref is not None:
        connection.execute(
            "INSERT OR REPLACE INTO odometer (member_ref, km) VALUES (?, ?)",
            (body.member_ref, body.odometer_km),
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


def _jumped(connection: sqlite3.Connection, _place: Place, body: TotaliserJumped) -> None:
    _totaliser_stands(connection, body.fp, body.after)


def _baseline(connection: sqlite3.Connection, _place: Place, body: TotaliserBaseline) -> None:
    _totaliser_stands(connection, body.fp, body.totals)


def _settled(connection: sqlite3.Connection, place: Place, body: SaleSettled) -> None:
    _moved_on(
        connection.execute(
            "UPDATE fuelling SET state = 'settled', settled = ?"
            " WHERE fuelling_id = ? AND state = 'payable'",
            (place.position, body.fuelling_id),
        ),
        body.fuelling_id,
    )
    connection.execute(
        "UPDATE standing SET sales = sales + 1, payable_fen = payable_fen + ?,"
        " member_sales = member_sales + ?, plate_sales = plate_sales + ?",
        (
            body.quote.payable_fen,
            int(body.member_ref is not None),
            int(body.plate_ref is not None),
        ),
    )
    connection.execute(
        "INSERT INTO sale (position, ordinal, sale_id, fuelling_id, at_ms, member_ref, plate_ref)"
        " SELECT ?, sales, ?, ?, latest_ms, ?, ? FROM standing",
        (
            place.position,
            body.sale_id,
            body.fuelling_id,
            body.member_ref,
            body.plate_ref,
        ),
    )
    _key_used(connection, body.idempotency_key, place.position, body.fuelling_id)
    usage.paid(connection, body)


def _refunded(connection: sqlite3.Connection, place: Place, body: SaleRefunded) -> None:
    _moved_on(
        connection.execute(
            "UPDATE fuelling SET state = 'refunded', refunded = ?"
            " WHERE fuelling_id = ? AND state = 'settled'",
            (place.position, body.fuelling_id),
        ),
        body.fuelling_id,
    )
    _key_used(connection, body.idempotency_key, place.position, body.fuelling_id)
    usage.paid_back(connection, body)


def _leases_taken(connection: sqlite3.Connection, _place: Place, body: LeasesTaken) -> None:
    for terms in body.leases:
        leases.open_lease(connection, terms)


def _lease_closed(connection: sqlite3.Connection, _place: Place, body: LeaseClosed) -> None:
    leases.close_lease(connection, body.lease_id)


def _asset_moved(connection: sqlite3.Connection, _place: Place, body: AssetMoved) -> None:
    if body.lease_id is None:
        usage.floor_moved(connection, body)
    else:
        leases.move(connection, body.lease_id, body)


def _topped_up(connection: sqlite3.Connection, place: Place, body: StoredValueToppedUp) -> None:
    leases.open_lease(connection, top_up_terms(body))
    _key_used(connection, body.idempotency_key, place.position, None)


def _code_used(connection: sqlite3.Connection, place: Place, body: MemberCodeUsed) -> None:
    connection.execute(
        "INSERT INTO member_code (nonce, expires_ms) VALUES (?, ?)", (body.nonce, body.expires_ms)
    )
    # What expired long ago is refused for that, so that nobody has to remember it.
    connection.execute(
        "DELETE FROM member_code WHERE expires_ms < ?", (place.at_ms - CODES_KEPT_MS,)
    )


def _price_applied(connection: sqlite3.Connection, place: Place, body: PriceApplied) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO applied_price (fp, position) VALUES (?, ?)",
        (body.fp, place.position),
    )


def _stop_all(connection: sqlite3.Connection, _place: Place, body: StopAllOrdered) -> None:
    connection.execute("UPDATE standing SET stop_all = ?", (int(body.active),))


def _totaliser_stands(connection: sqlite3.Connection, fp: int, totals: NozzleTotals) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO totaliser (fp, nozzle, volume_ml, amount_fen) VALUES (?, ?, ?, ?)",
        (fp, totals.nozzle, totals.volume_ml, totals.amount_fen),
    )


def _key_used(
    connection: sqlite3.Connection, key: str, position: int, fuelling_id: str | None
) -> None:
    connection.execute(
        "INSERT INTO idempotency (key, position, fuelling_id) VALUES (?, ?, ?)",
        (key, position, fuelling_id),
    )


def _moved_on(cursor: sqlite3.Cursor, fuelling_id: str) -> None:
    invariant(cursor.rowcount == 1, f"fuelling {fuelling_id} is not in the state for this record")


# Each handler takes its own kind of body, which no type of a table of handlers can say.
_HANDLERS: Final[dict[type[RecordBody], Callable[[sqlite3.Connection, Place, Any], None]]] = {
    EpochOpened: _epoch_opened,
    FuellingAuthorised: _authorised,
    FuellingCancelled: _cancelled,
    FuellingCompleted: _completed,
    TotaliserJumped: _jumped,
    TotaliserBaseline: _baseline,
    SaleSettled: _settled,
    SaleRefunded: _refunded,
    LeasesTaken: _leases_taken,
    LeaseClosed: _lease_closed,
    AssetMoved: _asset_moved,
    StoredValueToppedUp: _topped_up,
    MemberCodeUsed: _code_used,
    PriceApplied: _price_applied,
    StopAllOrdered: _stop_all,
}
PROJECTED_KINDS: Final = frozenset(body.kind for body in _HANDLERS)
"""Kinds of record that change a projection."""
