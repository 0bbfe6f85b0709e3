"""The words of a quote: what is missing is named in both languages, and nothing stays blank."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core.explanation import _REASONS
from edge_agent.core.promotions import quote
from edge_agent.model.quote import RejectReason
from tests.core.offers import (
    coupon,
    per_litre,
    percent,
    policy,
    reasons,
    request,
    spend_save,
)
from tests.core.price_cases import random_case


def test_what_is_missing_is_named_in_both_languages() -> None:
    rules = policy(
        spend_save("spend", 20_000, 2000),
        percent("amount", 100, conditions={"min_amount_fen": 16_600}),
        per_litre("volume", 100, conditions={"min_volume_ml": 30_000}),
        percent("tier", 100, conditions={"tiers": ["gold"]}),
        percent("card", 100, conditions={"tenders": ["bank_card", "wallet"]}),
        percent("weekend", 100, conditions={"days": ["weekend"]}),
        {"id": "fluid", "kind": "item_off", "good": "fluid", "off_fen": 100},
    )
    answer = quote(request(15_700), rules)
    assert reasons(answer) == {
        "spend": ("spend", 4300),
        "amount": ("min_amount", 900),
        "volume": ("min_volume", 10_000),
        "tier": ("members_only", None),
        "card": ("tender", None),
        "weekend": ("day", 302_400),
        "fluid": ("goods", None),
    }
    said = {str(line.offer): (line.text_zh, line.text_en) for line in answer.rejected}
    assert said["spend"] == ("优惠：还差43.00元", "offer (43.00 yuan more and it applies)")
    assert said["volume"] == ("优惠：还差10.000升", "offer (10.000 litres more and it applies)")
    assert said["card"][0] == "优惠：需以银行卡或手机钱包支付"
    assert said["card"][1] == "offer (when paid by bank card or mobile wallet)"
    assert said["fluid"][1] == "offer (when washer fluid is bought)"
    assert said["weekend"][1] == "offer (not on this day, again in 3 d 12 h)"


def test_row_c1_a_coupon_that_the_policy_does_not_know_is_named_by_its_template() -> None:
    answer = quote(replace(request(10_000), coupons=(coupon("1", "gone"),)), policy())
    (line,) = answer.rejected
    assert (line.offer, line.reason, line.coupon) == ("gone", RejectReason.COUPON_UNKNOWN, "1")
    assert "gone" in line.text_zh
    assert "no such coupon" in line.text_en


def test_refusals_stand_in_the_order_of_the_policy_then_of_the_coupons() -> None:
    late = {"conditions": {"valid_until_ms": 1}}
    rules = policy(
        spend_save("z", 10**6, 1), percent("b", 100, **late), templates=[percent("a", 100, **late)]
    )
    held = (coupon("2", "a"), coupon("9", "unheard-of"), coupon("1", "a"))
    answer = quote(replace(request(100), coupons=held), rules)
    assert [(line.offer, line.coupon) for line in answer.rejected] == [
        ("z", None),
        ("b", None),
        ("a", "2"),
        ("unheard-of", "9"),
        ("a", "1"),
    ]


def test_every_reason_has_words() -> None:
    assert set(_REASONS) == set(RejectReason)


@settings(max_examples=60)
@given(chance=st.randoms(use_true_random=False))
def test_no_text_has_a_blank_in_it(chance: Random) -> None:
    asked, rules = random_case(chance, 9)
    for line in quote(asked, rules).rejected:
        for text in (line.text_zh, line.text_en):
            assert text
            assert not {"{", "}"} & set(text)
        counted = str(line.missing) if line.reason is RejectReason.VISIT else ""
        if line.missing is not None:
            assert counted in line.text_zh
            assert any(mark.isdigit() for mark in line.text_zh)
            assert any(mark.isdigit() for mark in line.text_en)
