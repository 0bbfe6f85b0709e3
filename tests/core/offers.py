"""Policies, offers and price questions, made by hand or by hypothesis."""

from __future__ import annotations

import json
from typing import Any

from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import CouponFacts, GoodsLine, MemberFacts, Quote, QuoteRequest
from edge_agent.model.units import Money, UnitPrice, Volume

PRICE = UnitPrice(7850)
TUESDAY_NOON_MS = 1_793_678_400_000  # 2026-11-03 12:00 in China
TIERS = ("silver", "gold")


def policy(*offers: dict[str, Any], templates: Any = (), **more: Any) -> Policy:
    """Return a policy with these offers, and with coupon templates that bring others."""
    tiers = [
        {"code": code, "label_zh": code, "label_en": code, "text_zh": code, "text_en": code}
        for code in TIERS
    ]
    texts = {"text_zh": "优惠", "text_en": "offer"}
    content = {
        "format": 1,
        "version": 7,
        "tiers": tiers,
        "goods": [
            {"code": "fluid", "label_zh": "玻璃水", "label_en": "washer fluid", "price_fen": 2500}
            | {"floor_fen": 800}
        ],
        "offers": [texts | offer for offer in offers],
        "coupon_templates": [{"offer": texts | each, "valid_days": 30} for each in templates],
    }
    return load_policy(json.dumps(content | more))


def percent(offer_id: str, off_bp: int, **more: Any) -> dict[str, Any]:
    return {"id": offer_id, "kind": "percent_off", "off_bp": off_bp} | more


def per_litre(offer_id: str, off_milli: int, **more: Any) -> dict[str, Any]:
    return {"id": offer_id, "kind": "per_litre_off", "off_milli": off_milli} | more


def spend_save(offer_id: str, spend_fen: int, save_fen: int, **more: Any) -> dict[str, Any]:
    offer = {"id": offer_id, "kind": "spend_save", "spend_fen": spend_fen, "save_fen": save_fen}
    return offer | more


def amount_off(offer_id: str, off_fen: int, **more: Any) -> dict[str, Any]:
    return {"id": offer_id, "kind": "amount_off", "off_fen": off_fen} | more


def coupon(serial: str, template: str, until_ms: int = TUESDAY_NOON_MS + 1) -> CouponFacts:
    return CouponFacts(serial, template, 0, until_ms)


def fluid(pieces: int = 1) -> GoodsLine:
    return GoodsLine("fluid", pieces, Money(2500 * pieces))


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
    """Return what is taken off, in the order of the bill, by offer or `template#serial`."""
    return {_name(line.offer, line.coupon): line.amount.fen for line in answer.applied}


def reasons(answer: Quote) -> dict[str, tuple[str, int | None]]:
    return {
        _name(line.offer, line.coupon): (line.reason.value, line.missing)
        for line in answer.rejected
    }


def _name(offer: str, serial: str | None) -> str:
    return offer if serial is None else f"{offer}#{serial}"
