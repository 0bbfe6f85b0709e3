"""What a sale may be paid from: what is leased here, and a little beyond while offline."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model.ids import AccountRef
from edge_agent.model.leases import Holding, Lease
from edge_agent.model.units import NO_MONEY, Money


@dataclass(frozen=True, slots=True)
class Purse:
    """All that one sale may draw from. What headquarters holds is here as open leases."""

    account_ref: AccountRef | None = None
    """None: the member has no stored-value account, or there is no member."""
    account: Holding | None = None
    points: Holding | None = None
    """Its holder is the member."""
    coupons: tuple[Lease, ...] = ()
    budgets: tuple[Holding, ...] = ()
    floor: Money = NO_MONEY
    """What may be spent of the account in this sale beyond every lease (`core.floor_limit`)."""
    cache_age_s: int = 0
    """How long ago headquarters was last heard from; recorded with what no lease covers."""

    def leased(self, now_ms: int) -> Money:
        """Return what of the account is leased here and may be spent now."""
        return NO_MONEY if self.account is None else Money(self.account.available(now_ms))

    def spendable(self, now_ms: int) -> Money:
        """Return what of the account may be spent now, what no lease covers included."""
        if self.account_ref is None:
            return NO_MONEY
        return self.leased(now_ms) + self.floor

    def points_available(self, now_ms: int) -> int:
        """Return the points that may be redeemed now."""
        return 0 if self.points is None else self.points.available(now_ms)

    def coupon(self, serial: str) -> Lease | None:
        """Return the lease of a coupon, or None when it is not leased here."""
        return next((lease for lease in self.coupons if lease.terms.holder == serial), None)

    def budget(self, offer: str) -> Holding | None:
        """Return what is leased here of a campaign's budget."""
        return next((holding for holding in self.budgets if holding.holder == offer), None)


EMPTY_PURSE = Purse()
"""Of a passing driver."""
