"""The price by trying every legal combination, written from `docs/pricing.md` alone.

Slow and plain on purpose: it shares no code with `edge_agent.core`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from edge_agent.model.policy import Policy
from edge_agent.model.quote import QuoteRequest

STAGES = ("pump", "line", "basket", "tender")
BENEFITS = ("free_item", "points_times", "points_fixed")
NEVER = 10**30


@dataclass(frozen=True)
class Entry:
    """An offer in the sale, by itself or by a coupon."""

    name: str
    expires: int
    offer: Any
    is_coupon: bool


@dataclass(frozen=True)
class Expected:
    """What the specification says."""

    payable_fen: int
    lines: dict[str, int]
    """What is taken off after the limits; coupons as `template#serial`."""
    chosen: frozenset[str]
    """The best combination before the limits."""


def expected(asked: QuoteRequest, rules: Policy) -> Expected:
    """Price a sale by trying everything."""
    entries = [each for each in entries_of(asked, rules) if each.offer.kind not in BENEFITS]
    fuel, listed = asked.amount.fen, asked.listed.fen
    floor = least(asked, rules)
    ids = sorted(entries, key=lambda each: (each.expires, each.name))
    best: tuple[Any, tuple[Entry, ...], dict[str, int]] | None = None
    for chosen in legal(entries):
        worths = take_off(chosen, asked, rules)
        if not all(worths.values()):
            continue
        payable = max(listed - sum(worths.values()), floor)
        coupons = sum(each.is_coupon for each in chosen)
        mine = {each.name for each in chosen}
        key = (payable, coupons, [each.name not in mine for each in ids])
        if best is None or key < best[0]:
            best = key, tuple(chosen), worths
    assert best is not None
    assert fuel >= 0
    return Expected(
        best[0][0],
        {name: fen for name, fen in cut(best[1], best[2], listed - floor).items() if fen},
        frozenset(best[2]),
    )


def entries_of(asked: QuoteRequest, rules: Policy) -> list[Entry]:
    """Every offer and coupon whose conditions hold."""
    found = []
    for offer in rules.offers:
        if holds(offer, asked, rules):
            expires = offer.conditions.valid_until_ms
            found.append(Entry(offer.id, NEVER if expires is None else expires, offer, False))
    for coupon in asked.coupons:
        template = next((t for t in rules.coupon_templates if t.offer.id == coupon.template), None)
        if template is None or not coupon.from_ms <= asked.at_ms < coupon.until_ms:
            continue
        if holds(template.offer, asked, rules):
            name = f"{coupon.template}#{coupon.serial}"
            found.append(Entry(name, coupon.until_ms, template.offer, True))
    return found


def legal(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Every combination in which each pair may stand together."""
    if not entries:
        yield []
        return
    first, rest = entries[0], entries[1:]
    yield from legal(rest)
    friends = [each for each in rest if together(first.offer, each.offer)]
    for chosen in legal(friends):
        yield [first, *chosen]


def together(one: Any, other: Any) -> bool:
    if one.group is not None and one.group == other.group:
        return False
    if one.stage == other.stage and one.stage in ("pump", "tender"):
        return False
    if one.kind == other.kind == "item_off" and one.good == other.good:
        return False
    if one.id == other.id and one.budget_fen is not None:
        return False
    for this, that in ((one, other), (other, one)):
        allowed = this.stacks_with
        if allowed is not None and that.id not in allowed and that.group not in allowed:
            return False
    return True


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def take_off(chosen: Sequence[Entry], asked: QuoteRequest, rules: Policy) -> dict[str, int]:
    """What each offer of a combination takes off, stage by stage."""
    worths: dict[str, int] = {}
    left = asked.amount.fen  # of the fuel, then of all
    goods = sum(line.amount.fen for line in asked.goods)
    others = 0 if asked.paying is None else max(asked.paying.others.fen, 0)
    for stage in STAGES:
        if stage == "basket":
            left += goods
        base = left - others if stage == "tender" else left
        for each in chosen:
            if each.offer.stage == stage:
                worths[each.name] = worth(each.offer, max(base, 0), left, asked, rules)
        left -= sum(worths[each.name] for each in chosen if each.offer.stage == stage)
    return worths


def worth(offer: Any, base: int, left: int, asked: QuoteRequest, rules: Policy) -> int:
    """What an offer takes off a base, by the wording of the rules."""
    litres_ml = asked.volume.ml
    if offer.kind == "item_off":
        value, base = item_off(offer, asked, rules)
    else:
        value = formula(offer, base, litres_ml)
        if offer.floor_milli is not None:
            kept = -(-litres_ml * offer.floor_milli // 10_000)
            if offer.stage in ("basket", "tender"):
                kept += sum(line.amount.fen for line in asked.goods)
            value = min(value, left - kept)
    if offer.cap_fen is not None:
        value = min(value, offer.cap_fen)
    if offer.budget_fen is not None:
        value = min(value, budget(offer, asked))
    return max(0, min(value, base))


def formula(offer: Any, base: int, litres_ml: int) -> int:
    if offer.kind == "percent_off":
        return half_up(base * offer.off_bp, 10_000)
    if offer.kind == "per_litre_off":
        return half_up(litres_ml * offer.off_milli, 10_000)
    if offer.kind == "fixed_price":
        return max(0, base - half_up(litres_ml * offer.price_milli, 10_000))
    if offer.kind == "amount_off":
        return int(offer.off_fen)
    full = base // offer.spend_fen
    return int(offer.save_fen * (full if offer.stepwise else full > 0))


def item_off(offer: Any, asked: QuoteRequest, rules: Policy) -> tuple[int, int]:
    """What is off the pieces, and what all pieces of the good list for."""
    floors = {good.code: good.floor_fen for good in rules.goods}
    prices = [
        line.amount.fen // line.pieces
        for line in asked.goods
        for _ in range(line.pieces)
        if line.good == offer.good
    ]
    off = [
        max(0, min(offer.off_fen, price - floors.get(offer.good, 0)))
        for price in prices[: offer.max_pieces]
    ]
    return sum(off), sum(line.amount.fen for line in asked.goods if line.good == offer.good)


def budget(offer: Any, asked: QuoteRequest) -> int:
    return sum(max(each.left.fen, 0) for each in asked.budgets if each.offer == offer.id)


def least(asked: QuoteRequest, rules: Policy) -> int:
    """The least that may be paid, rounded up."""
    listed = asked.listed.fen
    share = -(-listed * (10_000 - rules.limits.max_discount_bp) // 10_000)
    price = rules.limits.price_floors_milli.get(asked.grade, 0)
    fuel = min(asked.amount.fen, -(-asked.volume.ml * price // 10_000))
    floors = {good.code: good.floor_fen for good in rules.goods}
    goods = sum(
        min(line.amount.fen, line.pieces * floors.get(line.good, 0)) for line in asked.goods
    )
    return max(share, fuel + goods)


def cut(chosen: Sequence[Entry], worths: dict[str, int], room: int) -> dict[str, int]:
    """The lines after the limits: coupons give way first, then the end of the bill."""
    left = dict(worths)
    coupons = [each for each in chosen if each.is_coupon]
    offers = [each for each in chosen if not each.is_coupon]
    coupons.sort(key=lambda each: (each.expires, each.name), reverse=True)
    offers.sort(
        key=lambda each: (STAGES.index(each.offer.stage), each.offer.priority, each.name),
        reverse=True,
    )
    for each in (*coupons, *offers):
        excess = sum(left.values()) - room
        if excess > 0:
            left[each.name] -= min(left[each.name], excess)
    return left


def holds(offer: Any, asked: QuoteRequest, rules: Policy) -> bool:
    """Whether every condition of an offer holds, points for members only included."""
    wanted, member, paying = offer.conditions, asked.member, asked.paying
    if member is None and (
        offer.kind.startswith("points_")
        or wanted.tiers
        or wanted.tags
        or wanted.birthday_week
        or wanted.first_fill
        or wanted.visit
        or wanted.experiment
    ):
        return False
    in_tender = getattr(offer, "stage", "") == "tender"
    needs = [
        wanted.grades is None or asked.grade in wanted.grades,
        wanted.plate_colours is None or asked.plate_colour in wanted.plate_colours,
        wanted.stations is None or asked.station in wanted.stations,
        wanted.valid_from_ms is None or asked.at_ms >= wanted.valid_from_ms,
        wanted.valid_until_ms is None or asked.at_ms < wanted.valid_until_ms,
        asked.volume.ml >= (wanted.min_volume_ml or 0),
        asked.amount.fen >= (wanted.min_amount_fen or 0),
        not in_tender or paying is not None,
        offer.kind != "item_off" or any(line.good == offer.good for line in asked.goods),
        on_the_day(wanted, asked, rules),
    ]
    if wanted.tenders is not None:
        needs.append(paying is not None and paying.means in wanted.tenders)
        needs.append(in_tender or paying is None or not paying.others.fen)
    if member is not None:
        needs += [
            wanted.tiers is None or member.tier in wanted.tiers,
            wanted.tags is None or bool(set(member.tags) & set(wanted.tags)),
            wanted.birthday_week is None or member.birthday_week,
            wanted.first_fill is None or member.first_fill,
            wanted.visit is None or is_visit(wanted.visit, member.visit_number),
            wanted.experiment is None or takes_part(wanted.experiment, member.ref),
        ]
    return all(needs)


def on_the_day(wanted: Any, asked: QuoteRequest, rules: Policy) -> bool:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    now = epoch + timedelta(milliseconds=asked.at_ms, minutes=asked.utc_offset_minutes)
    day = now.date().isoformat()
    if wanted.weekdays is not None and now.isoweekday() not in wanted.weekdays:
        return False
    if wanted.days is not None:
        if day in rules.calendar.holidays:
            kinds = {"holiday"}
        elif now.isoweekday() >= 6 and day not in rules.calendar.workdays:
            kinds = {"weekend"}
        else:
            kinds = {"workday"}
        if now.day in rules.calendar.member_days:
            kinds.add("member_day")
        if not kinds & set(wanted.days):
            return False
    if wanted.hours is None:
        return True
    clock = f"{now.hour:02}:{now.minute:02}"
    return any(
        w.start <= clock < w.end if w.start < w.end else clock >= w.start or clock < w.end
        for w in wanted.hours
    )


def is_visit(rule: Any, number: int | None) -> bool:
    if number is None:
        return False
    if rule.every is not None:
        return bool(number % rule.every == 0)
    return bool(number == rule.number)


def takes_part(experiment: Any, member_ref: str) -> bool:
    text = experiment.name.encode() + b"\0" + member_ref.encode()
    bucket = int(hashlib.sha256(text).hexdigest(), 16) % 10_000
    return bool(experiment.from_bp <= bucket < experiment.until_bp)
