"""What every command is given: the paths of the station, and the options that commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_agent.cli.local_api import NOT_PERMITTED, LocalApi
from edge_agent.cli.speech import Exit, say, talk
from edge_agent.config.paths import StationPaths
from edge_agent.model.errors import BooksRefused, NotPermitted, Problem

NO_BOOKS = Problem(
    "books_absent",
    "这里没有账本：请用 --root 指定站点",
    "there are no books here: name the station with --root",
)

JsonOption = Annotated[bool, typer.Option("--json", help=say("Print JSON.", "输出 JSON。"))]
YesOption = Annotated[bool, typer.Option("--yes", help=say("Do it.", "确认执行。"))]
FpArgument = Annotated[
    int, typer.Argument(metavar="FP", min=1, max=9999, help=say("Fuelling point.", "油机号。"))
]


def group(help_text: str) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


def paths_of(context: typer.Context) -> StationPaths:
    """Return the paths that `--root` chose."""
    paths = context.obj
    if not isinstance(paths, StationPaths):
        raise TypeError("the command runs below the app, which chooses the paths")
    return paths


def api_of(context: typer.Context) -> LocalApi:
    """Return the client of the agent that runs under `--root`."""
    return LocalApi(paths_of(context))


def confirm(yes: bool, what: str) -> None:
    """Let a dangerous command go on only with --yes, or when a person types yes at a terminal."""
    if yes:
        return
    if sys.stdin.isatty():
        talk(what)
        talk(say("Type yes to go on:", "输入 yes 继续："))
        if sys.stdin.readline().strip().lower() == "yes":
            return
        talk(say("Nothing was done.", "未执行。"))
        raise typer.Exit(Exit.FAILED)
    talk(f"{what} {say('Add --yes to do it.', '加 --yes 执行。')}")
    raise typer.Exit(Exit.USAGE)


def books_of(context: typer.Context) -> Path:
    """Return the file of the station's books, which is there and may be read.

    Raises:
        BooksRefused: no agent ever wrote books under this root.
        NotPermitted: this user may not read them.
    """
    path = paths_of(context).ledger
    must_read(path)
    if not path.exists():
        raise BooksRefused(NO_BOOKS, str(path))
    return path


def must_read(path: Path) -> None:
    """Check that a file may be read, where what reads it would not say so itself.

    Raises:
        NotPermitted: this user may not.
    """
    try:
        with path.open("rb"):
            return
    except PermissionError as error:
        raise NotPermitted(NOT_PERMITTED, f"{path}: {error.strerror}") from error
    except OSError:
        return  # absent or broken: whoever reads it says what that means
