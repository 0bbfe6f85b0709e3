"""What a quote must be: the cheapest legal combination, to the fen, explained, and repeatable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.core.promotions import quote, requote
from edge_agent.model.errors import PolicyRefused
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import NO_POLICY, Policy, load_policy
from edge_agent.model.quote import MemberFacts, Quote, QuoteRequest, RejectReason, body_of
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of

PRICE = UnitPrice(7850)
TUESDAY_NOON_MS = 1_793_678_400_000  # 2026-11-03 12:00 in China
TIERS = ("silver", "gold")


def policy(*offers: dict[str, Any], **more: Any) -> Policy:
    tiers = [
        {"code": code, "label_zh": code, "label_en": code, "text_zh": code, "text_en": code}
        for code in TIERS
    ]
    texts = {"text_zh": "优惠", "text_en": "offer"}
    listed = [texts | offer for offer in offers]
    return load_policy(
        json.dumps({"format": 1, "version": 7, "tiers": tiers, "offers": listed} | more)
    )


def percent(offer_id: str, off_bp: int, **more: Any) -> dict[str, Any]:
    return {"id": offer_id, "kind": "percent_off", "off_bp": off_bp} | more


def per_litre(offer_id: str, off_milli: int, **more: Any) -> dict[str, Any]:
    return {"id": offer_id, "kind": "per_litre_off", "off_milli": off_milli} | more


def spend_save(offer_id: str, spend_fen: int, save_fen: int, **more: Any) -> dict[str, Any]:
    offer = {"id": offer_id, "kind": "spend_save", "spend_fen": spend_fen, "save_fen": save_fen}
    return offer | more


def request(amount_fen: int, *, tier: str | None = None, grade: str = "92") -> QuoteRequest:
    return QuoteRequest(
        grade=GradeId(grade),
        volume=Volume(amount_fen * 10_000 // PRICE.milli),
        amount=Money(amount_fen),
        unit_price=PRICE,
        at_ms=TUESDAY_NOON_MS,
        utc_offset_minutes=480,
        member=None if tier is None else MemberFacts(MemberRef("m-1"), tier),
    )


def applied(answer: Quote) -> dict[str, int]:
    return {line.offer: line.amount.fen for line in answer.applied}


def reasons(answer: Quote) -> dict[str, tuple[str, int | None]]:
    return {line.offer: (line.reason.value, line.missing) for line in answer.rejected}


# --- by hand ------------------------------------------------------------------------------------


def test_without_a_policy_everybody_pays_the_list_price() -> None:
    answer = quote(request(23_550, tier="gold"), NO_POLICY)
    assert (answer.payable.fen, answer.applied, answer.rejected) == (23_550, (), ())
    assert answer.policy_version == 0


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


def test_each_line_is_rounded_half_up_once() -> None:
    rules = policy(per_litre("litre", 100), percent("half", 50))
    answer = quote(replace(request(10_100), volume=Volume(12_345)), rules)
    assert applied(answer) == {"half": 51, "litre": 123}  # 50.5 and 123.45 fen


def test_spend_and_save_counts_every_full_step() -> None:
    rules = policy(spend_save("step", 10_000, 700, stepwise=True))
    assert applied(quote(request(29_999), rules)) == {"step": 1400}
    assert applied(quote(request(30_000), rules)) == {"step": 2100}


def test_equals_are_decided_by_the_lowest_id() -> None:
    rules = policy(per_litre("b", 100, group="g"), per_litre("a", 100, group="g"))
    assert list(applied(quote(request(10_000), rules))) == ["a"]


def test_equal_totals_of_different_offers_are_decided_by_the_lowest_id() -> None:
    """10 off now and no saving, or the saving of 10 and nothing off: the same total."""
    first = policy(percent("a", 100), spend_save("b", 10_000, 100))
    second = policy(percent("b", 100), spend_save("a", 10_000, 100))
    assert applied(quote(request(10_000), first)) == {"a": 100}
    assert applied(quote(request(10_000), second)) == {"a": 100}


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


def test_many_offers_are_weighed_exactly() -> None:
    """Nine line offers around a threshold: the same total as trying all 1,024 choices."""
    lines = [per_litre(f"l{n:02}", 3 + n * n % 17) for n in range(9)]
    rules = policy(*lines, spend_save("z", 20_000, 600, stepwise=True))
    asked = request(20_150)
    assert quote(asked, rules).payable.fen == best_by_trying(rules, asked)[0]


# --- against trying everything ------------------------------------------------------------------


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


@st.composite
def offers(draw: st.DrawFn, offer_id: str) -> dict[str, Any]:
    stage = draw(st.sampled_from(["line", "basket"]))
    made: dict[str, Any] = draw(
        st.one_of(
            st.builds(percent, st.just(offer_id), st.integers(1, 1500)),
            st.builds(per_litre, st.just(offer_id), st.integers(1, 900)),
            st.builds(
                lambda spend, share, stepwise: spend_save(
                    offer_id, spend, max(1, spend * share // 100), stepwise=stepwise
                ),
                st.integers(20, 12_000),
                st.integers(1, 40),
                st.booleans(),
            ),
        )
    )
    group = draw(st.sampled_from([None, None, f"{stage}-1", f"{stage}-2"]))
    conditions = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "grades": st.sampled_from([["92"], ["92", "95"], ["95"]]),
                "tiers": st.sampled_from([["silver"], ["gold"], ["silver", "gold"]]),
                "min_amount_fen": st.integers(1, 12_000),
            },
        )
    )
    priority = draw(st.integers(0, 3))
    placed = {"stage": stage, "group": group, "priority": priority, "conditions": conditions}
    return made | placed


@st.composite
def policies(draw: st.DrawFn, most: int = 6) -> Policy:
    ids = draw(st.permutations([f"o{n:02}" for n in range(draw(st.integers(0, most)))]))
    limits = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "max_discount_bp": st.integers(0, 10_000),
                "price_floors_milli": st.fixed_dictionaries({"92": st.integers(1, 9000)}),
            },
        )
    )
    return policy(*[draw(offers(offer_id)) for offer_id in ids], limits=limits)


requests = st.builds(
    request,
    st.integers(0, 25_000),
    tier=st.sampled_from([None, "silver", "gold", "tier-of-tomorrow"]),
    grade=st.sampled_from(["92", "95"]),
)


@given(rules=policies(), asked=requests)
@example(rules=policy(percent("o0", 300), spend_save("o1", 200, 60)), asked=request(203))
def test_the_cheapest_legal_combination_is_found(rules: Policy, asked: QuoteRequest) -> None:
    answer = quote(asked, rules)
    payable, ids = best_by_trying(rules, asked)
    assert answer.payable.fen == payable
    cut = {line.offer for line in answer.rejected if line.reason is RejectReason.LIMIT_REACHED}
    assert {line.offer for line in answer.applied} | cut == ids


@settings(max_examples=50)
@given(rules=policies(most=9), asked=requests)
def test_a_quote_adds_up_and_names_every_offer_once(rules: Policy, asked: QuoteRequest) -> None:
    answer = quote(asked, rules)
    assert answer.payable.fen == asked.amount.fen - sum(applied(answer).values())
    assert 0 <= answer.payable.fen <= asked.amount.fen
    assert all(line.amount.fen > 0 for line in answer.applied)
    named = [*applied(answer), *reasons(answer)]
    assert sorted(named) == sorted(offer.id for offer in rules.offers)
    assert all(line.missing is None or line.missing > 0 for line in answer.rejected)


USELESS: tuple[dict[str, Any], ...] = (
    percent("a", 900, conditions={"grades": ["diesel"]}, group=None),
    percent("z", 900, conditions={"min_amount_fen": 10**8}),
    spend_save("a", 10**8, 10**7),
    per_litre("a", 900, conditions={"valid_until_ms": 1}),
)


@settings(max_examples=50)
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


@settings(max_examples=50)
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


@settings(max_examples=50)
@given(rules=policies(), asked=requests)
def test_headquarters_comes_to_the_same_price_from_the_record(
    rules: Policy, asked: QuoteRequest
) -> None:
    body = body_of(quote(asked, rules))
    travelled = type(body).model_validate_json(body.model_dump_json())
    assert requote(travelled, rules) == body


@settings(max_examples=50)
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
