"""Means of payment, in the order in which a plan uses them (row V4 of the trade's rules: coupons
that expire soonest, then the balance, then third parties; coupons are offers and come before)."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

TenderMeans: TypeAlias = Literal["points", "stored_value", "bank_card", "wallet", "cash"]
"""points: redeemed at the policy's rate. bank_card and wallet: taken on a terminal beside the till,
confirmed by the attendant with its reference."""
TENDER_MEANS: Final[tuple[TenderMeans, ...]] = (
    "points",
    "stored_value",
    "bank_card",
    "wallet",
    "cash",
)
HELD_MEANS: Final = frozenset({"points", "stored_value"})
"""What headquarters holds for a member, and a station spends within leases."""
