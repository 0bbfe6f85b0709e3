"""The peer of the quote: GoRules ZEN, an open rule engine in Rust, on the same policies.

Each stage's offers are one expression, compiled once, that yields what each offer is worth on the
stage's base, or nothing where a condition does not hold. What a rule engine has no words for is
done around it as its users do: of a group the dearest, one after the other, as long as they allow
each other. So it finds *a* price, not the best; it cannot say why an offer was refused or what is
missing, knows no ties by expiry, keeps no coupon back, and proposes no next step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from edge_agent.model.policy import Conditions, Offer, Policy, PriceOffer
from edge_agent.model.policy.offers import FreeItem, PointsFixed, PointsTimes
from edge_agent.model.quote import QuoteRequest

NAME: Final = "zen-engine (Rust), greedy price alone"
STAGES: Final = ("pump", "line", "basket", "tender")

Evaluate = Callable[[Mapping[str, Any]], list[float]]


def is_installed() -> bool:
    """Whether the peer is here; it comes with `scripts/setup --dev`."""
    return find_spec("zen") is not None


class ZenPrices:
    """Prices by the rule engine.

    Raises:
        ValueError: the policy says something that this translation has no words for.
    """

    def __init__(self, policy: Policy) -> None:
        compiled = import_module("zen").compile_expression
        self._limits = policy.limits
        self._floors = {good.code: good.floor_fen for good in policy.goods}
        self._calendar = policy.calendar
        self._offers: dict[str, list[PriceOffer]] = {stage: [] for stage in STAGES}
        coupons = [template.offer for template in policy.coupon_templates]
        words: dict[str, list[str]] = {stage: [] for stage in STAGES}
        for offer in (*policy.offers, *coupons):
            if not isinstance(offer, FreeItem | PointsTimes | PointsFixed):
                self._offers[offer.stage].append(offer)
                words[offer.stage].append(_worth(offer, policy, by_coupon=offer in coupons))
        self._worths: dict[str, Evaluate] = {
            stage: compiled(f"[{', '.join(parts)}]").evaluate
            for stage, parts in words.items()
            if parts
        }

    def price(self, request: QuoteRequest) -> int:
        """Return what is to be paid, in fen."""
        facts = self._facts(request)
        due, taken = request.amount.fen, list[PriceOffer]()
        for stage in STAGES:
            if stage == "basket":
                due += request.listed.fen - request.amount.fen
            others = facts["others"] if stage == "tender" else 0
            facts["base"] = max(0, due - others)
            if stage in self._worths:
                due -= self._greedy(stage, self._worths[stage](facts), taken)
        return max(due, self._least(request))

    def _greedy(self, stage: str, worths: Sequence[float], taken: list[PriceOffer]) -> int:
        """Take the dearest first; return what the stage takes off."""
        off, groups, single = 0, set[str](), stage in {"pump", "tender"}
        ranked = sorted(zip(worths, self._offers[stage], strict=True), key=lambda pair: -pair[0])
        for worth, offer in ranked:
            if worth < 1 or (single and off) or offer.group in groups:
                continue
            if all(_allows(offer, other) and _allows(other, offer) for other in taken):
                taken.append(offer)
                off += int(worth)
                if offer.group is not None:
                    groups.add(offer.group)
        return off

    def _least(self, request: QuoteRequest) -> int:
        listed = request.listed.fen
        net = self._limits.price_floors_milli.get(request.grade, 0)
        floors = min(request.amount.fen, -(-request.volume.ml * net // 10_000))
        floors += sum(line.pieces * self._floors.get(line.good, 0) for line in request.goods)
        return max(floors, listed - listed * self._limits.max_discount_bp // 10_000)

    def _facts(self, request: QuoteRequest) -> dict[str, Any]:
        local = datetime.fromtimestamp(request.at_ms / 1000, UTC) + timedelta(
            minutes=request.utc_offset_minutes
        )
        days = ["weekend" if local.isoweekday() >= 6 else "workday"]
        if local.day in self._calendar.member_days:
            days.append("member_day")
        member, paying = request.member, request.paying
        return {
            "tier": "" if member is None else member.tier,
            "tags": [] if member is None else list(member.tags),
            "grade": request.grade,
            "minute": local.hour * 60 + local.minute,
            "weekday": local.isoweekday(),
            "days": days,
            "means": "" if paying is None else paying.means,
            "others": 0 if paying is None else paying.others.fen,
            "coupons": [coupon.template for coupon in request.coupons],
            "pieces": {line.good: line.pieces for line in request.goods},
            "volume": request.volume.ml,
            "fuel": request.amount.fen,
            "base": 0,
        }


def _allows(one: Offer, other: Offer) -> bool:
    allowed = getattr(one, "stacks_with", None)
    return allowed is None or other.id in allowed or other.group in allowed


# --- offers in the engine's words ---------------------------------------------------------------


def _worth(offer: PriceOffer, policy: Policy, *, by_coupon: bool) -> str:
    """Return an expression for what an offer takes off `base`, 0 where it does not apply."""
    if offer.floor_milli is not None or offer.budget_fen is not None:
        raise ValueError(f"{offer.id}: floors and budgets are not translated")
    conditions = _conditions(offer.conditions)
    if by_coupon:
        conditions.append(f'"{offer.id}" in coupons')
    bounds = ["base"] if offer.kind != "item_off" else []
    if offer.cap_fen is not None:
        bounds.append(str(offer.cap_fen))
    worth = f"min([{', '.join([_amount(offer, policy), *bounds])}])"
    return f"({' and '.join(conditions) or 'true'}) ? {worth} : 0"


def _amount(offer: PriceOffer, policy: Policy) -> str:
    match offer.kind:
        case "percent_off":
            return f"floor(base * {offer.off_bp} / 10000 + 0.5)"
        case "per_litre_off":
            return f"floor(volume * {offer.off_milli} / 10000 + 0.5)"
        case "fixed_price":
            return f"base - floor(volume * {offer.price_milli} / 10000 + 0.5)"
        case "amount_off":
            return str(offer.off_fen)
        case "item_off":
            good = policy.good(offer.good)
            off_fen = min(offer.off_fen, good.price_fen - good.floor_fen) if good else 0
            return f"min([pieces.{offer.good} ?? 0, {offer.max_pieces}]) * {off_fen}"
        case "spend_save":
            steps = f"floor(base / {offer.spend_fen})"
            times = steps if offer.stepwise else f"min([{steps}, 1])"
            return f"{times} * {offer.save_fen}"


def _conditions(wanted: Conditions) -> list[str]:
    given = {name for name in wanted.model_fields_set if getattr(wanted, name) is not None}
    unknown = given - {"grades", "tiers", "tags", "weekdays", "days", "hours", "tenders",
                       "min_amount_fen"}  # fmt: skip
    if unknown:
        raise ValueError(f"{min(unknown)} is not translated")
    found = [
        f"{fact} in {_listed(values)}"
        for fact, values in (
            ("grade", wanted.grades),
            ("tier", wanted.tiers),
            ("weekday", wanted.weekdays),
            ("means", wanted.tenders),
        )
        if values is not None
    ]
    for fact, anything in (("tags", wanted.tags), ("days", wanted.days)):
        if anything is not None:
            found.append(f"some({fact}, # in {_listed(anything)})")
    if wanted.hours is not None:
        windows = [
            f"(minute >= {each.start_minute}"
            f" {'and' if each.start_minute < each.end_minute else 'or'}"
            f" minute < {each.end_minute})"
            for each in wanted.hours
        ]
        found.append(f"({' or '.join(windows)})")
    if wanted.min_amount_fen is not None:
        found.append(f"fuel >= {wanted.min_amount_fen}")
    return found


def _listed(values: Sequence[object]) -> str:
    return json.dumps(list(values))
