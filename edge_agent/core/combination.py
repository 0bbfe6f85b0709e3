"""The best legal combination of offers: exact for any number of them, and quick.

A combination is legal when it takes at most one offer of a group, one at the pump stage and one at
the tender stage, and when every two of its offers allow each other. The best is the one with the
least to pay; of equals the one with the fewest coupons; of those the one that holds the offer that
expires soonest (then of the lowest id) among those in which they differ. The last two are a number,
the *merit*: a bit for each offer, the higher the sooner it expires, less a fixed lot per coupon.

Offers of one group are a *slot*. While nothing but slots restricts the choice, each stage's worths
follow from what the stages before leave to be paid. So a stage matters to the next ones only by the
fen that it takes off, and choices that take off equally much are told apart by merit alone: of the
many choices, only the different sums have to be tried. Leaving an offer out helps only where it
keeps a later stage above a threshold ("spend 200, save 20"), and never by more than the later
stages can gain: that bounds the sums. Offers that do not allow each other are branched on, with the
best combination that ignores this as the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from edge_agent.core.worth import Bid, Figures
from edge_agent.model.policy import PriceOffer

Key: TypeAlias = tuple[int, int]
"""What combinations are compared by, the least being the best: fen to pay, and minus the merit."""

_Option: TypeAlias = tuple[int, int]
"""A choice in a slot: the fen that it takes off less than the slot could, and its merit."""
_Slots: TypeAlias = Sequence[Sequence[Bid]]
_PASSES: Final = 8
"""How often a bound is tightened by itself; it is valid after each pass."""


def best_combination(bids: Sequence[Bid], figures: Figures) -> list[Bid]:
    """Return the best combination of offers whose conditions hold, soonest expiry first."""
    able = ranked([bid for bid in bids if bid.worth(_highest_base(bid, figures))])
    excluded = _exclusions(able)
    best: Key = (figures.listed_fen, 0)
    among = []
    for bid in able:
        if excluded and _is_loner(bid, able, excluded):
            left = figures.listed_fen - bid.worth(_highest_base(bid, figures))
            best = min(best, (max(left, figures.least_fen), -bid.merit))
        else:
            among.append(bid)
    chosen = -_branch(among, excluded, figures, best)[1]
    return [bid for bid in able if chosen & bid.bit]


def ranked(bids: Sequence[Bid]) -> list[Bid]:
    """Return the bids with their merits, soonest expiry first, then lowest id."""
    ordered = sorted(bids, key=lambda bid: (bid.candidate.expires_ms, bid.candidate.name))
    bit = coupon = 1 << len(ordered)
    found = []
    for bid in ordered:
        bit >>= 1
        merit = bit if bid.candidate.coupon is None else bit - coupon
        found.append(bid._replace(bit=bit, merit=merit))
    return found


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


def slot_of(bid: Bid) -> str:
    """Return what at most one offer applies of: the pump's price, the tender, a group, itself."""
    if bid.offer.stage in {"pump", "tender"}:
        return bid.offer.stage
    group = bid.offer.group
    return f"offer {bid.candidate.name}" if group is None else f"group {group}"


def _names(one: PriceOffer, other: PriceOffer) -> bool:
    return one.stacks_with is None or other.group in one.stacks_with or other.id in one.stacks_with


def _highest_base(bid: Bid, figures: Figures) -> int:
    """Return the base that the bid's stage has when nothing else applies."""
    if bid.offer.stage in {"pump", "line"}:
        return figures.fuel_fen
    return figures.listed_fen - (figures.others_fen if bid.offer.stage == "tender" else 0)


# --- offers that do not allow each other ----------------------------------------------------------


def _exclusions(able: Sequence[Bid]) -> dict[int, int]:
    """Return for the bit of each bid the bits of those in other slots that it excludes."""
    found: dict[int, int] = {}
    ids = [bid.offer.id for bid in able]
    for bid in able:
        offer = bid.offer
        wary = offer.stacks_with is not None or offer.kind == "item_off"
        if not wary and (offer.budget_fen is None or ids.count(offer.id) == 1):
            continue
        slot = slot_of(bid)
        for other in able:
            if not allow_each_other(offer, other.offer) and slot_of(other) != slot:
                found[bid.bit] = found.get(bid.bit, 0) | other.bit
                found[other.bit] = found.get(other.bit, 0) | bid.bit
    return found


def _is_loner(bid: Bid, able: Sequence[Bid], excluded: dict[int, int]) -> bool:
    """Whether an offer goes together with no other, so that it need be tried alone only."""
    mine, slot = excluded.get(bid.bit, 0), slot_of(bid)
    return all(mine & other.bit or slot_of(other) == slot for other in able)


def _branch(bids: Sequence[Bid], excluded: dict[int, int], figures: Figures, best: Key) -> Key:
    """Return the best of all combinations in which no bid excludes another, or `best`."""
    found = _Search(bids, figures, best).run()
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
    best = _branch([bid for bid in bids if not bid.bit & enemies], excluded, figures, best)
    return _branch([bid for bid in bids if bid.bit != bit], excluded, figures, best)


# --- offers that only groups restrict -------------------------------------------------------------


class _Search:
    """The best of all choices of one bid at most of each slot, if it is better than `best`."""

    __slots__ = ("_at_subtotal", "basket", "best", "figures", "gain", "line", "pump", "tender")

    def __init__(self, bids: Sequence[Bid], figures: Figures, best: Key) -> None:
        slots: dict[str, list[Bid]] = {}
        for bid in bids:
            slots.setdefault(slot_of(bid), []).append(bid)
        self.pump, self.tender = slots.pop("pump", []), slots.pop("tender", [])
        self.line = [slot for slot in slots.values() if slot[0].offer.stage == "line"]
        self.basket = [slot for slot in slots.values() if slot[0].offer.stage == "basket"]
        self.figures, self.best = figures, best
        later = [*self.basket, self.tender]
        self.gain = sum(max((0, *(bid.merit for bid in slot))) for slot in later)
        """The most merit that the stages after the lines can add."""
        self._at_subtotal: dict[int, tuple[int, list[list[_Option]], int]] = {}

    def run(self) -> Key:
        """Return the best key."""
        fuel = self.figures.fuel_fen
        pumps = sorted(((bid.worth(fuel), bid.merit) for bid in self.pump), reverse=True)
        for off, merit in (*pumps, (0, 0)):
            self._lines(off, merit)
        return self.best

    def _lines(self, off: int, merit: int) -> None:
        """Try the choices of line offers that may be best after a pump offer."""
        figures = self.figures
        most, slots = _options(self.line, figures.fuel_fen - off)
        lowest = figures.listed_fen - off - most
        self._finish(lowest, merit + _sums(slots, 0)[0])
        if self.best[0] == figures.least_fen:
            # At the limit nothing but merit is left to win: with much of it most others drop out.
            dearest = [max(options, key=lambda option: option[1]) for options in slots]
            left_out = sum(option[0] for option in dearest)
            self._finish(lowest + left_out, merit + sum(option[1] for option in dearest))
        bound = self._bound(lowest, most, self._later)
        if bound <= 0:
            return
        for left_out, gained in _sums(slots, bound, self._wanted(merit + self.gain)).items():
            self._finish(lowest + left_out, merit + gained)

    def _finish(self, subtotal: int, merit: int) -> None:
        """Add the best basket and tender offers to a choice of lines."""
        most, slots, last = self._at(subtotal)
        least, lowest = self.figures.least_fen, subtotal - most
        if (max(least, lowest - last), -(merit + self.gain)) >= self.best:
            return
        if not self.tender:
            sums = _sums([_undominated(options) for options in slots], max(least - lowest, 0))
            self._pay(lowest, merit + max(sums.values()))
            return
        self._pay(lowest, merit + _sums(slots, 0)[0])
        bound = self._bound(lowest, most, self._last)
        if bound > 0:
            for left_out, gained in _sums(slots, bound, self._wanted(merit + self.gain)).items():
                self._pay(lowest + left_out, merit + gained)

    def _pay(self, rest: int, merit: int) -> None:
        """Add the best tender offer, if any, and hold the whole against the best so far."""
        least, others = self.figures.least_fen, self.figures.others_fen
        self.best = min(self.best, (max(least, rest), -merit))
        for bid in self.tender:
            worth = bid.worth(rest - others)
            if worth:
                self.best = min(self.best, (max(least, rest - worth), -(merit + bid.merit)))

    def _at(self, subtotal: int) -> tuple[int, list[list[_Option]], int]:
        """Return the basket's worth at most, its options, and the tender's worth at most."""
        found = self._at_subtotal.get(subtotal)
        if found is None:
            most, slots = _options(self.basket, subtotal)
            found = self._at_subtotal[subtotal] = most, slots, self._last(subtotal)
        return found

    def _later(self, subtotal: int) -> int:
        """Return what the stages after the lines take off at most, each as if it came next."""
        most, _, last = self._at(subtotal)
        return most + last

    def _last(self, rest: int) -> int:
        """Return what the tender stage takes off at most."""
        base = rest - self.figures.others_fen
        return max((bid.worth(base) for bid in self.tender), default=0)

    def _bound(self, lowest: int, most: int, later: Callable[[int], int]) -> int:
        """Return how much a stage may leave out at most for a total that is not above the best.

        What comes later saves the more the more is left to pay: with `bound` left out, that is the
        most that leaving out less could gain.
        """
        bound = most
        for _ in range(_PASSES):
            room = self.best[0] - lowest + later(lowest + bound)
            if room >= bound or bound <= 0:
                break
            bound = room
        return bound

    def _wanted(self, merit: int) -> int | None:
        """Return the merit that a stage's choice must exceed when only merit is left to win."""
        at_limit = self.best[0] == self.figures.least_fen
        return -self.best[1] - merit if at_limit else None


def _options(slots: _Slots, base: int) -> tuple[int, list[list[_Option]]]:
    """Return what the slots take off at most, and their choices; the last is none of a slot."""
    total, found = 0, []
    for slot in slots:
        worths = [(bid.worth(base), bid.merit) for bid in slot]
        most = max(worths)[0]
        if most:
            total += most
            options = [(most - worth, merit) for worth, merit in worths if worth]
            options.append((most, 0))
            found.append(options)
    return total, found


def _sums(
    slots: Sequence[Sequence[_Option]], bound: int, above: int | None = None
) -> dict[int, int]:
    """Return which sums up to `bound` one choice of each slot can leave out, with the most merit.

    Only sums with a merit above `above` are wanted.
    """
    sure, open_slots = 0, []
    for options in slots:
        within = [option for option in options if option[0] <= bound]
        if len(within) == 1:
            sure += within[0][1]
        else:
            open_slots.append(within)
    hopes = [0]
    for options in reversed(open_slots):
        hopes.append(hopes[-1] + max(merit for _, merit in options))
    sums = {0: sure}
    for options in open_slots:
        hopes.pop()
        grown: dict[int, int] = {}
        for left_out, merit in sums.items():
            for more, gained in options:
                total, value = left_out + more, merit + gained
                if total > bound or (above is not None and value + hopes[-1] <= above):
                    continue
                known = grown.get(total)
                if known is None or known < value:
                    grown[total] = value
        sums = grown
    return sums


def _undominated(options: Sequence[_Option]) -> Sequence[_Option]:
    """Return the choices that no other beats in both: leaving out less, and with more merit."""
    if len(options) == 2 and options[0][1] > 0:
        return options[:1]
    found: list[_Option] = []
    for option in sorted(options, key=lambda option: (option[0], -option[1])):
        if not found or option[1] > found[-1][1]:
            found.append(option)
    return found
