"""`edge-agent sync`: where the books stand with headquarters."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_agent.cli.answers import as_object, flag, number, number_or_none
from edge_agent.cli.invocation import JsonOption, api_of, group
from edge_agent.cli.speech import Exit, answer, say
from edge_agent.cli.tables import clock_time, facts

app = group(say("What headquarters has, and what still waits.", "与总部的同步。"))


@app.command(help=say("Say what waits; exit code 5 while offline.", "同步状态；离线时退出码 5。"))
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say where the books stand with headquarters."""
    sync = as_object(api_of(context).get("/v1/sync"))
    connected, fork = flag(sync, "connected"), flag(sync, "fork_alarm")
    if as_json:
        answer(sync)
    else:
        records, sales = number(sync, "waiting"), number(sync, "waiting_sales")
        lines = [
            (say("Link", "连接"), say("up", "正常") if connected else say("DOWN", "断开")),
            (say("Since", "自"), clock_time(number(sync, "since_ms"))),
            (say("Records waiting", "待上传记录"), str(records)),
            (say("Sales waiting", "待上传销售"), str(sales)),
            (
                say("Acknowledged", "已确认"),
                f"{number(sync, 'acked_seq')} / {number(sync, 'head_seq')}",
            ),
            (say("Last answer", "最近确认"), clock_time(number_or_none(sync, "last_ack_ms"))),
        ]
        if fork:
            lines.append(
                (say("ALARM", "警报"), say("ledger fork: call HQ", "账本分叉，请联系总部"))
            )
        print(facts(lines))
    if fork or not connected:
        raise typer.Exit(Exit.DEGRADED)


@app.command(help=say("Wait until headquarters has everything.", "等待全部上传完成。"))
def drain(
    context: typer.Context,
    timeout_s: Annotated[
        int,
        typer.Option("--timeout", min=0, max=60, help=say("Seconds to wait.", "最多等待秒数。")),
    ] = 30,
    as_json: JsonOption = False,
) -> None:
    """Wait until headquarters has acknowledged everything; exit code 1 if it has not."""
    api = api_of(context)
    asked = {"timeout_s": timeout_s}
    drained = as_object(api.post("/v1/sync/drain", asked, timeout_s=timeout_s + 10.0))
    done, waiting = flag(drained, "drained"), number(drained, "waiting")
    if as_json:
        answer({"drained": done, "waiting": waiting})
    elif done:
        print(say("Headquarters has everything.", "已全部上传。"))
    else:
        print(say(f"{waiting} records still wait.", f"还有 {waiting} 条记录待上传。"))
    if not done:
        raise typer.Exit(Exit.FAILED)
