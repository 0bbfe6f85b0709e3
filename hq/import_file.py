"""What an import file may hold: members and price sets, as JSON. Strict and closed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.model.catalogues import MonthDay, UsageRulesEntry
from edge_agent.model.membership import AccountKind
from edge_agent.model.wire import EVERY_STATION
from hq.enrolment import NewMember


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class PointsInFile(_Part):
    """Points that expire at one wall time (ms)."""

    expires_ms: int
    points: int


class MemberInFile(_Part):
    """A member; fields as in `hq.enrolment.NewMember`, amounts in fen by station."""

    ref: str
    name: str
    tier: str
    account: str | None = None
    account_kind: AccountKind = "personal"
    limit_class: str = "standard"
    plate_pay: bool = False
    cards: list[str] = Field(default_factory=list)
    phones: list[str] = Field(default_factory=list)
    plates: list[str] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    birthday_week: tuple[MonthDay, MonthDay] | None = None
    rules: UsageRulesEntry | None = None
    pin: str | None = Field(default=None, repr=False)
    locked: str | None = None
    stations: list[str] = Field(default_factory=list)
    set_aside_fen: dict[str, int] = Field(default_factory=dict)
    opening_fen: int = 0
    opening_points: list[PointsInFile] = Field(default_factory=list)

    def as_new_member(self) -> NewMember:
        """Return the member as the enrolment desk takes one."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        points = [(each.expires_ms, each.points) for each in self.opening_points]
        return NewMember(**(fields | {"opening_points": points}))


class PriceSetInFile(_Part):
    """A price set: thousandths of a yuan per litre, by grade."""

    id: str
    valid_from_ms: int
    prices: dict[str, int]
    scope: str = EVERY_STATION


class Import(_Part):
    """An import file: whatever of these it holds is published."""

    members: list[MemberInFile] = Field(default_factory=list)
    price_sets: list[PriceSetInFile] = Field(default_factory=list)
