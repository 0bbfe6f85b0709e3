"""The price: the best combination laid out as lines, cut to the limits, and why not the others.

What would lead below the least payable amount is cut from the last lines: from coupons first (the
one that expires latest before), then from offers in reverse order of the bill. Hence what is paid
is what was listed less the sum of the lines, whatever a policy says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from edge_agent.core.combination import allow_each_other, best_combination, exclusions
from edge_agent.core.eligibility import Refusal, lasting_refusal, shortfall
from edge_agent.core.worth import (
    Bid,
    Candidate,
    Figures,
    Sale,
    Terms,
    bid_of,
    missing_of,
    price_offer,
    terms_of,
)
from edge_agent.model.policy import STAGES, Policy, PriceOffer, Stage
from edge_agent.model.quote import CouponFacts, QuoteRequest, RejectReason

_Refused: TypeAlias = tuple[Candidate, Refusal]
_ORDER: Final = {stage: place for place, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class Field:
    """All that may take part in a sale, at any amount of fuel."""

    terms: Terms
    bids: tuple[Bid, ...]
    """Offers that may lower the price, the one that expires soonest first, then by id."""
    excluded: Mapping[int, int]
    """What bids exclude of one another (`core.combination`)."""
    benefits: tuple[Candidate, ...]
    refused: tuple[_Refused, ...]
    """Those that no amount of fuel would bring in."""
    unknown: tuple[CouponFacts, ...]
    """Coupons of templates that the policy does not know."""


def field_of(request: QuoteRequest, policy: Policy) -> Field:
    """Judge every offer of the policy and every presented coupon by what fuel cannot change."""
    able, benefits = list[tuple[Candidate, PriceOffer]](), list[Candidate]()
    refused, unknown = list[_Refused](), list[CouponFacts]()
    for entrant in _entrants(request, policy):
        if isinstance(entrant, CouponFacts):
            unknown.append(entrant)
            continue
        why = lasting_refusal(entrant, request, policy.calendar)
        if why is not None:
            refused.append((entrant, why))
            continue
        offer = price_offer(entrant.offer)
        if offer is None:
            benefits.append(entrant)
        else:
            able.append((entrant, offer))
    able.sort(key=lambda entry: (entry[0].expires_ms, entry[0].name))
    terms, count = terms_of(request, policy), len(able)
    sale = Sale(request, policy, terms, 1 << count)
    bids = tuple(
        bid_of(candidate, offer, count - place, sale)
        for place, (candidate, offer) in enumerate(able, start=1)
    )
    return Field(terms, bids, exclusions(bids), tuple(benefits), tuple(refused), tuple(unknown))


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

    figures: Figures
    bases: Bases
    payable_fen: int
    lines: tuple[tuple[Bid, int], ...]
    """In the order of the bill, cut to the limits; none of them nothing."""
    cut: tuple[Bid, ...]
    """Chosen, but the limits leave nothing of them."""


def decide(field: Field, figures: Figures) -> Decision:
    """Decide what is to be paid."""
    chosen = best_combination(field.bids, field.excluded, figures)
    bases, worths = _worths(sorted(chosen, key=_bill_order), figures)
    amounts = _cut(worths, figures)
    laid_out = [(bid, left) for (bid, _), left in zip(worths, amounts, strict=True)]
    return Decision(
        figures=figures,
        bases=bases,
        payable_fen=figures.listed_fen - sum(amounts),
        lines=tuple(line for line in laid_out if line[1]),
        cut=tuple(bid for bid, left in laid_out if not left),
    )


def _bill_order(bid: Bid) -> tuple[int, int, str]:
    return _ORDER[bid.offer.stage], bid.offer.priority, bid.candidate.name


def _worths(chosen: Sequence[Bid], figures: Figures) -> tuple[Bases, list[tuple[Bid, int]]]:
    """Return what each stage counts from, and what each bid takes off; `chosen` as on the bill."""
    worths, off = list[tuple[Bid, int]](), dict.fromkeys(STAGES, 0)

    def count(stage: Stage, base: int) -> int:
        for bid in chosen:
            if bid.offer.stage == stage:
                worth = bid.worth(base, figures)
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


def refusals(decision: Decision, field: Field, request: QuoteRequest) -> Iterator[_Refused]:
    """Yield every offer and known coupon that does not lower the price, and why."""
    yield from field.refused
    chosen = sum(bid.bit for bid, _ in decision.lines) + sum(bid.bit for bid in decision.cut)
    for bid in decision.cut:
        kept = bid.candidate.coupon is not None
        reason = RejectReason.COUPON_KEPT if kept else RejectReason.LIMIT_REACHED
        yield bid.candidate, (reason, None)
    for bid in field.bids:
        if not bid.bit & chosen:
            short = shortfall(bid.candidate, request)
            yield bid.candidate, _why_not(bid, decision) if short is None else short


def _why_not(bid: Bid, decision: Decision) -> Refusal:
    """Return why an offer whose conditions hold is not of the best combination."""
    base, volume = decision.bases.of(bid.offer.stage), decision.figures.volume_ml
    if not bid.worth(base, decision.figures):
        missing = missing_of(bid.offer, base)
        if missing is not None:
            return RejectReason.SPEND, missing
        return (
            RejectReason.NO_EFFECT if bid.saves(base, volume) <= 0 else RejectReason.LIMIT_REACHED
        ), None
    applied = [line for line, _ in decision.lines]
    if any(line.slot == bid.slot for line in applied):
        return RejectReason.GROUP_TAKEN, None
    if any(not allow_each_other(bid.offer, line.offer) for line in applied):
        return RejectReason.NOT_STACKABLE, None
    kept = bid.candidate.coupon is not None
    return (RejectReason.COUPON_KEPT if kept else RejectReason.NOT_BEST), None
