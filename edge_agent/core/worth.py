"""What one offer is worth: the fen that it takes off a base, rounded half up once.

Every stage has a base (`docs/pricing.md`): what is to be paid before it. An offer never takes off
more than its base, its cap, what is left of its budget, or what its margin floor leaves of the
base. Limits are rounded up, so that a floor is never undercut by a fraction of a fen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from edge_agent.model.policy import (
    AmountOff,
    FixedPrice,
    ItemOff,
    Offer,
    PercentOff,
    PerLitreOff,
    Policy,
    PriceOffer,
    SpendSave,
    Stage,
)
from edge_agent.model.quote import CouponFacts, GoodsLine, QuoteRequest

NEVER_MS: Final = 1 << 62
"""When an offer without an end expires: after every other."""
UNBOUNDED: Final = 1 << 62
_OnAmount: TypeAlias = PercentOff | PerLitreOff | FixedPrice | AmountOff | SpendSave


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


class Terms(NamedTuple):
    """What a sale's figures follow from at any amount of fuel."""

    max_discount_bp: int
    fuel_floor_milli: int
    goods_fen: int
    goods_floor_fen: int
    others_fen: int

    def figures(self, volume_ml: int, fuel_fen: int) -> Figures:
        """Return the figures at an amount of fuel; floors are rounded up."""
        listed = fuel_fen + self.goods_fen
        floors = min(price_up(volume_ml, self.fuel_floor_milli), fuel_fen) + self.goods_floor_fen
        least = max(listed - listed * self.max_discount_bp // 10_000, floors)
        return Figures(volume_ml, fuel_fen, listed, self.others_fen, least)


def terms_of(request: QuoteRequest, policy: Policy) -> Terms:
    """Return the terms of a sale under a policy."""
    floors = {good.code: good.floor_fen for good in policy.goods} if request.goods else {}
    return Terms(
        policy.limits.max_discount_bp,
        policy.limits.price_floors_milli.get(request.grade, 0),
        sum(line.amount.fen for line in request.goods),
        sum(min(line.pieces * floors.get(line.good, 0), line.amount.fen) for line in request.goods),
        0 if request.paying is None else max(request.paying.others.fen, 0),
    )


def price_up(volume_ml: int, price_milli: int) -> int:
    """Return what a volume costs at a floor price, rounded up to the fen."""
    return -(-volume_ml * price_milli // 10_000)


class Bid(NamedTuple):
    """An offer in one sale, at any amount of fuel: its stage, and how its worth is counted."""

    candidate: Candidate
    offer: PriceOffer
    slot: str
    """At most one applies of it: the pump's price, the tender, a group, or the offer itself."""
    saves: Callable[[int, int], int]
    """The kind's own formula: fen on a base and a volume, before caps and floors; may be less than
    nothing."""
    most: int
    """Its cap and its budget."""
    floor_milli: int
    """Its margin floor; 0 for none."""
    beside: int
    """What is in its base beside fuel: goods, less what others pay."""
    own_base: int | None
    """Goods have a base of their own, whatever the stage's is."""
    min_volume_ml: int
    min_fuel_fen: int
    bit: int
    """Its place among the bids of a sale, the higher the sooner it expires."""
    merit: int
    """What ties are decided by (`core.combination`): the bit, less a fixed lot for a coupon."""

    def worth(self, base: int, figures: Figures) -> int:
        """Return the fen that it takes off a base; nothing where there is too little fuel."""
        if figures.volume_ml < self.min_volume_ml or figures.fuel_fen < self.min_fuel_fen:
            return 0
        if self.own_base is not None:
            base = self.own_base
        if base <= 0:
            return 0
        # Compared by hand: of all that deciding a price takes, this is called most often.
        worth = self.saves(base, figures.volume_ml)
        if worth > self.most:  # noqa: PLR1730
            worth = self.most
        if self.floor_milli:
            room = base - self.beside - price_up(figures.volume_ml, self.floor_milli)
            worth = min(worth, room)
        if worth > base:
            return base
        return worth if worth > 0 else 0  # noqa: FURB136


class Sale(NamedTuple):
    """What all bids of a sale share."""

    request: QuoteRequest
    policy: Policy
    terms: Terms
    coupon_lot: int
    """By so much a coupon's merit is less: more than all bits together."""


def bid_of(candidate: Candidate, offer: PriceOffer, place: int, sale: Sale) -> Bid:
    """Work out what depends neither on a stage's base nor on the amount of fuel.

    `place` counts from the bid that expires last, which has 0.
    """
    request, terms, conditions = sale.request, sale.terms, offer.conditions
    most = budget_left(offer, request)
    if offer.cap_fen is not None:
        most = min(most, offer.cap_fen)
    beside, own_base = 0, None
    if offer.kind == "item_off":
        bought = [line for line in request.goods if line.good == offer.good]
        value = _off_goods(offer, bought, sale.policy)
        own_base = sum(line.amount.fen for line in bought)
        formula: Callable[[int, int], int] = lambda _base, _volume: value  # noqa: E731
    else:
        formula = _formula(offer)
        beside = terms.goods_fen if offer.stage in _WITH_GOODS else 0
        if offer.stage == "tender":
            beside -= terms.others_fen
    bit = 1 << place
    return Bid(
        candidate,
        offer,
        _slot(candidate, offer),
        formula,
        most,
        0 if offer.kind == "item_off" else offer.floor_milli or 0,
        beside,
        own_base,
        conditions.min_volume_ml or 0,
        conditions.min_amount_fen or 0,
        bit,
        bit if candidate.coupon is None else bit - sale.coupon_lot,
    )


def _slot(candidate: Candidate, offer: PriceOffer) -> str:
    if offer.stage in {"pump", "tender"}:
        return offer.stage
    return f"offer {candidate.name}" if offer.group is None else f"group {offer.group}"


_WITH_GOODS: Final = ("basket", "tender")


def _formula(offer: _OnAmount) -> Callable[[int, int], int]:
    """Return an offer's formula. Each rounds half up once, as `divide_half_up` does."""
    if offer.kind == "percent_off":
        off_bp = offer.off_bp
        return lambda base, _: (base * off_bp + 5_000) // 10_000
    if offer.kind == "per_litre_off":
        off_milli = offer.off_milli
        return lambda _, volume_ml: (volume_ml * off_milli + 5_000) // 10_000
    if offer.kind == "fixed_price":
        price_milli = offer.price_milli
        return lambda base, volume_ml: base - (volume_ml * price_milli + 5_000) // 10_000
    if offer.kind == "spend_save":
        spend, save = offer.spend_fen, offer.save_fen
        if offer.stepwise:
            return lambda base, _: base // spend * save
        return lambda base, _: save if base >= spend else 0
    value = offer.off_fen
    return lambda _base, _volume: value


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
