"""The command tree: help, languages, exit codes, and how quickly it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.cli.app import app
from edge_agent.cli.speech import language
from tests.cli.conftest import CommandLine
from tests.cli.tree import commands

HEAVY = {"cv2", "numpy", "fastapi", "paho", "pymodbus", "sqlite3", "asyncio", "rich"}
"""pydantic is not among them: typer itself reads options with it."""


def started(words: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    code = "from edge_agent.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_command_in_the_persons_language(tmp_path: Path) -> None:
    english = started(["--help"])
    chinese = started(["--help"], LANG="zh_CN.UTF-8")
    assert english.returncode == chinese.returncode == 0
    assert "Say what is wrong and what to do." in english.stdout
    assert "体检" in chinese.stdout
    for group in ("pump", "ledger", "sync", "config", "bus", "plate"):
        assert group in english.stdout


def test_every_command_says_what_it_does() -> None:
    for words, command in commands(app):
        assert command.help, words
        for parameter in command.params:
            if parameter.name not in {"context", "help", "target", "backup_file", "recording"}:
                assert getattr(parameter, "help", None) or parameter.name == "output", (
                    words,
                    parameter.name,
                )


def test_a_quick_command_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from edge_agent.cli.app import run_app\n"
        "try: run_app(['--root', sys.argv[1], 'pump', 'list'])\n"
        "except SystemExit as ended: print(ended.code)\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    exit_code, modules = ran.stdout.splitlines()
    assert exit_code == "3"
    assert not HEAVY & set(modules.split())


def test_unknown_words_are_a_mistake_in_use(edge_agent: CommandLine) -> None:
    assert edge_agent("pump", "fly").code == 2
    assert edge_agent("pump", "stop", "none").code == 2
    assert edge_agent("nothing").code == 2


def test_the_root_may_come_from_the_environment(tmp_path: Path) -> None:
    ran = started(["status"], EDGE_AGENT_ROOT=str(tmp_path))
    assert ran.returncode == 3
    assert f"--root {tmp_path}" in ran.stderr


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": ""}, "en"),
    ],
)
def test_language(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == expected


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`edge-agent config explain | head -1`."""
    code = "from edge_agent.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "config", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
