"""Each rule of sense is broken by a policy that breaks just it, and by nothing that is sensible."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model.errors import PolicyRefused
from edge_agent.model.policy import (
    Breach,
    accept_policy,
    advice,
    breaches,
    examine_policy,
    load_policy,
)

ROOT = Path(__file__).parents[2]
TEXTS: dict[str, Any] = {"text_zh": "优惠", "text_en": "offer"}
TUESDAY_MS = 1_793_635_200_000  # 2026-11-03 00:00 in China
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def offer(kind: str, name: str = "o1", **fields: Any) -> dict[str, Any]:
    return {"id": name, "kind": kind} | TEXTS | fields


def policy(**fields: Any) -> str:
    base: dict[str, Any] = {
        "format": 1,
        "version": 1,
        "tiers": [
            {"code": code, "label_zh": code, "label_en": code} | TEXTS
            for code in ("silver", "gold")
        ],
        "grades": [
            {"code": "92", "label_zh": "92", "label_en": "92", "reference_price_milli": 7000},
            {"code": "0", "label_zh": "0", "label_en": "0", "reference_price_milli": 6500},
        ],
        "goods": [
            {
                "code": "urea", "label_zh": "尿素", "label_en": "urea", "price_fen": 4500,
                "floor_fen": 3000,
            }
        ],
        "calendar": {"holidays": ["2026-10-01"], "workdays": ["2026-10-10"], "member_days": [8]},
        "points": {"redeem": {"points_per_yuan": 100}},
        "limits": {"max_discount_bp": 3000, "price_floors_milli": {"92": 6000, "0": 5600}},
    }  # fmt: skip
    return json.dumps(base | fields)


def broken(text: str) -> list[Breach]:
    found = examine_policy(text)
    assert found.policy is not None, found.breaches
    assert (found.problem is None) == found.ok
    return list(found.breaches)


def only(text: str) -> Breach:
    found = broken(text)
    assert len(found) == 1, found
    breach = found[0]
    assert re.search(r"[\u4e00-\u9fff]", breach.text_zh)
    assert not re.search(r"[\u4e00-\u9fff]", breach.text_en)
    assert load_policy(text).version == 1, "what was accepted before the rule stays readable"
    with pytest.raises(PolicyRefused) as caught:
        accept_policy(text, "new.json")
    assert caught.value.problem.code == "policy_unsound"
    assert caught.value.detail == f"new.json: {breach}"
    return breach


def with_offer(kind: str, **fields: Any) -> str:
    return policy(offers=[offer(kind, **fields)])


def percent(name: str = "o1", off_bp: int = 200, **fields: Any) -> dict[str, Any]:
    return offer("percent_off", name, off_bp=off_bp, **fields)


def test_a_sensible_policy_breaks_nothing() -> None:
    assert broken(policy()) == []
    assert accept_policy(policy()).version == 1


# --- the law ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "values", "rule"),
    [
        ("stored_value", {"named_cap_fen": 500_001}, "prepaid_named_cap"),
        ("stored_value", {"bearer_cap_fen": 100_001}, "prepaid_bearer_cap"),
        ("referral", {"levels": 3}, "referral_depth"),
    ],
)
def test_row_v12_row_d8_row_z9_an_unlawful_policy_is_never_even_read(
    table: str, values: dict[str, int], rule: str
) -> None:
    text = policy(**{table: values})
    found = examine_policy(text)
    assert found.policy is None
    assert [breach.rule for breach in found.breaches] == [rule]
    for read in (load_policy, accept_policy):
        with pytest.raises(PolicyRefused) as caught:
            read(text, "p.json")
        assert caught.value.problem.code == "policy_senseless"
        assert f"[{rule}]" in caught.value.detail


def test_row_v12_the_ceilings_themselves_are_lawful() -> None:
    value = {"named_cap_fen": 500_000, "bearer_cap_fen": 100_000}
    assert broken(policy(stored_value=value, referral={"levels": 2})) == []


def test_every_law_that_is_broken_is_named_at_once() -> None:
    value = {"named_cap_fen": 600_000, "bearer_cap_fen": 600_000}
    found = examine_policy(policy(stored_value=value, referral={"levels": 9}))
    assert len(found.breaches) == 3


# --- margins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "lawful"),
    [
        (percent(off_bp=1500), percent(off_bp=1384)),
        (
            offer("per_litre_off", off_milli=1001, conditions={"grades": ["92"]}),
            offer("per_litre_off", off_milli=1000, conditions={"grades": ["92"]}),
        ),
        (
            offer("fixed_price", price_milli=5999, conditions={"grades": ["92"]}),
            offer("fixed_price", price_milli=6000, conditions={"grades": ["92"]}),
        ),
        (offer("amount_off", off_fen=1500), offer("amount_off", off_fen=1300)),
        (
            offer("amount_off", off_fen=1500),
            offer("amount_off", off_fen=1500, conditions={"min_amount_fen": 20_000}),
        ),
        (
            offer("amount_off", off_fen=1500),
            offer("amount_off", off_fen=1500, conditions={"min_volume_ml": 30_000}),
        ),
        (
            offer("spend_save", spend_fen=10_000, save_fen=1500),
            offer("spend_save", spend_fen=10_000, save_fen=1300),
        ),
        (
            offer("spend_save", spend_fen=3_000, save_fen=450, stepwise=True),
            offer(
                "spend_save", spend_fen=3_000, save_fen=450, stepwise=True, cap_fen=500,
                conditions={"min_amount_fen": 10_000},
            ),
        ),
        (
            percent(off_bp=2500, cap_fen=2000),
            percent(off_bp=2500, cap_fen=2000, conditions={"min_amount_fen": 20_000}),
        ),
        (percent(off_bp=900, floor_milli=6400), percent(off_bp=100, floor_milli=6400)),
    ],
)  # fmt: skip
def test_row_c15_an_offer_that_sells_below_its_margin_floor_is_refused(
    made: dict[str, Any], lawful: dict[str, Any]
) -> None:
    found = broken(policy(offers=[made]))
    assert {breach.rule for breach in found} == {"margin_floor"}
    assert all("o1" in breach.text_en and "a litre" in breach.text_en for breach in found)
    assert broken(policy(offers=[lawful])) == []


def test_row_c15_the_refusal_names_offer_grade_price_and_floor() -> None:
    made = percent(off_bp=2000, conditions={"grades": ["92"]})
    breach = only(policy(offers=[made]))
    assert breach.text_en == "o1 sells 92 at 5.60 a litre, below 6.00"
    assert breach.place == "offers[0]"
    template = {"offer": made, "valid_days": 9}
    assert only(policy(coupon_templates=[template])).place == "coupon_templates[0].offer"


def test_margins_are_judged_only_against_declared_prices() -> None:
    assert broken(policy(grades=[], offers=[percent(off_bp=9000)])) == []


def test_a_floor_that_leaves_no_room_is_refused() -> None:
    breach = only(policy(limits={"price_floors_milli": {"92": 7000}}))
    assert (breach.rule, breach.place) == ("margin_floor", "limits.price_floors_milli.92")


def test_an_offer_above_the_discount_limit_could_never_be_given_whole() -> None:
    limits = {"max_discount_bp": 500}
    made = percent(off_bp=501, conditions={"grades": ["92"]})
    assert only(policy(limits=limits, offers=[made])).rule == "discount_limit"
    assert broken(policy(limits=limits, offers=[percent(off_bp=500)])) == []


def test_goods_are_not_sold_below_their_floor() -> None:
    assert only(with_offer("item_off", good="urea", off_fen=1501)).rule == "free_goods"
    assert broken(with_offer("item_off", good="urea", off_fen=1500)) == []


def test_a_stack_that_the_limits_would_cut_is_only_advice() -> None:
    offers = [
        percent("a", 800),
        percent("b", 300),
        offer("spend_save", "c", spend_fen=20_000, save_fen=2000),
        offer("per_litre_off", "d", off_milli=100, stage="pump"),
        offer("points_times", "e", times_bp=20_000),
    ]
    text = policy(offers=offers)
    assert broken(text) == []
    told = advice(load_policy(text))
    assert [(each.rule, each.place) for each in told] == [
        ("margin_stack", "grades.92"),
        ("margin_stack", "grades.0"),
    ]
    # 7.00 x (1 - 0.1 / 7) x (1 - 0.08) x (1 - 0.1)
    assert "at 5.71 a litre; the limits would cut them at 6.00" in told[0].text_en
    assert advice(load_policy(policy(offers=offers[:2]))) == []


# --- offers that can never apply ----------------------------------------------------------------

ON_TUESDAY = {"valid_from_ms": TUESDAY_MS, "valid_until_ms": TUESDAY_MS + DAY_MS}

NEVER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another weekday": (ON_TUESDAY | {"weekdays": [3]}, ON_TUESDAY | {"weekdays": [2]}),
    "over before the window": (
        {
            "valid_from_ms": TUESDAY_MS,
            "valid_until_ms": TUESDAY_MS + 6 * HOUR_MS,
            "hours": [{"start": "06:00", "end": "22:00"}],
        },
        {
            "valid_from_ms": TUESDAY_MS,
            "valid_until_ms": TUESDAY_MS + 6 * HOUR_MS + 1,
            "hours": [{"start": "06:00", "end": "22:00"}],
        },
    ),
    "between two nights": (
        {
            "valid_from_ms": TUESDAY_MS + 6 * HOUR_MS,
            "valid_until_ms": TUESDAY_MS + 22 * HOUR_MS,
            "hours": [{"start": "22:00", "end": "06:00"}],
        },
        {
            "valid_from_ms": TUESDAY_MS + 6 * HOUR_MS - 1,
            "valid_until_ms": TUESDAY_MS + 22 * HOUR_MS,
            "hours": [{"start": "22:00", "end": "06:00"}],
        },
    ),
    "no holiday within": (ON_TUESDAY | {"days": ["holiday"]}, {"days": ["holiday"]}),
    "a holiday that is over": (
        {"days": ["holiday"], "valid_from_ms": TUESDAY_MS},
        {"days": ["holiday"], "valid_until_ms": TUESDAY_MS},
    ),
    "a weekend's Monday": (
        {"days": ["weekend"], "weekdays": [1, 2]},
        {"days": ["weekend"], "weekdays": [1, 7]},
    ),
    "a holiday's other weekday": (
        {"days": ["holiday"], "weekdays": [1]},
        {"days": ["holiday"], "weekdays": [4]},
    ),
    "a worked Sunday": (
        {"days": ["workday"], "weekdays": [7]},
        {"days": ["workday"], "weekdays": [6]},
    ),
    "the eighth only": (
        ON_TUESDAY | {"days": ["member_day"]},
        {"days": ["member_day"], "valid_from_ms": TUESDAY_MS},
    ),
    "first and second at once": (
        {"first_fill": True, "visit": {"number": 2}},
        {"first_fill": True, "visit": {"number": 1}},
    ),
    "first and every third at once": (
        {"first_fill": True, "visit": {"every": 3}},
        {"visit": {"every": 3}},
    ),
}


@pytest.mark.parametrize("name", NEVER)
def test_an_offer_that_can_never_apply_is_refused(name: str) -> None:
    never, sometimes = NEVER[name]
    breach = only(policy(offers=[percent(conditions=never)]))
    assert breach.rule == "never_applies"
    assert breach.place.startswith("offers[0].conditions")
    assert broken(policy(offers=[percent(conditions=sometimes)])) == []


def test_a_day_that_no_calendar_names_never_comes() -> None:
    for days in (["holiday"], ["member_day"]):
        breach = only(policy(calendar={}, offers=[percent(conditions={"days": days})]))
        assert breach.place == "offers[0].conditions.days"
        assert days[0] in breach.text_en


@given(
    start=st.integers(0, 60 * 24).map(lambda hours: TUESDAY_MS + hours * HOUR_MS),
    hours=st.integers(1, 24 * 20),
    weekdays=st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True),
    days=st.none() | st.lists(st.sampled_from(["workday", "weekend", "member_day"]), min_size=1),
    window=st.none() | st.tuples(st.integers(0, 23), st.integers(0, 23)),
)
def test_times_are_refused_exactly_when_no_minute_of_them_counts(
    start: int,
    hours: int,
    weekdays: list[int],
    days: list[str] | None,
    window: tuple[int, int] | None,
) -> None:
    conditions: dict[str, Any] = {
        "valid_from_ms": start, "valid_until_ms": start + hours * HOUR_MS, "weekdays": weekdays,
    }  # fmt: skip
    if days is not None:
        conditions["days"] = days
    if window is not None and window[0] != window[1]:
        conditions["hours"] = [{"start": f"{window[0]:02}:00", "end": f"{window[1]:02}:00"}]
    else:
        window = None

    def counts(at_ms: int) -> bool:
        hour_of_all = (at_ms - TUESDAY_MS) // HOUR_MS
        day, hour = divmod(hour_of_all, 24)
        weekday = (day + 1) % 7 + 1
        month_day = (day + 2) % 30 + 1 if day < 28 else (day - 28) % 31 + 1
        kinds = {"weekend" if weekday > 5 else "workday"} | ({"member_day"} & {
            "member_day" if month_day == 8 else ""
        })  # fmt: skip
        in_window = window is None or (
            window[0] <= hour < window[1] if window[0] < window[1]
            else hour >= window[0] or hour < window[1]
        )  # fmt: skip
        return weekday in weekdays and in_window and (days is None or bool(kinds & set(days)))

    any_counts = any(counts(start + hour * HOUR_MS) for hour in range(hours))
    refused = broken(policy(offers=[percent(conditions=conditions)]))
    assert bool(refused) == (not any_counts)


def test_a_price_above_every_reference_price_lowers_nothing() -> None:
    made = offer("fixed_price", price_milli=7000)
    assert only(policy(offers=[made])).rule == "never_applies"
    assert broken(policy(offers=[made | {"price_milli": 6900}])) == []
    diesel = made | {"price_milli": 6500, "conditions": {"grades": ["0"]}}
    assert only(policy(offers=[diesel])).rule == "never_applies"


def test_points_that_nobody_earns_are_not_multiplied() -> None:
    twice = offer("points_times", times_bp=20_000)
    assert only(policy(points={"per_yuan": 0}, offers=[twice])).rule == "never_applies"
    rates = {"grade_rates_bp": {"0": 0}}
    assert broken(policy(points=rates, offers=[twice])) == []
    diesel = twice | {"conditions": {"grades": ["0"]}}
    assert only(policy(points=rates, offers=[diesel])).rule == "never_applies"


def test_an_offer_for_paying_with_points_needs_that_to_be_possible() -> None:
    made = percent(conditions={"tenders": ["points"]})
    assert only(policy(points={}, offers=[made])).rule == "never_applies"
    assert broken(policy(offers=[made])) == []


def test_row_c20_an_offer_of_the_tender_stage_names_its_tender() -> None:
    made = offer("amount_off", off_fen=500, stage="tender")
    assert only(policy(offers=[made])).rule == "tender_unnamed"
    assert broken(policy(offers=[made | {"conditions": {"tenders": ["bank_card"]}}])) == []


@pytest.mark.parametrize("key", ["cap_fen", "budget_fen"])
@pytest.mark.parametrize(
    "made",
    [
        offer("amount_off", off_fen=1000),
        offer("spend_save", spend_fen=10_000, save_fen=1000),
        offer("item_off", good="urea", off_fen=1000),
    ],
    ids=lambda made: str(made["kind"]),
)
def test_a_cap_below_the_saving_breaks_the_promise(made: dict[str, Any], key: str) -> None:
    breach = only(policy(offers=[made | {key: 999}]))
    assert (breach.rule, breach.place) == ("cap_below_saving", f"offers[0].{key}")
    assert broken(policy(offers=[made | {key: 1000}])) == []


def test_row_c2_one_member_cannot_get_more_coupons_than_there_are() -> None:
    template = {"offer": percent(), "valid_days": 9, "total": 3, "per_member": 4}
    breach = only(policy(coupon_templates=[template]))
    assert (breach.rule, breach.place) == ("coupon_count", "coupon_templates[0].per_member")
    assert broken(policy(coupon_templates=[template | {"per_member": 3}])) == []


# --- groups and stacking ------------------------------------------------------------------------

LITRE = offer("per_litre_off", "litre", off_milli=100, group="litres")


@pytest.mark.parametrize(
    ("offers", "said"),
    [
        ([percent(stacks_with=["percnt"]), LITRE], "nearest known is 'percent'"),
        ([percent(stacks_with=["percent"])], "at most applies anyway"),
        ([percent(stacks_with=["o1"])], "at most applies anyway"),
        ([percent(stacks_with=["litre"]), LITRE | {"stacks_with": []}], "does not allow it"),
        ([percent(stacks_with=["litres"]), LITRE | {"stacks_with": ["x"], "group": "litres"},
          offer("amount_off", "x", off_fen=100)], "does not allow it"),
        ([offer("fixed_price", price_milli=6300, stacks_with=["pump"]),
          offer("per_litre_off", "pump", stage="pump", off_milli=100)], "at most applies anyway"),
    ],
)  # fmt: skip
def test_row_c8_groups_that_contradict_one_another_are_refused(
    offers: list[dict[str, Any]], said: str
) -> None:
    breach = only(policy(offers=offers))
    assert breach.rule == "groups_overlap"
    assert said in breach.text_en


@pytest.mark.parametrize(
    "offers",
    [
        [percent(stacks_with=["litre"]), LITRE],
        [percent(stacks_with=["litres"]), LITRE | {"stacks_with": ["percent"]}],
        [percent(stacks_with=["litres"]), LITRE | {"stacks_with": ["o1"]}],
        [percent(stacks_with=[]), LITRE],
        [percent(stacks_with=["twice"]), offer("points_times", "twice", times_bp=20_000)],
    ],
)
def test_permissions_that_both_sides_give_are_sensible(offers: list[dict[str, Any]]) -> None:
    assert broken(policy(offers=offers)) == []


def pair(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    return [first | {"group": "g"}, second | {"group": "g"}]


DOMINATED = {
    "percent": pair(percent("a", 300), percent("b", 200)),
    "equal": pair(percent("a", 200), percent("b", 200)),
    "per litre": pair(
        offer("per_litre_off", "a", off_milli=100), offer("per_litre_off", "b", off_milli=90)
    ),
    "fixed": pair(
        offer("fixed_price", "a", price_milli=6200, conditions={"grades": ["92"]}),
        offer("fixed_price", "b", price_milli=6300, conditions={"grades": ["92"]}),
    ),
    "amount": pair(offer("amount_off", "a", off_fen=500), offer("amount_off", "b", off_fen=400)),
    "spend": pair(
        offer("spend_save", "a", spend_fen=10_000, save_fen=500),
        offer("spend_save", "b", spend_fen=20_000, save_fen=500),
    ),
    "item": pair(
        offer("item_off", "a", good="urea", off_fen=900),
        offer("item_off", "b", good="urea", off_fen=800),
    ),
}


@pytest.mark.parametrize("name", DOMINATED)
def test_an_offer_that_another_always_beats_is_refused(name: str) -> None:
    first, second = DOMINATED[name]
    breach = only(policy(offers=[first, second]))
    assert (breach.rule, breach.place) == ("never_best", "offers[1]")
    assert "'a'" in breach.text_en
    for mended in (
        [first, second | {"group": "other"}],
        [first | {"conditions": {"tiers": ["gold"], "grades": ["92"]}}, second],
        [first | {"budget_fen": 100_000}, second],
        [first | {"floor_milli": 6000 if name == "fixed" else 5600}, second],
        [first | {"stacks_with": []}, second],
    ):
        assert broken(policy(offers=mended)) == []


def test_a_lesser_offer_may_keep_the_subtotal_above_a_threshold() -> None:
    offers = [*pair(percent("a", 300), percent("b", 200))]
    saving = offer("spend_save", "c", spend_fen=20_000, save_fen=2000)
    assert broken(policy(offers=[*offers, saving])) == []
    as_coupon = [{"offer": saving, "valid_days": 9}]
    assert broken(policy(offers=offers, coupon_templates=as_coupon)) == []


def test_a_lesser_coupon_is_still_worth_having() -> None:
    first, second = DOMINATED["amount"]
    templates = [{"offer": each, "valid_days": 9} for each in (first, second)]
    assert broken(policy(coupon_templates=templates)) == []


def test_offers_that_cannot_be_compared_are_not_judged() -> None:
    mixed = pair(
        offer("spend_save", "a", spend_fen=10_000, save_fen=500),
        offer("spend_save", "b", spend_fen=9_000, save_fen=400),
    )
    assert broken(policy(offers=mixed)) == []
    steps = pair(
        offer("spend_save", "a", spend_fen=10_000, save_fen=500),
        offer("spend_save", "b", spend_fen=10_000, save_fen=400, stepwise=True),
    )
    assert broken(policy(offers=steps)) == []
    kinds = pair(offer("amount_off", "a", off_fen=100), percent("b", 200, stage="basket"))
    assert broken(policy(offers=kinds)) == []
    capped = pair(percent("a", 300, cap_fen=100), percent("b", 200))
    assert broken(policy(offers=capped)) == []


# --- points -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "offers", "refused"),
    [
        ({"per_yuan": 100}, [], True),
        ({"per_yuan": 99}, [], False),
        ({"per_yuan": 50, "grade_rates_bp": {"0": 20_000}}, [], True),
        ({"per_yuan": 150, "grade_rates_bp": {"0": 5_000, "92": 1_000}}, [], False),
        ({"per_yuan": 34}, [30_000], True),
        ({"per_yuan": 33}, [30_000], False),
        ({"per_yuan": 34}, [20_000, 20_000], False),
        ({"per_yuan": 34, "combine": "add"}, [20_000, 20_000], True),
        ({"per_yuan": 25, "combine": "add"}, [20_000, 20_000], False),
        ({"per_yuan": 25, "combine": "multiply"}, [20_000, 20_000], True),
    ],
)
def test_row_p6_row_z3_points_are_never_worth_what_was_paid_for_them(
    points: dict[str, Any], offers: list[int], refused: bool
) -> None:
    times = [offer("points_times", f"t{n}", times_bp=bp) for n, bp in enumerate(offers)]
    text = policy(points={"redeem": {"points_per_yuan": 100}} | points, offers=times)
    assert [breach.rule for breach in broken(text)] == ["points_money_machine"] * refused
    without = policy(points=points, offers=times)
    assert broken(without) == [], "points that nobody can redeem are worth nothing"


def test_multipliers_of_one_group_do_not_combine() -> None:
    times = [offer("points_times", f"t{n}", times_bp=20_000, group="g") for n in range(3)]
    points = {"per_yuan": 25, "combine": "multiply", "redeem": {"points_per_yuan": 100}}
    assert broken(policy(points=points, offers=times)) == []


@pytest.mark.parametrize(
    ("conditions", "refused"),
    [
        ({}, True),
        ({"min_amount_fen": 500}, True),
        ({"min_amount_fen": 501}, False),
        ({"min_volume_ml": 769}, True),
        ({"min_volume_ml": 1000}, False),
        ({"first_fill": True}, False),
        ({"visit": {"every": 5}}, False),
    ],
)
def test_points_for_every_fill_need_a_fill_worth_them(
    conditions: dict[str, Any], refused: bool
) -> None:
    text = with_offer("points_fixed", points=500, conditions=conditions)
    assert [breach.rule for breach in broken(text)] == ["points_money_machine"] * refused


# --- limits, tiers, calendar --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "rule", "place"),
    [
        ({"limits": {"price_floors_milli": {"93": 6000}}}, "grade_unknown",
         "limits.price_floors_milli"),
        ({"points": {"grade_rates_bp": {"93": 6000}}}, "grade_unknown", "points.grade_rates_bp"),
        ({"auto_authorise": {"grades": ["93"]}}, "grade_unknown", "auto_authorise.grades"),
        ({"goods": [{"code": "g", "label_zh": "g", "label_en": "g", "price_fen": 1,
                     "suggest_with": ["93"]}]}, "grade_unknown", "goods[0].suggest_with"),
        ({"tiers": [{"code": code, "label_zh": code, "label_en": code, "reached_at_fen": 9} | TEXTS
                    for code in ("a", "b")]}, "tiers_unordered", "tiers[1].reached_at_fen"),
        ({"calendar": {"workdays": ["2026-10-08"]}}, "calendar_workday", "calendar.workdays[0]"),
        ({"classes": {"x": {"floor_per_sale_fen": 500_001, "floor_per_day_fen": 500_001}}},
         "floor_limit", "classes.x.floor_per_sale_fen"),
        ({"classes": {"x": {"amount_per_day_fen": 100, "floor_per_day_fen": 101}}},
         "floor_limit", "classes.x.floor_per_day_fen"),
        ({"classes": {"x": {"amount_per_day_fen": 100, "second_factor_above_fen": 100}}},
         "never_applies", "classes.x.second_factor_above_fen"),
        ({"stored_value": {"named_cap_fen": 1000, "top_up_amounts_fen": [1000, 1001]}},
         "top_up_amount", "stored_value.top_up_amounts_fen[1]"),
        ({"stored_value": {"top_up_max_fen": 999, "top_up_amounts_fen": [1000]}},
         "top_up_amount", "stored_value.top_up_amounts_fen[0]"),
        ({"referral": {"levels": 0, "points_each": 1}}, "never_applies", "referral.points_each"),
    ],
)  # fmt: skip
def test_what_cannot_hold_together_is_refused(
    fields: dict[str, Any], rule: str, place: str
) -> None:
    breach = only(policy(**fields))
    assert (breach.rule, breach.place) == (rule, place)


def test_row_z11_limits_by_class_that_make_sense_are_taken() -> None:
    fleet = {
        "payments_per_minute": 9, "amount_per_day_fen": 9_000_000,
        "second_factor_above_fen": 100_000, "floor_per_sale_fen": 30_000,
        "floor_per_day_fen": 60_000,
    }  # fmt: skip
    assert broken(policy(classes={"fleet": fleet})) == []


# --- what it says together ----------------------------------------------------------------------


def test_every_rule_that_is_broken_is_told() -> None:
    offers = [
        percent("a", 2000),
        percent("b", 1900, conditions={"days": ["holiday"], "weekdays": [1]}),
    ]
    text = policy(offers=offers, calendar={"workdays": ["2026-10-08"]})
    rules = [breach.rule for breach in broken(text)]
    assert rules == ["calendar_workday", "never_applies", *["margin_floor"] * 4]
    with pytest.raises(PolicyRefused) as caught:
        accept_policy(text)
    assert caught.value.detail.endswith("; and 1 more")


def test_every_rule_is_documented_and_every_documented_rule_exists() -> None:
    folder = ROOT / "edge_agent" / "model" / "policy"
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in folder.glob("*.py")
        if path.name.startswith(("law", "soundness", "advice"))
    )
    rules = set(re.findall(r'Breach\(\s*"(\w+)"', sources))
    _, _, told = (
        (ROOT / "docs" / "policy.md").read_text(encoding="utf-8").partition("## Who judges")
    )
    assert rules == set(re.findall(r"(?m)^\| `([a-z_]+)` \|", told))


def test_the_number_of_offers_does_not_make_judging_slow() -> None:
    conditions = {
        "days": ["workday"],
        "weekdays": [1],
        "hours": [{"start": "01:00", "end": "02:00"}],
    }
    offers = [
        percent(f"o{n}", 1 + n, group="g", conditions=conditions | {"min_volume_ml": n + 1})
        for n in range(200)
    ]
    assert broken(policy(offers=offers)) == []


def test_breaches_are_those_of_the_examination() -> None:
    text = policy(offers=[percent("a", 2000)])
    assert breaches(load_policy(text)) == broken(text)
