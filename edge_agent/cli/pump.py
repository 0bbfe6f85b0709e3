"""`edge-agent pump`: the forecourt through the local API."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from edge_agent.cli.answers import (
    JsonObject,
    as_object,
    number,
    number_or_none,
    objects,
    text,
    text_or,
)
from edge_agent.cli.invocation import FpArgument, JsonOption, api_of, group
from edge_agent.cli.speech import answer, language, say, talk
from edge_agent.cli.tables import litres, table, unit_price, yuan

app = group(say("The forecourt: see, release and stop pumps.", "加油机：查看、授权、停止。"))

STATES: Final = {
    "inoperative": "故障",
    "closed": "已关闭",
    "idle": "空闲",
    "calling": "提枪",
    "authorised": "已授权",
    "started": "已启动",
    "suspended_started": "启动后暂停",
    "fuelling": "加油中",
    "suspended_fuelling": "暂停",
    "offline": "离线",
}
FIGURE: Final = re.compile(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?")
"""More digits are typing errors; what a dispenser can preset the agent knows."""

LitresOption = Annotated[
    str | None,
    typer.Option("--litres", metavar="L", help=say("Stop at so many litres.", "定升，如 20.5。")),
]
YuanOption = Annotated[
    str | None,
    typer.Option("--yuan", metavar="Y", help=say("Stop at so many yuan.", "定额，如 200。")),
]


@app.command("list", help=say("List the fuelling points and what they do.", "列出油机及其状态。"))
def list_points(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the fuelling points."""
    points = _points(context)
    if as_json:
        answer({"fuelling_points": points})
        return
    reasons = _reasons(context, points)
    head = (
        say("FP", "油机"),
        say("Nozzles", "枪号"),
        say("State", "状态"),
        say("Litres", "升"),
        say("Yuan", "元"),
        say("To pay", "待付"),
        say("Why not", "不可授权原因"),
    )
    rows = [
        (
            str(number(point, "fp")),
            " ".join(_label(nozzle) for nozzle in objects(point.get("nozzles"))),
            state_word(text(point, "state")),
            litres(number(point, "volume_ml")),
            yuan(number(point, "amount_fen")),
            str(number(point, "unpaid")),
            reasons.get(text_or(point, "blocked", ""), ""),
        )
        for point in points
    ]
    print(table(head, rows, right=(0, 3, 4, 5)))


@app.command(help=say("Release a fuelling point for one fuelling.", "授权一次加油。"))
def authorise(
    context: typer.Context,
    fp: FpArgument,
    litres_text: LitresOption = None,
    yuan_text: YuanOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release a fuelling point."""
    if litres_text is not None and yuan_text is not None:
        raise typer.BadParameter(say("either --litres or --yuan", "--litres 与 --yuan 二选一"))
    body: dict[str, int] = {}
    if litres_text is not None:
        body["preset_volume_ml"] = whole(litres_text, 1000, "--litres")
    if yuan_text is not None:
        body["preset_amount_fen"] = whole(yuan_text, 100, "--yuan")
    begun = as_object(api_of(context).post(f"/v1/fuelling-points/{fp}/authorise", body))
    if as_json:
        answer({"fuelling_id": text(begun, "fuelling_id")})
    else:
        talk(say(f"Fuelling point {fp} is released.", f"{fp} 号油机已授权。"))
        print(text(begun, "fuelling_id"))


@app.command(help=say("End a fuelling, or take a release back.", "停止加油或取消授权。"))
def stop(context: typer.Context, fp: FpArgument) -> None:
    """Stop one fuelling point."""
    api_of(context).post(f"/v1/fuelling-points/{fp}/stop")
    talk(say(f"Fuelling point {fp} is stopped.", f"{fp} 号油机已停止。"))


@app.command("stop-all", help=say("STOP EVERYTHING, at once.", "全站停止，立即执行。"))
def stop_all(
    context: typer.Context,
    release: Annotated[
        bool,
        typer.Option("--release", help=say("Allow new fuellings again.", "解除全站停止。")),
    ] = False,
) -> None:
    """Stop every fuelling point without asking back, or allow new fuellings again."""
    api = api_of(context)
    if release:
        api.post("/v1/stop-all/release")
        talk(say("New fuellings are allowed again.", "已解除，可以重新授权。"))
    else:
        api.post("/v1/stop-all")
        talk(
            say(
                "Everything is stopped. `edge-agent pump stop-all --release` lifts it.",
                "全站已停止。解除：edge-agent pump stop-all --release",
            )
        )


@app.command(help=say("Totalisers as last recorded.", "各枪最近记录的泵码。"))
def totals(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the totalisers."""
    found = objects(api_of(context).get("/v1/totals"))
    if as_json:
        answer({"totals": found})
        return
    head = (say("Nozzle", "枪号"), say("FP", "油机"), say("Litres", "升"), say("Yuan", "元"))
    rows = [
        (
            str(number(total, "nozzle_number")),
            str(number(total, "fp")),
            litres(number(total, "volume_ml")),
            yuan(number_or_none(total, "amount_fen")),
        )
        for total in found
    ]
    print(table(head, rows, right=(0, 1, 2, 3)))


@app.command(help=say("Unit prices that the pumps confirmed.", "加油机已确认的单价。"))
def price(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the prices in force, nozzle by nozzle."""
    rows = [
        {
            "fp": number(point, "fp"),
            "nozzle_number": number(nozzle, "number"),
            "grade": text(nozzle, "grade"),
            "grade_name": text(nozzle, "grade_name"),
            "unit_price_milli": number_or_none(nozzle, "unit_price_milli"),
            "price_set": point.get("price_set"),
        }
        for point in _points(context)
        for nozzle in objects(point.get("nozzles"))
    ]
    if as_json:
        answer({"prices": rows})
        return
    head = (
        say("Nozzle", "枪号"),
        say("FP", "油机"),
        say("Grade", "油品"),
        say("Yuan/L", "元/升"),
        say("Price set", "价格批次"),
    )
    lines = [
        (
            str(number(row, "nozzle_number")),
            str(number(row, "fp")),
            text(row, "grade_name"),
            unit_price(number_or_none(row, "unit_price_milli")),
            text_or(row, "price_set"),
        )
        for row in rows
    ]
    print(table(head, lines, right=(0, 1, 3)))


def state_word(state: str) -> str:
    """Return a state of a fuelling point in the person's language."""
    return STATES.get(state, state) if language() == "zh" else state


def whole(typed: str, units: int, option: str) -> int:
    """Return a decimal figure that a person typed as a whole number of small units, exactly.

    Raises:
        typer.BadParameter: it is no figure, not positive, or finer than a unit.
    """
    found = FIGURE.fullmatch(typed)
    thousandths = int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0")) if found else 0
    figure, rest = divmod(thousandths * units, 1000)
    if figure == 0 or rest:
        told = say(f"'{typed}' is no such figure", f"“{typed}”不是有效数值")
        raise typer.BadParameter(told, param_hint=option)
    return figure


def _points(context: typer.Context) -> list[JsonObject]:
    return objects(as_object(api_of(context).get("/v1/station")).get("fuelling_points"))


def _reasons(context: typer.Context, points: list[JsonObject]) -> dict[str, str]:
    """Return the texts of the reasons why points may not be released, asked for only if needed."""
    if all(point.get("blocked") is None for point in points):
        return {}
    words = "text_zh" if language() == "zh" else "text_en"
    told = objects(api_of(context).get("/v1/problems"))
    return {text(reason, "code"): text(reason, words) for reason in told}


def _label(nozzle: JsonObject) -> str:
    return f"{number(nozzle, 'number')}:{text(nozzle, 'grade_name')}"
