"""The purse of a sale: what its member and the campaigns have leased here, and asking for more."""

from __future__ import annotations

import asyncio
from typing import Final

from edge_agent.app.till import Surroundings, Till
from edge_agent.core import floor_limit
from edge_agent.core.purse import Purse
from edge_agent.core.station_calendar import day_start_ms
from edge_agent.model.ids import AccountRef
from edge_agent.model.leases import Holding
from edge_agent.model.membership import Member
from edge_agent.model.policy import ClassLimits, Policy
from edge_agent.model.records import Asset
from edge_agent.model.units import NO_MONEY, Money
from edge_agent.ports import LeaseAnswer

NOT_SHORT: Final = LeaseAnswer(0, answered=True, reason="not_short")


class Purses:
    """Opens purses over the books, and asks headquarters for what is short."""

    def __init__(self, around: Surroundings, till: Till) -> None:
        self._around = around
        self._till = till

    def cache_age_s(self) -> int:
        """Return how long ago headquarters was last heard from."""
        return self._around.lender.heard_ms_ago() // 1000

    def open(self, member: Member | None, policy: Policy, *, floor: Money = NO_MONEY) -> Purse:
        """Return what a sale may draw from now; `floor` is what it may spend beyond leases."""
        books = self._around.books
        account = None if member is None else member.account
        return Purse(
            account_ref=account,
            account=None if account is None else books.holding("balance", account),
            points=None if member is None else books.holding("points", member.ref),
            coupons=() if member is None else tuple(books.coupons_of(member.ref)),
            budgets=tuple(self.budgets(policy)),
            floor=floor,
            cache_age_s=self.cache_age_s(),
        )

    def budgets(self, policy: Policy) -> list[Holding]:
        """Return what this station may spend of each campaign with a budget."""
        books = self._around.books
        return [
            books.holding("budget", offer.id)
            for _, offer in policy.all_offers()
            if getattr(offer, "budget_fen", None) is not None
        ]

    async def filled(
        self, member: Member | None, policy: Policy, charged: Money, redeemed: int
    ) -> Purse:
        """Return the purse of a sale, filled up by headquarters where it is short.

        Where headquarters cannot be asked or is silent, the floor limit of the account's class
        holds for stored value, as long as the policy's grace lasts (rows S06, S26).

        Args:
            member: who pays, if anybody is known.
            policy: under which the sale is priced.
            charged: what is to be paid from stored value.
            redeemed: points that pay a part.
        """
        lender = self._around.lender
        await lender.close_due()
        purse = self.open(member, policy)
        if member is None:
            return purse
        now_ms = lender.now_ms()
        short = charged.fen - purse.leased(now_ms).fen if member.account is not None else 0
        asked = await asyncio.gather(  # a customer waits for both together
            self._ask("balance", member.account or "", short),
            self._ask("points", member.ref, redeemed - purse.points_available(now_ms)),
        )
        if all(answer is NOT_SHORT for answer in asked):
            return purse
        floor = NO_MONEY
        if member.account is not None and not asked[0].answered:
            floor = self.floor(member.account, policy.limits_of(member.limit_class))
        return self.open(member, policy, floor=floor)

    async def _ask(self, asset: Asset, holder: str, missing: int) -> LeaseAnswer:
        if missing <= 0:
            return NOT_SHORT
        return await self._around.lender.ask(asset, holder, missing)

    def floor(self, account: AccountRef, limits: ClassLimits) -> Money:
        """Return what one sale may spend of an account beyond its leases."""
        midnight_ms = day_start_ms(self._around.lender.now_ms(), self._till.utc_offset_minutes)
        spent = self._around.books.floor_spent(account, midnight_ms)
        return floor_limit.allowance(limits, spent, self.cache_age_s())
