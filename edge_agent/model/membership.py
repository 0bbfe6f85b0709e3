"""Members and accounts as a station knows them: opaque references, masked names, rules of use.

The station never holds a phone number, a plate or a full name in clear. It is looked up by a blind
index: HMAC-SHA-256 under a key that HQ and its stations share (`security.blind_index`). What may be
spent is never in a member's row but in leases (`model.leases`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from edge_agent.model.ids import AccountRef, MemberRef, PlateRef

AccountKind: TypeAlias = Literal["personal", "family", "fleet", "bearer"]
"""personal and family accounts are named; fleet accounts have rules of use; a bearer card is
nobody's in particular."""


@dataclass(frozen=True, slots=True)
class UsageRules:
    """What a fleet allows one of its vehicles or drivers (rows L1, L2). None: not limited.

    Windows of hours are minutes since the station's midnight, from the first to just before the
    second; past midnight where the second is the smaller.
    """

    grades: tuple[str, ...] = ()
    """Empty for all."""
    stations: tuple[str, ...] = ()
    """Empty for all."""
    hours: tuple[tuple[int, int], ...] = ()
    """Empty for all day."""
    max_volume_ml: int | None = None
    """A fill."""
    max_amount_fen: int | None = None
    """A fill."""
    visits_per_day: int | None = None
    visits_per_week: int | None = None
    visits_per_month: int | None = None
    amount_per_month_fen: int | None = None
    odometer: bool = False
    """The driver has to say what it shows."""
    pin: bool = False
    """The driver has to prove who it is."""
    amount_per_day_fen: int | None = None
    """Here as of a week and a month: what was paid, and what waits to be paid, at this station."""
    amount_per_week_fen: int | None = None
    volume_per_day_ml: int | None = None
    volume_per_week_ml: int | None = None
    volume_per_month_ml: int | None = None


@dataclass(frozen=True, slots=True)
class ExpiringPoints:
    """Points of a member that expire at one instant, as headquarters knew them."""

    expires_ms: int
    points: int


@dataclass(frozen=True, slots=True)
class Member:
    """A person, a fleet's driver or one of its vehicles: what pricing and the screen need."""

    ref: MemberRef
    tier: str
    masked_name: str
    account: AccountRef | None
    plate_pay: bool
    """The member has consented to be charged by number plate."""
    account_kind: AccountKind = "personal"
    limit_class: str = "standard"
    """Which of the policy's `classes` bounds it."""
    tags: tuple[str, ...] = ()
    birthday_week: tuple[str, str] | None = None
    """First and last day, MM-DD, both included; no birth date ever comes to a station."""
    fills: int = 0
    """At all stations, as headquarters knew."""
    spent_fen: int = 0
    """What counts towards the next tier, as headquarters knew."""
    points: tuple[ExpiringPoints, ...] = ()
    """What the member holds at headquarters; what may be spent here is in leases."""
    rules: UsageRules | None = None
    pin_hash: str | None = None
    """Argon2id, in its own text form."""
    locked: str | None = None
    """Why nothing may be charged to the member: lost, risk, debt … (row R5)."""


@dataclass(frozen=True, slots=True)
class KnownPlate:
    """A plate that a camera read, as far as the station may know it: its reference and mask."""

    ref: PlateRef
    masked: str
    member: Member | None
    colour: str | None = None
    """Of the plate's ground (`model.plates.PlateColour`)."""
