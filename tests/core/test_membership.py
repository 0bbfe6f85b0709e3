"""What a member is told and given: birthday week, progress, greeting, warnings, plate pay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge_agent.core.membership import (
    PLATE_PAY_NO_CONSENT,
    PLATE_PAY_OFF,
    PLATE_PAY_OVER_LIMIT,
    PLATE_PAY_UNCOVERED,
    facts_of,
    has_priority,
    in_birthday_week,
    plate_pay_problem,
    tier_progress,
)
from edge_agent.core.purse import EMPTY_PURSE, Purse
from edge_agent.core.wallet import expiring, require_top_up, usable_coupons, wallet
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import AccountRef, MemberRef
from edge_agent.model.membership import AccountKind, ExpiringPoints, Member
from edge_agent.model.policy import PlatePay, Policy, StoredValue
from edge_agent.model.units import Money
from tests.core.leasing import (
    CHINA,
    DAY_MS,
    coupon_terms,
    points_terms,
    purse_of,
    taken,
    terms,
)
from tests.core.offers import policy

NOON_MS = int(datetime(2026, 11, 3, 4, tzinfo=UTC).timestamp() * 1000)
"""Noon of 3 November 2026 in China."""
GOLD = Member(MemberRef("m-1"), "gold", "张**", AccountRef("a-1"), True, spent_fen=900_000)
NAMES = {"regular": "普通", "silver": "银卡", "gold": "金卡", "diamond": "钻石"}
REACHED = {"regular": 0, "silver": 200_000, "gold": 800_000, "diamond": 2_000_000}
FOUR_TIERS = [
    {
        "code": code,
        "label_zh": NAMES[code],
        "label_en": code.title(),
        "text_zh": code,
        "text_en": code,
        "greeting_zh": f"{NAMES[code]}会员您好",
        "greeting_en": f"Welcome, {code} member",
    }
    | ({"reached_at_fen": REACHED[code]} if REACHED[code] else {})
    for code in NAMES
]
VOUCHER = {
    "offer": {
        "id": "voucher",
        "kind": "amount_off",
        "off_fen": 500,
        "text_zh": "5元券",
        "text_en": "5 yuan off",
    },
    "valid_days": 30,
}


def rules(**more: object) -> Policy:
    return policy(tiers=FOUR_TIERS, coupon_templates=[VOUCHER], **more)


# --- what pricing may know ----------------------------------------------------------------------


def _on(month: int, day: int) -> int:
    return int(datetime(2026, month, day, 4, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("week", "at_ms", "within"),
    [
        (("11-01", "11-07"), _on(11, 1), True),
        (("11-01", "11-07"), _on(11, 7), True),
        (("11-01", "11-07"), _on(11, 8), False),
        (("11-01", "11-07"), _on(10, 31), False),
        (("12-29", "01-04"), _on(12, 31), True),
        (("12-29", "01-04"), _on(1, 4), True),
        (("12-29", "01-04"), _on(1, 5), False),
        (("12-29", "01-04"), _on(12, 28), False),
    ],
)
def test_row_m17_row_p3_the_birthday_week_is_known_without_a_birth_date(
    week: tuple[str, str], at_ms: int, within: bool
) -> None:
    assert in_birthday_week(replace(GOLD, birthday_week=week), at_ms, CHINA) is within


def test_row_m17_the_birthday_week_begins_at_the_stations_midnight() -> None:
    member = replace(GOLD, birthday_week=("11-03", "11-09"))
    midnight_ms = NOON_MS - 12 * 3_600_000
    assert in_birthday_week(member, midnight_ms, CHINA)
    assert not in_birthday_week(member, midnight_ms - 1, CHINA)
    assert not in_birthday_week(GOLD, midnight_ms, CHINA)


def test_row_m18_pricing_hears_of_tags_tier_and_fills_and_of_no_name() -> None:
    member = replace(GOLD, tags=("diesel", "night"))
    facts = facts_of(member, NOON_MS, CHINA, visits_this_month=4, fills_here=4)
    assert facts is not None
    assert (facts.ref, facts.tier, facts.tags) == ("m-1", "gold", ("diesel", "night"))
    assert (facts.birthday_week, facts.first_fill, facts.visit_number) == (False, False, 5)
    assert facts_of(None, NOON_MS, CHINA) is None


def test_the_first_fill_is_judged_by_headquarters_and_by_these_books() -> None:
    def first(fills: int, here: int) -> bool:
        found = facts_of(replace(GOLD, fills=fills), NOON_MS, CHINA, fills_here=here)
        return found is not None and found.first_fill

    assert first(0, 0)
    assert not first(1, 0)
    assert not first(0, 1)
    found = facts_of(GOLD, NOON_MS, CHINA)
    assert found is not None
    assert found.visit_number is None


# --- tiers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "spent_fen", "text_zh", "text_en"),
    [
        ("regular", 0, "再消费2000元升至银卡", "2000 yuan more to Silver"),
        ("silver", 796_550, "再消费34.50元升至金卡", "34.50 yuan more to Gold"),
        ("gold", 780_000, "再消费200元即可保级", "200 yuan more to keep the tier"),
        ("silver", 900_000, "已达到金卡，待总部确认", "Gold is reached: headquarters will confirm"),
        ("diamond", 2_500_000, None, None),
        ("black", 0, None, None),
    ],
)
def test_row_m2_row_m6_row_m12_how_much_more_to_spend_is_said(
    tier: str, spent_fen: int, text_zh: str | None, text_en: str | None
) -> None:
    standing = tier_progress(replace(GOLD, tier=tier, spent_fen=spent_fen), rules())
    assert (standing.text_zh, standing.text_en) == (text_zh, text_en)


def test_row_m2_row_m12_what_was_paid_here_counts_towards_the_next_tier() -> None:
    member = replace(GOLD, tier="regular", spent_fen=150_000)
    assert tier_progress(member, rules()).to_next == Money(50_000)
    assert tier_progress(member, rules(), Money(20_000)).to_next == Money(30_000)


def test_row_m3_row_m16_the_highest_tier_is_served_first() -> None:
    assert has_priority(replace(GOLD, tier="diamond"), rules())
    assert not has_priority(GOLD, rules())
    assert not has_priority(replace(GOLD, tier="regular"), policy(tiers=FOUR_TIERS[:1]))
    assert not has_priority(GOLD, policy(tiers=[]))


# --- the wallet ---------------------------------------------------------------------------------


def full_purse() -> Purse:
    found = taken(
        terms("a", 5_000, holding=80_000, expires_ms=NOON_MS + DAY_MS),
        points_terms("p", [(NOON_MS + DAY_MS, 1_250)], NOON_MS + DAY_MS),
        coupon_terms("C-2").model_copy(update=_until(9)),
        coupon_terms("C-1").model_copy(update=_until(3)),
        coupon_terms("C-3", "of another policy").model_copy(update=_until(3)),
        coupon_terms("C-4").model_copy(update=_until(3) | {"from_ms": NOON_MS + 1}),
    )
    return replace(purse_of(found), cache_age_s=540)


def _until(days: int) -> dict[str, int]:
    ends_ms = NOON_MS + days * DAY_MS
    return {"until_ms": ends_ms, "expires_ms": ends_ms}


def test_row_m11_the_wallet_greets_and_says_what_may_be_spent_here() -> None:
    member = replace(GOLD, points=(ExpiringPoints(NOON_MS + 40 * DAY_MS, 7_000),))
    found = wallet(member, full_purse(), rules(points={"redeem": {}}), NOON_MS, CHINA)
    assert (found.member, found.tier, found.tier_zh, found.tier_en) == (
        "张**",
        "gold",
        "金卡",
        "Gold",
    )
    assert (found.greeting_zh, found.greeting_en) == ("金卡会员您好", "Welcome, gold member")
    assert (found.balance_here_fen, found.balance_known_fen) == (5_000, 80_000)
    assert (found.points_here, found.points_known, found.points_value_fen) == (1_250, 7_000, 1_200)
    assert [each.serial for each in found.coupons] == ["C-1", "C-2"]
    assert (found.next_tier_zh, found.to_next_tier_fen) == ("钻石", 1_100_000)
    assert (found.account_kind, found.locked, found.cache_age_s) == ("personal", None, 540)


def test_a_member_without_an_account_or_a_tier_has_a_wallet_too() -> None:
    member = replace(GOLD, tier="of tomorrow", account=None)
    found = wallet(member, EMPTY_PURSE, rules(), NOON_MS, CHINA)
    assert (found.tier_zh, found.greeting_zh, found.to_next_tier_fen) == ("of tomorrow", None, None)
    assert (found.account_kind, found.balance_known_fen, found.low_balance) == (None, None, False)
    assert (found.balance_here_fen, found.points_here, found.coupons) == (0, 0, ())


def test_row_v15_a_low_balance_is_said() -> None:
    settings = {"low_balance_fen": 10_000, "top_up_amounts_fen": [20_000]}
    found = rules(stored_value=settings)
    little = purse_of(taken(terms("a", 9_999, expires_ms=NOON_MS + 9)))
    assert wallet(GOLD, little, found, NOON_MS, CHINA).low_balance
    assert not wallet(GOLD, full_purse(), found, NOON_MS, CHINA).low_balance
    assert not wallet(GOLD, little, rules(), NOON_MS, CHINA).low_balance


def test_row_p14_row_c14_what_will_be_lost_is_said_soonest_first() -> None:
    member = replace(
        GOLD,
        points=(
            ExpiringPoints(NOON_MS + 20 * DAY_MS, 50),
            ExpiringPoints(NOON_MS + 2 * DAY_MS, 8),
        ),
    )
    found = expiring(member, full_purse().coupons, rules(), NOON_MS, CHINA)
    assert [(each.what, each.days, each.serial, each.points) for each in found] == [
        ("points", 2, None, 8),
        ("coupon", 3, "C-1", 0),
        ("points", 20, None, 50),
    ]
    assert found[1].text_zh == "优惠券“5元券”将于3天后过期"
    assert found[1].text_en == "the coupon “5 yuan off” expires in 3 days"


def test_row_c7_a_coupon_holds_between_two_instants() -> None:
    coupons = purse_of(taken(coupon_terms("C-1").model_copy(update=_until(1)))).coupons
    assert usable_coupons(coupons, rules(), NOON_MS + DAY_MS - 1)
    assert not usable_coupons(coupons, rules(), NOON_MS + DAY_MS)


# --- topping up ---------------------------------------------------------------------------------


def refused(
    amount_fen: int,
    purse: Purse,
    kind: AccountKind = "personal",
    settings: StoredValue = StoredValue(top_up_amounts_fen=(20_000,)),  # noqa: B008 - frozen
) -> str | None:
    try:
        require_top_up(settings, replace(GOLD, account_kind=kind), purse, Money(amount_fen))
    except SaleRefused as error:
        return error.problem.code
    return None


def test_row_v12_no_top_up_lifts_an_account_above_the_legal_cap() -> None:
    known = purse_of(taken(terms("a", 100, holding=450_000)))
    assert refused(50_000, known) is None
    assert refused(50_001, known) == "top_up_above_cap"
    twice = purse_of(taken(terms("a", 100, holding=450_000), terms("t", 30_000)))
    assert refused(20_000, twice) is None
    assert refused(20_001, twice) == "top_up_above_cap"
    assert refused(100_000, purse_of({}), "bearer") is None
    assert refused(100_001, purse_of({}), "bearer") == "top_up_above_cap"
    assert refused(500_000, purse_of({}), "fleet") is None


def test_row_v10_what_may_be_topped_up_is_the_policys() -> None:
    assert refused(20_000, purse_of({}), settings=StoredValue()) == "top_up_off"
    assert refused(20_000, EMPTY_PURSE) == "stored_value_no_account"
    least = StoredValue(top_up_amounts_fen=(20_000,), top_up_max_fen=30_000)
    assert refused(30_000, purse_of({}), settings=least) is None
    assert refused(30_001, purse_of({}), settings=least) == "top_up_amount"
    assert refused(0, purse_of({}), settings=least) == "top_up_amount"


# --- plate pay ----------------------------------------------------------------------------------

ON = PlatePay(enabled=True, max_amount_fen=50_000)


@pytest.mark.parametrize(
    ("settings", "consents", "leased", "floor", "payable", "problem"),
    [
        (ON, True, 40_000, 0, 40_000, None),
        (ON, True, 40_000, 0, 40_001, PLATE_PAY_UNCOVERED),
        (ON, True, 40_000, 1, 40_001, None),
        (ON, True, 90_000, 0, 50_001, PLATE_PAY_OVER_LIMIT),
        (ON, False, 90_000, 0, 100, PLATE_PAY_NO_CONSENT),
        (PlatePay(), True, 90_000, 0, 100, PLATE_PAY_OFF),
    ],
)
def test_row_m21_plate_pay_charges_what_is_leased_here_for_whoever_shares_the_account(
    settings: PlatePay,
    consents: bool,
    leased: int,
    floor: int,
    payable: int,
    problem: Problem | None,
) -> None:
    found = taken(terms("a", leased, expires_ms=NOON_MS + 9))
    for ref in ("first car", "second car"):
        member = replace(GOLD, ref=MemberRef(ref), plate_pay=consents, account_kind="family")
        purse = purse_of(found, floor_fen=floor)
        assert plate_pay_problem(settings, member, purse, Money(payable), NOON_MS) is problem
