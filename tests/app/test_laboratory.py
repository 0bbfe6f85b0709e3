"""Past sales under another policy: sums that can be worked out by hand, and nobody's data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app import laboratory
from edge_agent.app.laboratory import OfferCost, Replay, replay, replayed
from edge_agent.core.promotions import quote
from edge_agent.model.errors import PolicyRefused
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import CouponFacts, MemberFacts, QuoteRequest
from edge_agent.model.quote_record import body_of, without_words
from edge_agent.model.records import SaleSettled, Tender
from edge_agent.model.units import Money, UnitPrice, volume_for

SAMPLE = Path(__file__).parents[2] / "config" / "policy.json"
TUESDAY_NOON_MS = 1_793_678_400_000  # 2026-11-03 12:00 in China
OLD = load_policy(SAMPLE.read_text(encoding="utf-8"))
PRICE = UnitPrice(7850)


def question(fen: int, tier: str | None = None, *, at_ms: int = TUESDAY_NOON_MS) -> QuoteRequest:
    return QuoteRequest(
        grade=GradeId("92"),
        volume=volume_for(Money(fen), PRICE),
        amount=Money(fen),
        unit_price=PRICE,
        at_ms=at_ms,
        utc_offset_minutes=480,
        member=None if tier is None else MemberFacts(MemberRef(f"m-secret-{tier}"), tier),
    )


def sold(request: QuoteRequest, policy: Policy = OLD) -> str:
    """Return the record of a sale, as the books hold it."""
    body = without_words(body_of(quote(request, policy)))
    sale = SaleSettled(
        sale_id="s", fuelling_id="f", quote=body, explanation_sha256="0" * 64,
        tenders=[Tender(means="cash", amount_fen=body.payable_fen, account_ref=None)],
        change_fen=0, member_ref=body.member_ref, plate_ref=None, receipt_no="r",
        idempotency_key="k", operator="o",
    )  # fmt: skip
    return sale.model_dump_json()


def changed(**fields: Any) -> Policy:
    raw: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return load_policy(json.dumps(raw | {"version": 2} | fields))


def with_offers(*more: dict[str, Any], without: tuple[str, ...] = ()) -> Policy:
    raw = json.loads(SAMPLE.read_text(encoding="utf-8"))
    kept = [offer for offer in raw["offers"] if offer["id"] not in without]
    return changed(offers=[*kept, *more])


NIGHT = {
    "id": "litre-10", "kind": "per_litre_off", "off_milli": 100, "text_zh": "每升减0.10",
    "text_en": "0.10 off a litre",
}  # fmt: skip


def test_the_same_policy_costs_the_same() -> None:
    sales = [
        sold(question(fen, tier)) for fen in (9_900, 20_300, 31_400) for tier in ("gold", None)
    ]
    found = replayed(sales, OLD)
    assert found.sales == 6
    assert found.member_sales == 3
    assert found.cost_fen == 0
    assert found.payable_before_fen == found.payable_after_fen < found.list_amount_fen
    assert found.points_before == found.points_after > 0
    assert (found.cheaper_sales, found.dearer_sales) == (0, 0)
    assert found.offers["tier-gold"] == OfferCost(2, 297 + 942, 2, 297 + 942)
    assert found.offers["spend-200-save-20"] == OfferCost(2, 4000, 2, 4000)


def test_another_policy_is_counted_by_offer() -> None:
    sales = [sold(question(15_700)), sold(question(15_700, "silver"))]  # 20 litres each
    found = replayed(sales, with_offers(NIGHT, without=("tier-silver",)))
    # before: 2 % of 157.00 for silver; after: 2.00 off for both
    assert found.offers["tier-silver"] == OfferCost(1, 314, 0, 0)
    assert found.offers["litre-10"] == OfferCost(0, 0, 2, 400)
    assert found.payable_before_fen == 2 * 15_700 - 314
    assert found.payable_after_fen == 2 * 15_700 - 400
    assert found.cost_fen == 86
    assert (found.cheaper_sales, found.dearer_sales) == (1, 1)
    assert (found.points_before, found.points_after) == (153, 155)


def test_points_and_gifts_are_counted_by_offer_too() -> None:
    texts = {"text_zh": "优惠", "text_en": "offer"}
    gift = texts | {"id": "gift", "kind": "free_item", "good": "washer-fluid", "pieces": 2}
    bonus = texts | {"id": "bonus", "kind": "points_fixed", "points": 50}
    new = with_offers(gift, bonus)
    sales = [sold(question(15_700, "silver")), sold(question(15_700))]
    found = replayed(sales, new)
    assert found.offers["bonus"] == OfferCost(0, 0, 1, 0, points_after=50), "members only"
    assert found.offers["gift"] == OfferCost(0, 0, 2, 0, pieces_after=4)
    assert found.points_after == found.points_before + 50
    back = replayed([sold(question(15_700, "silver"), new)], OLD)
    assert back.offers["bonus"] == OfferCost(1, 0, 0, 0, points_before=50)
    assert back.offers["gift"] == OfferCost(1, 0, 0, 0, pieces_before=2)


def test_coupons_that_were_presented_are_tried_again() -> None:
    coupon = CouponFacts("S-1", "cash-20", 0, 2**52)
    sales = [sold(dataclasses.replace(question(20_000), coupons=(coupon,)))]
    assert replayed(sales, OLD).offers["cash-20"] == OfferCost(1, 2000, 1, 2000)
    gone = replayed(sales, changed(coupon_templates=[]))
    assert gone.offers["cash-20"] == OfferCost(1, 2000, 0, 0)
    assert gone.dearer_sales == 1


def test_a_campaign_of_the_new_policy_has_its_whole_budget() -> None:
    campaign = NIGHT | {"budget_fen": 250}
    found = replayed([sold(question(15_700))] * 3, with_offers(campaign))
    assert found.offers["litre-10"].fen_after == 600, "what it wants, to be held against the budget"


def test_what_an_older_version_recorded_is_left_out_and_counted() -> None:
    body = json.loads(sold(question(15_700)))
    del body["quote"]["fuel_amount_fen"]
    found = replayed([json.dumps(body), "{}", sold(question(15_700))], OLD)
    assert (found.sales, found.unreadable) == (1, 2)


def test_nothing_sold_is_no_mistake() -> None:
    assert replay([], SAMPLE.read_text(encoding="utf-8"), 2) == Replay()


def test_a_policy_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(PolicyRefused):
        replay([], "{}", 1)


def test_the_sums_do_not_depend_on_processes_or_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    sales = [
        sold(
            question(5_000 + 937 * n, ("silver", "diamond", None)[n % 3], at_ms=TUESDAY_NOON_MS + n)
        )
        for n in range(60)
    ]
    text = with_offers(NIGHT, without=("tier-diamond",)).model_dump_json()
    whole = replayed(sales, load_policy(text))
    assert replay(sales, text, 1) == whole
    monkeypatch.setattr(laboratory, "CHUNK", 7)
    monkeypatch.setattr(laboratory, "WAITING", 1)
    assert replay(sales, text, 1) == whole
    assert replay(sales, text, 2) == whole
    assert whole.sales == 60
    assert (whole.first_ms, whole.last_ms) == (TUESDAY_NOON_MS, TUESDAY_NOON_MS + 59)


def test_only_sums_leave_the_laboratory() -> None:
    found = replayed([sold(question(20_300, "gold"))], OLD)
    assert "m-secret" not in repr(found)
    names = {field.name for field in dataclasses.fields(found)}
    kinds = {type(getattr(found, name)) for name in names - {"offers"}}
    assert kinds == {int}
