"""`edge-agent policy`: judge a policy, hold two beside each other, try one on past sales."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from edge_agent.cli.answers import JsonObject
from edge_agent.cli.invocation import JsonOption, books_of, group
from edge_agent.cli.quote import policy_text
from edge_agent.cli.speech import Exit, answer, language, say, talk
from edge_agent.cli.tables import clock_time, facts, litres, table, yuan

if TYPE_CHECKING:
    from pydantic import JsonValue

    from edge_agent.app.laboratory import OfferCost, Replay
    from edge_agent.model.policy import Breach, Change, Policy

MAX_DAYS: Final = 3660
MAX_PROCESSES: Final = 4
"""The pumps come first: a station's PC has few cores."""
_DAY_MS: Final = 86_400_000
_UNITS: Final = ("_fen", "_milli", "_ml", "_bp", "_ms")

FileArgument = Annotated[
    Path, typer.Argument(allow_dash=True, help=say("The policy; - is stdin.", "政策文件。"))
]

app = group(say("Policies: check, compare, try on past sales.", "政策：检查、比较、试算。"))


@app.command(help=say("Say everything that is wrong with a policy.", "检查政策。"))
def check(file: FileArgument, as_json: JsonOption = False) -> None:
    """Judge a policy by its form, the law and sense; exit code 1 when it must not come in force."""
    from edge_agent.model.policy import advice, examine_policy  # noqa: PLC0415

    found = examine_policy(policy_text(file))
    hints = [] if found.policy is None else advice(found.policy)
    version = None if found.policy is None else found.policy.version
    if as_json:
        answer(
            {
                "ok": found.ok,
                "version": version,
                "breaches": [_breach(each) for each in found.breaches],
                "advice": [_breach(each) for each in hints],
            }
        )
    else:
        _tell(found.breaches, say("refused", "不予采用"))
        _tell(hints, say("think over", "请留意"))
        verdict = say("sound", "可采用") if found.ok else say("NOT SOUND", "不可采用")
        of = "" if version is None else say(f", version {version}", f"，版本{version}")
        print(f"{verdict}{of}")
    if not found.ok:
        raise typer.Exit(Exit.FAILED)


def _breach(breach: Breach) -> JsonObject:
    return {
        "rule": breach.rule,
        "place": breach.place,
        "text_zh": breach.text_zh,
        "text_en": breach.text_en,
    }


def _tell(found: list[Breach] | tuple[Breach, ...], what: str) -> None:
    for breach in found:
        texts = (breach.text_en, breach.text_zh)
        first, second = texts if language() == "en" else texts[::-1]
        print(f"{what} [{breach.rule}] {breach.place}".rstrip() + f"\n  {first}\n  {second}")


@app.command(help=say("Print the JSON Schema of policies.", "输出政策的 JSON Schema。"))
def schema() -> None:
    """Print the JSON Schema of policies."""
    from edge_agent.model.policy import policy_schema  # noqa: PLC0415

    print(policy_schema())


@app.command(help=say("Tell what changed between two policies.", "比较两份政策。"))
def diff(old: FileArgument, new: FileArgument, as_json: JsonOption = False) -> None:
    """Tell what changed between two policies, field by field."""
    from edge_agent.model.policy import compared  # noqa: PLC0415

    before, after = _policy(old), _policy(new)
    changes = compared(before, after)
    if as_json:
        answer(
            {
                "old_version": before.version,
                "new_version": after.version,
                "changes": [
                    {"kind": each.kind, "place": each.place, "old": each.old, "new": each.new}
                    for each in changes
                ],
            }
        )
        return
    for change in changes:
        print(_in_words(change))
    if not changes:
        print(say("No difference.", "没有差别。"))


def _in_words(change: Change) -> str:
    named = [step for step in change.place.split(".") if step.endswith(_UNITS)]
    key = named[-1] if named else ""
    if change.kind == "added":
        return f"+ {change.place}: {_value(key, change.new)}"
    if change.kind == "removed":
        return f"- {change.place}: {_value(key, change.old)}"
    return f"~ {change.place}: {_value(key, change.old)} → {_value(key, change.new)}"


def _value(key: str, value: JsonValue) -> str:
    """Return a value as people write it; of an entry its text and what it consists of."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return _figure(key, value)
    if isinstance(value, dict):
        return _entry(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(key, each) for each in value) + "]"
    return str(value)


def _entry(value: dict[str, JsonValue]) -> str:
    """Return an entry in words: its text, then what it consists of."""
    offer = value.get("offer")
    fields = value if not isinstance(offer, dict) else {**offer, **value}
    words = [fields[key] for key in (f"text_{language()}", f"label_{language()}") if key in fields]
    parts = [
        f"{key} {_value(key, part)}"
        for key, part in fields.items()
        if part not in ({}, [])
        and key not in {"id", "code", "offer"}
        and not key.startswith(("text_", "label_"))
    ]
    return " · ".join([*map(str, words[:1]), *parts])


def _figure(key: str, value: int) -> str:
    if key.endswith("_fen"):
        return say(f"{yuan(value)} yuan", f"{yuan(value)}元")
    if key.endswith("_milli"):
        return say(f"{litres(value)} yuan/L", f"{litres(value)}元/升")
    if key.endswith("_ml"):
        return say(f"{litres(value)} L", f"{litres(value)}升")
    if key.endswith("_bp"):
        return f"{value / 100:g} %"
    return clock_time(value) if key.endswith("_ms") else str(value)


@app.command(help=say("What a policy would have cost on past sales.", "用过往销售试算政策。"))
def replay(
    context: typer.Context,
    file: FileArgument,
    days: Annotated[
        int, typer.Option(min=1, max=MAX_DAYS, help=say("How far back.", "回溯天数。"))
    ] = 90,
    as_json: JsonOption = False,
) -> None:
    """Price this station's own past sales under another policy; only sums are printed."""
    from edge_agent.app.laboratory import replay as replay_sales  # noqa: PLC0415
    from edge_agent.observe.clock import SystemClock  # noqa: PLC0415
    from edge_agent.store.past_sales import sales_since  # noqa: PLC0415

    text, path = policy_text(file), books_of(context)
    policy = _read(text, file)
    began = time.monotonic()
    since_ms = SystemClock().wall_ms() - days * _DAY_MS
    processes = min(len(os.sched_getaffinity(0)), MAX_PROCESSES)
    found = replay_sales(sales_since(path, since_ms), text, processes)
    if found.unreadable:
        talk(
            say(
                f"{found.unreadable} sales of an older version were left out.",
                f"{found.unreadable} 笔旧版本销售未计入。",
            )
        )
    if as_json:
        answer(_as_json(found, policy, days, time.monotonic() - began))
    else:
        _show(found, policy)


def _as_json(found: Replay, policy: Policy, days: int, seconds: float) -> JsonObject:
    return {
        "policy_version": policy.version,
        "days": days,
        "sales": found.sales,
        "member_sales": found.member_sales,
        "unreadable": found.unreadable,
        "first_ms": found.first_ms,
        "last_ms": found.last_ms,
        "list_amount_fen": found.list_amount_fen,
        "payable_fen": {"before": found.payable_before_fen, "after": found.payable_after_fen},
        "cost_fen": found.cost_fen,
        "points": {"before": found.points_before, "after": found.points_after},
        "cheaper_sales": found.cheaper_sales,
        "dearer_sales": found.dearer_sales,
        "offers": [
            {
                "offer": name,
                "sales": {"before": cost.sales_before, "after": cost.sales_after},
                "amount_fen": {"before": cost.fen_before, "after": cost.fen_after},
                "points": {"before": cost.points_before, "after": cost.points_after},
                "pieces": {"before": cost.pieces_before, "after": cost.pieces_after},
                "budget_fen": _budgets(policy).get(name),
            }
            for name, cost in _listed(found, policy)
        ],
        "seconds": round(seconds, 3),
    }


def _show(found: Replay, policy: Policy) -> None:
    span = f"{clock_time(found.first_ms)} – {clock_time(found.last_ms)}"
    print(
        facts(
            [
                (say("Sales", "销售"), f"{found.sales} ({span})"),
                (say("List", "原价"), yuan(found.list_amount_fen)),
                (say("Paid", "实付"), yuan(found.payable_before_fen)),
                (say("Would pay", "将付"), yuan(found.payable_after_fen)),
                (say("Costs more by", "多让利"), yuan(found.cost_fen)),
                (say("Points", "积分"), f"{found.points_before} → {found.points_after}"),
                (say("Cheaper sales", "更便宜"), str(found.cheaper_sales)),
                (say("Dearer sales", "更贵"), str(found.dearer_sales)),
            ]
        )
    )
    head = (
        say("Offer", "优惠"),
        say("Sales", "笔数"),
        say("then", "将有"),
        say("Yuan", "金额"),
        say("then", "将有"),
        say("Points", "积分"),
        say("then", "将有"),
    )
    rows = [
        (
            name,
            str(cost.sales_before),
            str(cost.sales_after),
            yuan(cost.fen_before),
            yuan(cost.fen_after),
            str(cost.points_before),
            str(cost.points_after),
        )
        for name, cost in _listed(found, policy)
    ]
    print()
    print(table(head, rows, right=(1, 2, 3, 4, 5, 6)))
    for name, budget_fen in _budgets(policy).items():
        if found.offer(name).fen_after > budget_fen:
            talk(
                say(
                    f"{name} would have spent more than its budget of {yuan(budget_fen)} yuan.",
                    f"{name} 将超出预算{yuan(budget_fen)}元。",
                )
            )


def _listed(found: Replay, policy: Policy) -> list[tuple[str, OfferCost]]:
    """Return the offers of the policy in its order, then those of the past that it dropped."""
    mine = [offer.id for _, offer in policy.all_offers()]
    gone = sorted(set(found.offers) - set(mine))
    automatic = {offer.id for offer in policy.offers}
    return [
        (name, found.offer(name))
        for name in (*mine, *gone)
        if name in found.offers or name in automatic
    ]


def _budgets(policy: Policy) -> dict[str, int]:
    budgets = ((o.id, getattr(o, "budget_fen", None)) for _, o in policy.all_offers())
    return {name: budget_fen for name, budget_fen in budgets if budget_fen is not None}


# --- files --------------------------------------------------------------------------------------


def _policy(file: Path) -> Policy:
    return _read(policy_text(file), file)


def _read(text: str, file: Path) -> Policy:
    from edge_agent.model.policy import load_policy  # noqa: PLC0415

    return load_policy(text, str(file))
