"""What a policy bounds: discounts, risk by class of account, credit offline, stored value, law."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from edge_agent.model.policy.parts import Amount, Count, GradeCode, PolicyPart, Share

NAMED_CARD_CEILING: Final = 500_000
"""5,000 yuan: the most a named prepaid card may hold (单用途商业预付卡, rules of 2011)."""
BEARER_CARD_CEILING: Final = 100_000
"""1,000 yuan: the most a bearer card may hold."""
REFERRAL_CEILING: Final = 2
"""Levels of referral, counted below the organiser; three are pyramid selling (禁止传销条例)."""
STANDARD_CLASS: Final = "standard"


class Limits(PolicyPart):
    """What no combination of offers may exceed; the last offers are cut down to it."""

    max_discount_bp: Share = 10_000
    """Share of the list amount that all offers together may take off."""
    price_floors_milli: dict[GradeCode, Amount] = Field(default_factory=dict)
    """Margin floor: the lowest net price per litre by grade."""


class ClassLimits(PolicyPart):
    """Limits of a class of accounts: private, lorry, fleet … (rows R1, R2, R9, Z11).

    `floor_…` bound what may be spent offline beyond the leases (row S26): the loss that the
    station's owner accepts.
    """

    payments_per_minute: Amount = 3
    amount_per_day_fen: Amount = 1_000_000
    second_factor_above_fen: Amount | None = None
    """Dearer sales by plate or stored value need a PIN or a dynamic code."""
    floor_per_sale_fen: Count = 0
    floor_per_day_fen: Count = 0
    grace_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 3 * 86_400
    """So long after headquarters was last heard from, stored value, points and plates may still
    be charged; then the station sells at the till only (row S06)."""

    @model_validator(mode="after")
    def _floor_fits_in_a_day(self) -> Self:
        if self.floor_per_sale_fen > self.floor_per_day_fen:
            raise ValueError("floor_per_sale_fen is above floor_per_day_fen")
        return self


class StoredValue(PolicyPart):
    """Caps of prepaid accounts, and how they are topped up at a till (rows V8, V10, V12, V15)."""

    named_cap_fen: Amount = NAMED_CARD_CEILING
    bearer_cap_fen: Amount = BEARER_CARD_CEILING
    top_up_amounts_fen: Annotated[tuple[Amount, ...], Field(max_length=8)] = ()
    """The buttons of the till; empty: no top-up here."""
    top_up_max_fen: Amount = NAMED_CARD_CEILING
    confirm: Literal["member", "second_person", "either"] = "either"
    """Who confirms a change of stored value beside the attendant: the member by code or PIN, or a
    second member of staff."""
    low_balance_fen: Count = 0
    """Below this the till offers a top-up."""


class Referral(PolicyPart):
    """Members who bring members. Sales-based, no entry fee, no pay by head count (row Z9)."""

    levels: Annotated[int, Field(ge=0)] = 1
    points_each: Count = 0


class PlatePay(PolicyPart):
    """Charging stored value by number plate, for members who consented to it."""

    enabled: bool = False
    max_amount_fen: Count = 0
    """A dearer sale is paid at the till."""

    @model_validator(mode="after")
    def _allows_something(self) -> Self:
        if self.enabled and not self.max_amount_fen:
            raise ValueError("enabled with max_amount_fen 0: it can never apply")
        return self


class AutoAuthorise(PolicyPart):
    """Releasing a nozzle when it is lifted. Off by default: leaking valves sell phantom fuel."""

    enabled: bool = False
    nozzles: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Nozzle numbers; empty for all."""
    grades: tuple[GradeCode, ...] = ()
    """Empty for all."""

    def covers(self, nozzle: int, grade: str) -> bool:
        """Whether lifting this nozzle releases it."""
        named = not self.nozzles or nozzle in self.nozzles
        return self.enabled and named and (not self.grades or grade in self.grades)
