"""Tiers are the owner's: another threshold, another table, one tier more are data alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.core.promotions import quote
from edge_agent.model.policy import Policy, accept_policy
from tests.core.offers import applied, request

SAMPLE = Path(__file__).parents[2] / "config" / "policy.json"


@pytest.fixture
def changed() -> Callable[[dict[str, Any]], Policy]:
    """Return the sample with other tables, accepted as headquarters would."""

    def change(tables: dict[str, Any]) -> Policy:
        raw = json.loads(SAMPLE.read_text(encoding="utf-8"))
        return accept_policy(json.dumps(raw | {"coupon_templates": []} | tables))

    return change


def tier(code: str, reached_at_fen: int) -> dict[str, Any]:
    texts = {"text_zh": code, "text_en": code, "greeting_zh": "您好", "greeting_en": "Hello"}
    return texts | {
        "code": code, "label_zh": code, "label_en": code, "reached_at_fen": reached_at_fen,
    }  # fmt: skip


def offer(code: str, **what: Any) -> dict[str, Any]:
    texts = {"id": f"tier-{code}", "text_zh": code, "text_en": code}
    return texts | {"conditions": {"tiers": [code]}} | what


def test_row_m4_the_owner_sets_golds_threshold_and_what_tiers_pay(
    changed: Callable[[dict[str, Any]], Policy],
) -> None:
    tiers = [tier("regular", 0), tier("gold", 600_000), tier("diamond", 1_500_000)]
    policy = changed(
        {
            "tiers": tiers,
            "offers": [
                offer("gold", kind="percent_off", off_bp=500),
                offer("diamond", kind="percent_off", off_bp=700),
            ],
        }
    )
    assert [each.reached_at_fen for each in policy.tiers] == [0, 600_000, 1_500_000]
    assert quote(request(20_000, tier="gold"), policy).payable.fen == 19_000
    assert quote(request(20_000, tier="diamond"), policy).payable.fen == 18_600
    assert quote(request(20_000, tier="regular"), policy).payable.fen == 20_000


def test_row_m14_three_tiers_with_a_discount_and_a_car_wash(
    changed: Callable[[dict[str, Any]], Policy],
) -> None:
    policy = changed(
        {
            "tiers": [tier("regular", 0), tier("platinum", 300_000), tier("diamond", 900_000)],
            "offers": [
                offer("regular", kind="percent_off", off_bp=100),
                offer("platinum", kind="free_item", good="car-wash"),
            ],
        }
    )
    assert applied(quote(request(20_000, tier="regular"), policy)) == {"tier-regular": 200}
    washed = quote(request(20_000, tier="platinum"), policy)
    assert washed.payable.fen == 20_000
    assert [(line.good, line.pieces) for line in washed.benefits] == [("car-wash", 1)]
    assert quote(request(20_000, tier="diamond"), policy).benefits == ()


def test_row_m15_a_black_card_on_top_is_one_entry_more(
    changed: Callable[[dict[str, Any]], Policy],
) -> None:
    raw = json.loads(SAMPLE.read_text(encoding="utf-8"))
    policy = changed(
        {
            "tiers": [*raw["tiers"], tier("black", 5_000_000)],
            "offers": [*raw["offers"], offer("black", kind="percent_off", off_bp=600)],
        }
    )
    assert applied(quote(request(15_000, tier="black"), policy)) == {"tier-black": 900}
    assert applied(quote(request(15_000, tier="gold"), policy)) == {"tier-gold": 450}
