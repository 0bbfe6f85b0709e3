"""The quote: how long deciding a price takes, with offers of every kind in every combination."""

from __future__ import annotations

import gc
import json
import random
from functools import partial
from typing import Final

from edge_agent.core.promotions import quote
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.policy import Policy, load_policy
from edge_agent.model.quote import CouponFacts, GoodsLine, MemberFacts, Paying, QuoteRequest
from edge_agent.model.units import Money, UnitPrice, volume_for
from scripts.benchmarks import rule_engine
from scripts.benchmarks.row import Row, Scale, Timing, percentile, say
from tests.core.brute_force import expected

PRICES: Final = {"92": 7_850, "95": 8_350, "0": 7_500}
TIERS: Final = ("regular", "silver", "gold", "diamond")
TAGS: Final = ("night", "commuter", "lorry")
WEEK_BEGINS_MS: Final = 1_793_548_800_000  # Monday, 2026-11-02, in China
WEEK_MS: Final = 7 * 86_400_000
COUPONS: Final = ("voucher-5", "voucher-10", "percent-95", "spend-100-15", "card-8", "wash")
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
    requests = [a_request(chance) for _ in range(count)]
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
            tried.add(partial(expected, request, policy))
        peers["every combination tried one by one"] = percentile(tried.cpu_ms, 0.99)
        flaws = [
            f"{request.amount.fen} fen: not the best combination"
            for request in checked
            if quote(request, policy).payable.fen != expected(request, policy).payable_fen
        ]
    rivals, others = _rival(requests[: min(CHECKED, count)], policy)
    peers |= rivals
    return Row(
        name=f"quote_{offers}_offers", value=percentile(timing.cpu_ms, 0.99),
        unit="ms of processor time, p99",
        limit=limit_ms, limit_name="promised p99", sense="at_most", goal_ratio=1.0,
        goal=f"p99 of a quote with {offers} offers at most {limit_ms:g} ms", peers=peers,
        details=timing.details() | others | {"applied_mean": _applied(requests[:500], policy)},
        flaws=tuple(flaws),
    )  # fmt: skip


def _rival(
    requests: list[QuoteRequest], policy: Policy
) -> tuple[dict[str, float], dict[str, float]]:
    """Let a rule engine price the same cases, as far as it can say them."""
    if not rule_engine.is_installed():
        say("pricing: the rule engine is not installed (scripts/setup --dev)")
        return {}, {}
    rival, timing = rule_engine.ZenPrices(policy), Timing()
    dearer = 0
    for request in requests:
        timing.add(partial(rival.price, request))
        dearer += rival.price(request) > quote(request, policy).payable.fen
    return (
        {rule_engine.NAME: percentile(timing.cpu_ms, 0.99)},
        {"rule_engine_dearer_share": dearer / len(requests)},
    )


def a_policy(offers: int) -> Policy:
    """Return a policy as stations run them, with so many offers, coupon templates included."""
    chance = random.Random(f"policy {offers}")
    tiers = [
        {"code": code, "label_zh": code, "label_en": code, "text_zh": code, "text_en": code}
        for code in TIERS
    ]
    goods = [
        {"code": code, "label_zh": code, "label_en": code, "price_fen": price, "floor_fen": 500}
        for code, price in (("fluid", 1500), ("urea", 4900))
    ]
    templates = [{"offer": offer, "valid_days": 30} for offer in _templates()[: offers // 2]]
    content = {
        "format": 1, "version": 1, "tiers": tiers, "goods": goods,
        "offers": [_offer(number, chance) for number in range(offers - len(templates))],
        "coupon_templates": templates,
        "calendar": {"member_days": [8, 18, 28]},
        "points": {"per_yuan": 1, "redeem": {}},
        "limits": {"max_discount_bp": 2500, "price_floors_milli": {"92": 5500, "95": 6000}},
    }  # fmt: skip
    return load_policy(json.dumps(content))


def _templates() -> list[dict[str, object]]:
    own: list[dict[str, object]] = [
        {"kind": "amount_off", "off_fen": 500, "group": "voucher"},
        {"kind": "amount_off", "off_fen": 1000, "conditions": {"min_amount_fen": 15_000}},
        {"kind": "percent_off", "off_bp": 500, "stacks_with": ["spend-0", "spend-1"]},
        {"kind": "spend_save", "spend_fen": 10_000, "save_fen": 1500, "group": "spend-0"},
        {"kind": "amount_off", "stage": "tender", "off_fen": 800,
         "conditions": {"tenders": ["bank_card"]}},
        {"kind": "item_off", "good": "fluid", "off_fen": 1500},
    ]  # fmt: skip
    return [_named(code, offer) for code, offer in zip(COUPONS, own, strict=True)]


def _named(name: str, offer: dict[str, object]) -> dict[str, object]:
    return {"id": name, "text_zh": f"优惠{name}", "text_en": f"offer {name}"} | offer


def _offer(number: int, chance: random.Random) -> dict[str, object]:
    """Return an offer: percentages by tier, prices by hour, steps, tags, goods, cards, points."""
    kind, conditions = number % 7, dict[str, object]()
    if kind in {0, 3}:
        conditions["tiers"] = [TIERS[number // 3 % len(TIERS)]]
        own: dict[str, object] = {"kind": "percent_off", "off_bp": chance.randint(50, 400)}
    elif kind in {1, 4}:
        stage = "pump" if kind == 4 else "line"
        own = {"kind": "per_litre_off", "stage": stage, "off_milli": chance.randint(20, 180)}
        conditions["grades"] = chance.sample(sorted(PRICES), 2)
        if number % 2:
            conditions["hours"] = [{"start": "20:00", "end": "08:00"}]
        else:
            conditions["days"] = ["weekend", "member_day"]
    elif kind in {2, 5}:
        spend = chance.choice((5_000, 10_000, 15_000, 20_000, 25_000, 30_000))
        own = {"kind": "spend_save", "spend_fen": spend, "save_fen": spend // 20}
        own |= {"group": f"spend-{number % 2}", "stepwise": number % 5 == 0, "cap_fen": 5_000}
        conditions["tags"] = list(TAGS[: number % 3 + 1])
    elif number % 2:
        own = {"kind": "points_times", "times_bp": 20_000}
        conditions["weekdays"] = [6]
    else:
        own = {
            "kind": "percent_off",
            "stage": "tender",
            "off_bp": 100,
            "cap_fen": 1_000,
            "group": None,
        }
        conditions["tenders"] = ["bank_card", "wallet"]
    return _named(f"offer-{number:02d}", own | {"conditions": conditions})


def a_request(chance: random.Random) -> QuoteRequest:
    """Return a sale of the week: any grade, tier, hour and tender, often with coupons."""
    grade = chance.choice(sorted(PRICES))
    price = UnitPrice(PRICES[grade])
    amount = Money(chance.choice((5_000, 10_000, 20_000, 30_000, chance.randint(1_000, 60_000))))
    tags = tuple(tag for tag in TAGS if chance.random() < 0.4)
    member = None
    if chance.random() < 0.7:
        member = MemberFacts(MemberRef("m-1"), chance.choice(TIERS), tags)
    at_ms = WEEK_BEGINS_MS + chance.randrange(WEEK_MS)
    codes = chance.sample(COUPONS, chance.choice((0, 1, 2, 4))) if member is not None else []
    return QuoteRequest(
        grade=GradeId(grade), volume=volume_for(amount, price), amount=amount, unit_price=price,
        at_ms=at_ms, utc_offset_minutes=480, member=member,
        goods=(GoodsLine("fluid", 1, Money(1500)),) if chance.random() < 0.2 else (),
        coupons=tuple(
            CouponFacts(f"s{n}", code, 0, at_ms + 86_400_000) for n, code in enumerate(codes)
        ),
        paying=Paying(chance.choice(("cash", "bank_card", "wallet", "stored_value"))),
    )  # fmt: skip


def _applied(requests: list[QuoteRequest], policy: Policy) -> float:
    return sum(len(quote(request, policy).applied) for request in requests) / len(requests)
