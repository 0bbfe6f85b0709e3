"""Two policies held beside each other: what was added, removed and changed, and nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.model.policy import Change, compared, load_policy

SAMPLE = Path(__file__).parents[2] / "config" / "policy.json"


@pytest.fixture
def raw() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return loaded


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    return compared(load_policy(json.dumps(old)), load_policy(json.dumps(new)))


def test_a_policy_is_like_itself_whatever_its_version_and_the_order_of_offers(
    raw: dict[str, Any],
) -> None:
    new = raw | {"version": 9, "offers": raw["offers"][::-1]}
    assert changes(raw, new) == []


def test_changes_are_named_by_offer_and_field(raw: dict[str, Any]) -> None:
    new = copy.deepcopy(raw)
    new["offers"][0]["off_bp"] = 250
    new["offers"][5]["conditions"]["hours"][0]["start"] = "21:00"
    new["offers"][6]["conditions"]["min_amount_fen"] = 21_000
    del new["offers"][6]["group"]
    new["limits"]["price_floors_milli"]["92"] = 6100
    new["coupon_templates"][0]["offer"]["save_fen"] = 2400
    assert changes(raw, new) == [
        Change("changed", "offers.tier-silver.off_bp", 200, 250),
        Change(
            "changed",
            "offers.night-92.conditions.hours",
            [{"start": "22:00", "end": "06:00"}],
            [{"start": "21:00", "end": "06:00"}],
        ),
        Change("removed", "offers.spend-200-save-20.group", "spend-save", None),
        Change("added", "offers.spend-200-save-20.conditions.min_amount_fen", None, 21_000),
        Change("changed", "coupon_templates.spend-200-save-25.offer.save_fen", 2500, 2400),
        Change("changed", "limits.price_floors_milli.92", 6000, 6100),
    ]


def test_offers_that_come_and_go_are_one_change_each(raw: dict[str, Any]) -> None:
    new = copy.deepcopy(raw)
    gone = new["offers"].pop(3)
    came = gone | {"id": "diesel-150-litres"}
    new["offers"].append(came)
    found = changes(raw, new)
    assert [(each.kind, each.place) for each in found] == [
        ("removed", "offers.diesel-100-litres"),
        ("added", "offers.diesel-150-litres"),
    ]
    assert isinstance(found[1].new, dict)
    assert found[1].new["off_milli"] == 150


def test_the_order_of_tiers_means_something(raw: dict[str, Any]) -> None:
    new = copy.deepcopy(raw)
    new["tiers"][0:2] = new["tiers"][1::-1]
    found = changes(raw, new)
    assert [(each.kind, each.place) for each in found] == [("changed", "tiers")]


def test_what_was_left_to_its_default_is_no_change(raw: dict[str, Any]) -> None:
    new = copy.deepcopy(raw)
    new["offers"][0]["priority"] = 100
    new["offers"][0]["group"] = "percent"
    assert changes(raw, new) == []
