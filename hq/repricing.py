"""Prices every sale again with the station's own code and the policy that the sale names."""

from __future__ import annotations

from edge_agent.core.promotions import requote
from edge_agent.model.errors import PolicyRefused
from edge_agent.model.policy import Policy
from edge_agent.model.records import QuoteBody


def difference(quote: QuoteBody, policy: Policy) -> str | None:
    """Return what differs when a price is decided again from its own facts; None if nothing does.

    Texts are not compared: wording may change without a price changing.
    """
    try:
        again = requote(quote, policy)
    except (PolicyRefused, ValueError) as error:
        return f"cannot be priced: {error}"
    found = [
        f"{name} {ours} here, {theirs} there"
        for name, ours, theirs in (
            ("payable_fen", again.payable_fen, quote.payable_fen),
            ("list_amount_fen", again.list_amount_fen, quote.list_amount_fen),
            ("points_earned", again.points_earned, quote.points_earned),
            ("applied", _applied(again), _applied(quote)),
        )
        if ours != theirs
    ]
    return "; ".join(found) or None


def _applied(quote: QuoteBody) -> list[tuple[str, int]]:
    return [(line.offer, line.amount_fen) for line in quote.applied]
