"""What clients may ask, as strict models: a wrong type, an unknown key, a senseless figure fail."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from fastapi import Header, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from edge_agent.model.ids import MemberRef
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money
from edge_agent.model.wishes import GoodsWish, SaleWish, SecondFactor, TenderOffer, TopUpWish

MAX_VOLUME_ML = 9_999_990
MAX_AMOUNT_FEN = 99_999_900
MAX_POINTS = 9_999_999
MAX_ODOMETER_KM = 9_999_999
MAX_TENDERS = 6

FpNumber = Annotated[int, Path(ge=1, le=9999, description="Fuelling point, by its number.")]
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
FuellingPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
SalePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
MemberPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
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


Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""A good of the policy, or a coupon's serial."""
StaffName = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f](?:[^\x00-\x1f]{0,30}[^\s\x00-\x1f])?$")]
TerminalReference = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._:/#-]{0,64}$")]


def _of_form(pattern: str) -> AfterValidator:
    """Check a secret's form; neither the message nor the error holds the secret."""

    def check(secret: SecretStr) -> SecretStr:
        if re.fullmatch(pattern, secret.get_secret_value()) is None:
            raise ValueError("this cannot be right: it has another form")
        return secret

    return AfterValidator(check)


Pin = Annotated[SecretStr, _of_form("[0-9]{4,12}")]
ShownCode = Annotated[SecretStr, _of_form("[!-~]{1,256}")]
"""What a member's phone shows."""
LOOKUP_LENGTH: Final = 32
"""The longest card, phone number or plate; a dynamic code may be as long as its field."""


class TenderBody(RequestBody):
    """One means of payment. Without an amount it takes whatever the others leave."""

    means: TenderMeans
    amount_fen: int | None = Field(default=None, ge=0, le=MAX_AMOUNT_FEN)
    reference: TerminalReference = ""
    """What the terminal beside the till printed, for a bank card or a wallet."""

    def offer(self) -> TenderOffer:
        """Return it as the till understands it."""
        amount = None if self.amount_fen is None else Money(self.amount_fen)
        return TenderOffer(self.means, amount, self.reference)


class GoodsBody(RequestBody):
    """So many pieces of a good of the policy."""

    good: Code
    pieces: int = Field(ge=1, le=99)


class WishBody(RequestBody):
    """How something shall be priced. Without a member the one that the fuelling is bound to."""

    member: Reference | None = None
    goods: list[GoodsBody] = Field(default_factory=list, max_length=20)
    coupons: list[Code] | None = Field(default=None, max_length=32)
    """Serials that may be used; null for all of the member's, of which the best are taken."""
    redeem_points: int = Field(default=0, ge=0, le=MAX_POINTS)
    paying: TenderMeans | None = None
    """The means that takes what the others leave; null: not said yet."""
    paid_otherwise_fen: int = Field(default=0, ge=0, le=MAX_AMOUNT_FEN)
    """What is paid by other means than `paying`, redeemed points apart."""

    def wish(self, shown_fen: int | None = None) -> SaleWish:
        """Return it as the till understands it."""
        return SaleWish(
            member=None if self.member is None else MemberRef(self.member),
            goods=tuple(GoodsWish(each.good, each.pieces) for each in self.goods),
            coupons=None if self.coupons is None else tuple(self.coupons),
            redeem_points=self.redeem_points,
            paying=self.paying,
            paid_otherwise=Money(self.paid_otherwise_fen),
            shown=None if shown_fen is None else Money(shown_fen),
        )


class EstimateBody(WishBody):
    """Price a fuelling that has not begun, for an amount at one of the point's nozzles."""

    nozzle: int = Field(ge=1, le=16)
    """Logical number."""
    amount_fen: int = Field(ge=1, le=MAX_AMOUNT_FEN)


class SecondFactorBody(RequestBody):
    """What proves beside the attendant that a charge or a top-up is wanted: one of the three.

    A POST carries it, never an address; no answer, log or record repeats it.
    """

    member_code: ShownCode | None = None
    member_pin: Pin | None = None
    operator: StaffName | None = None
    operator_pin: Pin | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.operator is None) != (self.operator_pin is None):
            raise ValueError("operator and operator_pin come together")
        if sum(each is not None for each in self._ways()) != 1:
            raise ValueError("give one of member_code, member_pin, and operator with operator_pin")
        return self

    def _ways(self) -> tuple[object, ...]:
        return self.member_code, self.member_pin, self.operator

    def factor(self) -> SecondFactor:
        """Return it as the till understands it."""
        return SecondFactor(
            member_code=_revealed(self.member_code),
            member_pin=_revealed(self.member_pin),
            operator=self.operator,
            operator_pin=_revealed(self.operator_pin),
        )


class AuthoriseBody(RequestBody):
    """Release a fuelling point, for at most one volume or one amount.

    A prepayment limits the fuelling to what was paid, unless a smaller preset is given.
    """

    preset_volume_ml: int | None = Field(default=None, ge=10, le=MAX_VOLUME_ML)
    preset_amount_fen: int | None = Field(default=None, ge=1, le=MAX_AMOUNT_FEN)
    member: Reference | None = None
    prepaid_fen: int = Field(default=0, ge=0, le=MAX_AMOUNT_FEN)
    odometer_km: int | None = Field(default=None, ge=0, le=MAX_ODOMETER_KM)
    """Of a fleet's vehicle, where its rules ask for it."""
    second: SecondFactorBody | None = None
    """Of a fleet's driver, where its rules ask for a PIN."""

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.preset_volume_ml is not None and self.preset_amount_fen is not None:
            raise ValueError("a preset limits either the volume or the amount")
        if self.prepaid_fen and self.preset_volume_ml is not None:
            raise ValueError("a prepayment is for an amount, not for a volume")
        if self.prepaid_fen and (self.preset_amount_fen or 0) > self.prepaid_fen:
            raise ValueError("the preset is larger than what was prepaid")
        return self


class SettleBody(WishBody):
    """Pay a fuelling. Without a member the one that the fuelling is bound to counts."""

    tenders: list[TenderBody] = Field(max_length=MAX_TENDERS)
    shown_fen: int | None = Field(default=None, ge=0, le=MAX_AMOUNT_FEN)
    """What the customer was shown as payable; at another price the sale is refused."""
    second: SecondFactorBody | None = None


class TopUpBody(RequestBody):
    """Pay money into a member's account."""

    member: Reference
    amount_fen: int = Field(ge=1, le=MAX_AMOUNT_FEN)
    means: Literal["cash", "bank_card", "wallet"]
    reference: TerminalReference = ""
    second: SecondFactorBody | None = None
    """May be missing after the member was found by the code of the phone: that proves it once."""

    def wish(self) -> TopUpWish:
        """Return it as the till understands it."""
        return TopUpWish(MemberRef(self.member), Money(self.amount_fen), self.means, self.reference)


class RefundBody(RequestBody):
    """Pay a sale back, each tender to its source."""

    reason: str = Field(min_length=1, max_length=80)


class LookupBody(RequestBody):
    """Look a member up. A POST, so that the identifier never stands in an address or a log."""

    kind: Literal["card", "phone", "plate", "code"]
    """`code`: the dynamic code that a member's phone shows; each identifies once."""
    identifier: str = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _is_no_longer_than_its_kind(self) -> Self:
        if self.kind != "code" and len(self.identifier) > LOOKUP_LENGTH:
            raise ValueError("the identifier is too long for its kind")
        return self


class DrainBody(RequestBody):
    """Wait until headquarters has acknowledged everything."""

    timeout_s: int = Field(default=30, ge=0, le=60)


class SessionBody(RequestBody):
    """Open a session for a screen with a one-time code."""

    code: str = Field(min_length=1, max_length=32)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
