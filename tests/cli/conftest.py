"""Command lines run in this process, against a root of their own."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli.app import run_app
from edge_agent.config.paths import StationPaths
from tests.api.fake_station import FakeStation, fake_station
from tests.cli.station_server import served

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs `edge-agent --root ROOT …`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = StationPaths.under(root)

    def __call__(self, *words: str, stdin: str = "") -> Ran:
        out, err, code = io.StringIO(), io.StringIO(), 0
        before = sys.stdin
        sys.stdin = io.StringIO(stdin)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                run_app(["--root", str(self.root), *words])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            sys.stdin = before
        return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


@pytest.fixture
def chinese(english: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


@pytest.fixture
def edge_agent(tmp_path: Path) -> CommandLine:
    """The command line of a root where no agent runs."""
    return CommandLine(tmp_path)


@pytest.fixture
def station() -> FakeStation:
    return fake_station()


@pytest.fixture
def running(edge_agent: CommandLine, station: FakeStation) -> Iterator[CommandLine]:
    """The command line of a root whose API answers."""
    with served(station, edge_agent.paths):
        yield edge_agent
