"""The price by trying everything: every legal combination, worked out line by line.

Slow, plain, and written from `docs/pricing.md` alone: it shares no code with `edge_agent.core`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final, TypeAlias

from edge_agent.model.policy import Offer, Policy, PriceOffer
from edge_agent.model.policy.offers import FreeItem, ItemOff, PointsFixed, PointsTimes
from edge_agent.model.quote import CouponFacts, QuoteRequest
from scripts.fuzzing.conditions import hold

NEVER: Final = 10**18
ORDER: Final = ("pump", "line", "basket", "tender")
MOST_COMBINATIONS: Final = 20_000
"""Beyond so many combinations a case is not tried."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer that may take part, of the policy itself or of a coupon."""

    offer: Offer
    coupon: CouponFacts | None

    @property
    def name(self) -> str:
        """By which it is told apart."""
        return self.offer.id + (f"#{self.coupon.serial}" if self.coupon else "")

    @property
    def ends(self) -> tuple[int, str]:
        """By which ties are broken: what ends sooner is used sooner."""
        until = self.offer.conditions.valid_until_ms
        if self.coupon:
            until = self.coupon.until_ms
        return (NEVER if until is None else until, self.name)


@dataclass(frozen=True, slots=True)
class Answer:
    """What must come out."""

    payable_fen: int
    applied: tuple[tuple[str, int], ...]
    """Names and fen, in the order of the bill."""
    benefits: frozenset[tuple[str, int]]
    """Names, and the points or pieces that each gives."""
    points: int
    combinations: int


class TooMany(Exception):
    """There are more combinations than can be tried."""


Lines: TypeAlias = list[tuple[Candidate, int]]


def answer(request: QuoteRequest, policy: Policy) -> Answer:
    """Decide a price by trying everything.

    Raises:
        TooMany: that would take too long.
    """
    candidates = [each for each in _candidates(request, policy) if _holds(each, request, policy)]
    priced = [each for each in candidates if hasattr(each.offer, "stage")]
    listed, lowest = request.listed.fen, _lowest(request, policy)
    best: tuple[tuple[int, int, tuple[bool, ...]], Lines] | None = None
    by_end = sorted(priced, key=lambda each: each.ends)
    tried = 0
    for chosen in _legal(priced):
        tried += 1
        lines = _lines(chosen, request, policy)
        if lines is None:
            continue
        payable = listed - min(sum(worth for _, worth in lines), listed - lowest)
        coupons = sum(each.coupon is not None for each in chosen)
        # Of two, the one comes first that holds the soonest ending offer in which they differ.
        rank = (payable, coupons, tuple(each not in chosen for each in by_end))
        if best is None or rank < best[0]:
            best = (rank, lines)
    if best is None:
        raise RuntimeError("the empty combination is always legal")
    payable, lines = best[0][0], best[1]
    benefits, points = _benefits(candidates, payable, request, policy)
    return Answer(payable, _bill(lines, listed - lowest), benefits, points, tried)


def _candidates(request: QuoteRequest, policy: Policy) -> Iterator[Candidate]:
    for offer in policy.offers:
        yield Candidate(offer, None)
    for coupon in request.coupons:
        template = policy.template(coupon.template)
        if template is not None:
            yield Candidate(template.offer, coupon)


def _holds(candidate: Candidate, request: QuoteRequest, policy: Policy) -> bool:
    return hold(candidate.offer, candidate.coupon, request, policy.calendar)


# --- combinations -------------------------------------------------------------------------------


def _legal(priced: Sequence[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    """Yield every legal combination: one of a group, one at the pump, one of the tender stage."""
    slots: dict[str, list[Candidate | None]] = {}
    for each in priced:
        group = _offer(each).group
        slots.setdefault(f"group {group}" if group else each.name, [None]).append(each)
    count = 1
    for slot in slots.values():
        count *= len(slot)
    if count > MOST_COMBINATIONS:
        raise TooMany
    for picked in itertools.product(*slots.values()):
        chosen = tuple(each for each in picked if each is not None)
        single = [_offer(each).stage for each in chosen if _offer(each).stage in ("pump", "tender")]
        if len(single) == len(set(single)) and all(
            _together(one, other) and _together(other, one)
            for one, other in itertools.combinations(chosen, 2)
        ):
            yield chosen


def _together(one: Candidate, other: Candidate) -> bool:
    """Whether an offer allows another; goods are made cheaper once, a budget is drawn on once."""
    ours, theirs = _offer(one), _offer(other)
    if isinstance(ours, ItemOff) and isinstance(theirs, ItemOff) and ours.good == theirs.good:
        return False
    if ours.id == theirs.id and ours.budget_fen is not None:
        return False
    allowed = ours.stacks_with
    return allowed is None or theirs.id in allowed or theirs.group in allowed


def _offer(candidate: Candidate) -> PriceOffer:
    offer = candidate.offer
    if isinstance(offer, FreeItem | PointsTimes | PointsFixed):
        raise TypeError(f"{offer.id} lowers no price")
    return offer


# --- one combination, line by line --------------------------------------------------------------


def _lines(chosen: Sequence[Candidate], request: QuoteRequest, policy: Policy) -> Lines | None:
    """Return the lines of a combination; None where an offer in it is worth nothing."""
    fuel, goods = request.amount.fen, sum(line.amount.fen for line in request.goods)
    others = request.paying.others.fen if request.paying else 0
    due = fuel
    lines: Lines = []
    for stage in ORDER:
        if stage == "basket":
            due = max(0, due + goods)
        if stage == "tender":
            due = max(0, due - others)
        base, beside = due, {"basket": goods, "tender": goods - others}.get(stage, 0)
        for each in chosen:
            if _offer(each).stage == stage:
                worth = _worth(_offer(each), base, beside, request, policy)
                if worth <= 0:
                    return None
                lines.append((each, worth))
                due -= worth
    return lines


def _worth(offer: PriceOffer, base: int, beside: int, request: QuoteRequest, policy: Policy) -> int:
    litres = Fraction(request.volume.ml, 1000)
    reserve = 0
    if offer.kind == "item_off":
        bought = [line for line in request.goods if line.good == offer.good]
        base = sum(line.amount.fen for line in bought)
    elif offer.floor_milli is not None:
        reserve = ceil(litres * offer.floor_milli / 10) + beside
    worth = [_rounded(_formula(offer, base, litres, request, policy)), base, base - reserve]
    if offer.cap_fen is not None:
        worth.append(offer.cap_fen)
    if offer.budget_fen is not None:
        worth.append(sum(each.left.fen for each in request.budgets if each.offer == offer.id))
    return min(worth)


def _formula(
    offer: PriceOffer, base: int, litres: Fraction, request: QuoteRequest, policy: Policy
) -> Fraction:
    """Return what the kind of offer takes off a base, unrounded, in fen."""
    match offer.kind:
        case "percent_off":
            return Fraction(base * offer.off_bp, 10_000)
        case "per_litre_off":
            return litres * offer.off_milli / 10
        case "fixed_price":
            return Fraction(base - _rounded(litres * offer.price_milli / 10))
        case "amount_off":
            return Fraction(offer.off_fen)
        case "spend_save":
            times = base // offer.spend_fen
            return Fraction(offer.save_fen * (times if offer.stepwise else min(times, 1)))
        case "item_off":
            return Fraction(sum(sorted(_pieces(offer, request, policy))[-offer.max_pieces :]))


def _pieces(offer: ItemOff, request: QuoteRequest, policy: Policy) -> Iterator[int]:
    """Yield what is off each piece of a good that was bought."""
    good = policy.good(offer.good)
    lowest = good.floor_fen if good else 0
    for line in request.goods:
        if line.good == offer.good:
            price = line.amount.fen // line.pieces
            yield from [max(0, min(offer.off_fen, price - lowest))] * line.pieces


def _rounded(fen: Fraction) -> int:
    return floor(fen + Fraction(1, 2))


# --- limits -------------------------------------------------------------------------------------


def _lowest(request: QuoteRequest, policy: Policy) -> int:
    """Return what has to be paid at the least."""
    listed, limits = request.listed.fen, policy.limits
    net = limits.price_floors_milli.get(request.grade, 0)
    floors = min(request.amount.fen, ceil(Fraction(request.volume.ml * net, 10_000)))
    for line in request.goods:
        good = policy.good(line.good)
        floors += min(line.amount.fen, line.pieces * (good.floor_fen if good else 0))
    share = ceil(Fraction(listed * (10_000 - limits.max_discount_bp), 10_000))
    return max(0, floors, share)


def _bill(lines: Lines, room: int) -> tuple[tuple[str, int], ...]:
    """Return the lines in the order of the bill, cut to what the limits leave room for."""
    left: dict[str, int] = {}
    for each, worth in sorted(lines, key=_keeps):
        left[each.name] = min(worth, room)
        room -= left[each.name]
    ordered = sorted(lines, key=lambda line: _place(line[0]))
    return tuple((each.name, left[each.name]) for each, _ in ordered if left[each.name])


def _place(each: Candidate) -> tuple[int, int, str]:
    """Where a line stands on the bill."""
    offer = _offer(each)
    return ORDER.index(offer.stage), offer.priority, each.name


def _keeps(line: tuple[Candidate, int]) -> tuple[object, ...]:
    """Which line keeps its fen longer when limits cut: what comes last here is cut first."""
    each = line[0]
    if each.coupon is not None:
        return (1, each.coupon.until_ms, each.name)
    return (0, *_place(each))


# --- benefits -----------------------------------------------------------------------------------


def _benefits(
    candidates: Sequence[Candidate], payable: int, request: QuoteRequest, policy: Policy
) -> tuple[frozenset[tuple[str, int]], int]:
    """Return what is given beside the price, and the points of the sale."""
    rules = policy.points
    base = 0
    if request.member is not None:
        redeemed = request.points_redeemed // rules.redeem.points_per_yuan if rules.redeem else 0
        yuan = max(0, payable - 100 * redeemed) // 100
        rate = Fraction(rules.grade_rates_bp.get(request.grade, 10_000), 10_000)
        base = _rounded(yuan * rules.per_yuan * rate)
    chosen: dict[str, Candidate] = {}
    for each in sorted(candidates, key=_precedence):
        if hasattr(each.offer, "stage") or (
            isinstance(each.offer, PointsTimes) and not _more(each.offer, base)
        ):
            continue
        chosen.setdefault(each.offer.group or f"of its own: {each.name}", each)
    given = {each.name: getattr(each.offer, "pieces", 0) or getattr(each.offer, "points", 0)
             for each in chosen.values() if not isinstance(each.offer, PointsTimes)}  # fmt: skip
    given |= _multiplied(base, list(chosen.values()), rules.combine)
    earned = base + sum(
        given[each.name]
        for each in chosen.values()
        if each.name in given and not isinstance(each.offer, FreeItem)
    )
    return frozenset(given.items()), earned


def _precedence(each: Candidate) -> tuple[object, ...]:
    """Offers of the policy before coupons; the lowest priority, then the lowest id."""
    offer = each.offer
    return (offer.priority, offer.id, each.coupon is not None, *each.ends)


def _more(offer: PointsTimes, base: int) -> int:
    return _rounded(Fraction(base * (offer.times_bp - 10_000), 10_000))


def _multiplied(base: int, chosen: Sequence[Candidate], combine: str) -> dict[str, int]:
    """Return what each multiplier adds to the points of the amount."""
    times = [(each, each.offer) for each in chosen if isinstance(each.offer, PointsTimes)]
    if combine == "add":
        return {each.name: _more(offer, base) for each, offer in times}
    if combine == "max":
        ranked = sorted(times, key=lambda pair: (-pair[1].times_bp, pair[0].coupon is not None))
        return {each.name: _more(offer, base) for each, offer in ranked[:1]}
    added, product, before = {}, Fraction(base), base
    for each, offer in times:
        product *= Fraction(offer.times_bp, 10_000)
        added[each.name] = _rounded(product) - before
        before = _rounded(product)
    return added
