"""The cheapest choice of offers that only slots restrict: of each slot one at most.

Each stage's worths follow from what the stages before leave to be paid. So a stage matters to the
next ones only by the fen that it takes off, and choices that take off equally much are told apart
by merit alone: of the many choices, only the different sums have to be tried. Leaving an offer out
helps only where it keeps a later stage above a threshold ("spend 200, save 20"), and never by more
than the later stages can gain: that bounds the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from edge_agent.core.worth import Bid, Figures, missing_of

Key: TypeAlias = tuple[int, int]
"""What combinations are compared by, the least being the best: fen to pay, and minus the merit."""

_Option: TypeAlias = tuple[int, int]
"""A choice in a slot: the fen that it takes off less than the slot could, and its merit."""
_Options: TypeAlias = tuple[int, list[list[_Option]]]
"""What a stage takes off at most, and the choices of each of its slots."""
_Slots: TypeAlias = Sequence[Sequence[Bid]]
_PASSES: Final = 8
"""How often a bound is tightened by itself; it is valid after each pass."""


def cheapest_choice(bids: Sequence[Bid], figures: Figures, best: Key, forced: int = 0) -> Key:
    """Return the best key of all choices, or `best` if none is better.

    Bids whose bits are in `forced` are held; they must be alone in their slots. Once the limit is
    reached no price is lower, and the choice that reached it is returned, whatever its merit.
    """
    return _Search(bids, figures, best, forced).run()


class _Search:
    __slots__ = (
        "basket", "best", "figures", "forced", "gain", "known", "line", "pump", "tender",
    )  # fmt: skip

    def __init__(self, bids: Sequence[Bid], figures: Figures, best: Key, forced: int) -> None:
        slots: dict[str, list[Bid]] = {}
        for bid in bids:
            slots.setdefault(bid.slot, []).append(bid)
        self.pump, self.tender = slots.pop("pump", []), slots.pop("tender", [])
        self.line = [slot for slot in slots.values() if slot[0].offer.stage == "line"]
        self.basket = [slot for slot in slots.values() if slot[0].offer.stage == "basket"]
        self.figures, self.best, self.forced = figures, best, forced
        later = [*self.basket, self.tender]
        self.gain = sum(max((0, *(bid.merit for bid in slot))) for slot in later)
        """The most merit that the stages after the lines can add."""
        self.known: dict[int, _Options | None] = {}
        """The basket's options by the subtotal that it counts from."""

    def run(self) -> Key:
        """Return the best key."""
        fuel, least = self.figures.fuel_fen, self.figures.least_fen
        pumps = [(bid.worth(fuel, self.figures), bid.merit) for bid in self.pump]
        pumps = sorted((pump for pump in pumps if pump[0]), reverse=True)
        if not self._is_forced(self.pump):
            pumps.append((0, 0))
        for off, merit in pumps:
            if self.best[0] > least:
                self._lines(off, merit)
        return self.best

    def _is_forced(self, slot: Sequence[Bid]) -> bool:
        return self.forced != 0 and any(bid.bit & self.forced for bid in slot)

    def _lines(self, off: int, merit: int) -> None:
        """Try the choices of line offers that may be best after a pump offer."""
        figures = self.figures
        options = self._options(self.line, figures.fuel_fen - off)
        if options is None:
            return
        most, slots = options
        lowest = figures.listed_fen - off - most
        self._finish(lowest, merit + _sums(slots, 0)[0])
        bound = self._bound(lowest, most, self._later)
        if bound > 0:
            for left_out, gained in _sums(slots, bound).items():
                self._finish(lowest + left_out, merit + gained)

    def _finish(self, subtotal: int, merit: int) -> None:
        """Add the best basket and tender offers to a choice of lines."""
        options = self._basket(subtotal)
        if options is None:
            return
        most, slots = options
        lowest = subtotal - most
        hope: Key = (self._cheapest(lowest, subtotal), -(merit + self.gain))
        if hope >= self.best:
            return
        self._pay(lowest, merit + _sums(slots, 0)[0])
        if not self.tender or hope >= self.best:
            return
        bound = self._bound(lowest, most, self._last)
        if bound > 0:
            for left_out, gained in _sums(slots, bound).items():
                self._pay(lowest + left_out, merit + gained)

    def _pay(self, rest: int, merit: int) -> None:
        """Add the best tender offer, if any, and hold the whole against the best so far."""
        least, others = self.figures.least_fen, self.figures.others_fen
        if not self._is_forced(self.tender):
            self.best = min(self.best, (max(least, rest), -merit))
        for bid in self.tender:
            worth = bid.worth(rest - others, self.figures)
            if worth:
                self.best = min(self.best, (max(least, rest - worth), -(merit + bid.merit)))

    def _cheapest(self, lowest: int, highest: int) -> int:
        """Return what is to be paid at the least, if the basket leaves so much or more.

        More left to pay helps only up to the next threshold of a tender offer.
        """
        others, cheapest = self.figures.others_fen, lowest
        for bid in self.tender:
            cheapest = min(cheapest, lowest - bid.worth(lowest - others, self.figures))
            missing = missing_of(bid.offer, lowest - others)
            if missing is not None and lowest + missing <= highest:
                rest = lowest + missing
                cheapest = min(cheapest, rest - bid.worth(rest - others, self.figures))
        return max(cheapest, self.figures.least_fen)

    def _basket(self, subtotal: int) -> _Options | None:
        if subtotal not in self.known:
            self.known[subtotal] = self._options(self.basket, subtotal)
        return self.known[subtotal]

    def _later(self, subtotal: int) -> int:
        """Return what the stages after the lines take off at most, each as if it came next."""
        options = self._basket(subtotal)
        return self._last(subtotal) + (0 if options is None else options[0])

    def _last(self, rest: int) -> int:
        """Return what the tender stage takes off at most."""
        base = rest - self.figures.others_fen
        return max((bid.worth(base, self.figures) for bid in self.tender), default=0)

    def _options(self, slots: _Slots, base: int) -> _Options | None:
        """Return a stage's options on a base; None where one that is forced takes off nothing."""
        total, found, figures = 0, [], self.figures
        for slot in slots:
            if len(slot) == 1:
                most = slot[0].worth(base, figures)
                options = [(0, slot[0].merit)]
            else:
                worths = [(bid.worth(base, figures), bid.merit) for bid in slot]
                most = max(worths)[0]
                options = [(most - worth, merit) for worth, merit in worths if worth]
            if most:
                total += most
                if not self._is_forced(slot):
                    options.append((most, 0))
                found.append(options)
            elif self._is_forced(slot):
                return None
        return total, found

    def _bound(self, lowest: int, most: int, later: Callable[[int], int]) -> int:
        """Return how much a stage may leave out at most for a total that is not above the best.

        What comes later saves the more the more is left to pay: with `bound` left out, that is the
        most that leaving out less could gain. At the limit there is nothing left to gain.
        """
        if self.best[0] == self.figures.least_fen:
            return 0
        bound = most
        for _ in range(_PASSES):
            room = self.best[0] - lowest + later(lowest + bound)
            if room >= bound or bound <= 0:
                break
            bound = room
        return bound


def _sums(slots: Sequence[Sequence[_Option]], bound: int) -> dict[int, int]:
    """Return what choices can leave out, up to `bound`, and of each sum the most merit."""
    sure, open_slots = 0, []
    for options in slots:
        within = [option for option in options if option[0] <= bound]
        if len(within) == 1:
            sure += within[0][1]
        else:
            open_slots.append(within)
    sums = {0: sure}
    for options in open_slots:
        grown: dict[int, int] = {}
        for left_out, merit in sums.items():
            for more, gained in options:
                total, value = left_out + more, merit + gained
                if total <= bound:
                    known = grown.get(total)
                    if known is None or known < value:
                        grown[total] = value
        sums = grown
    return sums
