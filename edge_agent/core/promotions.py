"""The quote: what is to be paid, which offers applied, why the others did not, what comes next.

`docs/pricing.md` is the specification. The parts: `core.eligibility` judges conditions,
`core.worth` says what one offer takes off, `core.combination` finds the best combination,
`core.pricing` lays it out and cuts it to the limits, `core.earning` counts points and gifts,
`core.next_step` looks for a better preset, `core.explanation` puts it into words.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.core.earning import earn
from edge_agent.core.explanation import Outcome, answer
from edge_agent.core.next_step import next_step
from edge_agent.core.pricing import decide, field_of
from edge_agent.model.errors import PolicyRefused, Problem
from edge_agent.model.ids import OfferId
from edge_agent.model.policy import Policy
from edge_agent.model.quote import Quote, QuoteRequest
from edge_agent.model.quote_record import body_of, request_of
from edge_agent.model.records import QuoteBody
from edge_agent.model.units import Money


def quote(request: QuoteRequest, policy: Policy) -> Quote:
    """Decide what is to be paid, with reasons and the next best step. Pure and deterministic."""
    outcome = _decided(request, policy)
    return answer(outcome, next_step(request.unit_price, outcome.field, outcome.decided))


def requote(body: QuoteBody, policy: Policy) -> QuoteBody:
    """Decide a recorded price again from its own facts, as headquarters does.

    The next step is advice, not price: it stays as recorded.

    Raises:
        PolicyRefused: `policy` is not of the version that the record names.
        ValueError: the recorded facts make no sense.
    """
    if policy.version != body.policy_version:
        raise PolicyRefused(
            Problem(
                "policy_version_differs",
                "定价所用政策版本不符，无法复核",
                "the price was decided under another version of the policy",
            ),
            f"record {body.policy_version}, policy {policy.version}",
        )
    return body_of(answer(_decided(request_of(body), policy), body.next_step))


@dataclass(frozen=True, slots=True)
class PriceDecided:
    """A price without words: what it takes to compare policies over many sales."""

    payable: Money
    applied: tuple[tuple[OfferId, Money], ...]
    """As on the bill; an offer stands here once for each coupon that brings it."""
    points: int
    given: tuple[tuple[OfferId, int, int], ...]
    """Benefits beside the price: offer, points that it adds, pieces of a good."""


def decide_price(request: QuoteRequest, policy: Policy) -> PriceDecided:
    """Decide what is to be paid and earned, without reasons, texts and the next step."""
    outcome = _decided(request, policy)
    applied = tuple((OfferId(bid.offer.id), Money(fen)) for bid, fen in outcome.decided.lines)
    given = tuple(
        (OfferId(each.candidate.offer.id), each.points, each.pieces)
        for each in outcome.earned.given
    )
    return PriceDecided(Money(outcome.decided.payable_fen), applied, outcome.earned.points, given)


def _decided(request: QuoteRequest, policy: Policy) -> Outcome:
    field = field_of(request, policy)
    decided = decide(field, field.terms.figures(request.volume.ml, request.amount.fen))
    earned = earn(request, decided.payable_fen, field.benefits, policy)
    return Outcome(request, policy, field, decided, earned)
