"""Records of what headquarters holds for others and a station spends within leases."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from edge_agent.model.records.body import Fen, RecordBody
from edge_agent.model.tenders import TenderMeans

Asset: TypeAlias = Literal["balance", "points", "coupon", "budget"]
"""What headquarters holds for somebody and a station may spend within a lease: fen on an account, a
member's points, a coupon, fen of a campaign's budget."""


class PointsBucket(RecordBody):
    """Points that expire at one instant."""

    kind: ClassVar[str] = "-"
    expires_ms: int
    points: int


class LeaseTerms(RecordBody):
    """What headquarters has set aside for a station: how much of what, for whom, until when."""

    kind: ClassVar[str] = "-"
    lease_id: str
    asset: Asset
    holder: str
    """By asset: account reference, member reference, coupon serial, offer id."""
    amount: int
    """Fen, points, or 1 for a coupon."""
    expires_ms: int
    template: str | None = None
    """Of a coupon."""
    member_ref: str | None = None
    """Whose coupon it is."""
    from_ms: int = 0
    until_ms: int = 0
    """Between which a coupon holds."""
    buckets: list[PointsBucket] = Field(default_factory=list)
    """Of points: what the lease is made of, soonest expiry first."""
    holding: int = 0
    """All that headquarters held of it when it made the lease, this lease included: for the
    screen, and for the cap on a top-up."""


class LeasesTaken(RecordBody):
    """Leases came into force at this station."""

    kind: ClassVar[str] = "leases.taken"
    leases: list[LeaseTerms]


class LeaseClosed(RecordBody):
    """Nothing more will ever be spent from a lease; headquarters may take back the rest."""

    kind: ClassVar[str] = "lease.closed"
    lease_id: str
    spent: int
    reason: Literal["expired", "recalled"]


class AssetMoved(RecordBody):
    """Something that headquarters holds was spent here (negative) or given back (positive)."""

    kind: ClassVar[str] = "asset.moved"
    asset: Asset
    holder: str
    delta: int
    sale_id: str
    reason: Literal["sale", "refund"]
    lease_id: str | None
    """None: spent offline beyond every lease, within the policy's floor limit."""
    buckets: list[PointsBucket] = Field(default_factory=list)
    """Of points: from which buckets they came, or into which they went back."""
    cache_age_s: int | None = None
    """For what no lease covers: how long ago headquarters was last heard from."""


class PointsEarned(RecordBody):
    """A sale earned points, or its refund took them back. Spendable once headquarters knows."""

    kind: ClassVar[str] = "points.earned"
    member_ref: str
    sale_id: str
    points: int
    """Negative for a refund."""
    expires_ms: int
    reason: Literal["sale", "refund"]


class StoredValueToppedUp(RecordBody):
    """Money was paid into an account at this till. The record is a lease of that amount, since the
    money is here: it may be spent here at once."""

    kind: ClassVar[str] = "stored_value.topped_up"
    top_up_id: str
    """Also the id of the lease."""
    account_ref: str
    member_ref: str
    amount_fen: Fen
    means: TenderMeans
    reference: str = Field(default="", max_length=64)
    confirmed_by: Literal["member_code", "member_pin", "second_person"]
    second_operator: str | None
    idempotency_key: str
    operator: str
    expires_ms: int
    """When the lease that it makes ends."""


class MemberCodeUsed(RecordBody):
    """A member's dynamic code was shown and believed; it is never believed again."""

    kind: ClassVar[str] = "member.code_used"
    nonce: str
    member_ref: str
    expires_ms: int


class RiskFlagged(RecordBody):
    """A wish was refused, or let through only with a second factor, by a limit."""

    kind: ClassVar[str] = "risk.flagged"
    rule: str
    decision: Literal["step_up", "deny"]
    member_ref: str | None
    account_ref: str | None
    amount_fen: Fen
