"""A wallet full of coupons is priced by looking at few combinations, at the limit as well."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_agent.core import combination
from edge_agent.core.promotions import quote
from edge_agent.model.ids import GradeId
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import CouponFacts, Quote, QuoteRequest
from edge_agent.model.units import Money, UnitPrice, Volume

COUPONS = 20
FUEL_FEN = 23_550


def _policy(**offer: Any) -> Policy:
    """Return a policy of so many templates, with 15 % off at most."""
    texts = {"text_zh": "券", "text_en": "voucher"}
    templates = [
        {
            "valid_days": 9,
            "offer": {
                "id": f"c{number:02d}",
                "kind": "amount_off",
                "off_fen": 500 + number,
                **texts,
                **offer,
            },
        }
        for number in range(COUPONS)
    ]
    content = {"format": 1, "version": 1, "limits": {"max_discount_bp": 1500}}
    return load_policy(json.dumps({**content, "coupon_templates": templates}))


def _priced(policy: Policy, templates: list[str]) -> Quote:
    coupons = tuple(
        CouponFacts(f"k{number:02d}", template, 0, 2_000_000_000_000 + number)
        for number, template in enumerate(templates)
    )
    request = QuoteRequest(
        GradeId("92"), Volume(30_000), Money(FUEL_FEN), UnitPrice(7_850), 1_793_548_800_000, 480,
        None, coupons=coupons,
    )  # fmt: skip
    return quote(request, policy)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes each combination that is looked at."""
    seen: list[int] = []
    reach = combination._reach

    def counted(hand: Any, forced: int, *others: Any) -> int | None:
        seen.append(forced)
        return reach(hand, forced, *others)

    monkeypatch.setattr(combination, "_reach", counted)
    return seen


def test_as_few_coupons_as_reach_the_limit_are_found_among_twenty(tried: list[int]) -> None:
    quoted = _priced(_policy(), [f"c{number:02d}" for number in range(COUPONS)])
    assert quoted.payable.fen == FUEL_FEN - FUEL_FEN * 1500 // 10_000
    used = [line.coupon for line in quoted.applied]
    # Seven take off 35.32; of those, the ones that expire soonest.
    assert len(used) == 7
    assert {"k00", "k01"} <= set(used)
    assert len(tried) < 100


def test_coupons_of_one_template_are_tried_as_one(tried: list[int]) -> None:
    quoted = _priced(_policy(), ["c03"] * COUPONS)
    assert [line.coupon for line in quoted.applied] == [f"k{number:02d}" for number in range(8)]
    assert len(tried) < 100


def test_coupons_that_exclude_one_another_are_not_tried_together(tried: list[int]) -> None:
    policy = _policy(stacks_with=[])
    quoted = _priced(policy, [f"c{number:02d}" for number in range(COUPONS)])
    assert [line.coupon for line in quoted.applied] == ["k19"]
    assert len(tried) < 100


def test_of_one_group_one_coupon_is_used(tried: list[int]) -> None:
    quoted = _priced(_policy(group="vouchers"), [f"c{number:02d}" for number in range(COUPONS)])
    assert [line.coupon for line in quoted.applied] == ["k19"]
    assert len(tried) < 100
