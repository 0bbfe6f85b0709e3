"""What people ask of the till: how a fuelling shall be priced and paid, and a top-up."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.model.ids import MemberRef
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import NO_MONEY, Money


@dataclass(frozen=True, slots=True)
class GoodsWish:
    """So many pieces of a good of the policy."""

    good: str
    pieces: int


@dataclass(frozen=True, slots=True)
class SaleWish:
    """How a fuelling shall be priced."""

    member: MemberRef | None = None
    """None: the member that the fuelling is bound to, if any."""
    goods: tuple[GoodsWish, ...] = ()
    coupons: tuple[str, ...] | None = None
    """Serials that may be used; None: all of the member's, of which the best combination is taken;
    (): none."""
    redeem_points: int = 0
    paying: TenderMeans | None = None
    """The means that takes what the others leave; None: not said yet."""
    paid_otherwise: Money = NO_MONEY
    """What is paid by other means than `paying`, redeemed points apart: the parts of a split."""
    shown: Money | None = None
    """What the customer was shown as payable, for a settlement: at another price it is refused, so
    that nobody is charged another amount than the screen told. None: not asked for."""


@dataclass(frozen=True, slots=True)
class TenderOffer:
    """A wish to pay by some means. `amount` None is whatever the others leave."""

    means: TenderMeans
    amount: Money | None = None
    reference: str = ""
    """What the terminal beside the till printed, for a bank card or a wallet."""


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What proves beside the attendant that a charge or a top-up is wanted. At most one is given.

    Neither PIN nor code ever appears in a `repr`, a log or a record.
    """

    member_code: str | None = field(default=None, repr=False)
    """The dynamic code that the member's phone shows."""
    member_pin: str | None = field(default=None, repr=False)
    operator: str | None = None
    """A second member of staff, with `operator_pin`."""
    operator_pin: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TopUpWish:
    """Money that a member pays into the account."""

    member: MemberRef
    amount: Money
    means: TenderMeans
    reference: str = ""
