"""What a sale gives beside the price: points, and goods that are handed out.

Points are earned by members on the whole yuan that they pay otherwise than with points (row P1),
at the grade's rate (row P10). Multipliers combine as the policy says (row Z3). Each line of points
is rounded half up once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from edge_agent.core.eligibility import Refusal, shortfall
from edge_agent.core.worth import Candidate
from edge_agent.model.policy import FreeItem, Points, PointsFixed, PointsTimes, Policy
from edge_agent.model.quote import QuoteRequest, RejectReason
from edge_agent.model.units import divide_half_up

ONCE: Final = 10_000
"""A multiplier of one, in basis points."""
_FEN_A_YUAN: Final = 100

_Multiplier: TypeAlias = tuple[Candidate, PointsTimes]


@dataclass(frozen=True, slots=True)
class Given:
    """A benefit that applies: pieces of a good, or points that it adds."""

    candidate: Candidate
    good: str | None = None
    pieces: int = 0
    points: int = 0


@dataclass(frozen=True, slots=True)
class Earned:
    """What a sale gives: all its points, the benefits, and why others do not apply."""

    points: int
    given: tuple[Given, ...]
    refused: tuple[tuple[Candidate, Refusal], ...]


def redeemed_fen(points: int, rules: Points) -> int:
    """Return what redeemed points pay, whole yuan only (row P6)."""
    if rules.redeem is None:
        return 0
    return points // rules.redeem.points_per_yuan * _FEN_A_YUAN


def base_points(request: QuoteRequest, payable_fen: int, rules: Points) -> int:
    """Return what a sale earns before any offer of points."""
    if request.member is None:
        return 0
    paid = max(payable_fen - redeemed_fen(request.points_redeemed, rules), 0)
    rate_bp = rules.grade_rates_bp.get(request.grade, ONCE)
    return divide_half_up(paid // _FEN_A_YUAN * rules.per_yuan * rate_bp, ONCE)


def earn(
    request: QuoteRequest, payable_fen: int, benefits: Sequence[Candidate], policy: Policy
) -> Earned:
    """Return what a sale gives, of benefits whose lasting conditions hold.

    Of one group one applies: the lowest priority, then the lowest id, then the coupon that expires
    soonest. A coupon is used only where it adds something.
    """
    base = base_points(request, payable_fen, policy.points)
    given, refused = list[Given](), list[tuple[Candidate, Refusal]]()
    times, taken = list[_Multiplier](), set[str]()
    for candidate in sorted(benefits, key=_order):
        offer, short = candidate.offer, shortfall(candidate, request)
        if short is not None:
            refused.append((candidate, short))
        elif offer.group in taken:
            refused.append((candidate, (RejectReason.GROUP_TAKEN, None)))
        elif isinstance(offer, PointsTimes) and not _adds(offer, base):
            refused.append((candidate, _needless(candidate, RejectReason.NO_EFFECT)))
        else:
            if offer.group is not None:
                taken.add(offer.group)
            if isinstance(offer, PointsTimes):
                times.append((candidate, offer))
            elif isinstance(offer, PointsFixed):
                given.append(Given(candidate, points=offer.points))
            elif isinstance(offer, FreeItem):
                given.append(Given(candidate, good=offer.good, pieces=offer.pieces))
    multiplied, needless = _multiplied(base, times, policy.points)
    refused += [(each, _needless(each, RejectReason.NOT_BEST)) for each in needless]
    found = sorted([*given, *multiplied], key=lambda each: _order(each.candidate))
    total = base + sum(each.points for each in found)
    return Earned(total, tuple(found), tuple(refused))


def _order(candidate: Candidate) -> tuple[int, str, bool, int, str]:
    offer, coupon = candidate
    return offer.priority, offer.id, coupon is not None, candidate.expires_ms, candidate.name


def _adds(offer: PointsTimes, base: int) -> int:
    return divide_half_up(base * (offer.times_bp - ONCE), ONCE)


def _needless(candidate: Candidate, reason: RejectReason) -> Refusal:
    return (RejectReason.COUPON_KEPT if candidate.coupon is not None else reason), None


def _multiplied(
    base: int, times: Sequence[_Multiplier], rules: Points
) -> tuple[list[Given], list[Candidate]]:
    """Combine the multipliers: what each adds, and which add nothing."""
    if rules.combine == "add":
        return [Given(each, points=_adds(offer, base)) for each, offer in times], []
    if rules.combine == "max":
        if not times:
            return [], []
        best = max(times, key=lambda each: (each[1].times_bp, each[0].coupon is None))
        kept = [candidate for candidate, _ in times if candidate is not best[0]]
        return [Given(best[0], points=_adds(best[1], base))], kept
    given, needless, product, before, divisor = list[Given](), list[Candidate](), base, base, 1
    for candidate, offer in times:
        after = divide_half_up(product * offer.times_bp, divisor * ONCE)
        if after == before:
            needless.append(candidate)
            continue
        given.append(Given(candidate, points=after - before))
        product, before, divisor = product * offer.times_bp, after, divisor * ONCE
    return given, needless
