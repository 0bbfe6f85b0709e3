"""Headquarters' command line: answers in JSON, errors in words and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hq.__main__ import FAILED, USAGE, main
from tests.hq_kit import POLICY_1


def run(root: Path, *arguments: str) -> int:
    command, *rest = arguments
    return main([command, "--root", str(root), "--json", *rest])


def test_an_empty_headquarters_has_an_empty_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "summary") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"stations": {}, "alarms": [], "parked": 0}
    assert said.err == ""


def test_members_prices_and_policy_are_published_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, policy = tmp_path / "content.json", tmp_path / "policy.json"
    content.write_text(
        '{"members":[{"ref":"m","name":"李四","tier":"silver","account":"a","cards":["1"],'
        '"granted_fen":{"S-1":5}}],"price_sets":[{"id":"p","valid_from_ms":0,"prices":{"92":1}}]}',
        encoding="utf-8",
    )
    policy.write_text(POLICY_1, encoding="utf-8")
    assert run(tmp_path, "import", str(content)) == 0
    assert run(tmp_path, "policy", str(policy)) == 0
    assert run(tmp_path, "top-up", "--account", "a", "--station", "S-1", "--fen", "7") == 0
    assert run(tmp_path, "remove", "m") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers == [
        {"members": 1, "price_sets": 1},
        {"policy": 1},
        {"granted_fen": 12},
        {"removed": "m"},
    ]
    assert run(tmp_path, "policy", str(policy)) == FAILED
    assert "the last one is 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"member":[]}',
        '{"members":[{"ref":"m"}]}',
        '{"price_sets":[{"id":"p","valid_from_ms":0,"prices":{"92":7.85}}]}',
        '{"price_sets":[{"id":"p","valid_from_ms":0,"prices":{}}]}',
    ],
)
def test_a_wrong_file_is_refused_as_a_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "content.json"
    file.write_text(content, encoding="utf-8")
    assert run(tmp_path, "import", str(file)) == FAILED
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--broker", "nowhere"),
        ("--broker", "broker.example:1883"),
        ("--broker", "broker.example:8883", "--ca", "x"),
        ("--broker", "127.0.0.1:1", "--key", "x"),
    ],
)
def test_a_broker_that_may_not_be_used_is_a_usage_error(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert run(tmp_path, "serve", *arguments) == USAGE


def test_missing_files_are_failures(tmp_path: Path) -> None:
    assert run(tmp_path, "import", str(tmp_path / "none")) == FAILED
    assert run(tmp_path, "provision", "--out", str(tmp_path / "s")) == 0
    assert run(tmp_path, "provision", "--out", str(tmp_path / "s")) == FAILED
