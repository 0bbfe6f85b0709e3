"""The best legal combination of offers: exact for any number of them, and quick.

A combination is legal when it takes at most one offer of a group, one at the pump stage and one at
the tender stage, and when every two of its offers allow each other. The best is the one with the
least to pay; of equals the one with the fewest coupons; of those the one that holds the offer that
expires soonest (then of the lowest id) among those in which they differ. The last two are a number,
the *merit*: a bit for each offer, the higher the sooner it expires, less a fixed lot per coupon.

Offers of one group are a *slot*; `core.slot_search` finds the best choice while nothing but slots
restricts it. Offers of different slots that do not allow each other are branched on, with the best
choice that ignores this as the bound.

Where the limits are reached nothing is left to win but merit. Then the offers are gone through from
the most wanted on, and each is taken that some combination which reaches the limit still allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge_agent.core.slot_search import Key, cheapest_choice
from edge_agent.core.worth import Bid, Figures
from edge_agent.model.policy import PriceOffer


def best_combination(
    bids: Sequence[Bid], excluded: Mapping[int, int], figures: Figures
) -> list[Bid]:
    """Return the best combination of bids, the one that expires soonest first.

    `bids` are in that order too; `excluded` is what `exclusions` says of them.
    """
    able = [bid for bid in bids if bid.worth(figures.highest_base(bid.offer.stage), figures)]
    best: Key = (figures.listed_fen, 0)
    among = able
    if excluded:
        among = []
        for bid in able:
            if not _is_loner(bid, able, excluded):
                among.append(bid)
                continue
            left = figures.listed_fen - bid.worth(figures.highest_base(bid.offer.stage), figures)
            best = min(best, (max(left, figures.least_fen), -bid.merit))
    best = _branch(among, excluded, figures, best)
    if best[0] == figures.least_fen:
        return _most_wanted(able, excluded, figures)
    return [bid for bid in able if -best[1] & bid.bit]


def allow_each_other(one: PriceOffer, other: PriceOffer) -> bool:
    """Whether two offers of different slots may apply together.

    Beside what they say of each other: of one good, one offer makes the pieces cheaper, and a
    budget is drawn on once in a sale.
    """
    if one.kind == "item_off" and other.kind == "item_off" and one.good == other.good:
        return False
    if one.id == other.id and one.budget_fen is not None:
        return False
    return _names(one, other) and _names(other, one)


def _names(one: PriceOffer, other: PriceOffer) -> bool:
    return one.stacks_with is None or other.group in one.stacks_with or other.id in one.stacks_with


# --- offers that do not allow each other ----------------------------------------------------------


def exclusions(bids: Sequence[Bid]) -> dict[int, int]:
    """Return for the bit of each bid the bits of those in other slots that it excludes."""
    found: dict[int, int] = {}
    for bid in bids:
        offer = bid.offer
        if offer.stacks_with is None and offer.budget_fen is None and offer.kind != "item_off":
            continue
        for other in bids:
            if other.slot != bid.slot and not allow_each_other(offer, other.offer):
                found[bid.bit] = found.get(bid.bit, 0) | other.bit
                found[other.bit] = found.get(other.bit, 0) | bid.bit
    return found


def _is_loner(bid: Bid, able: Sequence[Bid], excluded: Mapping[int, int]) -> bool:
    """Whether an offer goes together with no other, so that it need be tried alone only."""
    mine, slot = excluded.get(bid.bit, 0), bid.slot
    return all(mine & other.bit or other.slot == slot for other in able)


def _branch(
    bids: Sequence[Bid], excluded: Mapping[int, int], figures: Figures, best: Key, forced: int = 0
) -> Key:
    """Return the best of all combinations in which no bid excludes another, or `best`.

    Once the limit is reached, it is any that reaches it. What is forced excludes none of the bids.
    """
    if best[0] == figures.least_fen:
        return best
    found = cheapest_choice(bids, figures, best, forced)
    if found >= best:
        return best
    held = -found[1]
    clashing = {
        bid.bit: excluded[bid.bit]
        for bid in bids
        if bid.bit & held and excluded.get(bid.bit, 0) & held
    }
    if not clashing:
        return found
    bit, enemies = max(clashing.items(), key=lambda entry: (entry[1] & held).bit_count())
    with_it = [bid for bid in bids if not bid.bit & enemies]
    best = _branch(with_it, excluded, figures, best, forced)
    without = [bid for bid in bids if bid.bit != bit]
    return _branch(without, excluded, figures, best, forced)


# --- at the limit ---------------------------------------------------------------------------------


def _most_wanted(able: Sequence[Bid], excluded: Mapping[int, int], figures: Figures) -> list[Bid]:
    """Return the best of the combinations that reach the limit; `able` begins with the most wanted.

    What is known to reach the limit is `reached`, the bits of a combination. A bid that it holds
    can be taken without looking further.
    """
    hands = _Hands(able, excluded, figures)
    reached = hands.fewest_coupons()
    taken = 0
    for bid in able:
        if bid.bit & reached:
            taken |= bid.bit
        else:
            found = hands.reaching(taken | bid.bit)
            if found is not None:
                taken, reached = taken | bid.bit, found
    return [bid for bid in able if bid.bit & taken]


class _Hands:
    """Looks for combinations that reach the limit with so many coupons and no more.

    Coupons are tried from the dearest on, coupons of one template as one, and nothing is tried that
    would not reach the limit even if every offer counted from the highest base.
    """

    __slots__ = ("count", "coupons", "excluded", "figures", "needed", "offers", "worths")

    def __init__(self, able: Sequence[Bid], excluded: Mapping[int, int], figures: Figures) -> None:
        self.excluded, self.figures, self.count = excluded, figures, 0
        self.worths = {
            bid.bit: bid.worth(figures.highest_base(bid.offer.stage), figures) for bid in able
        }
        self.offers = [bid for bid in able if bid.candidate.coupon is None]
        coupons = [bid for bid in able if bid.candidate.coupon is not None]
        self.coupons = sorted(coupons, key=lambda bid: (-self.worths[bid.bit], bid.offer.id))
        slots: dict[str, int] = {}
        for bid in self.offers:
            slots[bid.slot] = max(slots.get(bid.slot, 0), self.worths[bid.bit])
        self.needed = figures.listed_fen - figures.least_fen - sum(slots.values())
        """What coupons have to take off at the least."""

    def fewest_coupons(self) -> int:
        """Return a combination that reaches the limit, and use as few coupons from now on."""
        for count in range(len(self.coupons) + 1):
            self.count = count
            found = self.reaching(0)
            if found is not None:
                return found
        raise ValueError("no combination reaches the limit")

    def reaching(self, forced: int) -> int | None:
        """Return the bits of a combination that holds what is forced, or None."""
        held = [bid for bid in self.coupons if bid.bit & forced]
        free = [bid for bid in self.coupons if not bid.bit & forced]
        return self._with(held, free, self.count - len(held), forced)

    def _with(
        self, hand: Sequence[Bid], free: Sequence[Bid], spare: int, forced: int
    ) -> int | None:
        """Add so many of the free coupons to those in hand, until the limit is reached."""
        worths = self.worths
        left = self.needed - sum(worths[bid.bit] for bid in hand)
        if spare <= 0:
            enough = spare == 0 and left <= 0
            among = [*self.offers, *hand]
            return _reach(among, forced, self.excluded, self.figures) if enough else None
        passed = ""
        for place, bid in enumerate(free):
            if sum(worths[each.bit] for each in free[place : place + spare]) < left:
                return None
            if bid.offer.id == passed or self._clashes(bid, hand):
                continue
            found = self._with([*hand, bid], free[place + 1 :], spare - 1, forced | bid.bit)
            if found is not None:
                return found
            passed = bid.offer.id
        return None

    def _clashes(self, bid: Bid, hand: Sequence[Bid]) -> bool:
        enemies = self.excluded.get(bid.bit, 0)
        return any(each.bit & enemies or each.slot == bid.slot for each in hand)


def _reach(
    hand: Sequence[Bid], forced: int, excluded: Mapping[int, int], figures: Figures
) -> int | None:
    """Return the bits of a combination that holds what is forced and reaches the limit, or None."""
    held = [bid for bid in hand if bid.bit & forced]
    if sum(bid.bit for bid in held) != forced:
        return None
    slots, enemies = {bid.slot for bid in held}, 0
    for bid in held:
        enemies |= excluded.get(bid.bit, 0)
    if len(slots) < len(held) or enemies & forced:
        return None
    among = [
        bid for bid in hand if bid.bit & forced or (bid.slot not in slots and not bid.bit & enemies)
    ]
    bits = sum(bid.bit for bid in among)
    # Only what reaches the limit is better than this.
    nothing: Key = (figures.least_fen + 1, -bits - 1)
    found = _branch(among, excluded, figures, nothing, forced)
    return -found[1] & bits if found != nothing else None
