"""What the books refuse to write, judged inside the transaction that would write it.

Facts about fuel are refused only when they say a second time what was said; facts about money also
when there is nothing to pay for or nothing to pay with. Everything subtler (may this tender pay,
does the change add up) is `core.settlement`'s, which decides before the books are asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.records import (
    BODIES,
    FuellingAuthorised,
    FuellingCancelled,
    FuellingCompleted,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StoredValueMoved,
    Tender,
)

PROBLEMS: Final = {
    problem.code: problem
    for problem in (
        Problem(
            "fuelling_already_known",
            "该加油流水号已存在",
            "a fuelling of this identity is in the books already",
        ),
        Problem(
            "fuelling_unknown",
            "账本中没有这笔加油",
            "the books know no such fuelling",
        ),
        Problem(
            "fuelling_already_completed",
            "这笔加油已经结束",
            "this fuelling has completed already",
        ),
        Problem(
            "fuelling_cancelled",
            "这笔授权已经取消",
            "this authorisation was cancelled",
        ),
        Problem(
            "fuelling_other_point",
            "这笔加油属于另一个加油点",
            "this fuelling belongs to another fuelling point",
        ),
        Problem(
            "fuelling_not_completed",
            "加油尚未结束，不能结账",
            "the fuelling has not completed: it cannot be paid yet",
        ),
        Problem(
            "fuelling_not_payable",
            "没有出油，无需付款",
            "no fuel was delivered: there is nothing to pay",
        ),
        Problem(
            "sale_already_settled",
            "这笔加油已经付款，请勿重复收款",
            "this fuelling has been paid already: do not take money again",
        ),
        Problem(
            "sale_unknown",
            "账本中没有这笔销售",
            "the books know no such sale",
        ),
        Problem(
            "sale_id_taken",
            "该销售号已被使用，请重试",
            "another sale has this id: try again",
        ),
        Problem(
            "sale_already_refunded",
            "这笔销售已经退款",
            "this sale has been refunded already",
        ),
        Problem(
            "refund_exceeds_sale",
            "退回的储值超过了原来支付的金额",
            "more stored value would go back than the sale took",
        ),
        Problem(
            "idempotency_conflict",
            "同一操作号对应了不同内容，请重新操作",
            "the same request key came with other content: start again",
        ),
        Problem(
            "stored_value_insufficient",
            "储值余额不足，请换其他支付方式",
            "not enough stored value: take another means of payment",
        ),
        Problem(
            "stored_value_unbalanced",
            "储值变动与收款不一致",
            "the stored-value movements do not match the tenders",
        ),
        Problem(
            "figure_out_of_range",
            "数值超出范围",
            "a figure is out of range",
        ),
    )
}
"""Every reason for which the books refuse a record, by its stable code."""


def refuse(code: str, detail: str = "") -> SaleRefused:
    """Return the error for one of the codes of `PROBLEMS`."""
    return SaleRefused(PROBLEMS[code], detail)


def judge(connection: sqlite3.Connection, body: RecordBody) -> None:
    """Check one record against the projections as they stand, before it is written.

    Raises:
        SaleRefused: the record contradicts them; `problem.code` says how.
    """
    rule = _RULES.get(type(body))
    if rule is not None:
        rule(connection, body)


def judge_balance(bodies: Sequence[RecordBody]) -> None:
    """Check that the stored value moved in one append is what its sales and refunds took or gave.

    Raises:
        SaleRefused: `stored_value_unbalanced`.
    """
    due: dict[tuple[str, str, str], int] = {}

    def add(reason: str, sale_id: str, account: str, amount_fen: int) -> None:
        place = reason, sale_id, account
        due[place] = due.get(place, 0) + amount_fen

    for body in bodies:
        if isinstance(body, SaleSettled):
            for account, amount_fen in _stored_value(body.tenders).items():
                add("sale", body.sale_id, account, -amount_fen)
        elif isinstance(body, SaleRefunded):
            for account, amount_fen in _stored_value(body.tenders).items():
                add("refund", body.sale_id, account, amount_fen)
        elif isinstance(body, StoredValueMoved):
            add(body.reason, body.sale_id, body.account_ref, -body.delta_fen)
    if any(due.values()):
        raise refuse("stored_value_unbalanced")


def _stored_value(tenders: Sequence[Tender]) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for tender in tenders:
        if tender.means == "stored_value":
            account = tender.account_ref or ""
            amounts[account] = amounts.get(account, 0) + tender.amount_fen
    return amounts


def _authorised(connection: sqlite3.Connection, body: FuellingAuthorised) -> None:
    if _fuelling(connection, body.fuelling_id) is not None:
        raise refuse("fuelling_already_known", body.fuelling_id)


def _cancelled(connection: sqlite3.Connection, body: FuellingCancelled) -> None:
    found = _fuelling(connection, body.fuelling_id)
    if found is None:
        raise refuse("fuelling_unknown", body.fuelling_id)
    _still_open(found, body.fp, body.fuelling_id)


def _completed(connection: sqlite3.Connection, body: FuellingCompleted) -> None:
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


def _settled(connection: sqlite3.Connection, body: SaleSettled) -> None:
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


_NOT_PAYABLE: Final = {
    "open": "fuelling_not_completed",
    "cancelled": "fuelling_cancelled",
    "zero": "fuelling_not_payable",
    "settled": "sale_already_settled",
    "refunded": "sale_already_settled",
}


def _refunded(connection: sqlite3.Connection, body: SaleRefunded) -> None:
    used, state, sold = connection.execute(
        "SELECT (SELECT position FROM idempotency WHERE key = ?),"
        " (SELECT state FROM fuelling WHERE fuelling_id = ?),"
        " (SELECT body FROM ledger WHERE position ="
        "   (SELECT position FROM sale WHERE sale_id = ?))",
        (body.idempotency_key, body.fuelling_id, body.sale_id),
    ).fetchone()
    if used is not None:
        raise _key_used(connection, used, body, "sale_already_refunded")
    sale = None if sold is None else SaleSettled.model_validate_json(sold)
    if sale is None or sale.fuelling_id != body.fuelling_id:
        raise refuse("sale_unknown", body.sale_id)
    if state != "settled":
        raise refuse("sale_already_refunded", body.sale_id)
    taken = _stored_value(sale.tenders)
    for account, amount_fen in _stored_value(body.tenders).items():
        if amount_fen > taken.get(account, 0):
            raise refuse("refund_exceeds_sale", body.sale_id)


def _stored_value_moved(connection: sqlite3.Connection, body: StoredValueMoved) -> None:
    if body.delta_fen * (-1 if body.reason == "sale" else 1) < 0:
        raise refuse("figure_out_of_range", f"a {body.reason} of {body.delta_fen}")
    spent_fen, granted_fen = connection.execute(
        "SELECT coalesce((SELECT spent_fen FROM account_spent WHERE account_ref = ?1), 0),"
        " coalesce((SELECT granted_fen FROM accounts WHERE ref = ?1), 0)",
        (body.account_ref,),
    ).fetchone()
    if spent_fen < body.delta_fen:
        raise refuse("figure_out_of_range", "more given back than was ever taken")
    if body.delta_fen < 0 and spent_fen - body.delta_fen > granted_fen:
        raise refuse("stored_value_insufficient", body.account_ref)


def _key_used(
    connection: sqlite3.Connection, position: int, body: SaleSettled | SaleRefunded, same: str
) -> SaleRefused:
    """Return `same` when the key stands for this very request, a conflict when for another."""
    kind, text = connection.execute(
        "SELECT kind, body FROM ledger WHERE position = ?", (position,)
    ).fetchone()
    earlier = BODIES[kind].model_validate_json(text)
    asked = (body.fuelling_id, body.tenders)
    if kind == body.kind and asked == (
        getattr(earlier, "fuelling_id", None),
        getattr(earlier, "tenders", None),
    ):
        return refuse(same, body.sale_id)
    return refuse("idempotency_conflict", body.idempotency_key)


def _fuelling(connection: sqlite3.Connection, fuelling_id: str) -> tuple[int, str] | None:
    found: tuple[int, str] | None = connection.execute(
        "SELECT fp, state FROM fuelling WHERE fuelling_id = ?", (fuelling_id,)
    ).fetchone()
    return found


# Each rule takes its own kind of body, which no type of a table of rules can say.
_RULES: Final[dict[type[RecordBody], Callable[[sqlite3.Connection, Any], None]]] = {
    FuellingAuthorised: _authorised,
    FuellingCancelled: _cancelled,
    FuellingCompleted: _completed,
    SaleSettled: _settled,
    SaleRefunded: _refunded,
    StoredValueMoved: _stored_value_moved,
}
