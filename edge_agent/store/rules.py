"""What the books refuse to write, judged inside the transaction that would write it.

Facts about fuel are refused only when they say a second time what was said; facts about money also
when there is nothing to pay for or nothing to pay with. Everything subtler (may this tender pay,
does the change add up) is `core.settlement`'s, which decides before the books are asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from edge_agent.core.leases import top_up_terms
from edge_agent.model.errors import SaleRefused
from edge_agent.model.member_code import CLOCK_ALLOWANCE_MS
from edge_agent.model.records import (
    BODIES,
    AssetMoved,
    FuellingAuthorised,
    FuellingCancelled,
    FuellingCompleted,
    LeaseClosed,
    LeasesTaken,
    MemberCodeUsed,
    PointsEarned,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StoredValueToppedUp,
    Tender,
)
from edge_agent.store import lease_rules
from edge_agent.store.movements import Moved, judge_refund, judge_sale
from edge_agent.store.refusals import refuse


@dataclass(frozen=True, slots=True)
class Moment:
    """What a record is judged by beside the projections."""

    now_ms: int
    """Its wall time, or the latest of any record before it (row S27)."""
    moved: Sequence[Moved] = ()
    """What is moved for it in the same append, when it is a sale or a refund."""


def judge(connection: sqlite3.Connection, body: RecordBody, moment: Moment) -> None:
    """Check one record against the projections as they stand, before it is written.

    Raises:
        SaleRefused: the record contradicts them; `problem.code` says how.
    """
    rule = _RULES.get(type(body))
    if rule is not None:
        rule(connection, body, moment)


def _authorised(connection: sqlite3.Connection, body: FuellingAuthorised, _moment: Moment) -> None:
    if _fuelling(connection, body.fuelling_id) is not None:
        raise refuse("fuelling_already_known", body.fuelling_id)


def _cancelled(connection: sqlite3.Connection, body: FuellingCancelled, _moment: Moment) -> None:
    found = _fuelling(connection, body.fuelling_id)
    if found is None:
        raise refuse("fuelling_unknown", body.fuelling_id)
    _still_open(found, body.fp, body.fuelling_id)


def _completed(connection: sqlite3.Connection, body: FuellingCompleted, _moment: Moment) -> None:
    if body.volume_ml < 0 or body.amount_fen < 0:
        raise refuse("figure_out_of_range", body.fuelling_id)
    found = _fuelling(connection, body.fuelling_id)
    if found is not None:
        _still_open(found, body.fp, body.fuelling_id)


def _still_open(found: tuple[int, str], fp: int, fuelling_id: str) -> None:
    known_fp, state = found
    if state == "cancelled":
        raise refuse("fuelling_cancelled", fuelling_id)
    if state != "open":
        raise refuse("fuelling_already_completed", fuelling_id)
    if known_fp != fp:
        raise refuse("fuelling_other_point", fuelling_id)


def _settled(connection: sqlite3.Connection, body: SaleSettled, moment: Moment) -> None:
    used, state, taken = connection.execute(
        "SELECT (SELECT position FROM idempotency WHERE key = ?),"
        " (SELECT state FROM fuelling WHERE fuelling_id = ?),"
        " EXISTS (SELECT 1 FROM sale WHERE sale_id = ?)",
        (body.idempotency_key, body.fuelling_id, body.sale_id),
    ).fetchone()
    if used is not None:
        raise _key_used(connection, used, body, "sale_already_settled")
    if state is None:
        raise refuse("fuelling_unknown", body.fuelling_id)
    if state != "payable":
        raise refuse(_NOT_PAYABLE[state], body.fuelling_id)
    if taken:
        raise refuse("sale_id_taken", body.sale_id)
    judge_sale(body, moment.moved)


_NOT_PAYABLE: Final = {
    "open": "fuelling_not_completed",
    "cancelled": "fuelling_cancelled",
    "zero": "fuelling_not_payable",
    "settled": "sale_already_settled",
    "refunded": "sale_already_settled",
}


def _refunded(connection: sqlite3.Connection, body: SaleRefunded, moment: Moment) -> None:
    used, state, position = connection.execute(
        "SELECT (SELECT position FROM idempotency WHERE key = ?),"
        " (SELECT state FROM fuelling WHERE fuelling_id = ?),"
        " (SELECT position FROM sale WHERE sale_id = ?)",
        (body.idempotency_key, body.fuelling_id, body.sale_id),
    ).fetchone()
    if used is not None:
        raise _key_used(connection, used, body, "sale_already_refunded")
    sale = None if position is None else _sale_at(connection, position)
    if sale is None or sale.fuelling_id != body.fuelling_id:
        raise refuse("sale_unknown", body.sale_id)
    if state != "settled":
        raise refuse("sale_already_refunded", body.sale_id)
    judge_refund(connection, position, sale, body, moment.moved)


def _sale_at(connection: sqlite3.Connection, position: int) -> SaleSettled:
    (text,) = connection.execute(
        "SELECT body FROM ledger WHERE position = ?", (position,)
    ).fetchone()
    return SaleSettled.model_validate_json(text)


def _taken(connection: sqlite3.Connection, body: LeasesTaken, _moment: Moment) -> None:
    lease_rules.judge_taken(connection, body.leases)


def _closed(connection: sqlite3.Connection, body: LeaseClosed, _moment: Moment) -> None:
    lease_rules.judge_closed(connection, body)


def _asset_moved(connection: sqlite3.Connection, body: AssetMoved, moment: Moment) -> None:
    lease_rules.judge_moved(connection, body, moment.now_ms)


def _earned(_connection: sqlite3.Connection, body: PointsEarned, _moment: Moment) -> None:
    if not body.points or (body.points < 0) != (body.reason == "refund"):
        raise refuse("figure_out_of_range", f"a {body.reason} of {body.points} points")


def _topped_up(connection: sqlite3.Connection, body: StoredValueToppedUp, _moment: Moment) -> None:
    used = connection.execute(
        "SELECT position FROM idempotency WHERE key = ?", (body.idempotency_key,)
    ).fetchone()
    if used is not None:
        raise _key_used(connection, used[0], body, "top_up_already_made")
    if body.amount_fen < 1:
        raise refuse("figure_out_of_range", f"a top-up of {body.amount_fen}")
    lease_rules.judge_taken(connection, [top_up_terms(body)])


def _code_used(connection: sqlite3.Connection, body: MemberCodeUsed, moment: Moment) -> None:
    known = connection.execute(
        "SELECT 1 FROM member_code WHERE nonce = ?", (body.nonce,)
    ).fetchone()
    if known is not None:
        raise refuse("member_code_used")
    if body.expires_ms + CLOCK_ALLOWANCE_MS <= moment.now_ms:
        raise refuse("member_code_expired")


_Keyed: TypeAlias = SaleSettled | SaleRefunded | StoredValueToppedUp


def _key_used(
    connection: sqlite3.Connection, position: int, body: _Keyed, same: str
) -> SaleRefused:
    """Return `same` when the key stands for this very request, a conflict when for another."""
    kind, text = connection.execute(
        "SELECT kind, body FROM ledger WHERE position = ?", (position,)
    ).fetchone()
    earlier = BODIES[kind].model_validate_json(text)
    if kind == body.kind and isinstance(earlier, _Keyed) and _wish(earlier) == _wish(body):
        return refuse(same, body.idempotency_key)
    return refuse("idempotency_conflict", body.idempotency_key)


def _wish(body: _Keyed) -> tuple[object, ...]:
    """Return what was asked for under a key, apart from the names that a retry makes anew."""
    if isinstance(body, StoredValueToppedUp):
        return body.account_ref, body.amount_fen, body.means
    return body.fuelling_id, *map(_means, body.tenders)


def _means(tender: Tender) -> tuple[object, ...]:
    return tender.means, tender.amount_fen, tender.account_ref, tender.points


def _fuelling(connection: sqlite3.Connection, fuelling_id: str) -> tuple[int, str] | None:
    found: tuple[int, str] | None = connection.execute(
        "SELECT fp, state FROM fuelling WHERE fuelling_id = ?", (fuelling_id,)
    ).fetchone()
    return found


# Each rule takes its own kind of body, which no type of a table of rules can say.
_RULES: Final[dict[type[RecordBody], Callable[[sqlite3.Connection, Any, Moment], None]]] = {
    FuellingAuthorised: _authorised,
    FuellingCancelled: _cancelled,
    FuellingCompleted: _completed,
    SaleSettled: _settled,
    SaleRefunded: _refunded,
    LeasesTaken: _taken,
    LeaseClosed: _closed,
    AssetMoved: _asset_moved,
    PointsEarned: _earned,
    StoredValueToppedUp: _topped_up,
    MemberCodeUsed: _code_used,
}
