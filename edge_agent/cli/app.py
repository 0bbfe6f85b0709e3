"""The command tree of `edge-agent`, and what becomes of errors that reach its top."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli import (
    bus,
    config,
    doctor,
    ledger,
    plate,
    policy,
    pump,
    quote,
    simulate,
    station,
    sync,
)
from edge_agent.cli.speech import Exit, complain, say
from edge_agent.config.paths import ROOT_VARIABLE, StationPaths
from edge_agent.model.errors import EdgeAgentError

app = typer.Typer(
    name="edge-agent",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (station, doctor, quote, simulate):
    app.add_typer(commands.app)
for name, noun in (
    ("pump", pump), ("sync", sync), ("ledger", ledger), ("config", config), ("bus", bus),
    ("plate", plate), ("policy", policy),
):  # fmt: skip
    app.add_typer(noun.app, name=name)


@app.callback(
    help=say(
        "The forecourt edge agent: runs a petrol station's pumps, prices, sales and plates.\n\n"
        "Examples: edge-agent status; edge-agent pump list --json; edge-agent doctor",
        "加油站边缘程序：油机、价格、销售与车牌。\n\n"
        "例：edge-agent status；edge-agent pump list --json；edge-agent doctor",
    )
)
def choose_root(
    context: typer.Context,
    root: Annotated[
        Path | None,
        typer.Option(
            envvar=ROOT_VARIABLE,
            metavar="DIR",
            help=say("Folder of the station; else /etc, /var, /run.", "站点目录；省略用系统目录。"),
        ),
    ] = None,
) -> None:
    """Choose where the station's files lie."""
    context.obj = StationPaths.under(root)


def run_app(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and end the process with its exit code."""
    try:
        app(args=arguments, prog_name="edge-agent")
    except EdgeAgentError as error:
        if isinstance(error.__cause__, BrokenPipeError):  # `… | head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(Exit.OK)
        sys.exit(complain(error))
