"""What clients may ask, as strict models: a wrong type, an unknown key, a senseless figure fail."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_VOLUME_ML = 9_999_990
MAX_AMOUNT_FEN = 99_999_900

FpNumber = Annotated[int, Path(ge=1, le=9999, description="Fuelling point, by its number.")]
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
FuellingPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
SalePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
MemberQuery = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="One for each wish of a person; the same key never moves money twice.",
    ),
]
PrepaymentKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="Required with `prepaid_fen`; the same key never releases a point twice.",
    ),
]


class RequestBody(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class AuthoriseBody(RequestBody):
    """Release a fuelling point, for at most one volume or one amount.

    A prepayment limits the fuelling to what was paid, unless a smaller preset is given.
    """

    preset_volume_ml: int | None = Field(default=None, ge=10, le=MAX_VOLUME_ML)
    preset_amount_fen: int | None = Field(default=None, ge=1, le=MAX_AMOUNT_FEN)
    member: Reference | None = None
    prepaid_fen: int = Field(default=0, ge=0, le=MAX_AMOUNT_FEN)

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.preset_volume_ml is not None and self.preset_amount_fen is not None:
            raise ValueError("a preset limits either the volume or the amount")
        if self.prepaid_fen and self.preset_volume_ml is not None:
            raise ValueError("a prepayment is for an amount, not for a volume")
        if self.prepaid_fen and (self.preset_amount_fen or 0) > self.prepaid_fen:
            raise ValueError("the preset is larger than what was prepaid")
        return self


class TenderBody(RequestBody):
    """One means of payment. Without an amount it takes whatever the others leave."""

    means: Literal["cash", "stored_value"]
    amount_fen: int | None = Field(default=None, ge=0, le=MAX_AMOUNT_FEN)


class SettleBody(RequestBody):
    """Pay a fuelling. Without a member the one that the fuelling is bound to counts."""

    tenders: list[TenderBody] = Field(max_length=4)
    member: Reference | None = None


class RefundBody(RequestBody):
    """Pay a sale back, each tender to its source."""

    reason: str = Field(min_length=1, max_length=80)


class LookupBody(RequestBody):
    """Look a member up. A POST, so that the identifier never stands in an address or a log."""

    kind: Literal["card", "phone", "plate"]
    identifier: str = Field(min_length=1, max_length=32)


class DrainBody(RequestBody):
    """Wait until headquarters has acknowledged everything."""

    timeout_s: int = Field(default=30, ge=0, le=60)


class SessionBody(RequestBody):
    """Open a session for a screen with a one-time code."""

    code: str = Field(min_length=1, max_length=32)
