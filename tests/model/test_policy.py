"""A policy is read as a whole or refused with the place and the likely intention."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.model.errors import PolicyRefused
from edge_agent.model.policy import (
    MAX_ERRORS_NAMED,
    MAX_OFFERS,
    MAX_POLICY_BYTES,
    NO_POLICY,
    AutoAuthorise,
    Policy,
    accept_policy,
    examine_policy,
    load_policy,
)

CONFIG = Path(__file__).parents[2] / "config"
SAMPLE = CONFIG / "policy.json"
EXAMPLES = sorted((CONFIG / "examples" / "policies").glob("*.json"))


@pytest.fixture
def raw() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return loaded


def refused(raw: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(PolicyRefused) as caught:
        load_policy(json.dumps(raw), "policy.json")
    assert caught.value.problem.text_zh
    return caught.value.problem.code, caught.value.detail


def test_row_m1_row_z1_the_sample_policy_is_what_the_station_ships_with() -> None:
    policy = accept_policy(SAMPLE.read_text(encoding="utf-8"))
    assert [tier.code for tier in policy.tiers] == ["regular", "silver", "gold", "diamond"]
    assert {offer.kind for offer in policy.offers} == {
        "percent_off", "per_litre_off", "spend_save", "points_times", "free_item",
    }  # fmt: skip
    assert not policy.auto_authorise.enabled, "leaking valves sell phantom fuel"
    silver = policy.tier("silver")
    assert silver is not None
    assert silver.label_zh == "银牌会员"
    assert policy.tier("platinum") is None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_sound(path: Path) -> None:
    assert examine_policy(path.read_text(encoding="utf-8")).breaches == ()


def test_row_c19_the_sample_knows_the_holidays_of_2026() -> None:
    calendar = load_policy(SAMPLE.read_text(encoding="utf-8")).calendar
    free = {date.fromisoformat(day) for day in calendar.holidays}
    worked = {date.fromisoformat(day) for day in calendar.workdays}
    months = {month: sum(day.month == month for day in free) for month in range(1, 13)}
    assert {month: days for month, days in months.items() if days} == {
        1: 3, 2: 9, 4: 3, 5: 5, 6: 3, 9: 3, 10: 7,
    }  # fmt: skip
    assert all(day.isoweekday() >= 6 for day in worked)
    assert sum(day.isoweekday() <= 5 for day in free) == 13 + len(worked), (
        "the law gives 13 days in 2026; what further weekdays are free is worked at a weekend"
    )


def test_row_c5_row_z15_members_days_are_a_list() -> None:
    assert load_policy(SAMPLE.read_text(encoding="utf-8")).calendar.member_days == (8, 18, 28)


def test_row_c28_urea_is_suggested_to_who_buys_diesel() -> None:
    policy = load_policy(SAMPLE.read_text(encoding="utf-8"))
    assert [good.code for good in policy.goods if "0" in good.suggest_with] == ["urea-10l"]


def test_row_r1_row_r2_row_z11_limits_are_by_class() -> None:
    policy = load_policy(SAMPLE.read_text(encoding="utf-8"))
    standard = policy.limits_of("private car")
    assert standard == policy.classes["standard"]
    assert (standard.payments_per_minute, standard.amount_per_day_fen) == (3, 1_000_000)
    assert policy.limits_of("fleet").amount_per_day_fen > standard.amount_per_day_fen
    assert NO_POLICY.limits_of("fleet").amount_per_day_fen == 1_000_000


def test_row_m6_row_m12_tiers_say_what_has_to_be_spent_for_them() -> None:
    tiers = load_policy(SAMPLE.read_text(encoding="utf-8")).tiers
    assert [tier.reached_at_fen for tier in tiers] == [0, 200_000, 800_000, 2_000_000]


def test_row_m11_every_tier_has_its_greeting() -> None:
    tiers = load_policy(SAMPLE.read_text(encoding="utf-8")).tiers
    assert all(tier.greeting_zh and tier.greeting_en for tier in tiers)


def test_a_policy_survives_being_written_and_read() -> None:
    policy = load_policy(SAMPLE.read_text(encoding="utf-8"))
    assert load_policy(policy.model_dump_json()) == policy


def test_an_unknown_key_names_file_place_and_the_nearest_known_key(raw: dict[str, Any]) -> None:
    raw["offers"][3]["off_mili"] = raw["offers"][3].pop("off_milli")
    code, detail = refused(raw)
    assert code == "policy_key_unknown"
    assert "policy.json: offers[3].off_mili: unknown key; nearest known is 'off_milli'" in detail
    assert "policy.json: offers[3].off_milli: Field required" in detail


@pytest.mark.parametrize(
    ("table", "wrong", "near"),
    [
        (("points",), "per_yan", "per_yuan"),
        (("limits",), "max_discount", "max_discount_bp"),
        (("plate_pay",), "enable", "enabled"),
        (("auto_authorise",), "nozzle", "nozzles"),
        (("tiers", 0), "label_zhh", "label_zh"),
        (("offers", 0, "conditions"), "tier", "tiers"),
        (("offers", 5, "conditions", "hours", 0), "begin", None),
        ((), "ofers", "offers"),
    ],
)
def test_every_table_knows_its_keys(
    raw: dict[str, Any], table: tuple[str | int, ...], wrong: str, near: str | None
) -> None:
    place: Any = raw
    for step in table:
        place = place[step]
    place[wrong] = 1
    code, detail = refused(raw)
    assert code == "policy_key_unknown"
    assert f"{wrong}: unknown key" in detail
    assert near is None or f"nearest known is {near!r}" in detail


def test_an_unknown_kind_of_offer_names_the_nearest(raw: dict[str, Any]) -> None:
    raw["offers"][0]["kind"] = "percentoff"
    code, detail = refused(raw)
    assert code == "policy_value_refused"
    expected = "offers[0].kind: unknown kind 'percentoff'; nearest known is 'percent_off'"
    assert expected in detail


def test_more_faults_than_fit_are_counted(raw: dict[str, Any]) -> None:
    for offer in raw["offers"]:
        offer["wrong"] = 1
    assert refused(raw)[1].endswith(f"and {len(raw['offers']) - MAX_ERRORS_NAMED} more")


CONTRADICTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("offers[6]", {"save_fen": 20_000}, "save_fen is not below spend_fen"),
    ("offers[6]", {"group": "percent"}, "has offers of two stages"),
    ("offers[1]", {"id": "tier-silver"}, "'tier-silver' is there already"),
    ("offers[0].conditions", {"tiers": ["sliver"]}, "unknown tier 'sliver'; nearest known is"),
    ("offers[0].conditions", {"valid_from_ms": 2, "valid_until_ms": 2}, "can never apply"),
    ("offers[5].conditions", {"hours": [{"start": "06:00", "end": "06:00"}]}, "are the same"),
    ("tiers[1]", {"code": "gold"}, "'gold' is there already"),
    ("plate_pay", {"max_amount_fen": 0}, "can never apply"),
]


@pytest.mark.parametrize(("place", "change", "said"), CONTRADICTIONS)
def test_a_senseless_policy_is_refused(
    raw: dict[str, Any], place: str, change: dict[str, Any], said: str
) -> None:
    target: Any = raw
    for step in place.replace("[", ".").replace("]", "").split("."):
        target = target[int(step) if step.isdigit() else step]
    target.update(change)
    code, detail = refused(raw)
    assert code == "policy_senseless"
    assert said in detail
    found = examine_policy(json.dumps(raw))
    assert found.policy is None
    assert found.problem is not None
    assert [breach.rule for breach in found.breaches] == [code]
    assert said in found.breaches[0].text_en


def test_percentages_that_stack_to_the_whole_price_are_refused(raw: dict[str, Any]) -> None:
    for index, group in enumerate(("a", "b", None)):
        raw["offers"][index] |= {"off_bp": 3400, "group": group}
    code, detail = refused(raw)
    assert code == "policy_senseless"
    assert "stack up to 100 %" in detail


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("offers", 0, "off_bp"), 10_000),
        (("offers", 0, "off_bp"), 0),
        (("offers", 0, "off_bp"), 2.5),
        (("offers", 0, "off_bp"), True),
        (("offers", 0, "text_zh"), ""),
        (("offers", 0, "id"), "Tier Silver"),
        (("offers", 3, "off_milli"), "150"),
        (("offers", 4, "conditions", "weekdays"), [0]),
        (("offers", 4, "conditions", "grades"), []),
        (("offers", 5, "conditions", "hours", 0, "start"), "24:30"),
        (("offers", 5, "conditions", "hours", 0, "start"), "24:00"),
        (("limits", "max_discount_bp"), 10_001),
        (("limits", "price_floors_milli", "92"), 0),
        (("unpaid_limit",), 0),
        (("version",), -1),
        (("format",), 2),
    ],
)
def test_a_value_out_of_range_is_refused(
    raw: dict[str, Any], place: tuple[str | int, ...], value: object
) -> None:
    target: Any = raw
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    code, detail = refused(raw)
    assert code in {"policy_value_refused", "policy_senseless"}
    named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    assert place[-1] == "start" or named.lstrip(".") in detail


def test_a_policy_object_is_as_strict_as_a_policy_file() -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({"format": 1, "version": 1, "offers": [], "unpaid_limit": "2"})


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"format": 1, "format": 1, "version": 1}', "[" * 100_000, "x" * MAX_POLICY_BYTES],
    ids=["empty", "cut", "key twice", "nested", "large"],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(PolicyRefused) as caught:
        load_policy(text)
    assert caught.value.problem.code == "policy_malformed"
    assert [breach.rule for breach in examine_policy(text).breaches] == ["policy_malformed"]


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    with suppress(PolicyRefused):
        assert load_policy(text).format == 1


def test_the_number_of_offers_is_bounded(raw: dict[str, Any]) -> None:
    offer = raw["offers"][0]
    raw["offers"] = [offer | {"id": f"o{n}"} for n in range(MAX_OFFERS)]
    assert len(load_policy(json.dumps(raw)).offers) == MAX_OFFERS
    raw["offers"].append(offer)
    assert refused(raw)[0] == "policy_value_refused"


def test_automatic_authorisation_covers_what_it_names() -> None:
    assert not AutoAuthorise().covers(1, "92")
    assert not AutoAuthorise(nozzles=(1,)).covers(1, "92"), "off by default"
    assert AutoAuthorise(enabled=True).covers(7, "0")
    named = AutoAuthorise(enabled=True, nozzles=(1, 2), grades=("92",))
    assert named.covers(2, "92")
    assert not named.covers(3, "92")
    assert not named.covers(1, "95")


def test_without_a_policy_nothing_is_allowed_that_needs_one() -> None:
    assert NO_POLICY.offers == ()
    assert not NO_POLICY.plate_pay.enabled
    assert not NO_POLICY.auto_authorise.enabled
    assert NO_POLICY.unpaid_limit == 2


@pytest.mark.parametrize(
    ("change", "place", "zh", "en"),
    [
        ({"off_bp": 2.5}, "off_bp", "须为整数", "valid integer"),
        ({"off_bp": 0}, "off_bp", "不得小于1", "greater than or equal to 1"),
        ({"text_zh": ""}, "text_zh", "文字太短，至少1字", "at least 1 character"),
        ({"of_bp": 1}, "of_bp", "未知的键，请核对拼写；最接近的是 'off_bp'", "unknown key"),
        ({"kind": "percent"}, "kind", "未知的 kind；最接近的是 'percent_off'", "'percent'"),
        ({"group": "spend-save"}, "stage", "政策自相矛盾", "offers of two stages"),
    ],
)
def test_faults_of_form_are_told_by_place_and_in_both_languages(
    raw: dict[str, Any], change: dict[str, Any], place: str, zh: str, en: str
) -> None:
    raw["offers"][0].update(change)
    breaches = examine_policy(json.dumps(raw)).breaches
    [found] = [each for each in breaches if zh in each.text_zh]
    assert re.fullmatch(rf"offers\[\d+\]\.{place}", found.place)
    assert en in found.text_en
