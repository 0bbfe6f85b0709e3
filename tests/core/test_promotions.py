"""What a quote must be: adding up, explained, repeatable, with a next step that holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from edge_agent.core.promotions import quote, requote
from edge_agent.model.errors import PolicyRefused
from edge_agent.model.policy import NO_POLICY, Policy
from edge_agent.model.quote import QuoteRequest
from edge_agent.model.quote_record import body_of
from edge_agent.model.units import Money, Volume, amount_of
from tests.core.offers import (
    PRICE,
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


def test_without_a_policy_everybody_pays_the_list_price() -> None:
    answer = quote(request(23_550, tier="gold"), NO_POLICY)
    assert (answer.payable.fen, answer.applied, answer.rejected) == (23_550, (), ())
    assert answer.policy_version == 0


def test_each_line_is_rounded_half_up_once() -> None:
    rules = policy(per_litre("litre", 100), percent("half", 50))
    answer = quote(replace(request(10_100), volume=Volume(12_345)), rules)
    assert applied(answer) == {"half": 51, "litre": 123}  # 50.5 and 123.45 fen


def test_spend_and_save_counts_every_full_step() -> None:
    rules = policy(spend_save("step", 10_000, 700, stepwise=True))
    assert applied(quote(request(29_999), rules)) == {"step": 1400}
    assert applied(quote(request(30_000), rules)) == {"step": 2100}


def test_the_limit_cuts_into_the_last_lines() -> None:
    rules = policy(
        per_litre("first", 100, priority=1),
        percent("second", 500),
        spend_save("third", 10_000, 2000),
        limits={"max_discount_bp": 500},
    )
    answer = quote(request(20_000), rules)
    assert applied(answer) == {"first": 255, "second": 745}
    assert reasons(answer) == {"third": ("limit_reached", None)}
    assert answer.payable.fen == 19_000


def test_the_price_floor_is_never_undercut() -> None:
    rules = policy(percent("a", 9000), limits={"price_floors_milli": {"92": 7001}})
    asked = request(10_000)
    answer = quote(asked, rules)
    assert answer.payable.fen * 10_000 >= asked.volume.ml * 7001
    assert (answer.payable.fen - 1) * 10_000 < asked.volume.ml * 7001


def test_a_pump_price_below_the_floor_gives_no_discount_and_no_surcharge() -> None:
    rules = policy(percent("a", 9000), limits={"price_floors_milli": {"92": 9999}})
    assert quote(request(10_000), rules).payable.fen == 10_000


def test_points_are_earned_by_members_on_whole_yuan_paid() -> None:
    rules = policy(percent("a", 50), points={"per_yuan": 2})
    assert quote(request(10_000, tier="gold"), rules).points_earned == 198  # 99.50 paid
    assert quote(request(10_000), rules).points_earned == 0


def test_what_is_missing_is_named_in_both_languages() -> None:
    rules = policy(
        spend_save("spend", 20_000, 2000),
        percent("amount", 100, conditions={"min_amount_fen": 16_600}),
        per_litre("volume", 100, conditions={"min_volume_ml": 30_000}),
        percent("tier", 100, conditions={"tiers": ["gold"]}),
    )
    answer = quote(request(15_700), rules)
    assert reasons(answer) == {
        "spend": ("spend", 4300),
        "amount": ("min_amount", 900),
        "volume": ("min_volume", 10_000),
        "tier": ("members_only", None),
    }
    said = {str(line.offer): (line.text_zh, line.text_en) for line in answer.rejected}
    assert said["spend"] == ("优惠：还差43.00元", "offer (43.00 yuan more and it applies)")
    assert said["volume"] == ("优惠：还差10.000升", "offer (10.000 litres more and it applies)")


def test_the_next_step_is_the_preset_that_brings_the_saving() -> None:
    step = quote(request(15_000), policy(spend_save("200-20", 20_000, 2000))).next_step
    assert step is not None
    assert (step.offer, step.preset_amount_fen, step.payable_fen) == ("200-20", 20_000, 18_000)
    assert "200.00" in step.text_zh
    assert "200.00" in step.text_en


def test_the_next_step_adds_what_other_offers_take_off() -> None:
    rules = policy(percent("gold", 1000), spend_save("200-5", 20_000, 500))
    step = quote(request(19_000), rules).next_step
    assert step is not None
    assert step.preset_amount_fen == 22_300  # 90 % of it is above 200, of 222.00 below


@pytest.mark.parametrize("amount_fen", [0, 1])
def test_next_to_nothing_is_priced_too(amount_fen: int) -> None:
    answer = quote(request(amount_fen), policy(percent("a", 9999)))
    assert 0 <= answer.payable.fen <= amount_fen


def test_a_price_is_only_decided_again_under_its_own_policy() -> None:
    body = body_of(quote(request(10_000), policy(percent("a", 100))))
    with pytest.raises(PolicyRefused) as caught:
        requote(body, policy(percent("a", 100), version=8))
    assert caught.value.problem.code == "policy_version_differs"


@settings(max_examples=30)
@given(rules=policies(most=9), asked=requests)
def test_a_quote_adds_up_and_names_every_offer_once(rules: Policy, asked: QuoteRequest) -> None:
    answer = quote(asked, rules)
    assert answer.payable.fen == asked.amount.fen - sum(applied(answer).values())
    assert 0 <= answer.payable.fen <= asked.amount.fen
    assert all(line.amount.fen > 0 for line in answer.applied)
    named = [*applied(answer), *reasons(answer)]
    assert sorted(named) == sorted(offer.id for offer in rules.offers)
    assert all(line.missing is None or line.missing > 0 for line in answer.rejected)


@settings(max_examples=30)
@given(rules=policies(), asked=requests)
def test_headquarters_comes_to_the_same_price_from_the_record(
    rules: Policy, asked: QuoteRequest
) -> None:
    body = body_of(quote(asked, rules))
    travelled = type(body).model_validate_json(body.model_dump_json())
    assert requote(travelled, rules) == body


@settings(max_examples=30)
@given(rules=policies(), asked=requests)
def test_the_next_step_keeps_its_promise(rules: Policy, asked: QuoteRequest) -> None:
    now = quote(asked, rules)
    step = now.next_step
    if step is None:
        return
    preset = Money(step.preset_amount_fen)
    litres = Volume((preset.fen * 10_000 * 2 + PRICE.milli) // (2 * PRICE.milli))
    assert amount_of(litres, PRICE).fen == pytest.approx(preset.fen, abs=1)
    then = quote(replace(asked, amount=preset, volume=litres), rules)
    assert then.payable.fen == step.payable_fen
    assert applied(then)[step.offer] > applied(now).get(step.offer, 0)
    assert preset.fen % 100 == 0
    assert preset > asked.amount
    assert then.payable.fen * asked.amount.fen < now.payable.fen * preset.fen
