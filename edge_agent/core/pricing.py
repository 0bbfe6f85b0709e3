"""The price: the best combination laid out as lines, cut to the limits, and why not the others.

What would lead below the least payable amount is cut from the last lines: from coupons first (the
one that expires latest before), then from offers in reverse order of the bill. Hence what is paid
is what was listed less the sum of the lines, whatever a policy says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.core.combination import allow_each_other, best_combination
from edge_agent.core.eligibility import Refusal, lasting_refusal, shortfall
from edge_agent.core.worth import (
    Bid,
    Candidate,
    Figures,
    bid_of,
    figures_of,
    missing_of,
    price_offer,
)
from edge_agent.model.policy import STAGES, Policy, Stage
from edge_agent.model.quote import CouponFacts, QuoteRequest, RejectReason

_ORDER: Final = {stage: place for place, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class Field:
    """All that may take part in a sale: who is out for good, and who is in, given enough fuel."""

    candidates: tuple[Candidate, ...]
    """Those that no lasting condition keeps out."""
    refused: tuple[tuple[Candidate, Refusal], ...]
    unknown: tuple[CouponFacts, ...]
    """Coupons of templates that the policy does not know."""


def field_of(request: QuoteRequest, policy: Policy) -> Field:
    """Judge every offer of the policy and every presented coupon by what fuel cannot change."""
    found, refused, unknown = list[Candidate](), list[tuple[Candidate, Refusal]](), []
    for entrant in _entrants(request, policy):
        if isinstance(entrant, CouponFacts):
            unknown.append(entrant)
            continue
        why = lasting_refusal(entrant, request, policy.calendar)
        if why is None:
            found.append(entrant)
        else:
            refused.append((entrant, why))
    return Field(tuple(found), tuple(refused), tuple(unknown))


def _entrants(request: QuoteRequest, policy: Policy) -> Iterator[Candidate | CouponFacts]:
    for offer in policy.offers:
        yield Candidate(offer)
    for coupon in request.coupons:
        template = policy.template(coupon.template)
        yield coupon if template is None else Candidate(template.offer, coupon)


@dataclass(frozen=True, slots=True)
class Bases:
    """What each stage counts from, in fen."""

    pump: int
    line: int
    basket: int
    tender: int

    def of(self, stage: Stage) -> int:
        """Return the base of a stage."""
        if stage == "pump":
            return self.pump
        if stage == "line":
            return self.line
        return self.basket if stage == "basket" else self.tender


@dataclass(frozen=True, slots=True)
class Decision:
    """A price decided: the lines of the bill, and what else might have applied."""

    request: QuoteRequest
    figures: Figures
    bases: Bases
    payable_fen: int
    lines: tuple[tuple[Bid, int], ...]
    """In the order of the bill, cut to the limits; none of them nothing."""
    cut: tuple[Bid, ...]
    """Chosen, but the limits leave nothing of them."""
    others: tuple[Bid, ...]
    """Their conditions hold, but they are not of the best combination."""
    short: tuple[tuple[Candidate, Refusal], ...]
    """More fuel would bring them in."""


@dataclass(frozen=True, slots=True)
class Bids:
    """What may apply at one amount of fuel."""

    request: QuoteRequest
    figures: Figures
    able: tuple[Bid, ...]
    short: tuple[tuple[Candidate, Refusal], ...]


def bids_of(request: QuoteRequest, field: Field, policy: Policy) -> Bids:
    """Work out the bids at a request's amount of fuel; the field holds for any amount."""
    figures = figures_of(request, policy)
    able, short = list[Bid](), list[tuple[Candidate, Refusal]]()
    for candidate in field.candidates:
        why = shortfall(candidate, request)
        if why is not None:
            short.append((candidate, why))
            continue
        offer = price_offer(candidate.offer)
        if offer is not None:
            able.append(bid_of(candidate, offer, figures, request, policy))
    return Bids(request, figures, tuple(able), tuple(short))


def decide(bids: Bids) -> Decision:
    """Decide what is to be paid."""
    figures = bids.figures
    chosen = best_combination(bids.able, figures)
    bases, worths = _worths(sorted(chosen, key=_bill_order), figures)
    amounts = _cut(worths, figures)
    names = {bid.candidate.name for bid in chosen}
    laid_out = [(bid, left) for (bid, _), left in zip(worths, amounts, strict=True)]
    return Decision(
        request=bids.request,
        figures=figures,
        bases=bases,
        payable_fen=figures.listed_fen - sum(amounts),
        lines=tuple(line for line in laid_out if line[1]),
        cut=tuple(bid for bid, left in laid_out if not left),
        others=tuple(bid for bid in bids.able if bid.candidate.name not in names),
        short=bids.short,
    )


def _bill_order(bid: Bid) -> tuple[int, int, str]:
    return _ORDER[bid.offer.stage], bid.offer.priority, bid.candidate.name


def _worths(chosen: Sequence[Bid], figures: Figures) -> tuple[Bases, list[tuple[Bid, int]]]:
    """Return what each stage counts from, and what each bid takes off; `chosen` as on the bill."""
    worths, off = list[tuple[Bid, int]](), dict.fromkeys(STAGES, 0)

    def count(stage: Stage, base: int) -> int:
        for bid in chosen:
            if bid.offer.stage == stage:
                worth = bid.worth(base)
                worths.append((bid, worth))
                off[stage] += worth
        return off[stage]

    line = figures.fuel_fen - count("pump", figures.fuel_fen)
    subtotal = line + figures.goods_fen - count("line", line)
    basket = max(subtotal, 0)
    tender = max(subtotal - count("basket", basket) - figures.others_fen, 0)
    count("tender", tender)
    return Bases(figures.fuel_fen, line, basket, tender), worths


def _cut(worths: Sequence[tuple[Bid, int]], figures: Figures) -> list[int]:
    """Return what the limits leave of each line."""
    amounts = [worth for _, worth in worths]
    excess = sum(amounts) - (figures.listed_fen - figures.least_fen)
    if excess <= 0:
        return amounts
    for place in sorted(range(len(worths)), key=lambda place: _cut_order(worths, place)):
        taken = min(amounts[place], excess)
        amounts[place] -= taken
        excess -= taken
    return amounts


def _cut_order(worths: Sequence[tuple[Bid, int]], place: int) -> tuple[bool, int, int]:
    """Coupons first, the latest expiry and then the highest id before; then the bill's end."""
    bid = worths[place][0]
    # The bit is the lower the later a coupon expires.
    return (False, bid.bit, 0) if bid.candidate.coupon is not None else (True, 0, -place)


# --- why not --------------------------------------------------------------------------------------


def why_not(bid: Bid, decision: Decision) -> Refusal:
    """Return why an offer whose conditions hold is not of the best combination."""
    base = decision.bases.of(bid.offer.stage)
    if not bid.worth(base):
        missing = missing_of(bid.offer, base)
        if missing is not None:
            return RejectReason.SPEND, missing
        return (
            RejectReason.NO_EFFECT if bid.saves(base) <= 0 else RejectReason.LIMIT_REACHED
        ), None
    applied = [line for line, _ in decision.lines]
    if any(line.slot == bid.slot for line in applied):
        return RejectReason.GROUP_TAKEN, None
    if any(not allow_each_other(bid.offer, line.offer) for line in applied):
        return RejectReason.NOT_STACKABLE, None
    kept = bid.candidate.coupon is not None
    return (RejectReason.COUPON_KEPT if kept else RejectReason.NOT_BEST), None


def why_cut(bid: Bid) -> Refusal:
    """Return why a chosen offer is none of the lines."""
    kept = bid.candidate.coupon is not None
    return (RejectReason.COUPON_KEPT if kept else RejectReason.LIMIT_REACHED), None
