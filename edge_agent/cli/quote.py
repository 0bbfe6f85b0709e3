"""`edge-agent quote`: what one case costs, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.answers import JsonObject, as_object, number, objects, strings, text
from edge_agent.cli.invocation import JsonOption
from edge_agent.cli.speech import language, say, talk
from edge_agent.cli.tables import facts, table, yuan
from edge_agent.cli.texts import read_text
from edge_agent.model.errors import PolicyRefused, Problem, SaleRefused

CASE_UNREADABLE = Problem(
    "case_unreadable", "算价文件无法读取", "the file of the case cannot be read"
)
POLICY_UNREADABLE = Problem(
    "policy_unreadable", "政策文件无法读取", "the file of the policy cannot be read"
)

app = typer.Typer()


@app.command(help=say("Price one case; - reads stdin.", "试算一笔；- 表示标准输入。"))
def quote(
    file: Annotated[Path, typer.Argument(allow_dash=True, help=say("The case.", "用例文件。"))],
    as_json: JsonOption = False,
) -> None:
    """Price one case: policy, member, fuelling, time."""
    from edge_agent.app.quote_case import quote_case  # noqa: PLC0415

    beside = Path() if str(file) == "-" else file.parent
    case = read_text(file, lambda why: SaleRefused(CASE_UNREADABLE, why))
    answered = quote_case(case, lambda name: policy_text(beside / name))
    found = as_object(json.loads(answered))
    for doubt in strings(found.get("doubts")):
        talk(f"{say('Is this meant?', '请核对：')} {doubt}")
    print(answered if as_json else _shown(found))


def policy_text(file: Path) -> str:
    """Return the text of a policy's file; `-` is stdin.

    Raises:
        PolicyRefused: it cannot be read.
    """
    return read_text(file, lambda why: PolicyRefused(POLICY_UNREADABLE, why))


def _shown(found: JsonObject) -> str:
    words = "text" if language() == "zh" else "text_en"
    goods = [
        (f"+ {text(line, 'good')} × {number(line, 'pieces')}", yuan(number(line, "amount_fen")))
        for line in objects(found.get("goods"))
    ]
    applied = [
        (f"- {yuan(number(line, 'amount_fen'))}", text(line, words))
        for line in objects(found.get("applied"))
    ]
    rejected = [
        (text(line, "offer"), text(line, "reason"), text(line, words))
        for line in objects(found.get("rejected"))
    ]
    given = [(say("Beside", "另赠"), text(line, words)) for line in objects(found.get("benefits"))]
    parts = [
        facts(
            [
                (say("List", "原价"), yuan(number(found, "list_amount_fen"))),
                *goods,
                *applied,
                (say("To pay", "应付"), yuan(number(found, "payable_fen"))),
                (say("Points", "积分"), str(number(found, "points_earned"))),
                *given,
            ]
        )
    ]
    if rejected:
        head = (say("Not applied", "未享受"), say("Reason", "原因"), "")
        parts.append(table(head, rejected, whole_last=True))
    if found.get("next_step") is not None:
        parts.append(text(as_object(found.get("next_step")), words))
    return "\n\n".join(parts)
