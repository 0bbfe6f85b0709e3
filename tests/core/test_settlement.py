"""Tenders add up to the payable amount, whatever is offered; what is held is drawn exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core.points import expires_ms
from edge_agent.core.purse import EMPTY_PURSE, Purse
from edge_agent.core.settlement import SaleIdentity, paid_as, paying_of, settle, shares
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import CorruptionError, SaleRefused
from edge_agent.model.leases import Lease
from edge_agent.model.policy import Points
from edge_agent.model.quote import Paying
from edge_agent.model.quote_record import explanation_hash
from edge_agent.model.records import (
    AssetMoved,
    PointsEarned,
    QuoteBody,
    RecordBody,
    RejectedOffer,
    SaleSettled,
)
from edge_agent.model.tenders import TENDER_MEANS, TenderMeans
from edge_agent.model.units import Money
from edge_agent.model.wishes import TenderOffer
from tests.core.leasing import (
    CHINA,
    NOON_MS,
    RULES,
    after,
    applied,
    coupon_terms,
    fuelling,
    gift,
    points_terms,
    purse_of,
    quoted,
    taken,
    terms,
)

IDENTITY = SaleIdentity("s-1", "261103-7K3M9QXA", "key-1", "till")
CASH = TenderOffer("cash")
STORED = TenderOffer("stored_value")
POINTS = TenderOffer("points")


def cash(fen: int) -> TenderOffer:
    return TenderOffer("cash", Money(fen))


def stored(fen: int) -> TenderOffer:
    return TenderOffer("stored_value", Money(fen))


def card(fen: int | None, reference: str = "R123") -> TenderOffer:
    return TenderOffer("bank_card", None if fen is None else Money(fen), reference)


def holds(fen: int) -> Purse:
    return purse_of(taken(terms("a", fen)) if fen else {})


def settled(
    quote: QuoteBody,
    offers: Sequence[TenderOffer],
    purse: Purse = EMPTY_PURSE,
    *,
    prepaid_fen: int = 0,
    rules: Points = RULES,
    now_ms: int = NOON_MS,
) -> list[RecordBody]:
    completed = fuelling(quote.fuel_amount_fen, prepaid_fen)
    return settle(completed, quote, offers, purse, IDENTITY, rules, now_ms)


def refusal(
    quote: QuoteBody,
    offers: Sequence[TenderOffer],
    purse: Purse = EMPTY_PURSE,
    *,
    prepaid_fen: int = 0,
    now_ms: int = NOON_MS,
) -> str:
    with pytest.raises(SaleRefused) as caught:
        settled(quote, offers, purse, prepaid_fen=prepaid_fen, now_ms=now_ms)
    assert caught.value.problem.text_zh
    return caught.value.problem.code


def sold(bodies: Sequence[RecordBody]) -> SaleSettled:
    (sale,) = [body for body in bodies if isinstance(body, SaleSettled)]
    return sale


def paid(sale: SaleSettled) -> dict[str, int]:
    return {tender.means: tender.amount_fen for tender in sale.tenders}


def moved(bodies: Sequence[RecordBody]) -> Counter[tuple[str, str, str | None]]:
    total: Counter[tuple[str, str, str | None]] = Counter()
    for body in bodies:
        if isinstance(body, AssetMoved):
            total[body.asset, body.holder, body.lease_id] += body.delta
    return total


# --- tenders ------------------------------------------------------------------------------------


def test_a_larger_note_comes_back_as_change() -> None:
    sale = sold(settled(quoted(18_300), [cash(20_000)]))
    assert (paid(sale), sale.change_fen) == ({"cash": 18_300}, 1700)


def test_an_open_tender_pays_what_the_other_leaves() -> None:
    bodies = settled(quoted(20_000, applied("a", 2000)), [stored(5000), CASH], holds(6000))
    assert paid(sold(bodies)) == {"stored_value": 5000, "cash": 13_000}
    assert moved(bodies) == {("balance", "a-1", "a"): -5000}


def test_stored_value_left_open_makes_room_for_the_cash_named() -> None:
    bodies = settled(quoted(20_000), [STORED, cash(5000)], holds(15_000))
    assert paid(sold(bodies)) == {"stored_value": 15_000, "cash": 5000}


def test_row_v17_card_wallet_and_cash_share_a_sale_each_with_its_reference() -> None:
    wallet = TenderOffer("wallet", Money(3000), " W-9 ")
    bodies = settled(quoted(20_000), [card(None), wallet, cash(5000)])
    assert [(each.means, each.amount_fen, each.reference) for each in sold(bodies).tenders] == [
        ("bank_card", 12_000, "R123"),
        ("wallet", 3000, "W-9"),
        ("cash", 5000, ""),
    ]
    assert sold(bodies).change_fen == 0


@pytest.mark.parametrize("reference", ["", "  ", "x" * 65])
def test_row_v17_a_terminals_tender_needs_its_reference(reference: str) -> None:
    assert refusal(quoted(100), [card(None, reference)]) == "tender_reference_missing"
    assert paid(sold(settled(quoted(0), [card(None, reference)]))) == {}


def test_only_cash_gives_change() -> None:
    assert refusal(quoted(100), [card(101)]) == "tender_excess"
    assert refusal(quoted(100), [stored(101)], holds(500)) == "tender_excess"
    assert refusal(quoted(100), [stored(60), card(41)], holds(500)) == "tender_excess"


def test_a_prepayment_pays_for_itself_and_an_under_run_is_change() -> None:
    sale = sold(settled(quoted(8700, applied("a", 300)), [], prepaid_fen=10_000))
    assert (paid(sale), sale.change_fen) == ({"cash": 8400}, 1600)


def test_an_over_run_of_a_prepayment_is_paid_on_top() -> None:
    sale = sold(settled(quoted(10_500), [cash(500)], prepaid_fen=10_000))
    assert (paid(sale), sale.change_fen) == ({"cash": 10_500}, 0)
    assert refusal(quoted(10_500), [], prepaid_fen=10_000) == "tender_short"


def test_nothing_to_pay_takes_no_tender() -> None:
    sale = sold(settled(quoted(500, applied("a", 500)), [CASH]))
    assert (sale.tenders, sale.change_fen) == ([], 0)
    assert refusal(quoted(500, applied("a", 500)), [cash(1)]) == "tender_superfluous"


@pytest.mark.parametrize(
    ("offers", "code"),
    [
        ([], "tender_short"),
        ([cash(99)], "tender_short"),
        ([stored(100), cash(1)], "tender_superfluous"),
        ([cash(0)], "tender_invalid"),
        ([stored(-1), CASH], "tender_invalid"),
        ([CASH, CASH], "tender_repeated"),
        ([CASH, STORED], "tender_open_twice"),
    ],
)
def test_tenders_that_do_not_add_up_are_refused(offers: list[TenderOffer], code: str) -> None:
    assert refusal(quoted(100), offers, holds(500)) == code


def test_lines_that_do_not_sum_are_an_inner_contradiction() -> None:
    torn = quoted(100).model_copy(update={"payable_fen": 99})
    with pytest.raises(CorruptionError):
        settled(torn, [CASH])


def test_the_sale_says_what_it_was_decided_from_without_the_words_of_refusals() -> None:
    words = RejectedOffer(
        offer="o", reason="tier", missing=None, text_zh="等级不符", text_en="another tier"
    )
    quote = quoted(100, member_ref="m-1").model_copy(update={"rejected": [words]})
    sale = sold(settled(quote, [CASH]))
    assert (sale.sale_id, sale.receipt_no) == ("s-1", "261103-7K3M9QXA")
    assert (sale.idempotency_key, sale.operator) == ("key-1", "till")
    assert (sale.member_ref, sale.plate_ref) == ("m-1", "0123456789abcdef")
    assert sale.explanation_sha256 == explanation_hash(quote)
    (left,) = sale.quote.rejected
    assert (left.reason, left.text_zh, left.text_en) == ("tier", "", "")


# --- the price was made for these tenders -------------------------------------------------------


def test_row_c20_an_offer_for_a_tender_is_given_for_that_tender_only() -> None:
    by_card = quoted(10_000, applied("card", 500), paying="bank_card")
    assert paid(sold(settled(by_card, [card(None)]))) == {"bank_card": 9500}
    assert refusal(by_card, [CASH]) == "tender_differs_from_quote"
    assert refusal(by_card, [card(9000), cash(500)]) == "tender_differs_from_quote"
    split = quoted(10_000, applied("card", 500), paying="bank_card", otherwise_fen=500)
    assert paid(sold(settled(split, [card(None), cash(500)]))) == {"bank_card": 9000, "cash": 500}


def test_row_p6_points_are_redeemed_as_the_price_was_made() -> None:
    purse = purse_of(taken(points_terms("p", [(NOON_MS + 60, 700)])))
    quote = quoted(10_000, redeemed=500)
    bodies = settled(quote, [POINTS, CASH], purse)
    (points, _) = sold(bodies).tenders
    assert (points.means, points.amount_fen, points.points) == ("points", 500, 500)
    assert points.account_ref == "m-1"
    assert moved(bodies) == {("points", "m-1", "p"): -500}
    named = TenderOffer("points", Money(500))
    assert paid(sold(settled(quote, [named, CASH], purse))) == {"points": 500, "cash": 9500}
    assert refusal(quote, [CASH], purse) == "tender_differs_from_quote"
    assert refusal(quoted(10_000), [named, CASH], purse) == "tender_differs_from_quote"


def test_points_that_are_not_here_pay_nothing() -> None:
    few = purse_of(taken(points_terms("p", [(NOON_MS + 60, 400), (NOON_MS, 300)])))
    assert refusal(quoted(10_000, redeemed=500), [POINTS, CASH], few) == "points_insufficient"
    assert refusal(quoted(10_000, redeemed=500), [POINTS, CASH]) == "points_insufficient"
    assert refusal(quoted(10_000, redeemed=550), [POINTS, CASH]) == "points_not_whole_yuan"


def test_an_open_points_tender_without_points_is_no_tender() -> None:
    assert paid(sold(settled(quoted(100), [POINTS, CASH]))) == {"cash": 100}


def test_how_a_sale_is_paid_is_told_to_pricing() -> None:
    def told(offers: Sequence[TenderOffer], payable: int = 10_000, prepaid: int = 0) -> Paying:
        return paying_of(Money(payable), Money(prepaid), offers)

    assert told([card(None), cash(4000)]) == Paying("bank_card", Money(4000))
    assert told([card(4000), stored(6000)]) == Paying("stored_value", Money(4000))
    assert told([card(9000), cash(5000)]) == Paying("cash", Money(9000))
    assert told([card(None)], 9000, 10_000) == Paying("cash", Money(0))
    assert told([card(None)], 9000, 1000) == Paying("bank_card", Money(1000))
    assert told([card(None)], 0) == Paying("bank_card", Money(0))
    assert told([], 0) == Paying("cash", Money(0))


# --- what headquarters holds --------------------------------------------------------------------


def test_row_v19_stored_value_is_spent_within_leases_and_then_the_floor_limit() -> None:
    found = taken(terms("a", 300), terms("b", 200))
    bodies = settled(quoted(550), [STORED], purse_of(found, floor_fen=50, cache_age_s=77))
    assert moved(bodies) == {
        ("balance", "a-1", "a"): -300,
        ("balance", "a-1", "b"): -200,
        ("balance", "a-1", None): -50,
    }
    (beyond,) = [b for b in bodies if isinstance(b, AssetMoved) and b.lease_id is None]
    assert beyond.cache_age_s == 77
    assert refusal(quoted(551), [STORED], purse_of(found, floor_fen=50)) == (
        "stored_value_insufficient"
    )
    assert refusal(quoted(501), [STORED], purse_of(found)) == "stored_value_insufficient"


def test_stored_value_of_nobody_is_refused() -> None:
    assert refusal(quoted(100), [STORED]) == "stored_value_no_account"


def test_an_expired_lease_pays_nothing() -> None:
    code = refusal(quoted(100), [STORED], holds(500), now_ms=NOON_MS + 10**9)
    assert code == "stored_value_insufficient"


def test_row_c16_each_coupon_is_used_up_under_its_serial_with_the_sale() -> None:
    found = taken(coupon_terms("C-1"), coupon_terms("C-2", "water"), coupon_terms("C-3"))
    quote = quoted(10_000, applied("voucher", 500, "C-1"), benefits=[gift("water", "C-2")])
    bodies = settled(quote, [CASH], purse_of(found))
    assert moved(bodies) == {
        ("coupon", "C-1", "lease of C-1"): -1,
        ("coupon", "C-2", "lease of C-2"): -1,
    }
    used = after(found, bodies)
    assert refusal(quote, [CASH], purse_of(used)) == "coupon_unavailable"


@pytest.mark.parametrize(
    "change", [{"template": "other"}, {"member_ref": "m-2"}, {"expires_ms": NOON_MS}]
)
def test_row_c2_a_coupon_of_another_kind_or_member_or_day_is_refused(
    change: Mapping[str, object],
) -> None:
    found = taken(coupon_terms("C-1").model_copy(update=change))
    quote = quoted(10_000, applied("voucher", 500, "C-1"))
    assert refusal(quote, [CASH], purse_of(found)) == "coupon_unavailable"


def test_a_coupon_counts_once_in_a_sale() -> None:
    lines = [applied("voucher", 500, "C-1"), applied("voucher", 400, "C-1")]
    purse = purse_of(taken(coupon_terms("C-1")))
    assert refusal(quoted(10_000, *lines), [CASH], purse) == "coupon_unavailable"


def test_row_v3_a_coupon_lowers_the_price_and_never_the_balance() -> None:
    found = taken(terms("a", 9500), coupon_terms("C-1"))
    bodies = settled(quoted(10_000, applied("voucher", 500, "C-1")), [STORED], purse_of(found))
    assert moved(bodies) == {
        ("balance", "a-1", "a"): -9500,
        ("coupon", "C-1", "lease of C-1"): -1,
    }


def test_a_campaigns_budget_is_spent_by_what_its_offer_took_off() -> None:
    found = taken(terms("b", 900, asset="budget", holder="campaign"))
    lines = [applied("campaign", 500), applied("other", 100)]
    quote = quoted(10_000, *lines, budgets={"campaign": 900})
    bodies = settled(quote, [CASH], purse_of(found))
    assert moved(bodies) == {("budget", "campaign", "b"): -500}
    assert refusal(quote, [CASH], purse_of(after(found, bodies))) == "budget_spent"
    assert refusal(quote, [CASH]) == "budget_spent"


def test_row_p1_row_p19_what_a_sale_earns_is_a_record_with_its_expiry() -> None:
    *_, earned = settled(quoted(10_000, earned=100), [CASH])
    assert earned == PointsEarned(
        member_ref="m-1",
        sale_id="s-1",
        points=100,
        expires_ms=expires_ms(NOON_MS, 24, CHINA),
        reason="sale",
    )
    assert len(settled(quoted(10_000), [CASH])) == 1
    assert len(settled(quoted(10_000, earned=100, member_ref=None), [CASH])) == 1


# --- the same wish again ------------------------------------------------------------------------


def test_tenders_with_another_reference_are_another_wish() -> None:
    sale = _record(quoted(100), [card(None, "R1")], EMPTY_PURSE)
    assert paid_as(sale, [card(None, " R1 ")])
    assert paid_as(sale, [card(100, "R1")])
    assert not paid_as(sale, [card(None, "R2")])
    assert not paid_as(sale, [CASH])


def test_an_open_points_tender_is_the_same_wish_as_one_that_names_them() -> None:
    purse = purse_of(taken(points_terms("p", [(NOON_MS + 60, 700)])))
    sale = _record(quoted(10_000, redeemed=500), [POINTS, CASH], purse)
    assert paid_as(sale, [POINTS, CASH])
    assert paid_as(sale, [TenderOffer("points", Money(500)), CASH])
    assert not paid_as(sale, [CASH])


def _record(
    quote: QuoteBody, offers: Sequence[TenderOffer], purse: Purse, prepaid_fen: int = 0
) -> SettledSale:
    sale = sold(settled(quote, offers, purse, prepaid_fen=prepaid_fen))
    return SettledSale(1, NOON_MS, sale, fuelling(quote.fuel_amount_fen, prepaid_fen), None)


# --- whatever is offered ------------------------------------------------------------------------

amounts = st.integers(0, 30_000)
offered = st.lists(
    st.builds(
        TenderOffer,
        st.sampled_from(TENDER_MEANS),
        st.none() | st.integers(-5, 40_000).map(Money),
        st.sampled_from(["R-1", "R-1", "R-2", ""]),
    ),
    max_size=4,
)


@st.composite
def _adding_up(draw: st.DrawFn) -> list[TenderOffer]:
    """Some named amounts, and one tender that takes the rest."""
    means = draw(st.lists(st.sampled_from(TENDER_MEANS[1:]), min_size=1, unique=True))
    rest = TenderOffer(means[0], None, "R-1")
    named = [TenderOffer(each, Money(draw(st.integers(1, 3_000))), "R-1") for each in means[1:]]
    return draw(st.permutations([rest, *named]))


likely = _adding_up()
purses = st.lists(st.integers(0, 30_000), max_size=3)


def _leased(parts: Sequence[int]) -> dict[str, Lease]:
    granted = [terms(f"b{n}", fen) for n, fen in enumerate(parts) if fen]
    granted += [
        points_terms(f"p{n}", [(NOON_MS + 60 + n, fen), (NOON_MS + 30, 11)])
        for n, fen in enumerate(parts)
        if fen
    ]
    return taken(*granted)


@settings(max_examples=300)
@given(
    listed=st.just(25_000) | amounts,
    off=st.integers(0, 2_000),
    prepaid=st.just(0) | st.just(0) | amounts,
    offers=likely | offered,
    parts=purses,
    floor=st.just(0) | amounts,
    yuan=st.just(0) | st.integers(0, 40),
)
def test_tenders_sum_to_the_payable_amount_or_nothing_happens(
    listed: int,
    off: int,
    prepaid: int,
    offers: list[TenderOffer],
    parts: list[int],
    floor: int,
    yuan: int,
) -> None:
    found = _leased(parts)
    quote = quoted(listed, *([applied("a", min(off, listed))] if off else []), redeemed=100 * yuan)
    if yuan:
        offers = [*offers, POINTS]
    try:
        bodies = settled(quote, offers, purse_of(found, floor_fen=floor), prepaid_fen=prepaid)
    except SaleRefused:
        return
    sale = sold(bodies)
    by_means = paid(sale)
    assert sum(by_means.values()) == quote.payable_fen
    assert all(fen > 0 for fen in by_means.values())
    assert sale.change_fen >= 0
    assert by_means.get("points", 0) == 100 * yuan
    handed_over = next((o.amount.fen for o in offers if o.means == "cash" and o.amount), None)
    if handed_over is not None:
        assert prepaid + handed_over == by_means.get("cash", 0) + sale.change_fen
    drawn = moved(bodies)
    balance = sum(-delta for (asset, _, _), delta in drawn.items() if asset == "balance")
    assert balance == by_means.get("stored_value", 0)
    assert -drawn["balance", "a-1", None] <= floor
    points = sum(-delta for (asset, _, _), delta in drawn.items() if asset == "points")
    assert points == 100 * yuan
    after(found, bodies)  # refuses whatever no lease covers
    record = SettledSale(1, 1, sale, fuelling(listed, prepaid), None)
    assert paid_as(record, offers)


@given(
    payable=amounts,
    prepaid=st.just(0) | amounts,
    offers=likely | offered,
    other=likely | offered,
)
def test_tenders_with_another_effect_are_another_wish(
    payable: int, prepaid: int, offers: list[TenderOffer], other: list[TenderOffer]
) -> None:
    offers = [each for each in offers if each.means != "points"]
    other = [each for each in other if each.means != "points"]
    try:
        one = shares(Money(payable), Money(prepaid), offers)
        two = shares(Money(payable), Money(prepaid), other)
    except SaleRefused:
        return
    sale = _record(quoted(payable), offers, holds(10**6), prepaid)
    same = one == two and _references(one.parts, offers) == _references(two.parts, other)
    assert paid_as(sale, other) == same


def _references(
    parts: Sequence[tuple[TenderMeans, Money]], offers: Sequence[TenderOffer]
) -> list[str]:
    named = {each.means: each.reference for each in offers}
    return [named[means] for means, _ in parts if means in {"bank_card", "wallet"}]


@given(payable=amounts, less=st.integers(0, 2_000), prepaid=st.just(0) | amounts, offers=likely)
def test_a_cheaper_sale_is_still_paid_by_the_same_means(
    payable: int, less: int, prepaid: int, offers: list[TenderOffer]
) -> None:
    """So an offer for a tender, once priced in, does not take itself back."""
    try:
        before = paying_of(Money(payable), Money(prepaid), offers)
        cheaper = Money(max(payable - less, before.others.fen + 1))
        later = paying_of(cheaper, Money(prepaid), offers)
    except SaleRefused:
        return
    if cheaper <= Money(payable) and prepaid <= before.others.fen:
        assert later == before
