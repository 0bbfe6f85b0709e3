"""Offers that would sell fuel below a margin floor at the prices that they were made for."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from edge_agent.model.policy.breach import Breach
from edge_agent.model.policy.offers import (
    AmountOff,
    FixedPrice,
    Offer,
    PercentOff,
    PerLitreOff,
    SpendSave,
)

if TYPE_CHECKING:
    from edge_agent.model.policy.policy import Grade, Policy

LEAST_FILL_FEN: Final = 10_000
"""100 yuan: the fill that a fixed amount without a threshold is judged at. A smaller one the quote
cuts as it comes."""
_ALL: Final = 10_000


def below_margin(policy: Policy) -> Iterator[Breach]:
    """Yield offers that a quote would have to cut although nothing else applies."""
    floors = policy.limits.price_floors_milli
    for grade in policy.grades:
        floor = floors.get(grade.code)
        if floor is not None and floor >= grade.reference_price_milli:
            yield Breach(
                "margin_floor",
                f"limits.price_floors_milli.{grade.code}",
                f"{grade.label_zh}底价不低于参考价，没有任何优惠能生效",
                f"the floor of {grade.label_en} leaves no room below its reference price",
            )
    for place, offer in policy.all_offers():
        for grade in policy.grades:
            named = offer.conditions.grades
            if named is None or grade.code in named:
                yield from _judged(place, offer, grade, policy)


def _judged(place: str, offer: Offer, grade: Grade, policy: Policy) -> Iterator[Breach]:
    share = share_of(offer, grade.reference_price_milli)
    if not share:
        return
    net = grade.reference_price_milli * (1 - share)
    own = getattr(offer, "floor_milli", None) or 0
    floor = max(policy.limits.price_floors_milli.get(grade.code, 0), own)
    if net < floor:
        yield Breach(
            "margin_floor",
            place,
            f"{offer.id}：{grade.label_zh}每升{_yuan(net)}元，低于底价{_yuan(floor)}元",
            f"{offer.id} sells {grade.label_en} at {_yuan(net)} a litre, below {_yuan(floor)}",
        )
    most = policy.limits.max_discount_bp
    if share * _ALL > most:
        yield Breach(
            "discount_limit",
            place,
            f"{offer.id}：{grade.label_zh}单项优惠{_percent(share)}，超过上限{_percent(most)}",
            f"{offer.id} takes {_percent(share)} off {grade.label_en}, above the limit of"
            f" {_percent(most)}",
        )


def share_of(offer: Offer, price_milli: int) -> Fraction:
    """Return the greatest share of a fill that an offer takes off by itself at a list price.

    Fills smaller than `LEAST_FILL_FEN` are left out where an offer has no threshold of its own.
    """
    least = _threshold_fen(offer, price_milli)
    fill = Fraction(least or LEAST_FILL_FEN)
    saved = Fraction(0)
    match offer:
        case PercentOff():
            saved = fill * offer.off_bp / _ALL
        case PerLitreOff():
            saved = fill * min(offer.off_milli, price_milli) / price_milli
        case FixedPrice():
            saved = fill * max(price_milli - offer.price_milli, 0) / price_milli
        case AmountOff():
            saved = min(Fraction(offer.off_fen), fill)
        case SpendSave():
            fill = _full_steps(offer, fill if least else Fraction(0))
            saved = Fraction(offer.save_fen * (fill // offer.spend_fen if offer.stepwise else 1))
        case _:
            return saved
    amounts = isinstance(offer, AmountOff | SpendSave)
    if offer.cap_fen is not None and (least or amounts):
        saved = min(saved, Fraction(offer.cap_fen))
    return saved / fill


def _full_steps(offer: SpendSave, fill: Fraction) -> Fraction:
    """Return the amount, from a fill on, of which the offer takes the greatest share."""
    if not offer.stepwise:
        return max(fill, Fraction(offer.spend_fen))
    return Fraction(max(-(-fill // offer.spend_fen), 1) * offer.spend_fen)


def _threshold_fen(offer: Offer, price_milli: int) -> int:
    conditions = offer.conditions
    by_volume = -(-(conditions.min_volume_ml or 0) * price_milli // 10_000)
    return max(conditions.min_amount_fen or 0, by_volume)


def _yuan(milli: Fraction | int) -> str:
    fen = int(milli)
    return f"{fen // 1000}.{fen % 1000:03}".removesuffix("0")


def _percent(share: Fraction | int) -> str:
    part = Fraction(share) if isinstance(share, Fraction) else Fraction(share, _ALL)
    return f"{float(part * 100):.4g} %"
