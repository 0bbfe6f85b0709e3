"""`edge-agent quote`: what one case costs, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.answers import JsonObject, as_object, number, objects, text
from edge_agent.cli.invocation import JsonOption
from edge_agent.cli.speech import language, say
from edge_agent.cli.tables import facts, table, yuan
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
    answered = quote_case(_case(file), lambda name: _policy(beside / name))
    if as_json:
        print(answered)
    else:
        print(_shown(as_object(json.loads(answered))))


def _case(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SaleRefused(CASE_UNREADABLE, f"{file}: {error}") from error


def _policy(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyRefused(POLICY_UNREADABLE, f"{path}: {error}") from error


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
        parts.append(table(head, rejected))
    if found.get("next_step") is not None:
        parts.append(text(as_object(found.get("next_step")), words))
    return "\n\n".join(parts)
