"""The next best step: the preset that lowers the price of a litre most.

Considered are the *threshold presets*: the least whole yuan, above the amount on the dispenser and
up to `HIGHEST`, at which

* an offer's minimum amount or volume is reached, or
* a spend-and-save reaches its next step (of a stepwise one, the next `STEPS`), reckoned once as if
  nothing were taken off before it, and once with the most that the stages before can take off
  with offers that go together with it;

the nearest `PRESETS` of them. Those `TRIES` are priced that promise most. One counts when the offer
then takes off more than it does now, or lets another in that takes off nothing now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from edge_agent.core.pricing import Decision, Field, decide
from edge_agent.core.worth import Bid, Figures
from edge_agent.model.ids import OfferId
from edge_agent.model.policy import STAGES, Stage
from edge_agent.model.records import NextStep
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of, volume_for

HIGHEST: Final = 200_000
"""In fen: a preset dearer than this (2,000 yuan) helps nobody at a pump."""
STEPS: Final = 2
PRESETS: Final = 12
TRIES: Final = 3
_YUAN: Final = 100
_ByStage: TypeAlias = Sequence[tuple[Stage, Sequence[Sequence[Bid]]]]
"""The slots of each stage, in the order of the stages."""


def next_step(unit_price: UnitPrice, field: Field, now: Decision) -> NextStep | None:
    """Return the preset at which a litre costs least, if it costs less than now."""
    if not unit_price.milli or now.figures.fuel_fen >= HIGHEST:
        return None
    sale = _Sale(unit_price, field, now)
    wanted: dict[int, int] = {}
    for bid in field.bids:
        for preset in sale.thresholds(bid):
            if now.figures.fuel_fen < preset <= HIGHEST:
                wanted[preset] = wanted.get(preset, 0) | bid.bit
    best: tuple[Decision, Bid] | None = None
    cheapest, tries = _a_litre(now), TRIES
    nearest = sorted(wanted)[:PRESETS]
    parts = sale.parts(max(nearest, default=0))
    for preset in sorted(nearest, key=lambda preset: (sale.guess(preset, parts), preset)):
        if not tries:
            break
        if not _is_ahead((sale.least(preset, parts), preset), cheapest):
            continue
        tries -= 1
        then = decide(field, sale.figures(preset))
        gained = _gained(then, now, wanted[preset])
        if gained is not None and _is_ahead(_a_litre(then), cheapest):
            best, cheapest = (then, gained), _a_litre(then)
    return None if best is None else _step(*best)


_Litre: TypeAlias = tuple[int, int]
"""What the fuel costs after all offers, and what it lists for."""


def _a_litre(decided: Decision) -> _Litre:
    figures = decided.figures
    fuel = figures.fuel_fen
    return (decided.payable_fen - figures.goods_fen, fuel) if fuel else (1, 1)


def _is_ahead(one: _Litre, other: _Litre) -> bool:
    """Whether a litre costs less; or as much, at a lower preset that is found later."""
    here, there = one[0] * other[1], other[0] * one[1]
    return here < there or (here == there and one[1] < other[1])


def _gained(then: Decision, now: Decision, wanted: int) -> Bid | None:
    """Return which bid gains most: a wanted one that takes off more than now, or a new one."""
    before = {bid.bit: fen for bid, fen in now.lines}
    gains = [
        (fen - before.get(bid.bit, 0), bid)
        for bid, fen in then.lines
        if bid.bit & wanted or bid.bit not in before
    ]
    best = min(gains, key=lambda gain: (-gain[0], gain[1].candidate.name), default=None)
    return best[1] if best is not None and best[0] > 0 else None


def _step(then: Decision, bid: Bid) -> NextStep:
    preset, payable = Money(then.figures.fuel_fen), Money(then.payable_fen)
    return NextStep(
        offer=OfferId(bid.offer.id),
        preset_amount_fen=preset.fen,
        payable_fen=payable.fen,
        text_zh=f"加到{preset}元：{bid.offer.text_zh}，实付{payable}元",
        text_en=f"fill up to {preset} yuan, pay {payable}: {bid.offer.text_en}",
    )


class _Sale:
    """A sale at other amounts of fuel than the dispenser's."""

    __slots__ = ("_figures", "field", "now", "unit_price")

    def __init__(self, unit_price: UnitPrice, field: Field, now: Decision) -> None:
        self.unit_price, self.field, self.now = unit_price, field, now
        self._figures: dict[int, Figures] = {}

    def figures(self, preset: int) -> Figures:
        """Return the figures at a preset in fen."""
        found = self._figures.get(preset)
        if found is None:
            volume = volume_for(Money(preset), self.unit_price)
            found = self._figures[preset] = self.field.terms.figures(volume.ml, preset)
        return found

    def guess(self, preset: int, parts: Sequence[_ByStage]) -> float:
        """Return what a litre costs of its list price, if every stage takes off all it can."""
        figures = self.figures(preset)
        taken = max(_most_taken(part, figures) for part in parts)
        left = max(figures.least_fen, figures.listed_fen - taken) - figures.goods_fen
        return left / preset

    def least(self, preset: int, parts: Sequence[_ByStage]) -> int:
        """Return what the fuel costs at the least: no combination is cheaper."""
        figures = self.figures(preset)
        taken = max(_most_taken(part, figures, lessening=False) for part in parts)
        return max(figures.least_fen, figures.listed_fen - taken) - figures.goods_fen

    def parts(self, highest: int) -> list[_ByStage]:
        """Return sets of bids of which one holds the best combination, up to a preset."""
        figures = self.figures(highest)
        able = [
            bid
            for bid in self.field.bids
            if bid.worth(figures.highest_base(bid.offer.stage), figures)
        ]
        bits = sum(bid.bit for bid in able)
        enemies = {bid.bit: self.field.excluded.get(bid.bit, 0) & bits for bid in able}
        # The bid that goes together with the fewest others is in, without those, or out.
        bit = max(enemies, key=lambda bit: (enemies[bit].bit_count(), bit), default=0)
        if not enemies.get(bit):
            return [_by_stage(able, STAGES)]
        with_it = [each for each in able if not each.bit & enemies[bit]]
        without = [each for each in able if each.bit != bit]
        return [_by_stage(with_it, STAGES), _by_stage(without, STAGES)]

    def thresholds(self, bid: Bid) -> Iterator[int]:
        """Yield an offer's threshold presets; some may not be above what is on the dispenser."""
        least = self._minimum(bid)
        yield least
        if bid.offer.kind == "spend_save":
            yield from self._spending(bid, max(least, self.now.figures.fuel_fen))

    def _minimum(self, bid: Bid) -> int:
        """Return the least preset that reaches the minimum volume and amount."""
        least = _whole(bid.min_fuel_fen)
        if bid.min_volume_ml:
            least = max(least, _whole(amount_of(Volume(bid.min_volume_ml), self.unit_price).fen))
            if self.figures(least).volume_ml < bid.min_volume_ml:
                least += _YUAN
        return least

    def _spending(self, bid: Bid, least: int) -> Iterator[int]:
        """Yield where the steps after the one at `least` are reached."""
        if bid.offer.kind != "spend_save":
            return
        spend, beside = bid.offer.spend_fen, bid.beside
        last = 1 << 62 if bid.offer.stepwise else 1
        bare = (least + beside) // spend + 1
        for step in range(bare, min(bare + STEPS, last + 1)):
            yield _whole(max(least, step * spend - beside))
        before = self._before(bid)
        full = max(least + beside - _most_taken(before, self.figures(least)), 0) // spend + 1
        for step in range(full, min(full + STEPS, last + 1)):
            preset = _whole(max(least, step * spend - beside))
            while preset <= HIGHEST:
                base = preset + beside - _most_taken(before, self.figures(preset))
                if base >= step * spend:
                    yield preset
                    break
                preset += _whole(step * spend - base)

    def _before(self, bid: Bid) -> _ByStage:
        """Return what may take off before a bid: offers of the stages before that allow it."""
        enemies = self.field.excluded.get(bid.bit, 0)
        friends = [each for each in self.field.bids if not each.bit & enemies]
        return _by_stage(friends, STAGES[: STAGES.index(bid.offer.stage)])


def _by_stage(bids: Iterable[Bid], stages: Sequence[Stage]) -> _ByStage:
    slots: dict[Stage, dict[str, list[Bid]]] = {stage: {} for stage in stages}
    for bid in bids:
        if bid.offer.stage in slots:
            slots[bid.offer.stage].setdefault(bid.slot, []).append(bid)
    return [(stage, list(named.values())) for stage, named in slots.items() if named]


def _most_taken(slots: _ByStage, figures: Figures, *, lessening: bool = True) -> int:
    """Return the most that offers take off stage by stage, one of each slot.

    Where no stage lessens the base of the next, no combination takes off more than this.
    """
    taken = 0
    for stage, of_stage in slots:
        base = figures.highest_base(stage) - (taken if lessening else 0)
        for slot in of_stage:
            if len(slot) == 1:
                taken += slot[0].worth(base, figures)
            else:
                taken += max([bid.worth(base, figures) for bid in slot])
    return taken


def _whole(fen: int) -> int:
    """Return the least whole yuan that are not below an amount."""
    return -(-fen // _YUAN) * _YUAN
