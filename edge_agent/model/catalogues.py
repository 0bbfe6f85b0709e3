"""What a signed catalogue's payload holds: members, leases, price sets.

A payload is canonical JSON text inside `wire.SignedCatalogue`; nothing unknown is tolerated in one,
since its signature covers what is read.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.model.wire import Count, Epoch, Sha256, StationName, Token, WallMs

MonthDay = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
Minute = Annotated[int, Field(ge=0, le=1440)]


class CataloguePart(BaseModel):
    """Base of what a catalogue's payload holds: strict and closed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class UsageRulesEntry(CataloguePart):
    """See `model.membership.UsageRules`."""

    grades: Annotated[list[Token], Field(max_length=32)] = Field(default_factory=list)
    stations: Annotated[list[StationName], Field(max_length=500)] = Field(default_factory=list)
    hours: Annotated[list[tuple[Minute, Minute]], Field(max_length=8)] = Field(default_factory=list)
    max_volume_ml: Count | None = None
    max_amount_fen: Count | None = None
    visits_per_day: Count | None = None
    visits_per_week: Count | None = None
    visits_per_month: Count | None = None
    amount_per_month_fen: Count | None = None
    odometer: bool = False
    pin: bool = False
    amount_per_day_fen: Count | None = None
    amount_per_week_fen: Count | None = None
    volume_per_day_ml: Count | None = None
    volume_per_week_ml: Count | None = None
    volume_per_month_ml: Count | None = None


class BucketEntry(CataloguePart):
    """Points that expire at one instant."""

    expires_ms: WallMs
    points: Annotated[int, Field(ge=1, lt=2**53)]


class MemberEntry(CataloguePart):
    """A member as a station may know one: no name, phone or plate in clear.

    See `model.membership.Member`. `account_kind` and `limit_class` are the account's, repeated with
    every member that uses it.
    """

    ref: Token
    tier: Token
    masked_name: Annotated[str, Field(max_length=64)]
    account: Token | None
    plate_pay: bool
    account_kind: Literal["personal", "family", "fleet", "bearer"] = "personal"
    limit_class: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] = "standard"
    tags: Annotated[list[Token], Field(max_length=32)] = Field(default_factory=list)
    birthday_week: tuple[MonthDay, MonthDay] | None = None
    fills: Count = 0
    spent_fen: Count = 0
    points: Annotated[list[BucketEntry], Field(max_length=64)] = Field(default_factory=list)
    rules: UsageRulesEntry | None = None
    pin_hash: Annotated[str, Field(max_length=200)] | None = None
    locked: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    indexes: dict[Literal["card", "phone", "plate"], list[Sha256]]
    """Blind indexes of the member's identifiers (`model.identifiers`)."""


class MembersPayload(CataloguePart):
    """Dataset "members": a snapshot (`base` 0) or the changes that follow version `base`."""

    base: Count
    members: Annotated[list[MemberEntry], Field(max_length=5000)]


class LeaseEntry(CataloguePart):
    """A lease that is granted. Fields as in `model.records.LeaseTerms`."""

    lease_id: Token
    asset: Literal["balance", "points", "coupon", "budget"]
    holder: Token
    amount: Annotated[int, Field(ge=1, lt=2**53)]
    expires_ms: WallMs
    template: Token | None = None
    member_ref: Token | None = None
    from_ms: WallMs = 0
    until_ms: WallMs = 0
    buckets: Annotated[list[BucketEntry], Field(max_length=256)] = Field(default_factory=list)
    holding: Count = 0


class LeasesPayload(CataloguePart):
    """Dataset "leases" of one station: what was granted and recalled after version `base`.

    Always changes, never a snapshot: a station that took a lease once takes it never again. A
    station answers for its leases in one epoch of its books only; in the next it has none, so a
    payload for another epoch is refused (`out_of_order`).
    """

    base: Count
    epoch: Epoch
    granted: Annotated[list[LeaseEntry], Field(max_length=500)] = Field(default_factory=list)
    recalled: Annotated[list[Token], Field(max_length=500)] = Field(default_factory=list)
    """Ids of leases to be closed at once."""


class PriceSetEntry(CataloguePart):
    """The unit prices of all grades from a wall time on, in thousandths of a yuan per litre."""

    id: Token
    valid_from_ms: WallMs
    prices: Annotated[
        dict[Token, Annotated[int, Field(ge=1, lt=10**6)]], Field(min_length=1, max_length=32)
    ]


class PricesPayload(CataloguePart):
    """Dataset "prices": every price set that is in force or to come; always whole."""

    price_sets: Annotated[list[PriceSetEntry], Field(min_length=1, max_length=64)]
