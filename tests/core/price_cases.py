"""Random price questions under random policies: every kind of offer, coupon, limit and condition.

Amounts are small, so that ties, thresholds, caps and roundings happen all the time. The same source
of chance makes the same case; `hypothesis.strategies.randoms()` is one that shrinks.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import (
    BudgetFacts,
    CouponFacts,
    GoodsLine,
    MemberFacts,
    Paying,
    QuoteRequest,
)
from edge_agent.model.units import Money, UnitPrice, Volume

PRICES = {"92": 7850, "95": 8350}
AT_MS = 1_793_678_400_000  # Tuesday, 2026-11-03, 12:00 in China
TIERS = ("silver", "gold")
GOODS = {"fluid": 300, "urea": 650}
STAGES = {
    "percent_off": ("line", "line", "basket", "tender"),
    "per_litre_off": ("pump", "line"),
    "fixed_price": ("pump", "line"),
    "amount_off": ("line", "basket", "basket", "tender"),
    "spend_save": ("line", "basket", "basket", "tender"),
    "item_off": ("line",),
}
BENEFITS = ("free_item", "points_times", "points_fixed")


def random_case(chance: Random, most: int = 7) -> tuple[QuoteRequest, Policy]:
    """Return a question and a policy with up to `most` offers and coupons together."""
    size = chance.randint(0, most)
    coupons = chance.randint(0, min(3, size)) if chance.random() < 0.6 else 0
    scale = chance.choice((300, 3_000, 30_000))
    picky = chance.choice((0.05, 0.5))
    # How often an offer has conditions, and says what it stacks with.
    names = [f"o{n:02}" for n in range(size - coupons)]
    codes = [f"t{n}" for n in range(max(1, coupons - 1))] if coupons else []
    chance.shuffle(names)
    known = [*names, *codes, *(f"{s}-{n}" for s in ("line", "basket") for n in (1, 2)), "percent"]
    content = {
        "format": 1,
        "version": 7,
        "tiers": [
            {"code": t, "label_zh": t, "label_en": t, "text_zh": t, "text_en": t} for t in TIERS
        ],
        "goods": [
            {"code": code, "label_zh": code, "label_en": code, "price_fen": price}
            | ({"floor_fen": chance.randint(1, price)} if chance.random() < 0.3 else {})
            for code, price in GOODS.items()
        ],
        "offers": [_offer(chance, name, (scale, picky), known) for name in names],
        "coupon_templates": [
            {"offer": _offer(chance, code, (scale, picky), known), "valid_days": 30}
            for code in codes
        ],
        "calendar": {"holidays": ["2026-11-03"] if chance.random() < 0.3 else []},
        "points": _points(chance),
        "limits": _limits(chance),
    }
    policy = load_policy(json.dumps(content))
    return _request(chance, scale, codes, coupons, policy), policy


def _limits(chance: Random) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if chance.random() < 0.5:
        limits["max_discount_bp"] = chance.choice((0, 500, 1500, 3000, 10_000))
    if chance.random() < 0.4:
        limits["price_floors_milli"] = {"92": chance.randint(1, 9000)}
    return limits


def _points(chance: Random) -> dict[str, Any]:
    points: dict[str, Any] = {
        "per_yuan": chance.randint(0, 3),
        "combine": chance.choice(("max", "add", "multiply")),
        "grade_rates_bp": {"95": chance.randint(0, 25_000)},
    }
    if chance.random() < 0.5:
        points["redeem"] = {"points_per_yuan": chance.choice((1, 100))}
    return points


def _offer(chance: Random, name: str, sort: tuple[int, float], known: list[str]) -> dict[str, Any]:
    scale, picky = sort
    kind = chance.choice((*STAGES, *STAGES, *BENEFITS))
    offer: dict[str, Any] = {"id": name, "kind": kind, "text_zh": f"优惠{name}", "text_en": name}
    offer["priority"] = chance.randint(0, 2)
    offer["conditions"] = _conditions(chance, scale) if chance.random() < picky else {}
    if kind in BENEFITS:
        benefits: dict[str, dict[str, Any]] = {
            "free_item": {"good": "fluid"},
            "points_times": {"times_bp": chance.choice((10_001, 15_000, 20_000))},
            "points_fixed": {"points": chance.randint(1, 9)},
        }
        return offer | benefits[kind] | ({"group": "gift"} if chance.random() < 0.4 else {})
    offer["stage"] = stage = chance.choice(STAGES[kind])
    if chance.random() < 0.4 or kind == "percent_off":
        numbered = f"{stage}-{chance.randint(1, 2)}" if stage in {"line", "basket"} else None
        offer["group"] = chance.choice((numbered, None))
    if chance.random() < picky / 2:
        offer["stacks_with"] = chance.sample(known, chance.randint(0, min(6, len(known))))
    if chance.random() < 0.2:
        offer["cap_fen"] = chance.randint(1, scale // 8)
    if chance.random() < 0.15:
        offer["budget_fen"] = 10**9
    if chance.random() < 0.15:
        offer["floor_milli"] = chance.randint(1, 8000)
    return offer | _own(chance, kind, scale)


def _own(chance: Random, kind: str, scale: int) -> dict[str, Any]:
    if kind == "percent_off":
        return {"off_bp": chance.choice((50, 100, 500, chance.randint(1, 900)))}
    if kind == "per_litre_off":
        return {"off_milli": chance.choice((100, chance.randint(1, 900)))}
    if kind == "fixed_price":
        return {"price_milli": chance.randint(6500, 8500)}
    if kind == "amount_off":
        return {"off_fen": chance.choice((scale // 30, chance.randint(1, scale // 5)))}
    if kind == "item_off":
        return {
            "good": chance.choice(sorted(GOODS)),
            "off_fen": chance.randint(1, 800),
            "max_pieces": chance.randint(1, 3),
        }
    spend = chance.randint(20, scale)
    saved = max(1, spend * chance.randint(1, 30) // 100)
    return {"spend_fen": spend, "save_fen": saved, "stepwise": chance.random() < 0.4}


def _conditions(chance: Random, scale: int) -> dict[str, Any]:
    possible: dict[str, Any] = {
        "grades": chance.choice((["92"], ["92", "95"], ["95"])),
        "tiers": chance.choice((["silver"], ["gold"], ["silver", "gold"])),
        "tags": chance.choice((["night"], ["diesel", "night"])),
        "plate_colours": ["green", "blue"],
        "stations": chance.choice((["S1"], ["S2"])),
        "valid_until_ms": AT_MS + chance.choice((0, 1, 86_400_000)),
        "weekdays": chance.choice(([2], [1, 2, 3], [6, 7])),
        "days": chance.choice((["holiday"], ["workday", "weekend"])),
        "hours": [{"start": "22:00", "end": chance.choice(("06:00", "12:01"))}],
        "birthday_week": True,
        "first_fill": True,
        "visit": chance.choice(({"number": 3}, {"every": 2})),
        "experiment": {"name": "x", "until_bp": chance.choice((3000, 10_000))},
        "tenders": chance.choice((["bank_card"], ["bank_card", "cash"], ["stored_value"])),
        "min_volume_ml": chance.randint(1, scale * 2),
        "min_amount_fen": chance.randint(1, scale),
    }
    return {name: possible[name] for name in chance.sample(sorted(possible), chance.choice((1, 2)))}


def _request(
    chance: Random, scale: int, codes: list[str], coupons: int, policy: Policy
) -> QuoteRequest:
    grade = chance.choice(("92", "92", "92", "95"))
    price = UnitPrice(PRICES[grade])
    amount = chance.choice((chance.randint(0, scale), scale // 2, scale))
    # Now and then the dispenser's figures do not fit together to the fen.
    volume = max(amount * 10_000 // price.milli + chance.choice((0, 0, 1, -1)), 0)
    paying = None
    if chance.random() < 0.7:
        others = chance.choice((0, 0, chance.randint(0, scale)))
        paying = Paying(chance.choice(("bank_card", "cash", "stored_value")), Money(others))
    goods = [code for code in GOODS if chance.random() < 0.35]
    return QuoteRequest(
        grade=GradeId(grade),
        volume=Volume(volume),
        amount=Money(amount),
        unit_price=price,
        at_ms=AT_MS,
        utc_offset_minutes=480,
        member=_member(chance),
        station="S1",
        plate_colour=chance.choice((None, "blue", "yellow")),
        goods=tuple(
            GoodsLine(code, pieces, Money(pieces * GOODS[code]))
            for code in goods
            for pieces in (chance.randint(1, 3),)
        ),
        coupons=tuple(
            CouponFacts(
                f"s{n}",
                chance.choice((*codes, *codes, *codes, "unheard-of")),
                chance.choice((0, 0, 0, AT_MS + 1)),
                AT_MS + chance.choice((86_400_000, 86_400_000, 172_800_000, 0)),
            )
            for n in range(coupons)
        ),
        paying=paying,
        points_redeemed=chance.choice((0, 0, 100, 250)),
        budgets=tuple(
            BudgetFacts(offer.id, Money(chance.randint(0, scale // 20)))
            for _, offer in policy.all_offers()
            if getattr(offer, "budget_fen", None) is not None and chance.random() < 0.8
        ),
    )


def _member(chance: Random) -> MemberFacts | None:
    if chance.random() < 0.25:
        return None
    return MemberFacts(
        MemberRef(f"m-{chance.randint(1, 20)}"),
        chance.choice((*TIERS, "tier-of-tomorrow")),
        tags=("night",) if chance.random() < 0.5 else (),
        birthday_week=chance.random() < 0.5,
        first_fill=chance.random() < 0.5,
        visit_number=chance.choice((None, 1, 2, 3)),
    )
