"""`edge-agent run`, `status`, `screen`, `version`: the station as a whole."""

from __future__ import annotations

import platform
from collections import Counter
from typing import Annotated

import typer

import edge_agent
from edge_agent.cli.answers import JsonObject, as_object, flag, number, objects, text, text_or
from edge_agent.cli.invocation import JsonOption, api_of, paths_of
from edge_agent.cli.pump import state_word
from edge_agent.cli.speech import Exit, answer, language, say, talk
from edge_agent.cli.tables import clock_time, facts
from edge_agent.model.errors import Problem, UnavailableError

PART_FAILED = Problem(
    "part_failed",
    "程序的一个部分反复失败，已停止；请查看日志",
    "a part of the agent failed for good, so it stopped; look at its log",
)

app = typer.Typer()


@app.command(help=say("Run the agent until it is told to stop.", "运行加油站程序。"))
def run(
    context: typer.Context,
    demo: Annotated[
        bool,
        typer.Option("--demo", help=say("Say everywhere that nothing is real.", "演示模式。")),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help=say("Log more.", "输出更多日志。"))
    ] = False,
) -> None:
    """Run the daemon in the foreground; SIGTERM and Ctrl-C stop it cleanly."""
    import logging  # noqa: PLC0415 - the daemon's parts load only where they run

    from edge_agent.app.supervisor import LoopFailed  # noqa: PLC0415
    from edge_agent.bootstrap import daemon  # noqa: PLC0415
    from edge_agent.observe.logs import configure  # noqa: PLC0415

    configure(logging.DEBUG if verbose else logging.INFO)
    try:
        daemon.run(paths_of(context), demo=demo)
    except LoopFailed as failed:
        raise UnavailableError(PART_FAILED, str(failed)) from failed


@app.command(
    help=say("Say how the station is; exit code 5 if degraded.", "站点状态；降级时退出码 5。")
)
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say how the station is."""
    found = summary(as_object(api_of(context).get("/v1/station")))
    if as_json:
        answer(found)
    else:
        print(facts(_lines(found)))
    if found["state"] != "ok":
        raise typer.Exit(Exit.DEGRADED)


@app.command(help=say("Let a screen in: print a link with a code.", "登记屏幕：输出一次性链接。"))
def screen(context: typer.Context, as_json: JsonOption = False) -> None:
    """Make a one-time code for one more attendants' screen."""
    api = api_of(context)
    made = as_object(api.post("/v1/enrolments", {}))
    link = api.address() + text(made, "path")
    valid_s = number(made, "valid_s")
    if as_json:
        answer({"url": link, "code": text(made, "code"), "valid_s": valid_s})
        return
    talk(
        say(
            f"Open this on the screen within {valid_s // 60} minutes; it works once.",
            f"请在 {valid_s // 60} 分钟内在屏幕上打开，仅可使用一次。",
        )
    )
    print(link)


@app.command(help=say("Print the version.", "显示版本。"))
def version(as_json: JsonOption = False) -> None:
    """Print the version of the agent and of Python."""
    found = {"version": edge_agent.__version__, "python": platform.python_version()}
    if as_json:
        answer(found)
    else:
        print(f"edge-agent {found['version']} (Python {found['python']})")


def summary(view: JsonObject) -> JsonObject:
    """Return what `status` says of a station's view."""
    problems = objects(view.get("problems"))
    points = objects(view.get("fuelling_points"))
    states = Counter(text(point, "state") for point in points)
    healthy = not problems and flag(view, "storage_ok")
    return {
        "state": "ok" if healthy else "degraded",
        "station": text(view, "station"),
        "name_zh": text(view, "name_zh"),
        "name_en": text(view, "name_en"),
        "version": text(view, "version"),
        "demo": flag(view, "demo"),
        "at_ms": number(view, "at_ms"),
        "problems": problems,
        "clock_trusted": flag(view, "clock_trusted"),
        "storage_ok": flag(view, "storage_ok"),
        "stop_all": flag(view, "stop_all"),
        "price_set": view.get("price_set"),
        "policy_version": view.get("policy_version"),
        "fuelling_points": dict(sorted(states.items())),
        "unpaid": len(objects(view.get("unpaid"))),
        "sync": as_object(view.get("sync")),
        "cameras": {
            text(camera, "camera"): text(camera, "health")
            for camera in objects(view.get("cameras"))
        },
    }


def _lines(found: JsonObject) -> list[tuple[str, str]]:
    sync = as_object(found.get("sync"))
    states = as_object(found.get("fuelling_points"))
    cameras = as_object(found.get("cameras"))
    connected = flag(sync, "connected")
    since = clock_time(number(sync, "since_ms"))
    link = say("online", "在线") if connected else say(f"OFFLINE since {since}", f"{since} 起离线")
    zh = language() == "zh"
    lines = [
        (say("Station", "站点"), f"{text(found, 'station')} {text(found, 'name_zh')}"),
        (say("State", "状态"), text(found, "state")),
        (say("Version", "版本"), text(found, "version") + (" DEMO" if flag(found, "demo") else "")),
        (
            say("Pumps", "油机"),
            ", ".join(f"{count} {state_word(state)}" for state, count in states.items()),
        ),
        (say("To pay", "待付款"), str(number(found, "unpaid"))),
        (say("HQ", "总部"), link),
        (
            say("Waiting", "待上传"),
            say(
                f"{number(sync, 'waiting_sales')} sales, {number(sync, 'waiting')} records",
                f"{number(sync, 'waiting_sales')} 笔销售，{number(sync, 'waiting')} 条记录",
            ),
        ),
        (say("Price set", "价格批次"), text_or(found, "price_set")),
    ]
    lines += [(say("Camera", "摄像头"), f"{name} {health}") for name, health in cameras.items()]
    lines += [
        (say("Problem", "问题"), f"{text(p, 'code')}: {text(p, 'text_zh' if zh else 'text_en')}")
        for p in objects(found.get("problems"))
    ]
    return lines
