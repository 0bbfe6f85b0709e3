"""`edge-agent config`: whether the configuration is right, and what its keys mean."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.invocation import JsonOption, group, paths_of
from edge_agent.cli.local_api import NOT_PERMITTED
from edge_agent.cli.speech import Exit, answer, complain, say, talk
from edge_agent.model.errors import ConfigRefused, NotPermitted, Problem

KEYS_UNWRITTEN = Problem(
    "keys_unwritten", "密钥文件夹无法写入", "the folder of the keys cannot be written"
)

app = group(say("The configuration: check it, explain it.", "配置：检查与说明。"))


@app.command(help=say("Say everything that is wrong.", "检查配置，列出全部错误。"))
def check(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help=say("Else the station's own.", "省略则用本站配置。"))
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration; exit code 1 if anything is wrong with it."""
    from edge_agent.bootstrap.buses import refused_buses  # noqa: PLC0415
    from edge_agent.config.loading import load_config  # noqa: PLC0415
    from edge_agent.config.paths import StationPaths  # noqa: PLC0415

    paths = paths_of(context)
    if file is not None:
        paths = StationPaths(file.absolute().parent, paths.keys, paths.var, paths.run, paths.root)
    path = file or paths.config
    errors: list[str] = []
    doubts: tuple[str, ...] = ()
    code = None
    try:
        loaded = load_config(path)
        doubts = loaded.doubts
        errors = [f"{path}: {refused}" for refused in refused_buses(loaded.config.plan(paths))]
        code = "bus_option_invalid" if errors else None
    except ConfigRefused as refused:
        errors, code = refused.detail.splitlines(), refused.problem.code
        if not as_json:
            complain(refused)
            raise typer.Exit(Exit.FAILED) from refused
    if as_json:
        answer(
            {"ok": not errors, "file": str(path), "code": code, "errors": errors,
             "doubts": list(doubts)}
        )  # fmt: skip
    else:
        for line in (*errors, *doubts):
            talk(line)
        if not errors:
            print(say(f"{path} is right.", f"{path} 配置正确。"))
    if errors:
        raise typer.Exit(Exit.FAILED)


@app.command(help=say("Say what a key means; all keys without one.", "说明配置项。"))
def explain(
    key: Annotated[
        str | None, typer.Argument(help=say("Such as buses.driver.", "如 buses.driver。"))
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain keys of the configuration."""
    from edge_agent.config.reference import explained  # noqa: PLC0415

    found = explained(key)
    if as_json:
        answer({"keys": [entry.as_json() for entry in found]})
        return
    print("\n\n".join(entry.as_text() for entry in found))


@app.command(help=say("Print the JSON Schema, for editors.", "输出 JSON Schema。"))
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from edge_agent.config.reference import schema as schema_of  # noqa: PLC0415

    answer(schema_of())


@app.command(
    help=say(
        "Give a member of staff a PIN, to confirm beside the attendant; takes effect at the next"
        " start.",
        "为员工设置确认密码，重启后生效。",
    )
)
def staff(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=say("As staff call one another.", "员工姓名。"))],
) -> None:
    """Enrol a member of staff in the key file; the PIN is asked for and never shown."""
    from edge_agent.config.loading import load_config  # noqa: PLC0415
    from edge_agent.security.pins import hash_pin  # noqa: PLC0415
    from edge_agent.security.staff import enrol  # noqa: PLC0415

    paths = paths_of(context)
    path = paths.key(load_config(paths.config).config.keys.staff)
    try:
        hashed = hash_pin(_asked_pin())
    except ValueError:
        talk(say("A PIN has 6 to 12 digits.", "密码须为6至12位数字。"))
        raise typer.Exit(Exit.USAGE) from None
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        enrol(path, name, hashed)
    except PermissionError as error:
        raise NotPermitted(NOT_PERMITTED, f"{path}: {error.strerror}") from error
    except OSError as error:
        raise ConfigRefused(KEYS_UNWRITTEN, f"{path}: {error.strerror}") from error
    talk(say(f"{name} may confirm after the next start.", f"{name} 重启后可以确认。"))


def _asked_pin() -> str:
    """Ask for a PIN twice without showing it; a script gives it as a line on stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    pin: str = typer.prompt(say("PIN", "密码"), hide_input=True, confirmation_prompt=True, err=True)
    return pin
