"""The cheapest legal combination, by hand and against trying every one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.core.promotions import quote
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import QuoteRequest, RejectReason
from tests.core.offers import (
    applied,
    per_litre,
    percent,
    policies,
    policy,
    reasons,
    request,
    requests,
    spend_save,
)


def test_percent_offers_exclude_one_another_and_the_larger_wins() -> None:
    answer = quote(request(10_000), policy(percent("a", 200), percent("b", 500)))
    assert applied(answer) == {"b": 500}
    assert reasons(answer) == {"a": ("group_taken", None)}


def test_percent_stacks_with_spend_and_save() -> None:
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
    assert quote(asked, rules).payable.fen == best_by_trying(rules, asked)[0]


def rounded(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def worth(offer: Any, base: int, volume_ml: int) -> int:
    """What an offer takes off, by the wording of the rules."""
    if offer.kind == "percent_off":
        return rounded(Fraction(base * offer.off_bp, 10_000))
    if offer.kind == "per_litre_off":
        return rounded(Fraction(volume_ml, 1000) * Fraction(offer.off_milli, 1000) * 100)
    full = base // offer.spend_fen
    return int(offer.save_fen * (full if offer.stepwise else full > 0))


def total_of(chosen: Sequence[Any], asked: QuoteRequest) -> tuple[int, bool]:
    """The uncut total of a combination, and whether each of its offers saves something."""
    line = [worth(o, asked.amount.fen, asked.volume.ml) for o in chosen if o.stage == "line"]
    subtotal = asked.amount.fen - sum(line)
    basket = [worth(o, max(subtotal, 0), asked.volume.ml) for o in chosen if o.stage == "basket"]
    return subtotal - sum(basket), all(line) and all(basket)


def best_by_trying(rules: Policy, asked: QuoteRequest) -> tuple[int, set[str]]:
    """The payable amount and the offers of the best of all legal combinations."""
    holds = [
        offer
        for offer in rules.offers
        if (offer.conditions.grades is None or asked.grade in offer.conditions.grades)
        and (
            offer.conditions.tiers is None
            or (asked.member is not None and asked.member.tier in offer.conditions.tiers)
        )
        and asked.amount.fen >= (offer.conditions.min_amount_fen or 0)
    ]
    best: tuple[int, list[bool]] | None = None
    best_ids: set[str] = set()
    ids = sorted(offer.id for offer in holds)
    for size in range(len(holds) + 1):
        for chosen in combinations(holds, size):
            groups = [offer.group for offer in chosen if offer.group is not None]
            total, useful = total_of(chosen, asked)
            if len(set(groups)) < len(groups) or not useful:
                continue
            mine = {offer.id for offer in chosen}
            key = (total, [offer_id not in mine for offer_id in ids])
            if best is None or key < best:
                best, best_ids = key, mine
    assert best is not None
    share = rules.limits.max_discount_bp
    floor = -(-asked.amount.fen * (10_000 - share) // 10_000)
    price = rules.limits.price_floors_milli.get(asked.grade, 0)
    floor = min(max(floor, -(-asked.volume.ml * price // 10_000)), asked.amount.fen)
    return max(best[0], floor), best_ids


@settings(max_examples=70)
@given(rules=policies(), asked=requests)
@example(rules=policy(percent("o0", 300), spend_save("o1", 200, 60)), asked=request(203))
def test_the_cheapest_legal_combination_is_found(rules: Policy, asked: QuoteRequest) -> None:
    answer = quote(asked, rules)
    payable, ids = best_by_trying(rules, asked)
    assert answer.payable.fen == payable
    cut = {line.offer for line in answer.rejected if line.reason is RejectReason.LIMIT_REACHED}
    assert {line.offer for line in answer.applied} | cut == ids


USELESS: tuple[dict[str, Any], ...] = (
    percent("a", 900, conditions={"grades": ["diesel"]}, group=None),
    percent("z", 900, conditions={"min_amount_fen": 10**8}),
    spend_save("a", 10**8, 10**7),
    per_litre("a", 900, conditions={"valid_until_ms": 1}),
)


@settings(max_examples=30)
@given(rules=policies(), asked=requests, data=st.data())
def test_a_useless_offer_changes_nothing(
    rules: Policy, asked: QuoteRequest, data: st.DataObject
) -> None:
    useless = data.draw(st.sampled_from(USELESS))
    texts = {"text_zh": "无用", "text_en": "useless"}
    place = data.draw(st.integers(0, len(rules.offers)))
    raw = json.loads(rules.model_dump_json(exclude_none=True))
    for listed, offer in zip(raw["offers"], rules.offers, strict=True):
        listed["group"] = offer.group
    raw["offers"].insert(place, texts | useless)
    with_it = quote(asked, load_policy(json.dumps(raw)))
    without = quote(asked, rules)
    assert (with_it.payable, with_it.applied) == (without.payable, without.applied)


@settings(max_examples=30)
@given(rules=policies(), asked=requests, data=st.data())
def test_the_order_in_the_file_means_nothing(
    rules: Policy, asked: QuoteRequest, data: st.DataObject
) -> None:
    shuffled = rules.model_copy(update={"offers": tuple(data.draw(st.permutations(rules.offers)))})
    one, other = quote(asked, rules), quote(asked, shuffled)
    assert (one.payable, one.applied, one.next_step) == (
        other.payable,
        other.applied,
        other.next_step,
    )
