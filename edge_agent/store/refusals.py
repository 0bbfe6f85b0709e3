"""Every reason for which the books refuse a record, by its stable code."""

from __future__ import annotations

from typing import Final

from edge_agent.core.leases import LEASE_INSUFFICIENT
from edge_agent.core.leases import PROBLEMS as LEASES
from edge_agent.model.errors import Problem, SaleRefused

PROBLEMS: Final = {
    problem.code: problem
    for problem in (
        Problem(
            "fuelling_already_known",
            "该加油流水号已存在",
            "a fuelling of this identity is in the books already",
        ),
        Problem("fuelling_unknown", "没有这笔加油", "no such fuelling is known here"),
        Problem(
            "fuelling_already_completed", "这笔加油已经结束", "this fuelling has completed already"
        ),
        Problem("fuelling_cancelled", "这笔授权已经取消", "this authorisation was cancelled"),
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
        Problem("sale_unknown", "账本中没有这笔销售", "the books know no such sale"),
        Problem("sale_id_taken", "该销售号已被使用，请重试", "another sale has this id: try again"),
        Problem("sale_already_refunded", "这笔销售已经退款", "this sale has been refunded already"),
        Problem(
            "refund_differs_from_sale",
            "退款与原销售不一致",
            "a refund gives back exactly what its sale took, each part to its source",
        ),
        Problem(
            "movements_unbalanced",
            "会员资产变动与销售不一致",
            "what is moved of members' assets is not what the sale says",
        ),
        Problem(
            "movement_without_sale",
            "会员资产变动没有对应的销售",
            "members' assets move only right after their sale or refund",
        ),
        Problem(
            "idempotency_conflict",
            "同一操作号对应了不同内容，请重新操作",
            "the same request key came with other content: start again",
        ),
        *(problem for code, problem in LEASES.items() if code != LEASE_INSUFFICIENT.code),
        Problem(
            "floor_not_allowed",
            "脱机限额只能用于储值余额",
            "beyond leases only a balance is charged, with the age of what is known",
        ),
        Problem(
            "top_up_already_made",
            "这笔充值已经完成，请勿重复收款",
            "this top-up has been made already: do not take money again",
        ),
        Problem(
            "member_code_used",
            "该会员码已使用，请刷新",
            "this code was used already: let the phone show a new one",
        ),
        Problem(
            "member_code_expired",
            "该会员码已过期，请刷新",
            "this code has expired: let the phone show a new one",
        ),
        Problem("figure_out_of_range", "数值超出范围", "a figure is out of range"),
    )
}
"""Every reason for which the books refuse a record, by its stable code."""


def refuse(code: str, detail: str = "") -> SaleRefused:
    """Return the error for one of the codes of `PROBLEMS`."""
    return SaleRefused(PROBLEMS[code], detail)
