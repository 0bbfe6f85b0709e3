"""The bill: stages one after the other, and the limits that cut its end."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.core.promotions import quote
from edge_agent.model.quote import Paying
from edge_agent.model.units import Money, Volume
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


def test_row_z12_each_stage_counts_from_what_the_stages_before_leave() -> None:
    rules = policy(
        per_litre("pump", 500, stage="pump"),
        percent("line", 1000),
        percent("basket", 1000, stage="basket", group=None),
        percent("tender", 1000, stage="tender", group=None),
    )
    asked = replace(
        request(10_000), volume=Volume(12_739), goods=(fluid(),), paying=Paying("cash", Money(900))
    )
    answer = quote(asked, rules)
    assert applied(answer) == {
        "pump": 637,  # 12.739 L x 0.50
        "line": 936,  # of 93.63
        "basket": 1093,  # of 84.27 + 25.00
        "tender": 893,  # of 98.34 - 9.00
    }
    assert [line.stage for line in answer.applied] == ["pump", "line", "basket", "tender"]
    assert answer.payable.fen == 12_500 - sum(applied(answer).values())


def test_row_c18_the_policy_says_whether_the_pump_or_the_receipt_shows_a_discount() -> None:
    """At the pump, the percentage counts from the lowered price; on the receipt, from the list."""
    pump = policy(per_litre("litre", 500, stage="pump"), percent("ten", 1000))
    receipt = policy(per_litre("litre", 500), percent("ten", 1000))
    assert applied(quote(request(10_000), pump)) == {"litre": 637, "ten": 936}
    assert applied(quote(request(10_000), receipt)) == {"litre": 637, "ten": 1000}


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


def test_coupons_are_cut_before_offers_and_the_latest_of_them_first() -> None:
    """13.00 are allowed: 10.00 by the offer, then what is left by one voucher of two."""
    rules = policy(
        amount_off("z-offer", 1000, stage="tender"),
        templates=[amount_off("a", 200), amount_off("b", 250)],
        limits={"max_discount_bp": 1300},
    )
    held = (coupon("1", "a", TUESDAY_NOON_MS + 9), coupon("2", "b", TUESDAY_NOON_MS + 8))
    answer = quote(replace(request(10_000), coupons=held, paying=Paying("cash")), rules)
    assert applied(answer) == {"a#1": 50, "b#2": 250, "z-offer": 1000}
    assert answer.payable.fen == 8_700


def test_row_c15_the_price_floor_is_never_undercut() -> None:
    rules = policy(percent("a", 9000), limits={"price_floors_milli": {"92": 7001}})
    asked = request(10_000)
    answer = quote(asked, rules)
    assert answer.payable.fen * 10_000 >= asked.volume.ml * 7001
    assert (answer.payable.fen - 1) * 10_000 < asked.volume.ml * 7001


def test_a_pump_price_below_the_floor_gives_no_discount_and_no_surcharge() -> None:
    rules = policy(percent("a", 9000), limits={"price_floors_milli": {"92": 9999}})
    assert quote(request(10_000), rules).payable.fen == 10_000


def test_goods_keep_their_floor_beside_the_fuel() -> None:
    rules = policy(
        percent("a", 9999, stage="basket", group=None),
        limits={"price_floors_milli": {"92": 7850}},
    )
    asked = replace(request(10_000), goods=(fluid(2),))
    fuel = -(-asked.volume.ml * 7850 // 10_000)
    assert quote(asked, rules).payable.fen == min(fuel, 10_000) + 2 * 800
