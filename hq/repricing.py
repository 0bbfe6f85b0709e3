"""Prices every sale again with the station's own code and the policy that the sale names."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.core.promotions import requote
from edge_agent.model.errors import PolicyRefused
from edge_agent.model.policy import Policy
from edge_agent.model.quote_record import explanation_hash
from edge_agent.model.records import QuoteBody


@dataclass(frozen=True, slots=True)
class Repriced:
    """A sale's price decided again from its own facts."""

    difference: str | None
    """What differs; None if nothing does. Texts are not compared here: wording may change without a
    price changing."""
    explanation_sha256: str | None
    """Of the explanation as it reads here, texts included; None where there is no price."""


def reprice(quote: QuoteBody, policy: Policy) -> Repriced:
    """Decide a price again, and its explanation."""
    try:
        again = requote(quote, policy)
    except (PolicyRefused, ValueError) as error:
        return Repriced(f"cannot be priced: {error}", None)
    return Repriced(_compare(again, quote), explanation_hash(again))


def _compare(again: QuoteBody, quote: QuoteBody) -> str | None:
    found = [
        f"{name} {ours} here, {theirs} there"
        for name, ours, theirs in (
            ("payable_fen", again.payable_fen, quote.payable_fen),
            ("list_amount_fen", again.list_amount_fen, quote.list_amount_fen),
            ("points_earned", again.points_earned, quote.points_earned),
            ("applied", _applied(again), _applied(quote)),
            ("benefits", _given(again), _given(quote)),
        )
        if ours != theirs
    ]
    return "; ".join(found) or None


def _applied(quote: QuoteBody) -> list[tuple[str, int, str | None]]:
    return [(line.offer, line.amount_fen, line.coupon) for line in quote.applied]


def _given(quote: QuoteBody) -> list[tuple[str, str | None, int, int, str | None]]:
    return [
        (line.offer, line.good, line.pieces, line.points, line.coupon) for line in quote.benefits
    ]
