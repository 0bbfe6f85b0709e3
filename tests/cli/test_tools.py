"""Quote, plate, simulate, version: the tools that need no agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.cli.simulate import kinds
from edge_agent.model.plates import PlateColour
from edge_agent.vision.reader import PictureOut, ReadOut
from tests.cli.conftest import ROOT, CommandLine

CASES = sorted((ROOT / "config" / "examples" / "quotes").glob("*.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_quote_adds_up(edge_agent: CommandLine, case: Path) -> None:
    ran = edge_agent("quote", str(case), "--json")
    assert ran.code == 0
    taken_off = sum(line["amount_fen"] for line in ran.json["applied"])
    assert ran.json["payable_fen"] == ran.json["list_amount_fen"] - taken_off
    assert edge_agent("quote", str(case)).out.startswith("List")


def test_a_case_may_come_from_stdin(edge_agent: CommandLine) -> None:
    case = json.loads(CASES[0].read_text(encoding="utf-8"))
    case["policy"] = None
    ran = edge_agent("quote", "-", "--json", stdin=json.dumps(case))
    assert ran.json["payable_fen"] == ran.json["list_amount_fen"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", "quote_case_refused"),
        ('{"fuelling": 1}', "quote_case_refused"),
    ],
)
def test_a_malformed_case_is_refused(edge_agent: CommandLine, text: str, code: str) -> None:
    ran = edge_agent("quote", "-", stdin=text)
    assert (ran.code, ran.err.split(":")[0]) == (1, code)


def test_absent_files_are_told(edge_agent: CommandLine, tmp_path: Path) -> None:
    assert edge_agent("quote", "absent.json").err.startswith("case_unreadable")
    case = json.loads(CASES[0].read_text(encoding="utf-8")) | {"policy": "absent.json"}
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case), encoding="utf-8")
    assert edge_agent("quote", str(file)).err.startswith("policy_unreadable")


def test_plate_read_gives_a_line_for_each_picture(
    edge_agent: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = ReadOut(
        text="云A12345", colour=PlateColour.BLUE, confidence=0.98, box=(1, 2, 3, 4), confirmed=True
    )
    pictures = [
        PictureOut(file="a.jpg", plates=(plate,), ms=12.3),
        PictureOut(file="b.jpg", plates=(), ms=1.0, error="picture_malformed"),
    ]
    monkeypatch.setattr("edge_agent.vision.reader.read_images", lambda _: iter(pictures))
    ran = edge_agent("plate", "read", "a.jpg", "b.jpg", "--json")
    assert ran.code == 1
    assert ran.lines[0]["plates"][0]["text"] == "云A12345"
    assert ran.lines[1]["error"] == "picture_malformed"
    assert "picture_malformed" in edge_agent("plate", "read", "a.jpg", "b.jpg").out


@pytest.mark.parametrize(
    ("listed", "meant"),
    [(None, None), ("all", None), ("none", []), ("", []), ("kill, cut", ["kill", "cut"])],
)
def test_lists_of_faults(listed: str | None, meant: list[str] | None) -> None:
    assert kinds(listed) == meant


def test_simulate_answers_with_the_seeds_own_head(edge_agent: CommandLine) -> None:
    words = ("simulate", "--seed", "3", "--hours", "0.02", "--faults", "none", "--json")
    first, second = edge_agent(*words), edge_agent(*words)
    assert first.code == 0
    assert first.json["ok"] is True
    assert first.json["ledger_head"] == second.json["ledger_head"]
    assert {"seed", "hours", "sales", "faults", "violations", "seconds"} <= first.json.keys()


def test_simulate_refuses_unknown_faults(edge_agent: CommandLine) -> None:
    ran = edge_agent("simulate", "--faults", "meteor")
    assert ran.code == 2
    assert "meteor; known: noise, loss" in ran.err


def test_version(edge_agent: CommandLine) -> None:
    assert set(edge_agent("version", "--json").json) == {"version", "python"}
    assert edge_agent("version").out.startswith("edge-agent ")
