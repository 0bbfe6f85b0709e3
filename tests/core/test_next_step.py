"""The next best step: it holds what it promises, and no threshold gives a cheaper litre."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.core.next_step import HIGHEST, STEPS, TRIES
from edge_agent.core.promotions import decide_price, quote
from edge_agent.model.policy import Policy
from edge_agent.model.quote import Paying, Quote, QuoteRequest
from edge_agent.model.units import Money, UnitPrice, volume_for
from tests.core.offers import (
    amount_off,
    applied,
    fluid,
    per_litre,
    percent,
    policy,
    request,
    spend_save,
)
from tests.core.price_cases import random_case


def at(asked: QuoteRequest, preset: int) -> QuoteRequest:
    amount = Money(preset)
    return replace(asked, amount=amount, volume=volume_for(amount, asked.unit_price))


def test_the_preset_is_where_the_saving_begins() -> None:
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


def test_where_both_hold_a_litre_is_cheaper_than_where_one_gives_way() -> None:
    """At 200.00 the saving alone would be best: 0.90 a yuan. At 205.00 it is 0.88."""
    rules = policy(percent("silver", 200), spend_save("200-20", 20_000, 2000))
    step = quote(request(15_000), rules).next_step
    assert step is not None
    assert (step.preset_amount_fen, step.payable_fen) == (20_500, 18_090)


def test_goods_and_what_others_pay_count_with_the_fuel() -> None:
    basket = policy(spend_save("200-20", 20_000, 2000))
    with_goods = quote(replace(request(15_000), goods=(fluid(),)), basket).next_step
    assert with_goods is not None
    assert (with_goods.preset_amount_fen, with_goods.payable_fen) == (17_500, 18_000)
    by_card = policy(spend_save("card", 20_000, 2000, stage="tender"))
    paying = Paying("bank_card", Money(3_000))
    step = quote(replace(request(15_000), paying=paying), by_card).next_step
    assert step is not None
    assert step.preset_amount_fen == 23_000


def test_minimum_volume_and_amount_are_steps_too() -> None:
    rules = policy(percent("a", 500, conditions={"min_volume_ml": 30_000}))
    step = quote(request(15_000), rules).next_step
    assert step is not None
    assert step.preset_amount_fen == 23_600  # 30 L x 7.85 = 235.50
    rules = policy(amount_off("b", 500, conditions={"min_amount_fen": 16_001}))
    step = quote(request(15_000), rules).next_step
    assert step is not None
    assert step.preset_amount_fen == 16_100


def test_before_any_fuel_flows_the_list_price_is_what_is_to_be_beaten() -> None:
    step = quote(request(0), policy(spend_save("200-20", 20_000, 2000))).next_step
    assert step is not None
    assert step.preset_amount_fen == 20_000


@pytest.mark.parametrize(
    "rules",
    [
        policy(percent("a", 500)),
        policy(spend_save("far", HIGHEST + 1, 2000)),
        policy(spend_save("small", 20_000, 10), amount_off("now", 3_000)),
        policy(spend_save("never", 20_000, 2000, conditions={"grades": ["95"]})),
    ],
    ids=["nothing further", "too far", "no cheaper litre", "not for this fuel"],
)
def test_there_may_be_no_next_step(rules: Policy) -> None:
    assert quote(request(15_000), rules).next_step is None


def test_without_a_price_there_is_no_preset() -> None:
    asked = replace(request(15_000), unit_price=UnitPrice(0))
    assert quote(asked, policy(spend_save("200-20", 20_000, 2000))).next_step is None


@settings(max_examples=100)
@given(chance=st.randoms(use_true_random=False))
def test_the_next_step_keeps_its_promise(chance: Random) -> None:
    asked, rules = random_case(chance)
    now = quote(asked, rules)
    step = now.next_step
    if step is None:
        return
    preset = step.preset_amount_fen
    then = quote(at(asked, preset), rules)
    assert then.payable.fen == step.payable_fen
    assert any(
        line.offer == step.offer and line.amount.fen > _saved(now, line.offer, line.coupon)
        for line in then.applied
    )
    assert preset % 100 == 0
    assert asked.amount.fen < preset <= HIGHEST
    if asked.amount.fen:
        assert _a_litre(then) < _a_litre(now)


def _saved(answer: Quote, offer: str, serial: str | None) -> int:
    return sum(
        line.amount.fen for line in answer.applied if line.offer == offer and line.coupon == serial
    )


def _a_litre(answer: Quote) -> Fraction:
    """What the fuel costs after all offers, of what it lists for."""
    request = answer.request
    goods = request.listed.fen - request.amount.fen
    return Fraction(answer.payable.fen - goods, request.amount.fen)


@st.composite
def small_policies(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A few offers that take a share, and one or two that begin at a threshold."""
    shares = [
        percent("p", draw(st.integers(1, 1_000)), group=None),
        per_litre("l", draw(st.integers(1, 800))),
    ]
    thresholds = [
        spend_save("s", draw(st.integers(1_000, 20_000)), draw(st.integers(1, 900)))
        | {"stage": draw(st.sampled_from(["line", "basket"]))},
        spend_save("t", draw(st.integers(3_000, 9_000)), draw(st.integers(1, 900)), stepwise=True),
        amount_off("m", draw(st.integers(1, 2_000)))
        | {"conditions": {"min_amount_fen": draw(st.integers(1, 20_000))}},
    ]
    some = draw(st.lists(st.sampled_from(thresholds), min_size=1, max_size=2, unique_by=id))
    return [*draw(st.lists(st.sampled_from(shares), unique_by=id)), *some]


def _thresholds(offers: list[dict[str, Any]], asked: QuoteRequest) -> dict[int, set[str]]:
    """The whole yuan at which the specification sees an offer's threshold newly reached."""
    found: dict[int, set[str]] = {}
    presets = range(-(-(asked.amount.fen + 1) // 100) * 100, 40_100, 100)

    def taken(preset: int) -> int:
        total = 0
        for offer in offers:
            if offer["kind"] == "percent_off":
                total += (2 * preset * offer["off_bp"] + 10_000) // 20_000
            elif offer["kind"] == "per_litre_off":
                volume = at(asked, preset).volume.ml
                total += (2 * volume * offer["off_milli"] + 10_000) // 20_000
            elif offer["kind"] == "spend_save" and offer.get("stage") == "line":
                total += offer["save_fen"] if preset >= offer["spend_fen"] else 0
        return total

    for offer in offers:
        least = offer.get("conditions", {}).get("min_amount_fen", 0)
        if least > asked.amount.fen:
            found.setdefault(next(p for p in presets if p >= least), set()).add(offer["id"])
        if offer["kind"] != "spend_save":
            continue
        spend, line = offer["spend_fen"], offer.get("stage") == "line"
        for share in (0, 0 if line else 1):
            now = max(asked.amount.fen - share * taken(asked.amount.fen), 0) // spend
            last = now + STEPS if offer.get("stepwise") else min(now + 1, 1)
            for step in range(now + 1, last + 1):
                enough = (p for p in presets if p - share * taken(p) >= step * spend)
                reached = next(enough, None)
                if reached is not None:
                    found.setdefault(reached, set()).add(offer["id"])
    return found


@settings(max_examples=60)
@given(offers=small_policies(), amount=st.integers(1, 15_000))
def test_no_threshold_gives_a_cheaper_litre(offers: list[dict[str, Any]], amount: int) -> None:
    rules, asked = policy(*offers), request(amount)
    now = quote(asked, rules)
    best: tuple[Fraction, int] | None = None
    found = _thresholds(offers, asked)
    for preset, wanted in found.items():
        then = quote(at(asked, preset), rules)
        gains = any(applied(then).get(each, 0) > applied(now).get(each, 0) for each in wanted)
        if (gains or not applied(then).keys() <= applied(now).keys()) and _a_litre(then) < _a_litre(
            now
        ):
            best = min(best or (_a_litre(then), preset), (_a_litre(then), preset))
    if len(found) <= TRIES:
        step = now.next_step
        assert (step and step.preset_amount_fen) == (best and best[1])


@settings(max_examples=12)
@given(
    share=st.none() | st.integers(1, 1_500),
    spend=st.integers(1_000, 6_000),
    save=st.integers(20, 900),
    amount=st.integers(100, 6_000),
)
@example(share=41, spend=1_000, save=20, amount=1_000)
def test_no_preset_at_all_gives_a_cheaper_litre_where_one_offer_has_a_threshold(
    share: int | None, spend: int, save: int, amount: int
) -> None:
    """But for what rounding makes of it: half a fen for each of two lines."""
    offers = [spend_save("s", spend, save)]
    rules, asked = policy(*offers, *([percent("p", share)] if share else [])), request(amount)
    now = quote(asked, rules)
    step = now.next_step
    best = Fraction(step.payable_fen, step.preset_amount_fen) if step else _a_litre(now)
    for preset in range(-(-(amount + 1) // 100) * 100, 8_100, 100):
        then = Fraction(decide_price(at(asked, preset), rules).payable.fen, preset)
        slack = Fraction(1, preset) + Fraction(1, step.preset_amount_fen if step else amount)
        assert then >= best - slack
