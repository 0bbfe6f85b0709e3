"""`edge-agent policy`: judged, compared, tried on past sales; exit codes and both languages."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge_agent.store.database import connect_writer, prepare
from tests.app.test_laboratory import NIGHT, OLD, question, sold, with_offers
from tests.cli.conftest import ROOT, CommandLine

SAMPLE = str(ROOT / "config" / "policy.json")
DAY_MS = 86_400_000


@pytest.fixture
def raw() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(SAMPLE).read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(policy: dict[str, Any], name: str = "new.json") -> str:
        (tmp_path / name).write_text(json.dumps(policy), encoding="utf-8")
        return str(tmp_path / name)

    return write


# --- check --------------------------------------------------------------------------------------


def test_a_sound_policy_is_called_sound(edge_agent: CommandLine) -> None:
    ran = edge_agent("policy", "check", SAMPLE)
    assert ran.code == 0
    assert ran.out.endswith("sound, version 1\n")
    told = edge_agent("policy", "check", SAMPLE, "--json").json
    assert told["ok"] is True
    assert told["breaches"] == []
    assert {each["rule"] for each in told["advice"]} == {"margin_stack"}


def test_every_breach_is_told_in_both_languages(
    edge_agent: CommandLine, raw: dict[str, Any], written: Any
) -> None:
    raw["offers"][0]["off_bp"] = 4000
    raw["referral"] = {"levels": 0, "points_each": 5}
    file = written(raw)
    ran = edge_agent("policy", "check", file, "--json")
    assert ran.code == 1
    assert ran.json["ok"] is False
    rules = [each["rule"] for each in ran.json["breaches"]]
    assert rules[0] == "never_applies"
    assert set(rules) == {"never_applies", "margin_floor", "discount_limit"}
    assert all(
        set(each) == {"rule", "place", "text_zh", "text_en"} for each in ran.json["breaches"]
    )
    shown = edge_agent("policy", "check", file)
    assert shown.code == 1
    assert "refused [margin_floor] offers[0]\n  tier-silver sells Petrol 92 at 4.32" in shown.out
    assert "低于底价6.00元" in shown.out
    assert shown.out.endswith("NOT SOUND, version 1\n")


def test_an_unlawful_policy_has_no_version_to_speak_of(
    edge_agent: CommandLine, raw: dict[str, Any], written: Any
) -> None:
    raw["stored_value"] = {"named_cap_fen": 500_001}
    ran = edge_agent("policy", "check", written(raw), "--json")
    assert ran.code == 1
    assert ran.json["version"] is None
    assert [each["rule"] for each in ran.json["breaches"]] == ["prepaid_named_cap"]


def test_a_policy_comes_from_stdin_too(edge_agent: CommandLine) -> None:
    ran = edge_agent("policy", "check", "-", "--json", stdin='{"format": 1')
    assert ran.code == 1
    assert [each["rule"] for each in ran.json["breaches"]] == ["policy_malformed"]


def test_chinese_comes_first_where_it_is_spoken(
    edge_agent: CommandLine, chinese: None, raw: dict[str, Any], written: Any
) -> None:
    raw["referral"] = {"levels": 0, "points_each": 5}
    lines = edge_agent("policy", "check", written(raw)).out.splitlines()
    assert lines[:2] == [
        "不予采用 [never_applies] referral.points_each",
        "  推荐层级为零，推荐积分永远不会发放",
    ]
    assert lines[-1] == "不可采用，版本1"


def test_a_file_that_is_not_there_is_told(edge_agent: CommandLine) -> None:
    ran = edge_agent("policy", "check", "no-such.json")
    assert ran.code == 1
    assert "policy_unreadable" in ran.err


# --- schema and diff ----------------------------------------------------------------------------


def test_the_schema_is_the_published_one(edge_agent: CommandLine) -> None:
    published = (ROOT / "docs" / "policy.schema.json").read_text(encoding="utf-8")
    assert edge_agent("policy", "schema").out == published


def test_differences_are_told_in_words_and_as_data(
    edge_agent: CommandLine, raw: dict[str, Any], written: Any
) -> None:
    raw["version"] = 2
    raw["offers"][0]["off_bp"] = 250
    raw["offers"][5]["off_milli"] = 120
    raw["limits"]["price_floors_milli"]["92"] = 6100
    raw["unpaid_limit"] = 3
    raw["plate_pay"] = {"enabled": False}
    raw["offers"][6]["conditions"]["min_volume_ml"] = 5000
    raw["offers"][7]["conditions"]["valid_from_ms"] += DAY_MS
    gone, raw["offers"] = raw["offers"][3], raw["offers"][:3] + raw["offers"][4:]
    raw["offers"].append(NIGHT)
    file = written(raw)
    ran = edge_agent("policy", "diff", SAMPLE, file)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert "~ offers.tier-silver.off_bp: 2 % → 2.5 %" in lines
    assert "~ offers.night-92.off_milli: 0.10 yuan/L → 0.12 yuan/L" in lines
    assert "~ limits.price_floors_milli.92: 6.00 yuan/L → 6.10 yuan/L" in lines
    assert "~ unpaid_limit: 2 → 3" in lines
    assert "~ plate_pay.enabled: true → false" in lines
    assert "~ plate_pay.max_amount_fen: 500.00 yuan → 0.00 yuan" in lines
    assert "+ offers.spend-200-save-20.conditions.min_volume_ml: 5.00 L" in lines
    assert any(
        line.startswith("~ offers.national-day.conditions.valid_from_ms: 20") for line in lines
    )
    removed = next(line for line in lines if line.startswith("- "))
    assert removed.startswith(f"- offers.diesel-100-litres: {gone['text_en']} · ")
    assert "grades [0] · min_volume_ml 100.00 L" in removed
    assert any(line.startswith("+ offers.litre-10: 0.10 off a litre · ") for line in lines)
    told = edge_agent("policy", "diff", SAMPLE, file, "--json").json
    assert (told["old_version"], told["new_version"]) == (1, 2)
    assert len(told["changes"]) == len(lines)
    assert {
        "kind": "changed", "place": "offers.tier-silver.off_bp", "old": 200, "new": 250,
    } in told["changes"]  # fmt: skip


def test_coupon_templates_are_told_with_what_they_hand_out(
    edge_agent: CommandLine, raw: dict[str, Any], written: Any
) -> None:
    raw["coupon_templates"] = raw["coupon_templates"][1:]
    lines = edge_agent("policy", "diff", SAMPLE, written(raw)).out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(
        "- coupon_templates.spend-200-save-25: Coupon: spend 200, save 25 · "
    )
    assert "save_fen 25.00 yuan" in lines[0]
    assert lines[0].endswith("valid_days 30")


def test_a_policy_is_no_different_from_itself(edge_agent: CommandLine) -> None:
    assert edge_agent("policy", "diff", SAMPLE, SAMPLE).out == "No difference.\n"
    assert edge_agent("policy", "diff", SAMPLE, SAMPLE, "--json").json["changes"] == []


# --- replay -------------------------------------------------------------------------------------


@pytest.fixture
def books(edge_agent: CommandLine) -> list[str]:
    """Books with two sales of yesterday and one of half a year ago."""
    now_ms = time.time_ns() // 1_000_000
    sales = [
        (now_ms - 180 * DAY_MS, sold(question(15_700))),
        (now_ms - DAY_MS, sold(question(15_700))),
        (now_ms - DAY_MS, sold(question(15_700, "silver"))),
    ]
    edge_agent.paths.ledger.parent.mkdir(parents=True)
    with closing(connect_writer(edge_agent.paths.ledger, durable=False)) as writer:
        prepare(writer)
        writer.execute("INSERT INTO epoch (number, epoch, base, born_ms) VALUES (1, 7, 0, 0)")
        for number, (at_ms, body) in enumerate(sales, start=1):
            writer.execute(
                "INSERT INTO ledger VALUES (?, 7, ?, 'sale.settled', ?, ?, '', '')",
                (number, number, at_ms, body),
            )
    return [body for _, body in sales]


def test_past_sales_are_priced_again(
    edge_agent: CommandLine, books: list[str], written: Any
) -> None:
    new = with_offers(NIGHT | {"budget_fen": 300}, without=("tier-silver",))
    file = written(json.loads(new.model_dump_json(exclude_none=True)))
    ran = edge_agent("policy", "replay", file, "--json")
    assert ran.code == 0
    told = ran.json
    assert told.pop("seconds") >= 0
    offers = {line["offer"]: line for line in told.pop("offers")}
    at_ms = json.loads(books[0])["quote"]["at_ms"]
    assert told == {
        "policy_version": 2, "days": 90, "sales": 2, "member_sales": 1, "unreadable": 0,
        "first_ms": at_ms, "last_ms": at_ms, "list_amount_fen": 31_400,
        "payable_fen": {"before": 31_086, "after": 31_000}, "cost_fen": 86,
        "points": {"before": 153, "after": 155}, "cheaper_sales": 1, "dearer_sales": 1,
    }  # fmt: skip
    assert offers["litre-10"] == {
        "offer": "litre-10", "sales": {"before": 0, "after": 2},
        "amount_fen": {"before": 0, "after": 400}, "points": {"before": 0, "after": 0},
        "pieces": {"before": 0, "after": 0}, "budget_fen": 300,
    }  # fmt: skip
    assert offers["tier-silver"]["amount_fen"] == {"before": 314, "after": 0}
    assert "m-secret" not in ran.out
    assert edge_agent("policy", "replay", file, "--days", "365", "--json").json["sales"] == 3


def test_a_replay_is_shown_as_a_table(
    edge_agent: CommandLine, books: list[str], written: Any
) -> None:
    new = with_offers(NIGHT | {"budget_fen": 300}, without=("tier-silver",))
    ran = edge_agent(
        "policy", "replay", written(json.loads(new.model_dump_json(exclude_none=True)))
    )
    assert ran.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line}
    assert rows["Costs"] == ["more", "by", "0.86"]
    assert rows["litre-10"] == ["0", "2", "0.00", "4.00", "0", "0"]
    assert rows["tier-silver"] == ["1", "0", "3.14", "0.00", "0", "0"]
    assert "litre-10 would have spent more than its budget of 3.00 yuan" in ran.err


def test_sales_of_an_older_version_are_told_of(edge_agent: CommandLine, books: list[str]) -> None:
    with closing(connect_writer(edge_agent.paths.ledger, durable=False)) as writer:
        now_ms = time.time_ns() // 1_000_000
        writer.execute(
            "INSERT INTO ledger VALUES (4, 7, 4, 'sale.settled', ?, ?, '', '')",
            (now_ms, '{"sale_id": "x"}'),
        )
    ran = edge_agent("policy", "replay", SAMPLE)
    assert ran.code == 0
    assert "1 sales of an older version were left out" in ran.err


def test_a_replay_needs_books_and_a_policy(edge_agent: CommandLine, written: Any) -> None:
    assert edge_agent("policy", "replay", SAMPLE).code == 1
    assert edge_agent("policy", "replay", written({"format": 2})).code == 1
    assert edge_agent("policy", "replay", SAMPLE, "--days", "0").code == 2


def test_the_books_stay_as_they_are(edge_agent: CommandLine, books: list[str]) -> None:
    before = edge_agent.paths.ledger.read_bytes()
    assert edge_agent("policy", "replay", SAMPLE).code == 0
    assert edge_agent.paths.ledger.read_bytes() == before
    assert OLD.version == 1
