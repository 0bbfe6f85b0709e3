"""Random policies that are lawful: every kind of offer, condition, group, cap, floor and budget.

Values are small and round on purpose: ties, thresholds just reached and limits just touched are
where a search goes wrong.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from edge_agent.model.errors import PolicyRefused
from edge_agent.model.policy import Policy, load_policy

Json: TypeAlias = dict[str, Any]
"""A part of a policy as its author would write it."""

TIERS: Final = ("regular", "silver", "gold")
TAGS: Final = ("night", "diesel", "vip")
GRADES: Final = ("92", "95", "0")
GOODS: Final = {"washer": (2_500, 1_000), "urea": (6_000, 3_500), "cola": (350, 0)}
"""Price and floor in fen."""
STATIONS: Final = ("S-1", "S-2")
MONDAY_MS: Final = 1_793_548_800_000  # 2026-11-02 00:00 in China
DAY_MS: Final = 86_400_000
HOLIDAY: Final = "2026-11-05"
WORKED_SUNDAY: Final = "2026-11-08"
PLACE: Final = re.compile(r"(offers|coupon_templates)\[(\d+)\]")

PUMP_KINDS: Final = ("per_litre_off", "fixed_price")
LINE_KINDS: Final = (
    "percent_off", "per_litre_off", "fixed_price", "amount_off", "spend_save", "item_off",
)  # fmt: skip
OTHER_KINDS: Final = ("percent_off", "amount_off", "spend_save")
BENEFIT_KINDS: Final = ("points_times", "points_fixed", "free_item")
KINDS: Final = {
    "pump": PUMP_KINDS, "line": LINE_KINDS, "basket": OTHER_KINDS, "tender": OTHER_KINDS,
    "benefit": BENEFIT_KINDS,
}  # fmt: skip
STAGES: Final = ("pump", "line", "basket", "tender", "benefit")
STAGE_WEIGHTS: Final = (2, 5, 4, 2, 2)


@dataclass(frozen=True, slots=True)
class Size:
    """How many offers, and into how few groups they fall; more of either is slower to check."""

    offers: int
    templates: int
    groups: int
    """Groups of a stage to draw from; 0: no offer has a group of its own choosing."""
    grouped: float
    """Share of the offers that are in one of them."""


def a_size(chance: random.Random) -> Size:
    """Return a size: mostly few offers, sometimes a dozen, now and then up to thirty in groups."""
    kind = chance.random()
    if kind < 0.82:
        return Size(chance.randint(0, 6), chance.choice((0, 0, 1, 2)), 2, 0.4)
    if kind < 0.95:
        return Size(chance.randint(6, 12), chance.choice((0, 1, 2)), 2, 0.5)
    return Size(chance.randint(13, 30), chance.choice((0, 2)), 2, 0.97)


def lawful(chance: random.Random, size: Size) -> tuple[Json, Policy]:
    """Return a policy as JSON and read; what the validator refuses of it is left out."""
    content = a_policy(chance, size)
    for _ in range(60):
        try:
            return content, load_policy(json.dumps(content))
        except PolicyRefused as refused:
            if not _dropped(content, refused.detail):
                content = a_policy(chance, size)
    raise RuntimeError("the validator refuses whatever is drawn: policies.py is out of date")


def _dropped(content: Json, detail: str) -> bool:
    place = PLACE.search(detail)
    if place is None:
        return False
    offers = content[place[1]]
    gone = offers.pop(int(place[2]))
    name = (gone.get("offer") or gone)["id"]
    for offer in _all_offers(content):
        named = offer.get("stacks_with")
        if isinstance(named, list) and name in named:
            named.remove(name)
    return True


def _all_offers(content: Json) -> list[Json]:
    offers, templates = content["offers"], content["coupon_templates"]
    return [*offers, *(template["offer"] for template in templates)]


def a_policy(chance: random.Random, size: Size) -> Json:
    """Return the JSON of a policy; nearly always a lawful one."""
    offers = [_offer(chance, size, f"o{number:02d}") for number in range(size.offers)]
    coupons = [_offer(chance, size, f"c{number:02d}") for number in range(size.templates)]
    _choose_company(chance, [*offers, *coupons])
    return {
        "format": 1,
        "version": 1,
        "tiers": [
            {"code": code, "label_zh": code, "label_en": code, "text_zh": code, "text_en": code}
            for code in TIERS
        ],
        "goods": [
            {"code": code, "label_zh": code, "label_en": code, "price_fen": price, "floor_fen": low}
            for code, (price, low) in GOODS.items()
        ],
        "offers": offers,
        "coupon_templates": [
            {"offer": offer, "valid_days": chance.randint(1, 90)} for offer in coupons
        ],
        "calendar": {"holidays": [HOLIDAY], "workdays": [WORKED_SUNDAY], "member_days": [3, 8]},
        "points": _points(chance),
        "limits": _limits(chance),
    }


def _points(chance: random.Random) -> Json:
    rates = {grade: chance.choice((0, 5_000, 15_000)) for grade in GRADES if chance.random() < 0.2}
    content: Json = {
        "per_yuan": chance.choice((0, 1, 1, 1, 3)),
        "grade_rates_bp": rates,
        "combine": chance.choice(("max", "add", "multiply")),
    }
    if chance.random() < 0.8:
        content["redeem"] = {"points_per_yuan": chance.choice((100, 100, 100, 7))}
    return content


def _limits(chance: random.Random) -> Json:
    content: Json = {}
    if chance.random() < 0.35:
        content["max_discount_bp"] = chance.choice((0, 300, 1_000, 2_500, 9_999))
    if chance.random() < 0.35:
        content["price_floors_milli"] = {
            grade: chance.choice((5_500, 6_333, 7_300)) for grade in GRADES if chance.random() < 0.7
        }
    return content


# --- offers -------------------------------------------------------------------------------------


def _offer(chance: random.Random, size: Size, name: str) -> Json:
    [stage] = chance.choices(STAGES, STAGE_WEIGHTS)
    kind = chance.choice(KINDS[stage])
    offer: Json = {"id": name, "kind": kind, "text_zh": f"优惠{name}", "text_en": f"offer {name}"}
    if chance.random() < 0.5:
        offer["priority"] = chance.choice((1, 50, 100, 101))
    if stage != "benefit":
        offer["stage"] = stage
    # The default group of percent offers belongs to one stage only.
    if chance.random() < size.grouped or (kind == "percent_off" and stage != "line"):
        offer["group"] = f"{stage}-{chance.randrange(size.groups)}"
    offer |= _what(chance, kind)
    if stage != "benefit":
        offer |= _bounds(chance)
    conditions = _conditions(chance)
    if stage == "tender":
        conditions["tenders"] = chance.sample(("cash", "bank_card", "stored_value", "wallet"), 2)
    if conditions:
        offer["conditions"] = conditions
    return offer


def _what(chance: random.Random, kind: str) -> Json:
    if kind == "percent_off":
        return {"off_bp": chance.choice((50, 100, 150, 200, 300, 333, 500, 777))}
    if kind == "per_litre_off":
        return {"off_milli": chance.choice((10, 50, 100, 155, 300))}
    if kind == "fixed_price":
        return {"price_milli": chance.choice((6_900, 7_111, 7_400, 7_800))}
    if kind == "amount_off":
        return {"off_fen": chance.choice((1, 100, 500, 500, 1_000, 2_000))}
    if kind == "spend_save":
        spend = chance.choice((1_000, 5_000, 10_000, 10_000, 20_000))
        return {
            "spend_fen": spend,
            "save_fen": spend // chance.choice((5, 10, 10, 20)),
            "stepwise": chance.random() < 0.3,
        }
    if kind == "item_off":
        good = chance.choice(sorted(GOODS))
        most = GOODS[good][0] - GOODS[good][1]
        return {
            "good": good,
            "off_fen": max(1, chance.choice((most, most // 2, 100))),
            "max_pieces": chance.choice((1, 1, 2)),
        }
    if kind == "free_item":
        return {"good": chance.choice(sorted(GOODS)), "pieces": chance.choice((1, 2))}
    if kind == "points_times":
        return {"times_bp": chance.choice((15_000, 20_000, 20_000, 30_000))}
    return {"points": chance.choice((1, 50, 500))}


def _bounds(chance: random.Random) -> Json:
    bounds: Json = {}
    if chance.random() < 0.15:
        bounds["cap_fen"] = chance.choice((1, 99, 500, 1_500))
    if chance.random() < 0.1:
        bounds["budget_fen"] = chance.choice((500, 100_000))
    if chance.random() < 0.1:
        bounds["floor_milli"] = chance.choice((6_000, 7_000, 7_250))
    return bounds


def _choose_company(chance: random.Random, offers: Sequence[Json]) -> None:
    """Give some offers a list of what they go together with; of a pair, both agree or neither."""
    priced = [offer for offer in offers if "stage" in offer]
    narrow = [offer for offer in priced if chance.random() < 0.25]
    for offer in narrow:
        offer["stacks_with"] = []
    for place, one in enumerate(narrow):
        for other in narrow[:place]:
            if chance.random() < 0.5 and not _rivals(one, other):
                _names(one).append(str(other["id"]))
                _names(other).append(str(one["id"]))
    for one in narrow:
        for other in priced:
            if "stacks_with" not in other and chance.random() < 0.5 and not _rivals(one, other):
                _names(one).append(str(other["id"]))
        _name_whole_groups(chance, one, priced)


def _rivals(one: Json, other: Json) -> bool:
    return _group(one) is not None and _group(one) == _group(other)


def _group(offer: Json) -> object:
    default = "percent" if offer["kind"] == "percent_off" else None
    return offer.get("group", default)


def _names(offer: Json) -> list[str]:
    named: list[str] = offer["stacks_with"]
    return named


def _name_whole_groups(chance: random.Random, one: Json, priced: Sequence[Json]) -> None:
    """Name a group instead of its offers, where all of them are named."""
    named = _names(one)
    for group in {_group(offer) for offer in priced} - {None, _group(one)}:
        members = {str(offer["id"]) for offer in priced if _group(offer) == group}
        if members <= set(named) and chance.random() < 0.7:
            named[:] = [name for name in named if name not in members] + [str(group)]


# --- conditions ---------------------------------------------------------------------------------


def _conditions(chance: random.Random) -> Json:
    """Return few conditions, which hold more often than not."""
    drawn: Json = {}
    for draw in _CONDITIONS:
        if chance.random() < 0.08:
            drawn |= draw(chance)
    return drawn


def _validity(chance: random.Random) -> Json:
    start = MONDAY_MS + chance.randint(-3, 4) * DAY_MS
    return {"valid_from_ms": start, "valid_until_ms": start + chance.randint(3, 9) * DAY_MS}


def _one_of(*conditions: Json) -> Callable[[random.Random], Json]:
    return lambda chance: dict(chance.choice(conditions))


def _two_of(name: str, values: Sequence[str]) -> Callable[[random.Random], Json]:
    return lambda chance: {name: chance.sample(values, 2)}


_CONDITIONS: Final[Sequence[Callable[[random.Random], Json]]] = (
    _validity,
    _two_of("grades", GRADES),
    _two_of("tiers", TIERS),
    _two_of("tags", TAGS),
    _two_of("plate_colours", ("blue", "green", "yellow")),
    _two_of("days", ("workday", "weekend", "holiday", "member_day")),
    _two_of("tenders", ("cash", "wallet", "stored_value")),
    _one_of(*({"stations": [station]} for station in STATIONS)),
    _one_of({"weekdays": [1, 3, 5, 6, 7]}, {"weekdays": [6, 7]}),
    _one_of(
        {"hours": [{"start": "06:00", "end": "22:00"}]},
        {"hours": [{"start": "20:00", "end": "08:00"}]},
        {"hours": [{"start": "00:00", "end": "24:00"}]},
    ),
    _one_of(
        {"birthday_week": True},
        {"first_fill": True},
        {"visit": {"number": 2}},
        {"visit": {"every": 2}},
        {"experiment": {"name": "ab", "from_bp": 2_000, "until_bp": 9_000}},
    ),
    _one_of({"min_volume_ml": 20_000}, {"min_amount_fen": 10_000}, {"min_amount_fen": 20_000}),
)
