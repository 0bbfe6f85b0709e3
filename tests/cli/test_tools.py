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


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "quote_case_refused"),
        (b"{}", "quote_case_refused"),
        (b"[" * 100_000, "quote_case_refused"),
        ("汽油".encode("gbk"), "case_unreadable"),
        ("{}".encode("utf-16"), "case_unreadable"),
    ],
)
def test_what_is_no_case_is_told(
    edge_agent: CommandLine, tmp_path: Path, content: bytes, code: str
) -> None:
    file = tmp_path / "case.json"
    file.write_bytes(content)
    ran = edge_agent("quote", str(file), "--json")
    assert (ran.code, ran.out, ran.err.split(":")[0]) == (1, "", code)
    assert "\n  : " not in ran.err
    if code == "case_unreadable":
        assert "case.json is not UTF-8: save it as UTF-8" in ran.err


def test_bytes_that_are_no_text_on_stdin_are_told(edge_agent: CommandLine) -> None:
    stdin = "汽油".encode("gbk").decode("utf-8", "surrogateescape")
    assert edge_agent("quote", "-", stdin=stdin).err.startswith("case_unreadable")
    assert edge_agent("policy", "check", "-", stdin=stdin).err.startswith("policy_unreadable")


def test_a_byte_order_mark_is_no_text(edge_agent: CommandLine, tmp_path: Path) -> None:
    policy = (ROOT / "config" / "policy.json").read_text(encoding="utf-8")
    (tmp_path / "policy.json").write_text(policy, encoding="utf-8-sig")
    case = json.loads(CASES[0].read_text(encoding="utf-8")) | {"policy": "policy.json"}
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case), encoding="utf-8-sig")
    assert edge_agent("quote", str(file)).code == 0
    assert edge_agent("quote", "-", stdin=f"\ufeff{json.dumps(case | {'policy': None})}").code == 0
    assert edge_agent("policy", "check", str(tmp_path / "policy.json")).code == 0


def test_reasons_are_told_to_the_end(edge_agent: CommandLine) -> None:
    silver = ROOT / "config" / "examples" / "quotes" / "silver-percent.json"
    ran = edge_agent("quote", str(silver))
    assert "(53.00 yuan more and it applies)" in ran.out
    assert "…" not in ran.out


def test_what_was_probably_not_meant_is_asked(edge_agent: CommandLine) -> None:
    case = json.loads(CASES[0].read_text(encoding="utf-8")) | {
        "policy": str(ROOT / "config" / "policy.json"), "member": {"tier": "glod"},
        "paying": None, "paid_otherwise_fen": 100,
    }  # fmt: skip
    case["fuelling"]["grade"] = "93"
    ran = edge_agent("quote", "-", "--json", stdin=json.dumps(case))
    assert ran.code == 0
    assert "member.tier: the policy has no tier 'glod'; nearest known is 'gold'" in ran.err
    assert [doubt.split(":")[0] for doubt in ran.json["doubts"]] == [
        "member.tier", "fuelling.grade", "paid_otherwise_fen",
    ]  # fmt: skip


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
