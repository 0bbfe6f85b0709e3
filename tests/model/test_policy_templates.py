"""Each coupon template of the sample policy prices a case to the fen, and leaves out the next one.

Cases are worked out by hand from the template's own words, at list prices of the demo.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_agent.core.promotions import decide_price, quote
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy, accept_policy
from edge_agent.model.quote import (
    CouponFacts,
    GoodsLine,
    MemberFacts,
    Paying,
    Quote,
    QuoteRequest,
    RejectReason,
)
from edge_agent.model.units import Money, UnitPrice, volume_for

SAMPLE = Path(__file__).parents[2] / "config" / "policy.json"
WHOLE = accept_policy(SAMPLE.read_text(encoding="utf-8"))
COUPONS_ONLY = Policy.model_validate(WHOLE.model_dump() | {"offers": ()})
PRICES = {"92": 7850, "95": 8350, "0": 7500}
TUESDAY = datetime(2026, 11, 3, 12, tzinfo=UTC) - timedelta(hours=8)
MEMBER = MemberFacts(MemberRef("m-1"), "regular")


def asked(fen: int, template: str, *, grade: str = "92", **more: Any) -> QuoteRequest:
    at = more.pop("at", TUESDAY)
    price = UnitPrice(PRICES[grade])
    request = QuoteRequest(
        grade=GradeId(grade),
        volume=volume_for(Money(fen), price),
        amount=Money(fen),
        unit_price=price,
        at_ms=round(at.timestamp()) * 1000,
        utc_offset_minutes=480,
        member=MEMBER,
        coupons=(coupon(template),),
    )
    return replace(request, **more)


def coupon(template: str) -> CouponFacts:
    return CouponFacts(f"S-{template}", template, 0, 2**52)


def applied(answer: Quote) -> dict[str, int]:
    return {line.offer: line.amount.fen for line in answer.applied}


def washer(pieces: int = 1) -> tuple[GoodsLine, ...]:
    return (GoodsLine("washer-fluid", pieces, Money(2500 * pieces)),)


BIRTHDAY = replace(MEMBER, birthday_week=True)
NEWCOMER = replace(MEMBER, first_fill=True)
SATURDAY, EIGHTH = TUESDAY + timedelta(days=4), TUESDAY + timedelta(days=5)

CASES: dict[str, tuple[QuoteRequest, int, QuoteRequest]] = {
    # template: a case in which it applies, the fen that it takes off, a case in which it does not
    "spend-200-save-25": (asked(20_000, "spend-200-save-25"), 2500,
                          asked(19_999, "spend-200-save-25")),
    "percent-5": (asked(30_010, "percent-5"), 1501, asked(0, "percent-5")),
    "only-92-save-10": (asked(15_000, "only-92-save-10"), 1000,
                        asked(15_000, "only-92-save-10", grade="95")),
    "cash-20": (asked(20_000, "cash-20"), 2000, asked(19_999, "cash-20")),
    # 25.478 L x 6.90 = 175.798: 175.80
    "fixed-92-at-690": (asked(20_000, "fixed-92-at-690"), 2420,
                        asked(20_000, "fixed-92-at-690", grade="0")),
    # 29.940 L x 0.30 = 8.982
    "litre-95-save-30": (asked(25_000, "litre-95-save-30", grade="95"), 898,
                         asked(25_000, "litre-95-save-30")),
    "each-100-save-8": (asked(39_999, "each-100-save-8"), 2400, asked(9_999, "each-100-save-8")),
    "washer-fluid-at-10": (asked(10_000, "washer-fluid-at-10", goods=washer(2)), 1500,
                           asked(10_000, "washer-fluid-at-10")),
    "bank-card-15": (asked(20_000, "bank-card-15", paying=Paying("bank_card")), 1500,
                     asked(20_000, "bank-card-15", paying=Paying("cash"))),
    "newcomer-30": (asked(20_000, "newcomer-30", member=NEWCOMER), 3000,
                    asked(20_000, "newcomer-30")),
    "newcomer-20": (asked(20_000, "newcomer-20"), 2000, asked(19_999, "newcomer-20")),
    "newcomer-25": (asked(30_000, "newcomer-25"), 2500, asked(29_999, "newcomer-25")),
    "newcomer-28": (asked(40_000, "newcomer-28"), 2800, asked(39_999, "newcomer-28")),
    "birthday-100-save-15": (asked(10_000, "birthday-100-save-15", member=BIRTHDAY), 1500,
                             asked(10_000, "birthday-100-save-15")),
    "saturday-12": (asked(15_000, "saturday-12", at=SATURDAY), 1200,
                    asked(15_000, "saturday-12")),
    "off-peak-6": (asked(20_000, "off-peak-6", at=TUESDAY - timedelta(hours=1)), 1200,
                   asked(20_000, "off-peak-6")),
    "member-day-28": (asked(20_000, "member-day-28", at=EIGHTH), 2800,
                      asked(20_000, "member-day-28")),
    "top-up-500-save-15": (asked(20_000, "top-up-500-save-15"), 1500,
                           asked(19_999, "top-up-500-save-15")),
    "come-back-5": (asked(10_000, "come-back-5"), 500, asked(9_999, "come-back-5")),
    "come-back-10": (asked(15_000, "come-back-10"), 1000, asked(14_999, "come-back-10")),
    "come-back-15": (asked(20_000, "come-back-15"), 1500, asked(19_999, "come-back-15")),
}  # fmt: skip
GOLD = replace(MEMBER, tier="gold")
GIFTS: dict[str, tuple[QuoteRequest, str, QuoteRequest]] = {
    "washer-fluid-gift": (asked(20_000, "washer-fluid-gift"), "washer-fluid",
                          asked(19_999, "washer-fluid-gift")),
    "car-wash": (asked(100, "car-wash"), "car-wash", asked(100, "cash-20")),
    "vehicle-check": (asked(100, "vehicle-check", member=GOLD), "vehicle-check",
                      asked(100, "vehicle-check")),
}  # fmt: skip
POINTS: dict[str, tuple[QuoteRequest, int, QuoteRequest]] = {
    # beside the 100 points that 100 yuan earn by themselves
    "points-3-times": (asked(10_000, "points-3-times"), 200, asked(99, "points-3-times")),
    "points-500": (asked(10_000, "points-500"), 500, asked(9_999, "points-500")),
}


def test_row_c1_there_are_more_than_ten_templates_and_each_has_its_case() -> None:
    codes = {template.code for template in WHOLE.coupon_templates}
    assert len(codes) > 10
    assert codes == {*CASES, *GIFTS, *POINTS}
    assert {template.offer.kind for template in WHOLE.coupon_templates} == {
        "percent_off", "per_litre_off", "fixed_price", "amount_off", "spend_save", "item_off",
        "free_item", "points_times", "points_fixed",
    }  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_row_c1_a_template_takes_off_what_it_says(code: str) -> None:
    fitting, off_fen, other = CASES[code]
    answer = quote(fitting, COUPONS_ONLY)
    assert applied(answer) == {code: off_fen}
    assert answer.applied[0].coupon == f"S-{code}"
    assert answer.payable.fen == fitting.listed.fen - off_fen
    kept = quote(other, COUPONS_ONLY)
    assert applied(kept) == {}
    assert [(line.offer, line.coupon) for line in kept.rejected] == [(code, f"S-{code}")]


@pytest.mark.parametrize("code", GIFTS)
def test_row_c1_row_m8_row_p7_a_template_gives_a_piece_of_a_good(code: str) -> None:
    fitting, good, other = GIFTS[code]
    given = quote(fitting, COUPONS_ONLY).benefits
    assert [(line.good, line.pieces, line.coupon) for line in given] == [(good, 1, f"S-{code}")]
    assert quote(other, COUPONS_ONLY).benefits == ()


@pytest.mark.parametrize("code", POINTS)
def test_row_c1_a_template_gives_points(code: str) -> None:
    fitting, points, other = POINTS[code]
    answer = quote(fitting, COUPONS_ONLY)
    assert answer.points_earned == fitting.amount.fen // 100 + points
    assert quote(other, COUPONS_ONLY).points_earned == other.amount.fen // 100


def test_row_c2_a_coupon_counts_only_within_its_own_validity() -> None:
    now_ms = CASES["cash-20"][0].at_ms
    for from_ms, until_ms, reason in (
        (now_ms + 1, 2**52, RejectReason.NOT_YET),
        (0, now_ms, RejectReason.EXPIRED),
    ):
        mine = CouponFacts("S-1", "cash-20", from_ms, until_ms)
        answer = quote(asked(20_000, "cash-20", coupons=(mine,)), COUPONS_ONLY)
        assert applied(answer) == {}
        assert [line.reason for line in answer.rejected] == [reason]


def test_row_c4_the_newcomers_pack_is_worth_188_yuan() -> None:
    pack = [each for each in WHOLE.coupon_templates if each.code.startswith("newcomer-")]
    values = [getattr(each.offer, "off_fen", 0) * (each.per_member or 0) for each in pack]
    assert sum(values) == 18_800


def test_row_c6_a_coupon_for_92_is_refused_with_95_by_its_grade() -> None:
    answer = quote(asked(20_000, "only-92-save-10", grade="95"), COUPONS_ONLY)
    assert [line.reason for line in answer.rejected] == [RejectReason.GRADE]


def test_row_c7_the_saturday_coupon_is_bound_to_its_own_saturday() -> None:
    saturday_ms = CASES["saturday-12"][0].at_ms
    first = CouponFacts("S-1", "saturday-12", saturday_ms - 3_600_000, saturday_ms + 3_600_000)
    this = asked(15_000, "saturday-12", at=SATURDAY, coupons=(first,))
    following = replace(this, at_ms=this.at_ms + 7 * 86_400_000)
    assert applied(quote(this, COUPONS_ONLY)) == {"saturday-12": 1200}
    assert applied(quote(following, COUPONS_ONLY)) == {}


def test_row_c8_a_percent_coupon_excludes_the_tier_and_stacks_with_spend_and_save() -> None:
    silver = replace(MEMBER, tier="silver")
    answer = quote(asked(31_000, "percent-5", member=silver), WHOLE)
    # 5 % of 310.00 is 15.50; 294.50 are left, from which spend 200, save 20 counts
    assert applied(answer) == {"percent-5": 1550, "spend-200-save-20": 2000}
    reasons: dict[str, RejectReason] = {line.offer: line.reason for line in answer.rejected}
    assert reasons["tier-silver"] is RejectReason.GROUP_TAKEN


def test_row_m17_the_birthday_week_brings_its_coupon_and_double_points() -> None:
    answer = quote(asked(10_000, "birthday-100-save-15", member=BIRTHDAY), WHOLE)
    assert applied(answer) == {"birthday-100-save-15": 1500}
    assert answer.points_earned == 2 * 85


def test_row_p2_row_p3_row_z3_saturday_and_birthday_double_but_never_fourfold() -> None:
    for at, member, times in (
        (TUESDAY, MEMBER, 1),
        (SATURDAY, MEMBER, 2),
        (TUESDAY, BIRTHDAY, 2),
        (SATURDAY, BIRTHDAY, 2),
    ):
        answer = quote(asked(10_000, "cash-20", at=at, member=member), WHOLE)
        assert answer.points_earned == 100 * times


def test_row_c18_the_off_peak_coupon_keeps_out_of_the_rush_hour() -> None:
    for hour, off_fen in ((9, 0), (10, 1200), (12, 0), (21, 1200), (6, 1200), (7, 0)):
        at = TUESDAY.replace(hour=0) + timedelta(hours=hour - 8)
        at += timedelta(days=1) if hour < 8 else timedelta()
        assert sum(applied(quote(asked(20_000, "off-peak-6", at=at), COUPONS_ONLY)).values()) == (
            off_fen
        ), hour


def test_row_c20_the_bank_cards_offer_waits_for_the_card() -> None:
    answer = quote(asked(20_000, "bank-card-15", paying=None), COUPONS_ONLY)
    assert [line.reason for line in answer.rejected] == [RejectReason.TENDER]


def test_row_c15_no_template_alone_is_cut_at_the_reference_prices() -> None:
    """What the validator proves about margins, seen through the quote itself."""
    for code, (fitting, _, _) in CASES.items():
        reference = next(g for g in WHOLE.grades if g.code == fitting.grade)
        price = UnitPrice(reference.reference_price_milli)
        cheap = replace(fitting, unit_price=price, volume=volume_for(fitting.amount, price))
        free = COUPONS_ONLY.model_copy(update={"limits": type(WHOLE.limits)()})
        with_limits, without = decide_price(cheap, COUPONS_ONLY), decide_price(cheap, free)
        assert with_limits.payable == without.payable, code
