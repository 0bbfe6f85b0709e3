"""Policies, offers and price questions, made by hand or by hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import MemberFacts, Quote, QuoteRequest
from edge_agent.model.units import Money, UnitPrice, Volume

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
