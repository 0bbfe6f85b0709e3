"""The next best step: the preset that lowers the price of a litre most.

Considered are the *threshold presets*: the least whole yuan, above the amount on the dispenser and
up to `HIGHEST`, at which

* an offer's minimum amount or volume is reached, or
* a spend-and-save reaches its next step (of a stepwise one, the next `STEPS`), reckoned once as if
  nothing were taken off before it, and once with the most that the stages before can take off
  with offers that go together with it;

the nearest `PRESETS` of them. One counts when the offer then takes off more than it does now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from edge_agent.core.combination import allow_each_other
from edge_agent.core.pricing import Bids, Decision, Field, bids_of, decide
from edge_agent.core.worth import Bid, Candidate, price_offer
from edge_agent.model.ids import OfferId
from edge_agent.model.policy import STAGES, Policy, PriceOffer, SpendSave, Stage
from edge_agent.model.records import NextStep
from edge_agent.model.units import Money, Volume, amount_of, volume_for

HIGHEST: Final = Money(200_000)
"""A preset dearer than this (2,000 yuan) helps nobody at a pump."""
STEPS: Final = 2
PRESETS: Final = 12
_YUAN: Final = 100


def next_step(decided: Decision, field: Field, policy: Policy) -> NextStep | None:
    """Return the preset at which a litre costs least, if it costs less than now."""
    if not decided.request.unit_price.milli:
        return None
    presets = _Presets(decided, field, policy)
    wanted: dict[int, list[Candidate]] = {}
    for candidate in field.candidates:
        offer = price_offer(candidate.offer)
        if offer is not None:
            for preset in presets.of(offer):
                wanted.setdefault(preset, []).append(candidate)
    best: tuple[Decision, Bid] | None = None
    now = _a_litre(decided)
    for preset in sorted(wanted)[:PRESETS]:
        if preset > HIGHEST.fen or not _is_cheaper(presets.at_best(preset), now):
            continue
        then = presets.decided(preset)
        gained = _gained(then, decided, wanted[preset])
        if gained is not None and _is_cheaper(_a_litre(then), now):
            best, now = (then, gained), _a_litre(then)
    return None if best is None else _step(*best)


def _a_litre(decided: Decision) -> tuple[int, int]:
    """Return what the fuel costs after all offers, and what it lists for."""
    fuel = decided.figures.fuel_fen
    return (decided.payable_fen - decided.figures.goods_fen, fuel) if fuel else (1, 1)


def _is_cheaper(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] * other[1] < other[0] * one[1]


def _gained(then: Decision, now: Decision, wanted: Iterable[Candidate]) -> Bid | None:
    """Return which wanted offer takes off more than now: the one that gains most."""
    before = {bid.candidate.name: fen for bid, fen in now.lines}
    names = {candidate.name for candidate in wanted}
    gains = [
        (before.get(bid.candidate.name, 0) - fen, bid.candidate.name, bid)
        for bid, fen in then.lines
        if bid.candidate.name in names and fen > before.get(bid.candidate.name, 0)
    ]
    return min(gains)[2] if gains else None


def _step(then: Decision, bid: Bid) -> NextStep:
    preset, payable = then.request.amount, Money(then.payable_fen)
    return NextStep(
        offer=OfferId(bid.offer.id),
        preset_amount_fen=preset.fen,
        payable_fen=payable.fen,
        text_zh=f"加到{preset}元：{bid.offer.text_zh}，实付{payable}元",
        text_en=f"fill up to {preset} yuan, pay {payable}: {bid.offer.text_en}",
    )


class _Presets:
    """The threshold presets of a sale, and what is decided at each."""

    __slots__ = ("_bids", "field", "now", "policy")

    def __init__(self, now: Decision, field: Field, policy: Policy) -> None:
        self.now, self.field, self.policy = now, field, policy
        self._bids: dict[int, Bids] = {}

    def decided(self, preset: int) -> Decision:
        """Return what is decided at a preset."""
        return decide(self._at(preset))

    def at_best(self, preset: int) -> tuple[int, int]:
        """Return what the fuel costs at the least if no offer excluded another, and its list."""
        bids = self._at(preset)
        figures = bids.figures
        taken = _taken(bids, bids.able, STAGES)
        return max(figures.least_fen, figures.listed_fen - taken) - figures.goods_fen, preset

    def of(self, offer: PriceOffer) -> Iterator[int]:
        """Yield an offer's threshold presets."""
        least = self._minimum(offer)
        amount = self.now.figures.fuel_fen
        if least > amount:
            yield least
        if offer.kind == "spend_save":
            for preset in self._spending(offer, max(least, amount)):
                if preset > amount:
                    yield preset

    def _minimum(self, offer: PriceOffer) -> int:
        """Return the least preset that reaches the minimum volume and amount."""
        conditions, price = offer.conditions, self.now.request.unit_price
        least = _whole(conditions.min_amount_fen or 0)
        if conditions.min_volume_ml is not None:
            least = max(least, _whole(amount_of(Volume(conditions.min_volume_ml), price).fen))
            if volume_for(Money(least), price).ml < conditions.min_volume_ml:
                least += _YUAN
        return least

    def _spending(self, offer: SpendSave, least: int) -> Iterator[int]:
        figures, spend = self.now.figures, offer.spend_fen
        beside = 0 if offer.stage == "line" else figures.goods_fen
        if offer.stage == "tender":
            beside -= figures.others_fen
        bare = (least + beside) // spend + 1
        for step in range(bare, bare + STEPS) if offer.stepwise else range(bare, 2):
            yield _whole(step * spend - beside)
        full = max(self._base(least, offer, beside) // spend, 0) + 1
        for step in range(full, full + STEPS) if offer.stepwise else range(full, 2):
            preset = max(least, _whole(step * spend - beside))
            while preset <= HIGHEST.fen:
                short = step * spend - self._base(preset, offer, beside)
                if short <= 0:
                    yield preset
                    break
                preset += _whole(short)

    def _base(self, preset: int, offer: SpendSave, beside: int) -> int:
        """Return what an offer counts from when all is taken off before it that may be."""
        bids = self._at(preset)
        before = STAGES[: STAGES.index(offer.stage)]
        friends = [
            bid
            for bid in bids.able
            if bid.offer.stage in before and allow_each_other(bid.offer, offer)
        ]
        return preset + beside - _taken(bids, friends, before)

    def _at(self, preset: int) -> Bids:
        found = self._bids.get(preset)
        if found is None:
            amount, asked = Money(preset), self.now.request
            volume = volume_for(amount, asked.unit_price)
            request = replace(asked, amount=amount, volume=volume)
            found = self._bids[preset] = bids_of(request, self.field, self.policy)
        return found


def _taken(bids: Bids, some: Iterable[Bid], stages: Iterable[Stage]) -> int:
    """Return the most that offers take off stage by stage, one of each slot."""
    slots: dict[str, dict[str, list[Bid]]] = {}
    for bid in some:
        slots.setdefault(bid.offer.stage, {}).setdefault(bid.slot, []).append(bid)
    figures, taken = bids.figures, 0
    for stage in stages:
        base = figures.highest_base(stage) - taken
        taken += sum(max(bid.worth(base) for bid in slot) for slot in slots.get(stage, {}).values())
    return taken


def _whole(fen: int) -> int:
    """Return the least whole yuan that are not below an amount."""
    return -(-fen // _YUAN) * _YUAN
