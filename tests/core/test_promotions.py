"""What a quote must be: adding up, complete, repeatable from its record, the same without words."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core.promotions import decide_price, quote, requote
from edge_agent.model.errors import PolicyRefused
from edge_agent.model.policy import NO_POLICY
from edge_agent.model.quote_record import body_of, explanation_hash
from tests.core.offers import applied, percent, policy, reasons, request
from tests.core.price_cases import random_case


def test_without_a_policy_everybody_pays_the_list_price() -> None:
    answer = quote(request(23_550, tier="gold"), NO_POLICY)
    assert (answer.payable.fen, answer.applied, answer.rejected) == (23_550, (), ())
    assert answer.policy_version == 0


@pytest.mark.parametrize("amount_fen", [0, 1])
def test_next_to_nothing_is_priced_too(amount_fen: int) -> None:
    answer = quote(request(amount_fen), policy(percent("a", 9999)))
    assert 0 <= answer.payable.fen <= amount_fen


def test_a_price_is_only_decided_again_under_its_own_policy() -> None:
    body = body_of(quote(request(10_000), policy(percent("a", 100))))
    with pytest.raises(PolicyRefused) as caught:
        requote(body, policy(percent("a", 100), version=8))
    assert caught.value.problem.code == "policy_version_differs"


@settings(max_examples=80)
@given(chance=st.randoms(use_true_random=False))
def test_a_quote_adds_up_and_names_everything_once(chance: Random) -> None:
    asked, rules = random_case(chance, 9)
    answer = quote(asked, rules)
    assert answer.payable.fen == asked.listed.fen - sum(applied(answer).values())
    assert 0 <= answer.payable.fen <= asked.listed.fen
    assert all(line.amount.fen > 0 for line in answer.applied)
    assert all(line.missing is None or line.missing > 0 for line in answer.rejected)
    given_names = [
        line.offer if line.coupon is None else f"{line.offer}#{line.coupon}"
        for line in answer.benefits
    ]
    named = [*applied(answer), *reasons(answer), *given_names]
    coupons = [f"{each.template}#{each.serial}" for each in asked.coupons]
    assert sorted(named) == sorted([*(offer.id for offer in rules.offers), *coupons])


@settings(max_examples=60)
@given(chance=st.randoms(use_true_random=False))
def test_headquarters_comes_to_the_same_price_and_words_from_the_record(chance: Random) -> None:
    asked, rules = random_case(chance)
    body = body_of(quote(asked, rules))
    travelled = type(body).model_validate_json(body.model_dump_json())
    again = requote(travelled, rules)
    assert again == body
    assert explanation_hash(again) == explanation_hash(body)


@settings(max_examples=60)
@given(chance=st.randoms(use_true_random=False))
def test_a_price_without_words_is_the_same_price(chance: Random) -> None:
    asked, rules = random_case(chance)
    answer, decided = quote(asked, rules), decide_price(asked, rules)
    assert (decided.payable, decided.points) == (answer.payable, answer.points_earned)
    assert decided.applied == tuple((line.offer, line.amount) for line in answer.applied)
