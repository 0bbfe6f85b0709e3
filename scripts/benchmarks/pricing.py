"""The quote: how long deciding a price takes, with offers of every kind in every combination."""

from __future__ import annotations

import gc
import itertools
import json
import random
from functools import partial
from typing import Final

from edge_agent.core.pricing import least_payable, refusal, worth_of
from edge_agent.core.promotions import quote
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Offer, Policy, load_policy
from edge_agent.model.quote import MemberFacts, QuoteRequest
from edge_agent.model.units import Money, UnitPrice, Volume, volume_for
from scripts.benchmarks.row import Row, Scale, Timing, percentile

PRICES: Final = {"92": 7_850, "95": 8_350, "0": 7_500}
TIERS: Final = ("regular", "silver", "gold", "diamond")
WEEK_BEGINS_MS: Final = 1_793_548_800_000  # Monday, 2026-11-02, in China
WEEK_MS: Final = 7 * 86_400_000
CHECKED: Final = 200
"""Quotes that are held against trying every combination."""


def measure(scale: Scale) -> list[Row]:
    """Measure quotes with 12 and with 50 offers."""
    return [
        _row(12, 1.0, scale.of(20_000, 3_000, 30)),
        _row(50, 5.0, scale.of(6_000, 1_000, 30)),
    ]


def _row(offers: int, limit_ms: float, count: int) -> Row:
    policy = a_policy(offers)
    chance = random.Random(offers)
    requests = [_request(chance) for _ in range(count)]
    for request in requests[: count // 10]:
        quote(request, policy)
    gc.collect()
    timing = Timing()
    for request in requests:
        timing.add(partial(quote, request, policy))
    peers: dict[str, float] = {}
    flaws: list[str] = []
    if offers <= 12:
        checked = requests[: min(CHECKED, count)]
        tried = Timing()
        for request in checked:
            tried.add(partial(cheapest_tried, request, policy))
        peers["every combination tried one by one"] = percentile(tried.cpu_ms, 0.99)
        flaws = [
            f"{request.amount.fen} fen: dearer than the best combination"
            for request in checked
            if quote(request, policy).payable != cheapest_tried(request, policy)
        ]
    return Row(
        name=f"quote_{offers}_offers", value=percentile(timing.cpu_ms, 0.99),
        unit="ms of processor time, p99",
        limit=limit_ms, limit_name="promised p99", sense="at_most", goal_ratio=1.0,
        goal=f"p99 of a quote with {offers} offers at most {limit_ms:g} ms", peers=peers,
        details=timing.details() | {"applied_mean": _applied(requests[:500], policy)},
        flaws=tuple(flaws),
    )  # fmt: skip


def a_policy(offers: int) -> Policy:
    """Return a policy with so many offers as stations run them: tiers, hours, days, thresholds."""
    chance = random.Random(f"policy {offers}")
    tiers = [
        {"code": code, "label_zh": code, "label_en": code, "text_zh": code, "text_en": code}
        for code in TIERS
    ]
    content = {
        "format": 1, "version": 1, "tiers": tiers,
        "offers": [_offer(number, chance) for number in range(offers)],
        "points": {"per_yuan": 1},
        "limits": {"max_discount_bp": 2500, "price_floors_milli": {"92": 5500, "95": 6000}},
    }  # fmt: skip
    return load_policy(json.dumps(content))


def _offer(number: int, chance: random.Random) -> dict[str, object]:
    name = f"offer-{number:02d}"
    common = {"id": name, "text_zh": f"优惠{number}", "text_en": f"offer {number}"}
    kind = number % 3
    if kind == 0:
        tier = TIERS[number // 3 % len(TIERS)]
        return common | {
            "kind": "percent_off", "off_bp": chance.randint(50, 400), "group": f"tier-{number % 4}",
            "conditions": {"tiers": [tier]},
        }  # fmt: skip
    if kind == 1:
        own = {"kind": "per_litre_off", "off_milli": chance.randint(20, 180)}
        conditions: dict[str, object] = {"grades": chance.sample(sorted(PRICES), 2)}
        if number % 2:
            conditions["hours"] = [{"start": "20:00", "end": "08:00"}]
        else:
            conditions["weekdays"] = [5, 6, 7]
        return common | own | {"conditions": conditions}
    spend = chance.choice((5_000, 10_000, 15_000, 20_000, 25_000, 30_000))
    own = {"kind": "spend_save", "spend_fen": spend, "save_fen": spend // chance.randint(10, 25)}
    group = {"group": f"spend-{number % 2}"} if number % 4 else {}
    return common | own | group | {"stepwise": bool(number % 5 == 0)}


def _request(chance: random.Random) -> QuoteRequest:
    grade = chance.choice(sorted(PRICES))
    price = UnitPrice(PRICES[grade])
    amount = Money(chance.choice((5_000, 10_000, 20_000, 30_000, chance.randint(1_000, 60_000))))
    facts = MemberFacts(MemberRef("m-1"), chance.choice(TIERS)) if chance.random() < 0.7 else None
    return QuoteRequest(
        grade=GradeId(grade), volume=volume_for(amount, price), amount=amount, unit_price=price,
        at_ms=WEEK_BEGINS_MS + chance.randrange(WEEK_MS), utc_offset_minutes=480, member=facts,
    )  # fmt: skip


def _applied(requests: list[QuoteRequest], policy: Policy) -> float:
    return sum(len(quote(request, policy).applied) for request in requests) / len(requests)


# --- the peer: every combination ----------------------------------------------------------------


def cheapest_tried(request: QuoteRequest, policy: Policy) -> Money:
    """Return the least payable amount by trying every legal combination."""
    eligible = [offer for offer in policy.offers if refusal(offer.conditions, request) is None]
    line = [offer for offer in eligible if offer.stage == "line"]
    basket = [offer for offer in eligible if offer.stage == "basket"]
    floor = least_payable(policy.limits, request).fen
    best = request.amount.fen
    for chosen in _legal(line):
        subtotal = max(request.amount.fen - _saved(chosen, request.amount.fen, request.volume), 0)
        for further in _legal(basket):
            best = min(best, subtotal - _saved(further, subtotal, request.volume))
    return Money(max(best, floor))


def _saved(offers: tuple[Offer, ...], base: int, volume: Volume) -> int:
    return sum(worth_of(offer, base, volume.ml) for offer in offers)


def _legal(offers: list[Offer]) -> list[tuple[Offer, ...]]:
    found = []
    for size in range(len(offers) + 1):
        for chosen in itertools.combinations(offers, size):
            groups = [offer.group for offer in chosen if offer.group is not None]
            if len(groups) == len(set(groups)):
                found.append(chosen)
    return found
