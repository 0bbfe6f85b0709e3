"""`edge-agent simulate`: a whole station in virtual time, with faults, checked to the last fen."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_agent.cli.invocation import JsonOption
from edge_agent.cli.speech import Exit, answer, say
from edge_agent.cli.tables import facts
from edge_agent.model.errors import ConfigRefused

app = typer.Typer()


@app.command(help=say("Run a station in virtual time.", "在虚拟时间中模拟整站。"))
def simulate(
    seed: Annotated[int, typer.Option(help=say("Same seed, same ledger.", "随机种子。"))] = 1,
    hours: Annotated[
        float, typer.Option(min=0.01, max=24 * 366, help=say("Virtual hours.", "虚拟小时数。"))
    ] = 1.0,
    faults: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help=say("Kinds with commas; all, or none.", "故障种类；all 或 none。")
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a station in virtual time; exit code 1 if anything was lost, doubled or invented."""
    from edge_agent.sim.run import as_json as outcome_as_json  # noqa: PLC0415
    from edge_agent.sim.run import simulate as run  # noqa: PLC0415

    try:
        outcome = run(seed, hours, kinds(faults))
    except ConfigRefused as error:
        raise typer.BadParameter(error.detail, param_hint="--faults") from error
    if as_json:
        answer(outcome_as_json(outcome))
    else:
        found = ", ".join(f"{count} {kind}" for kind, count in outcome.faults.items())
        lines = [
            (say("Seed", "种子"), str(outcome.seed)),
            (say("Hours", "小时"), f"{outcome.hours:g}"),
            (say("Sales", "销售"), str(outcome.sales)),
            (say("Faults", "故障"), found or "-"),
            (say("Ledger head", "账本末条"), outcome.ledger_head[:16]),
            (say("Seconds", "用时"), f"{outcome.seconds:g}"),
        ]
        lines += [(say("VIOLATION", "违规"), violation) for violation in outcome.violations]
        print(facts(lines))
    if not outcome.ok:
        raise typer.Exit(Exit.FAILED)


def kinds(listed: str | None) -> list[str] | None:
    """Return the kinds of faults that a list with commas names; None stands for all."""
    if listed is None or listed.strip() == "all":
        return None
    if listed.strip() in {"", "none"}:
        return []
    return [word.strip() for word in listed.split(",") if word.strip()]
