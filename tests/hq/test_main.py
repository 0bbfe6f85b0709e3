"""Headquarters' command line: answers in JSON, errors in words and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model.member_code import decode, signing_bytes
from edge_agent.security.signatures import TrustedKeys
from hq.__main__ import FAILED, USAGE, main
from hq.keys import HqKeys
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


MEMBER = {
    "ref": "m", "name": "李四", "tier": "silver", "account": "a", "cards": ["1"],
    "stations": ["S-1"], "set_aside_fen": {"S-1": 5}, "opening_fen": 400_000, "pin": "135790",
    "opening_points": [{"expires_ms": 4_102_444_800_000, "points": 500}],
    "tags": ["night"], "birthday_week": ["12-28", "01-03"],
    "rules": {"grades": ["92"], "hours": [[480, 1080]], "visits_per_day": 2, "pin": True},
}  # fmt: skip


def imported(root: Path, **more: object) -> int:
    """Import one member and a price set, and publish a policy."""
    content, policy = root / "content.json", root / "policy.json"
    price_set = {"id": "p", "valid_from_ms": 0, "prices": {"92": 1}}
    content.write_text(
        json.dumps({"members": [MEMBER | more], "price_sets": [price_set]}), encoding="utf-8"
    )
    voucher = {
        "offer": {
            "id": "voucher", "kind": "amount_off", "off_fen": 500, "text_zh": "券",
            "text_en": "off",
        },
        "valid_days": 9, "per_member": 2,
    }  # fmt: skip
    policy.write_text(json.dumps(json.loads(POLICY_1) | {"coupon_templates": [voucher]}))
    done = run(root, "import", str(content))
    return done or run(root, "policy", str(policy))


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_members_prices_and_policy_are_published_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(tmp_path) == 0
    assert answers(capsys) == [{"members": 1, "price_sets": 1}, {"policy": 1}]
    assert run(tmp_path, "policy", str(tmp_path / "policy.json")) == FAILED
    assert "the last one is 1" in capsys.readouterr().err


def test_row_v12_money_is_taken_in_up_to_the_legal_cap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path)
    assert run(tmp_path, "top-up", "--account", "a", "--fen", "100000") == 0
    assert answers(capsys)[-1] == {"held_fen": 500_000}
    for account, fen in (("a", "1"), ("a", "-5"), ("nobody's", "1")):
        assert run(tmp_path, "top-up", "--account", account, "--fen", fen) == FAILED
    assert run(tmp_path, "funds") == 0
    (funds,) = answers(capsys)
    assert funds["ok"]
    moved = [(line["asset"], line["reason"], line["amount"]) for line in funds["movements"]]
    assert moved == [
        ("balance", "opening", 400_000), ("balance", "top_up", 100_000), ("points", "opening", 500)
    ]  # fmt: skip


def test_coupons_are_handed_out_and_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path)
    give_out = ("issue-coupon", "--template", "voucher", "--channel", "WX")
    assert run(tmp_path, *give_out, "--member", "m") == 0
    assert run(tmp_path, *give_out, "--count", "2") == 0
    own, printed = (answer["serials"] for answer in answers(capsys)[-2:])
    assert run(tmp_path, "give-coupon", printed[0], "--member", "m") == 0
    assert run(tmp_path, "give-coupon", printed[1], "--member", "m") == FAILED
    assert run(tmp_path, "coupons", "m") == 0
    held = answers(capsys)[-1]["coupons"]
    assert [coupon["serial"] for coupon in held] == [*own, printed[0]]
    assert {coupon["state"] for coupon in held} == {"held"}
    for wrong in (("--member", "x"), ("--member", "m"), ("--channel", "wx")):
        assert run(tmp_path, *give_out, *wrong) in {FAILED, USAGE}


def test_a_member_is_locked_told_of_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path)
    assert run(tmp_path, "lock", "m", "--reason", "risk") == 0
    assert run(tmp_path, "unlock", "m") == 0
    assert run(tmp_path, "refresh") == 0
    assert run(tmp_path, "points", "m", "--lock", "200") == 0
    assert run(tmp_path, "leases", "--station", "S-1", "--recall", "nothing") == 0
    assert run(tmp_path, "remove", "m") == 0
    said = answers(capsys)[2:]
    assert said[0] == {"locked": "m", "reason": "risk"}
    assert said[1:3] == [{"unlocked": "m"}, {"members": 0}]
    assert (said[3]["reward"], said[3]["free"], said[3]["held"]) == (30, 300, 500)
    assert said[4:] == [{"leases": []}, {"removed": "m"}]
    for wrong in (("lock", "x"), ("unlock", "x"), ("lock", "m"), ("code", "m")):
        assert run(tmp_path, *wrong) == FAILED


def test_a_members_code_is_signed_by_headquarters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path)
    assert run(tmp_path, "code", "m") == 0
    found = decode(answers(capsys)[-1]["code"])
    keys = HqKeys.open(tmp_path / "keys")
    TrustedKeys({keys.key_id: keys.public}).verify(
        found.key_id, signing_bytes(found.code), found.signature
    )
    assert found.code.member_ref == "m"
    assert found.code.expires_ms - found.code.issued_ms == 120_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"pin": "12345"},
        {"pin": "12345a"},
        {"pin": "1" * 13},
        {"account": None},
        {"ref": "m" * 58},
        {"opening_fen": -1},
        {"cards": [""]},
        {"birthday_week": ["13-01", "01-01"]},
        {"opening_points": [{"expires_ms": 5, "points": 5}]},
        {"opening_points": [{"expires_ms": 4_102_444_800_000, "points": 0}]},
        {"limit_class": "No class"},
        {"locked": ""},
        {"granted_fen": {"S-1": 5}},
    ],
)
def test_a_senseless_member_is_refused_and_no_pin_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, object]
) -> None:
    assert imported(tmp_path, **wrong) == FAILED
    said = capsys.readouterr()
    assert said.err
    assert "135790" not in said.err
    assert "12345" not in said.err


def test_no_pin_is_in_the_books(tmp_path: Path) -> None:
    imported(tmp_path)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("hq.db*"))
    assert b"135790" not in stored
    assert b"$argon2id$v=19$m=65536,t=3,p=4$" in stored


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


def test_the_import_file_of_the_manual_is_taken(tmp_path: Path) -> None:
    manual = Path(__file__).parents[2] / "docs" / "hq.md"
    example = manual.read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0]
    file = tmp_path / "import.json"
    file.write_text(example, encoding="utf-8")
    assert run(tmp_path, "import", str(file)) == 0


def test_a_policy_may_come_from_any_editor_but_as_utf_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(POLICY_1, encoding="utf-8-sig")
    assert run(tmp_path, "policy", str(file)) == 0
    file.write_bytes("策略".encode("gbk"))
    assert run(tmp_path, "policy", str(file)) == FAILED
    assert capsys.readouterr().err == f"{file} is not UTF-8: save it as UTF-8\n"
