"""The cheapest legal combination of offers: exact for any number of them, and quick.

A combination is legal when it takes at most one offer of a group. The one with the lowest total
wins; of equals the one that holds the lowest id in which they differ.

Line offers count from the list amount, so what each saves is plain. Basket offers count from the
subtotal that the line offers leave; for a given subtotal the best of them are plain too: everything
that saves, and the best of each group. So the only question is whether a line offer is worth
leaving out, to keep the subtotal above a threshold ("spend 200, save 20"). It never is for more fen
than the basket gains by it, and between two thresholds less left out is never worse. What remains
to be tried are the sums that line offers can make: they are kept as the bits of one integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from edge_agent.core.pricing import missing_of, worth_of
from edge_agent.model.policy import Offer
from edge_agent.model.quote import QuoteRequest
from edge_agent.model.units import Money


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An offer whose conditions hold. `rank` is one bit, the higher the lower the offer's id."""

    offer: Offer
    rank: int


_Option: TypeAlias = tuple[int, int]
"""One choice in a slot: the fen that it saves less than the slot could, and its rank.

The last option of a slot (`_NONE`) takes no offer: rank 0.
"""
_NONE: Final = -1
_Slots: TypeAlias = Sequence[Sequence[_Candidate]]
"""Of each slot one candidate at most applies: the offers of a group, or an offer without one."""


def cheapest(offers: Sequence[Offer], request: QuoteRequest) -> frozenset[str]:
    """Return the ids of the best combination of offers whose conditions hold."""
    by_rank = sorted(offers, key=lambda offer: offer.id, reverse=True)
    candidates = [_Candidate(offer, 1 << place) for place, offer in enumerate(by_rank)]
    ranks = _best(_slots(candidates, "line"), _slots(candidates, "basket"), request)
    return frozenset(c.offer.id for c in candidates if c.rank & ranks)


def _slots(candidates: Sequence[_Candidate], stage: str) -> _Slots:
    slots: dict[str, list[_Candidate]] = {}
    for candidate in candidates:
        if candidate.offer.stage == stage:
            group = candidate.offer.group
            name = f"offer {candidate.offer.id}" if group is None else f"group {group}"
            slots.setdefault(name, []).append(candidate)
    return list(slots.values())


def _best(line: _Slots, basket: _Slots, request: QuoteRequest) -> int:
    """Return the best combination, as the sum of its ranks.

    `left_out` counts the fen that a choice of line offers saves less than it could. More than what
    the basket gains between the lowest subtotal and that one is never worth leaving out.
    """
    listed = request.amount.fen
    options = [_options(slot, request) for slot in line]
    lowest = listed - sum(slot[_NONE][0] for slot in options)
    least_saved, _ = _basket(basket, lowest, request)
    bound = listed - lowest
    while (gain := _basket(basket, lowest + bound, request)[0] - least_saved) < bound:
        bound = gain
    sums = _sums(options, bound)
    best_total, best = listed + 1, list[tuple[int, int]]()
    left_out = _next(sums, 0)
    while left_out is not None:
        subtotal = lowest + left_out
        saved, ranks = _basket(basket, subtotal, request)
        if subtotal - saved < best_total:
            best_total, best = subtotal - saved, []
        if subtotal - saved == best_total:
            best.append((left_out, ranks))
            left_out = _next(sums, left_out + 1)
        else:
            # Up to the next threshold, no higher subtotal makes a lower total.
            left_out = _next(sums, left_out + _to_threshold(basket, subtotal, listed + 1))
    return max(_line_ranks(options, left_out) | ranks for left_out, ranks in best)


def _options(slot: Sequence[_Candidate], request: QuoteRequest) -> list[_Option]:
    worths = [(_worth(c, request.amount.fen, request), c.rank) for c in slot]
    most, _ = max(worths)
    return [*((most - worth, rank) for worth, rank in worths if worth), (most, 0)]


def _sums(slots: Iterable[Sequence[_Option]], bound: int) -> int:
    """Return which sums up to `bound` one option of each slot can make: bit n stands for n."""
    sums, mask = 1, (1 << bound + 1) - 1
    for slot in slots:
        extended = 0
        for left_out, _ in slot:
            if left_out <= bound:
                extended |= sums << left_out
        sums = extended & mask
    return sums


def _next(sums: int, least: int) -> int | None:
    """Return the smallest sum that is not below `least`."""
    rest = sums >> least
    return least + (rest & -rest).bit_length() - 1 if rest else None


def _line_ranks(options: Sequence[Sequence[_Option]], left_out: int) -> int:
    """Return the best ranks of a choice that leaves out exactly so much: lowest ids first."""
    open_slots, ranks = [list(slot) for slot in options], 0
    by_rank = sorted(
        ((option, place) for place, slot in enumerate(options) for option in slot[:_NONE]),
        key=lambda entry: -entry[0][1],
    )
    for option, place in by_rank:
        if option not in open_slots[place]:
            continue
        others = [slot for at, slot in enumerate(open_slots) if at != place]
        rest = left_out - option[0]
        if rest >= 0 and _sums(others, rest) >> rest & 1:
            open_slots[place] = [option]
            ranks |= option[1]
        else:
            open_slots[place].remove(option)
    return ranks


def _basket(slots: _Slots, subtotal: int, request: QuoteRequest) -> tuple[int, int]:
    """Return what the basket saves on a subtotal at best, and by which offers (sum of ranks)."""
    saved = ranks = 0
    for slot in slots:
        worth, rank = max((_worth(c, subtotal, request), c.rank) for c in slot)
        if worth:
            saved += worth
            ranks |= rank
    return saved, ranks


def _to_threshold(slots: _Slots, subtotal: int, none: int) -> int:
    """Return how far above the subtotal the basket's next threshold lies at least."""
    base = Money(max(subtotal, 0))
    missing = (missing_of(c.offer, base) for slot in slots for c in slot)
    return min((short.fen for short in missing if short is not None), default=none)


def _worth(candidate: _Candidate, base_fen: int, request: QuoteRequest) -> int:
    return worth_of(candidate.offer, max(base_fen, 0), request.volume.ml)
