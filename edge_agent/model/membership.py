"""Members and stored-value accounts as a station knows them: opaque references and masked names.

The station never holds a phone number, a plate or a full name in clear. It is looked up by a blind
index: HMAC-SHA-256 under a key that HQ and its stations share (`security.blind_index`).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model.ids import AccountRef, MemberRef, PlateRef
from edge_agent.model.units import Money


@dataclass(frozen=True, slots=True)
class Member:
    """A member: what pricing and the screen need, nothing more."""

    ref: MemberRef
    tier: str
    masked_name: str
    account: AccountRef | None
    plate_pay: bool
    """The member has consented to be charged by number plate."""


@dataclass(frozen=True, slots=True)
class Account:
    """A stored-value account: what HQ has set aside here in all, and what was spent of it here.

    `granted` only ever grows, and so does `spent` but for refunds, so that neither a repeated nor
    a late catalogue can let the same money be spent twice.
    """

    ref: AccountRef
    granted: Money
    spent: Money

    @property
    def available(self) -> Money:
        """What may still be spent at this station without asking HQ."""
        return self.granted - self.spent


@dataclass(frozen=True, slots=True)
class KnownPlate:
    """A plate that a camera read, as far as the station may know it: its reference and mask."""

    ref: PlateRef
    masked: str
    member: Member | None
