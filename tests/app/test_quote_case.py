"""`edge-agent quote`: the documented examples come out as documented; a wrong case says where."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app.quote_case import quote_case
from edge_agent.model.errors import PolicyRefused, SaleRefused

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "config" / "examples" / "quotes"
PAGE = (ROOT / "docs" / "pricing.md").read_text(encoding="utf-8")
DOCUMENTED = dict(re.findall(r"```json (\S+\.json)\n(.*?)```", PAGE, flags=re.DOTALL))


def priced(case: dict[str, Any], policy: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(quote_case(json.dumps(case), lambda _: policy))
    return answer


def case(**more: Any) -> dict[str, Any]:
    fuelling = {"grade": "92", "volume_ml": 10_000, "unit_price_milli": 7850}
    return {"fuelling": fuelling, "at": "2026-11-03T12:00:00+08:00"} | more


def test_every_example_is_documented() -> None:
    assert set(DOCUMENTED) == {path.name for path in EXAMPLES.glob("*.json")}


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_an_example_comes_out_as_documented(name: str) -> None:
    path = EXAMPLES / name
    text = quote_case(
        path.read_text(encoding="utf-8"),
        lambda policy: (path.parent / policy).read_text(encoding="utf-8"),
    )
    found, expected = json.loads(text), json.loads(DOCUMENTED[name])
    for kind in ("rejected", "benefits"):
        for line in expected.pop(kind, []):
            assert any(line.items() <= other.items() for other in found[kind]), line
    if expected.get("next_step"):
        step = expected.pop("next_step")
        assert step.items() <= found["next_step"].items()
    found["applied"] = [
        {key: line[key] for key in ("offer", "amount_fen")} for line in found["applied"]
    ]
    assert {key: found[key] for key in expected} == expected
    off = sum(line["amount_fen"] for line in found["applied"])
    assert found["payable_fen"] == found["list_amount_fen"] - off


def test_the_stable_keys_are_there_without_a_policy_too() -> None:
    assert priced(case()) == {
        "list_amount_fen": 7850,
        "payable_fen": 7850,
        "fuel_amount_fen": 7850,
        "goods": [],
        "applied": [],
        "rejected": [],
        "benefits": [],
        "points_earned": 0,
        "next_step": None,
        "policy_version": 0,
        "doubts": [],
    }


def test_a_policy_may_stand_in_the_case() -> None:
    offer = {
        "id": "x", "kind": "percent_off", "off_bp": 1000, "text_zh": "九折", "text_en": "10 %",
        "conditions": {"hours": [{"start": "12:00", "end": "12:01"}]},
    }  # fmt: skip
    policy = {"format": 1, "version": 3, "offers": [offer]}
    answer = priced(case(policy=policy))
    assert answer["applied"] == [
        {
            "offer": "x", "amount_fen": 785, "stage": "line", "coupon": None,
            "text": "九折", "text_en": "10 %",
        }
    ]  # fmt: skip
    elsewhere = priced(case(policy=policy, at="2026-11-03T12:00:00+07:00"))
    assert elsewhere["applied"], "the hour is the station's own, wherever that is"


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"fueling": {}}, "fueling"),
        ({"at": "2026-11-03T12:00:00"}, "at"),
        ({"member": {"teir": "gold"}}, "member.teir"),
        ({"fuelling": {"grade": "92", "volume_ml": -1, "unit_price_milli": 1}}, "volume_ml"),
        ({"fuelling": {"grade": "92", "volume_ml": 1.5, "unit_price_milli": 1}}, "volume_ml"),
        ({"goods": [{"good": "tyre"}]}, "tyre"),
        ({"coupons": [{"template": "x", "serial": "1"}] * 2}, "coupon"),
        ({"paying": "shells"}, "paying"),
        ({"plate_colour": "pink"}, "plate_colour"),
    ],
)
def test_a_wrong_case_names_the_place(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(SaleRefused) as caught:
        priced(case(**wrong))
    assert caught.value.problem.code == "quote_case_refused"
    assert place in caught.value.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[]", "Input should be an object"),
        ('{"fueling": 1}', "fueling: unknown key; nearest known is 'fuelling'"),
        ('{"member": {"teir": "x"}}', "member.teir: unknown key; nearest known is 'tier'"),
        ('{"coupons": [{"serail": "x"}]}', "coupons.0.serail: unknown key; nearest known is"),
        ('{"at": "2026-11-03T12:00:00"}', "at: the offset from UTC is missing, such as +08:00"),
        ('{"at": 1, "at": 2}', "the key 'at' stands twice in one table"),
    ],
)
def test_a_wrong_case_says_what_was_meant(text: str, said: str) -> None:
    with pytest.raises(SaleRefused) as caught:
        quote_case(text, lambda _: "")
    assert said in caught.value.detail


def test_a_wrong_policy_names_its_file() -> None:
    with pytest.raises(PolicyRefused) as caught:
        priced(case(policy="shop.json"), policy='{"format": 1}')
    assert "shop.json: version" in caught.value.detail


def test_all_facts_of_a_case_are_asked_about() -> None:
    texts = {"text_zh": "优惠", "text_en": "offer"}
    conditions = {
        "tags": ["night"], "birthday_week": True, "first_fill": True, "visit": {"number": 1},
        "stations": ["S1"], "plate_colours": ["green"], "tenders": ["bank_card"],
    }  # fmt: skip
    offer = texts | {
        "id": "all", "kind": "amount_off", "off_fen": 100, "budget_fen": 900,
        "conditions": conditions,
    }  # fmt: skip
    gift = texts | {"id": "gift", "kind": "free_item", "good": "map"}
    good = {"code": "map", "label_zh": "地图", "label_en": "map", "price_fen": 900}
    policy = {
        "format": 1, "version": 3, "offers": [offer], "goods": [good],
        "coupon_templates": [{"offer": gift, "valid_days": 9}],
        "tiers": [{"code": "t", "label_zh": "t", "label_en": "t"} | texts],
    }  # fmt: skip
    facts = {
        "member": {
            "tier": "t", "tags": ["night"], "birthday_week": True, "first_fill": True,
            "visit_number": 1,
        },
        "station": "S1", "plate_colour": "green", "paying": "bank_card", "budgets": {"all": 60},
        "goods": [{"good": "map", "pieces": 2}],
        "coupons": [
            {"template": "gift"},
            {"template": "gift", "valid_from": "2026-11-03T12:00:01+08:00"},
            {"template": "gift", "valid_until": "2026-11-03T12:00:00+08:00"},
        ],
    }  # fmt: skip
    answer = priced(case(policy=policy, **facts))
    assert (answer["list_amount_fen"], answer["payable_fen"]) == (7850 + 1800, 9590)
    assert [line["coupon"] for line in answer["benefits"]] == ["coupon-1"]
    refused = {line["coupon"]: line["reason"] for line in answer["rejected"]}
    assert refused == {"coupon-2": "not_yet", "coupon-3": "expired"}
    split = priced(case(policy=policy, **facts | {"paid_otherwise_fen": 100}))
    assert split["payable_fen"] == 7850 + 1800, "before the stage tender, all is paid by it"
