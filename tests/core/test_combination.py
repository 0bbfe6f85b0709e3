"""The best legal combination, by hand and against trying every one of them."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core.promotions import quote
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import BudgetFacts, Paying, Quote, QuoteRequest
from edge_agent.model.units import Money
from tests.core.brute_force import expected
from tests.core.offers import (
    TUESDAY_NOON_MS,
    amount_off,
    applied,
    coupon,
    fluid,
    per_litre,
    percent,
    policy,
    reasons,
    request,
    spend_save,
)
from tests.core.price_cases import random_case

LATER = TUESDAY_NOON_MS + 86_400_000


def test_row_c8_percent_offers_exclude_one_another_and_the_larger_wins() -> None:
    answer = quote(request(10_000), policy(percent("a", 200), percent("b", 500)))
    assert applied(answer) == {"b": 500}
    assert reasons(answer) == {"a": ("group_taken", None)}


def test_row_c8_percent_stacks_with_spend_and_save() -> None:
    answer = quote(
        request(31_400), policy(percent("gold", 300), spend_save("200-20", 20_000, 2000))
    )
    assert applied(answer) == {"gold": 942, "200-20": 2000}
    assert answer.payable.fen == 28_458


def test_a_percentage_is_left_out_when_it_would_cost_the_larger_saving() -> None:
    answer = quote(
        request(20_300), policy(percent("gold", 300), spend_save("200-20", 20_000, 2000))
    )
    assert applied(answer) == {"200-20": 2000}
    assert reasons(answer) == {"gold": ("not_best", None)}


def test_of_two_line_offers_only_the_one_that_must_go_is_left_out() -> None:
    rules = policy(
        per_litre("a-litre", 40), percent("gold", 300), spend_save("200-20", 20_000, 2000)
    )
    answer = quote(request(20_300), rules)
    assert applied(answer) == {"a-litre": 103, "200-20": 2000}


def test_equals_are_decided_by_the_lowest_id() -> None:
    rules = policy(per_litre("b", 100, group="g"), per_litre("a", 100, group="g"))
    assert list(applied(quote(request(10_000), rules))) == ["a"]


def test_equal_totals_of_different_offers_are_decided_by_the_lowest_id() -> None:
    """10 off now and no saving, or the saving of 10 and nothing off: the same total."""
    first = policy(percent("a", 100), spend_save("b", 10_000, 100))
    second = policy(percent("b", 100), spend_save("a", 10_000, 100))
    assert applied(quote(request(10_000), first)) == {"a": 100}
    assert applied(quote(request(10_000), second)) == {"a": 100}


def test_many_offers_are_weighed_exactly() -> None:
    """Nine line offers around a threshold: the same total as trying all 1,024 choices."""
    lines = [per_litre(f"l{n:02}", 3 + n * n % 17) for n in range(9)]
    rules = policy(*lines, spend_save("z", 20_000, 600, stepwise=True))
    asked = request(20_150)
    assert quote(asked, rules).payable.fen == expected(asked, rules).payable_fen


def test_row_c27_the_best_of_a_purse_of_coupons_is_found() -> None:
    """Two small vouchers beat the large one, which stands alone."""
    rules = policy(
        templates=[
            amount_off("alone", 1500, stacks_with=[]),
            amount_off("ten", 1000),
            spend_save("spend", 20_000, 600),
        ]
    )
    held = (coupon("1", "alone"), coupon("2", "ten"), coupon("3", "spend"))
    answer = quote(replace(request(20_000), coupons=held), rules)
    assert applied(answer) == {"spend#3": 600, "ten#2": 1000}
    assert reasons(answer) == {"alone#1": ("not_stackable", None)}


def test_stacking_takes_the_consent_of_both() -> None:
    trusting = per_litre("a-trusting", 100)
    one_sided = policy(trusting, percent("b", 500, group=None, stacks_with=["c"]))
    assert list(applied(quote(request(10_000), one_sided))) == ["b"]
    mutual = policy(trusting, percent("b", 500, group=None, stacks_with=["a-trusting"]))
    assert list(applied(quote(request(10_000), mutual))) == ["a-trusting", "b"]
    by_group = policy(
        per_litre("a", 100, group="litres", stacks_with=["percent"]),
        percent("b", 500, stacks_with=["litres"]),
    )
    assert list(applied(quote(request(10_000), by_group))) == ["a", "b"]


def test_what_takes_nothing_off_blocks_nothing() -> None:
    rules = policy(
        percent("a", 500), spend_save("b", 10**7, 1000, stacks_with=[]), per_litre("c", 100)
    )
    assert list(applied(quote(request(10_000), rules))) == ["a", "c"]


def test_row_v4_of_equal_coupons_the_one_that_expires_soonest_is_used() -> None:
    rules = policy(templates=[amount_off("ten", 1000, group="voucher")])
    held = (coupon("1", "ten", LATER + 1), coupon("3", "ten", LATER), coupon("2", "ten", LATER))
    answer = quote(replace(request(10_000), coupons=held), rules)
    assert applied(answer) == {"ten#2": 1000}
    assert [line.coupon for line in answer.rejected] == ["1", "3"]


def test_no_coupon_is_used_up_where_an_offer_does_as_well() -> None:
    rules = policy(
        amount_off("z-offer", 1000, group="g"), templates=[amount_off("a", 1000, group="g")]
    )
    answer = quote(replace(request(10_000), coupons=(coupon("1", "a"),)), rules)
    assert applied(answer) == {"z-offer": 1000}


def test_at_the_limit_no_coupon_is_used_up_and_the_rest_is_kept() -> None:
    rules = policy(
        percent("a", 1000),
        templates=[amount_off("ten", 1000)],
        limits={"max_discount_bp": 1000},
    )
    answer = quote(replace(request(10_000), coupons=(coupon("1", "ten"),)), rules)
    assert applied(answer) == {"a": 1000}
    assert reasons(answer) == {"ten#1": ("coupon_kept", None)}


def test_offers_that_expire_soonest_come_before_low_ids() -> None:
    rules = policy(
        per_litre("a", 100, group="g"),
        per_litre("b", 100, group="g", conditions={"valid_until_ms": LATER}),
    )
    assert list(applied(quote(request(10_000), rules))) == ["b"]


def test_one_pump_price_and_one_offer_of_the_tender_apply() -> None:
    rules = policy(
        per_litre("a", 100, stage="pump"),
        per_litre("b", 200, stage="pump"),
        percent("c", 100, stage="tender", group=None),
        percent("d", 200, stage="tender", group=None),
    )
    answer = quote(replace(request(10_000), paying=Paying("cash")), rules)
    assert applied(answer) == {"b": 255, "d": 195}
    assert reasons(answer) == {"a": ("group_taken", None), "c": ("group_taken", None)}


def test_a_good_is_made_cheaper_once_and_a_budget_drawn_on_once() -> None:
    item = {"kind": "item_off", "good": "fluid"}
    rules = policy(
        item | {"id": "a", "off_fen": 500},
        item | {"id": "b", "off_fen": 900},
        templates=[amount_off("c", 1000, budget_fen=5000)],
    )
    asked = replace(
        request(10_000),
        goods=(fluid(),),
        coupons=(coupon("1", "c"), coupon("2", "c")),
        budgets=(BudgetFacts("c", Money(700)),),
    )
    answer = quote(asked, rules)
    assert applied(answer) == {"b": 900, "c#1": 700}
    assert reasons(answer) == {
        "a": ("not_stackable", None),
        "c#2": ("not_stackable", None),
    }


def _expects(answer: Quote, asked: QuoteRequest, rules: Policy) -> None:
    wanted = expected(asked, rules)
    assert answer.payable.fen == wanted.payable_fen
    assert applied(answer) == wanted.lines
    cut = {
        name
        for name, (reason, _) in reasons(answer).items()
        if reason == "limit_reached" and name in wanted.chosen
    }
    assert set(wanted.lines) | cut == wanted.chosen


@settings(max_examples=250)
@given(chance=st.randoms(use_true_random=False))
def test_the_best_legal_combination_is_found(chance: Random) -> None:
    asked, rules = random_case(chance)
    _expects(quote(asked, rules), asked, rules)


@pytest.mark.parametrize("seed", range(60))
def test_many_candidates_are_weighed_exactly(seed: int) -> None:
    asked, rules = random_case(Random(f"many {seed}"), 14)
    _expects(quote(asked, rules), asked, rules)


USELESS: tuple[dict[str, Any], ...] = (
    percent("a", 900, conditions={"grades": ["diesel"]}, group=None),
    percent("z", 900, conditions={"min_amount_fen": 10**8}),
    spend_save("a", 10**8, 10**7),
    spend_save("a", 10**8, 10**7, stacks_with=[]),
    per_litre("a", 900, conditions={"valid_until_ms": 1}),
    {"id": "a", "kind": "points_times", "times_bp": 90_000, "conditions": {"stations": ["S9"]}},
    amount_off("a", 1000, budget_fen=1000, group="line-1", stage="line"),
)


@settings(max_examples=60)
@given(chance=st.randoms(use_true_random=False))
def test_a_useless_offer_changes_nothing_but_its_own_line(chance: Random) -> None:
    asked, rules = random_case(chance)
    useless = {"text_zh": "无用", "text_en": "useless"} | chance.choice(USELESS)
    raw = _content(rules)
    raw["offers"].insert(chance.randint(0, len(rules.offers)), useless)
    with_it = quote(asked, load_policy(json.dumps(raw)))
    others = tuple(line for line in with_it.rejected if line.offer != useless["id"])
    assert replace(with_it, rejected=others) == quote(asked, rules)


@settings(max_examples=40)
@given(chance=st.randoms(use_true_random=False))
def test_the_order_in_the_file_means_nothing(chance: Random) -> None:
    asked, rules = random_case(chance)
    offers = list(rules.offers)
    chance.shuffle(offers)
    other = quote(asked, rules.model_copy(update={"offers": tuple(offers)}))
    one = quote(asked, rules)
    assert replace(other, rejected=()) == replace(one, rejected=())
    assert set(other.rejected) == set(one.rejected)


def _content(rules: Policy) -> dict[str, Any]:
    """Return a policy as JSON again; a group that is null says something, so it stays."""
    raw: dict[str, Any] = json.loads(rules.model_dump_json(exclude_none=True))
    for _, offer in rules.all_offers():
        for each in (*raw["offers"], *(each["offer"] for each in raw["coupon_templates"])):
            if each["id"] == offer.id:
                each["group"] = offer.group
    return raw
