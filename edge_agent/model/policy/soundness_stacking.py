"""Groups and permissions to stack that contradict one another, and offers that are never best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, get_args

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.offers import (
    STAGES,
    AmountOff,
    FixedPrice,
    ItemOff,
    PercentOff,
    PerLitreOff,
    PriceOffer,
    SpendSave,
)

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Policy

_Placed = tuple[str, PriceOffer]
_ALONE_IN_STAGE: Final = ("pump", "tender")
"""Stages of which one offer at most applies."""


def contradicting_groups(policy: Policy) -> Iterator[Breach]:
    """Yield permissions to stack that mean nothing, and offers that another always beats."""
    placed = _price_offers(policy)
    for place, offer in placed:
        for name in offer.stacks_with or ():
            yield from _void_permission(place, offer, name, policy, placed)
    yield from _never_best(policy)


def _price_offers(policy: Policy) -> list[_Placed]:
    kinds = get_args(PriceOffer)
    return [(place, offer) for place, offer in policy.all_offers() if isinstance(offer, kinds)]


def _void_permission(
    place: str, offer: PriceOffer, name: str, policy: Policy, placed: Sequence[_Placed]
) -> Iterator[Breach]:
    known = {n for _, each in policy.all_offers() for n in (each.id, each.group) if n is not None}
    where = f"{place}.stacks_with"
    if name not in known:
        near = get_close_matches(name, sorted(known), n=1)
        yield Breach(
            "groups_overlap",
            where,
            f"没有名为 {name} 的优惠或组" + (f"；最接近的是 {near[0]}" if near else ""),
            f"no offer or group is named {name!r}"
            + (f"; nearest known is {near[0]!r}" if near else ""),
        )
        return
    meant = [other for _, other in placed if name in {other.id, other.group}]
    if not meant:  # a benefit, which goes with everything
        return
    if all(_exclusive(offer, other) for other in meant):
        yield Breach(
            "groups_overlap",
            where,
            f"与 {name} 同组或同阶段互斥，不可能叠加",
            f"of {name!r} and this one at most applies anyway: same group or stage",
        )
    elif not any(_allows(other, offer) for other in meant if not _exclusive(offer, other)):
        yield Breach(
            "groups_overlap",
            where,
            f"允许与 {name} 叠加，但 {name} 不允许与它叠加",
            f"it allows {name!r}, which does not allow it",
        )


def _exclusive(one: PriceOffer, other: PriceOffer) -> bool:
    same_group = one.group is not None and one.group == other.group
    return one is other or same_group or (one.stage == other.stage in _ALONE_IN_STAGE)


def _allows(one: PriceOffer, other: PriceOffer) -> bool:
    return one.stacks_with is None or bool({other.id, other.group} & set(one.stacks_with))


# --- never best ---------------------------------------------------------------------------------


def _never_best(policy: Policy) -> Iterator[Breach]:
    """Yield automatic offers that another of their group always beats.

    A lower subtotal is only certain to be no worse where no later stage asks for a subtotal.
    """
    kinds = get_args(PriceOffer)
    asking = max(
        (
            STAGES.index(each.stage)
            for _, each in policy.all_offers()
            if isinstance(each, SpendSave)
        ),
        default=-1,
    )
    mine = [(n, each) for n, each in enumerate(policy.offers) if isinstance(each, kinds)]
    for index, offer in mine:
        if offer.group is None or STAGES.index(offer.stage) < asking:
            continue
        better = next((each for _, each in mine if _beats(each, offer)), None)
        if better is not None:
            yield Breach(
                "never_best",
                f"offers[{index}]",
                f"同组的 {better.id} 条件相同，优惠总不少于它",
                f"{better.id!r} of its group has the same conditions and never saves less",
            )


def _beats(one: PriceOffer, other: PriceOffer) -> bool:
    """Whether one saves at least as much wherever the other does; of equals the lower id."""
    if one is other or one.group != other.group or one.conditions != other.conditions:
        return False
    if one.stacks_with != other.stacks_with or one.budget_fen is not None:
        return False
    if not _at_least(one.cap_fen, other.cap_fen) or not _no_higher(one, other):
        return False
    at_least, at_most = _compared(one, other)
    if not at_least:
        return False
    return not at_most or one.id < other.id


def _at_least(cap_fen: int | None, other_cap_fen: int | None) -> bool:
    return cap_fen is None or (other_cap_fen is not None and cap_fen >= other_cap_fen)


def _no_higher(one: PriceOffer, other: PriceOffer) -> bool:
    mine, yours = one.floor_milli, other.floor_milli
    return mine is None or (yours is not None and mine <= yours)


def _compared(one: PriceOffer, other: PriceOffer) -> tuple[bool, bool]:
    """Return whether one saves never less, and never more, leaving caps and floors aside."""
    if isinstance(one, PercentOff) and isinstance(other, PercentOff):
        return one.off_bp >= other.off_bp, one.off_bp <= other.off_bp
    if isinstance(one, PerLitreOff) and isinstance(other, PerLitreOff):
        return one.off_milli >= other.off_milli, one.off_milli <= other.off_milli
    if isinstance(one, FixedPrice) and isinstance(other, FixedPrice):
        return one.price_milli <= other.price_milli, one.price_milli >= other.price_milli
    if isinstance(one, AmountOff) and isinstance(other, AmountOff):
        return one.off_fen >= other.off_fen, one.off_fen <= other.off_fen
    if isinstance(one, SpendSave) and isinstance(other, SpendSave):
        if one.stepwise != other.stepwise:
            return False, False
        mine, yours = (-one.spend_fen, one.save_fen), (-other.spend_fen, other.save_fen)
        return _both(mine, yours), _both(yours, mine)
    if isinstance(one, ItemOff) and isinstance(other, ItemOff) and one.good == other.good:
        mine, yours = (one.off_fen, one.max_pieces), (other.off_fen, other.max_pieces)
        return _both(mine, yours), _both(yours, mine)
    return False, False


def _both(mine: tuple[int, int], yours: tuple[int, int]) -> bool:
    return mine[0] >= yours[0] and mine[1] >= yours[1]
