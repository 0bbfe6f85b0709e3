"""What one offer is worth: the fen that it takes off a base, rounded half up once.

Every stage has a base (`docs/pricing.md`): what is to be paid before it. An offer never takes off
more than its base, its cap, what is left of its budget, or what its margin floor leaves of the
base. Limits are rounded up, so that a floor is never undercut by a fraction of a fen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from edge_agent.model.policy import Limits, Offer, Policy, PriceOffer, Stage
from edge_agent.model.policy.offers import ItemOff
from edge_agent.model.quote import CouponFacts, GoodsLine, QuoteRequest
from edge_agent.model.units import divide_half_up

NEVER_MS: Final = 1 << 62
"""When an offer without an end expires: after every other."""
UNBOUNDED: Final = 1 << 62


class Candidate(NamedTuple):
    """An offer that may take part: one of the policy's own, or one that a coupon brings."""

    offer: Offer
    coupon: CouponFacts | None = None

    @property
    def name(self) -> str:
        """What ties are broken by: the offer's id, or the template's code with the serial."""
        return self.offer.id if self.coupon is None else f"{self.offer.id}#{self.coupon.serial}"

    @property
    def expires_ms(self) -> int:
        """When the coupon, or else the offer, is over."""
        if self.coupon is not None:
            return self.coupon.until_ms
        end = self.offer.conditions.valid_until_ms
        return NEVER_MS if end is None else end


def price_offer(offer: Offer) -> PriceOffer | None:
    """Return the offer as one that lowers the price, or None where it gives a benefit instead."""
    match offer.kind:
        case "free_item" | "points_times" | "points_fixed":
            return None
        case _:
            return offer


def budget_left(offer: PriceOffer, request: QuoteRequest) -> int:
    """Return the fen that a budget leaves; an offer with a budget that is not named has none."""
    if offer.budget_fen is None:
        return UNBOUNDED
    return next((max(each.left.fen, 0) for each in request.budgets if each.offer == offer.id), 0)


class Figures(NamedTuple):
    """The figures that a price is decided by, in fen and millilitres."""

    volume_ml: int
    fuel_fen: int
    listed_fen: int
    """Fuel and goods."""
    others_fen: int
    """Paid by other means than the one that takes what is left."""
    least_fen: int
    """What no combination of offers may bring the price below."""

    @property
    def goods_fen(self) -> int:
        """All goods at their list price."""
        return self.listed_fen - self.fuel_fen

    def highest_base(self, stage: Stage) -> int:
        """Return the base that a stage has when nothing is taken off before it."""
        if stage in {"pump", "line"}:
            return self.fuel_fen
        return self.listed_fen - (self.others_fen if stage == "tender" else 0)


def figures_of(request: QuoteRequest, policy: Policy) -> Figures:
    """Return the figures of a question, with the policy's limits worked out."""
    others = 0 if request.paying is None else max(request.paying.others.fen, 0)
    listed, fuel, litres = request.listed.fen, request.amount.fen, request.volume.ml
    floor = fuel_floor(policy.limits.price_floors_milli.get(request.grade, 0), litres)
    least = least_payable(policy.limits, listed, min(floor, fuel) + goods_floor(request, policy))
    return Figures(litres, fuel, listed, others, least)


def least_payable(limits: Limits, listed_fen: int, floors_fen: int) -> int:
    """Return the fen below which no combination of offers may bring the price."""
    return max(listed_fen - listed_fen * limits.max_discount_bp // 10_000, floors_fen, 0)


def fuel_floor(floor_milli: int, volume_ml: int) -> int:
    """Return what a volume costs at the least, at so much a litre, rounded up to the fen."""
    return -(-volume_ml * floor_milli // 10_000)


def goods_floor(request: QuoteRequest, policy: Policy) -> int:
    """Return what the goods of a sale cost at the least."""
    if not request.goods:
        return 0
    floors = {good.code: good.floor_fen for good in policy.goods}
    return sum(
        min(line.pieces * floors.get(line.good, 0), line.amount.fen) for line in request.goods
    )


class Bid(NamedTuple):
    """An offer in one sale: its stage, and how its worth follows from the stage's base."""

    candidate: Candidate
    offer: PriceOffer
    saves: Callable[[int], int]
    """The kind's own formula: fen on a base, before caps and floors; may be below nothing."""
    most: int
    """Its cap and its budget, or what its goods leave."""
    reserve: int
    """What its margin floor keeps of the base."""
    own_base: int | None
    """Goods have a base of their own, whatever the stage's is."""
    slot: str
    """At most one applies of it: the pump's price, the tender, a group, or the offer itself."""
    bit: int = 0
    """Its place among the bids of a sale, the higher the sooner it expires."""
    merit: int = 0
    """What ties are decided by (`core.combination`): the bit, less a fixed lot for a coupon."""

    def worth(self, base_fen: int) -> int:
        """Return the fen that it takes off a base; nothing off nothing."""
        base = base_fen if self.own_base is None else self.own_base
        worth = min(self.saves(base), self.most, base, base - self.reserve)
        return max(worth, 0)


def bid_of(
    candidate: Candidate, offer: PriceOffer, figures: Figures, request: QuoteRequest, policy: Policy
) -> Bid:
    """Work out what does not depend on a stage's base."""
    most = budget_left(offer, request)
    if offer.cap_fen is not None:
        most = min(most, offer.cap_fen)
    if offer.kind == "item_off":
        bought = [line for line in request.goods if line.good == offer.good]
        value = _off_goods(offer, bought, policy)
        whole = sum(line.amount.fen for line in bought)
        return Bid(candidate, offer, lambda _: value, most, 0, whole, _slot(candidate, offer))
    reserve = 0
    if offer.floor_milli is not None:
        reserve = fuel_floor(offer.floor_milli, figures.volume_ml)
        if offer.stage in _WITH_GOODS:
            reserve += figures.goods_fen
        if offer.stage == "tender":
            reserve -= figures.others_fen
    formula, slot = _formula(offer, figures.volume_ml), _slot(candidate, offer)
    return Bid(candidate, offer, formula, most, reserve, None, slot)


def _slot(candidate: Candidate, offer: PriceOffer) -> str:
    if offer.stage in {"pump", "tender"}:
        return offer.stage
    return f"offer {candidate.name}" if offer.group is None else f"group {offer.group}"


_WITH_GOODS: Final = ("basket", "tender")


def _formula(offer: PriceOffer, volume_ml: int) -> Callable[[int], int]:
    """Return an offer's formula. Each rounds half up once."""
    if offer.kind == "percent_off":
        off_bp = offer.off_bp
        return lambda base: divide_half_up(base * off_bp, 10_000)
    if offer.kind == "per_litre_off":
        off = divide_half_up(volume_ml * offer.off_milli, 10_000)
        return lambda _: off
    if offer.kind == "fixed_price":
        price = divide_half_up(volume_ml * offer.price_milli, 10_000)
        return lambda base: base - price
    if offer.kind == "spend_save":
        spend, save = offer.spend_fen, offer.save_fen
        if offer.stepwise:
            return lambda base: base // spend * save
        return lambda base: save if base >= spend else 0
    value = offer.off_fen
    return lambda _: value


def _off_goods(offer: ItemOff, bought: list[GoodsLine], policy: Policy) -> int:
    """What is off the pieces that count, each one down to its good's own floor at most."""
    good, left, off = policy.good(offer.good), offer.max_pieces, 0
    floor = 0 if good is None else good.floor_fen
    for line in bought:
        pieces, price = min(left, line.pieces), line.amount.fen // line.pieces
        off += pieces * max(min(offer.off_fen, price - floor), 0)
        left -= pieces
    return off


def missing_of(offer: PriceOffer, base_fen: int) -> int | None:
    """Return how much more to spend for an offer to save (more); None when that is no help."""
    if offer.kind != "spend_save":
        return None
    if base_fen >= offer.spend_fen and not offer.stepwise:
        return None
    return offer.spend_fen - max(base_fen, 0) % offer.spend_fen
