"""The point of sale: quote, settle, refund and receipt of one station, over its books.

Every wish that moves money carries a key. The same key with the same content brings the same sale
again, however often and however close together it is pressed; with other content it is refused.
While a fuelling is being paid it is locked: a second wish waits, then finds it settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakValueDictionary

from edge_agent.app.charging import Charging, Claim, departure
from edge_agent.app.confirmation import Confirmation
from edge_agent.app.membership import FindBy, Membership
from edge_agent.app.policy import PolicyInForce
from edge_agent.app.purse import Purses
from edge_agent.app.receipt import Receipts, receipt_number
from edge_agent.app.sale_price import Fuel, SalePrices
from edge_agent.app.same_wish import refunded_by, require_key, same_refund, same_sale
from edge_agent.app.till import Surroundings, Till
from edge_agent.app.top_up import TopUps
from edge_agent.core import leases, refunding, settlement, tender_plan
from edge_agent.core.identity import uuid7
from edge_agent.core.membership import (
    PLATE_PAY_NO_MEMBER,
    PLATE_PAY_OTHER_MEMBER,
    PLATE_PAY_UNCOVERED,
)
from edge_agent.core.settlement import SaleIdentity
from edge_agent.core.spending import BUDGET_SPENT, COUPON_UNAVAILABLE, INSUFFICIENT
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import FuellingId, MemberRef, SaleId
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy
from edge_agent.model.records import (
    Asset,
    FuellingCompleted,
    QuoteBody,
    StoredValueToppedUp,
)
from edge_agent.model.units import Money
from edge_agent.model.views import WalletView
from edge_agent.model.wishes import SaleWish, SecondFactor, TenderOffer, TopUpWish

NO_WISH: Final = SaleWish()
MOVED_MEANWHILE: Final = {*leases.PROBLEMS, BUDGET_SPENT.code, COUPON_UNAVAILABLE.code}
"""Refusals of what the quote saw and another sale took before this one came to the books."""

FUELLING_UNKNOWN: Final = Problem(
    "fuelling_unknown", "没有这笔加油", "no such fuelling is known here"
)
ALREADY_SETTLED: Final = Problem(
    "sale_already_settled",
    "这笔加油已经付款，请勿重复收款",
    "this fuelling has been paid already: do not take money again",
)
SALE_UNKNOWN: Final = Problem("sale_unknown", "账本中没有这笔销售", "the books know no such sale")
PRICE_CHANGED: Final = Problem(
    "price_changed",
    "应付金额与显示的不同，请重新确认",
    "it costs another amount than was shown: show it again",
)


class PointOfSale:
    """Prices, payments and refunds of the station's fuellings. Belongs to one event loop."""

    def __init__(self, around: Surroundings, till: Till) -> None:
        self._around = around
        self._till = till
        self._policies = PolicyInForce(around.catalogues)
        self._purses = Purses(around, till)
        self._prices = SalePrices(around, till, self._policies, self._purses)
        self.confirmation = Confirmation(around, till)
        self._members = Membership(around, till, self._purses, self.confirmation)
        self.charging = Charging(around, till, self._purses, self.confirmation)
        self._top_ups = TopUps(around, self._members, self._purses, self.confirmation)
        self._receipts = Receipts(around, till)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- what holds -------------------------------------------------------------------------

    def policy(self) -> Policy:
        """Return the policy in force; the list price for everybody while there is none."""
        return self._policies.current()

    def policy_problem(self) -> Problem | None:
        """Return why the newest policy is not in force, or None when it is."""
        return self._policies.problem()

    def staff(self) -> tuple[str, ...]:
        """Return the names of those who may confirm beside the attendant."""
        return tuple(sorted(self._till.staff))

    async def find_member(self, kind: FindBy, identifier: str) -> Member:
        """Look a member up by what a customer shows or says.

        A dynamic code (`code`) is believed once, ever; for a few minutes it then also proves one
        charge or top-up of its member.

        Raises:
            SaleRefused: `member_unknown` or `member_code_...`. The identifier is in no message.
            StorageUnavailable: a code's use cannot be written, so it is not believed.
        """
        return await self._members.find(kind, identifier)

    def member(self, ref: MemberRef) -> Member:
        """Return a member by reference.

        Raises:
            SaleRefused: `member_unknown`.
        """
        return self._members.member(ref)

    def wallet(self, ref: MemberRef) -> WalletView:
        """Return what a member has, as far as this station knows.

        Raises:
            SaleRefused: `member_unknown`.
        """
        return self._members.wallet(ref, self.policy())

    def cache_age_s(self) -> int:
        """Return how long ago headquarters was last heard from."""
        return self._purses.cache_age_s()

    def lent(self) -> Mapping[Asset, int]:
        """Return what may be spent here of each asset, of all holders together, without asking."""
        return self._around.books.lent(self._around.lender.now_ms())

    def quote(self, fuelling: FuellingId, wish: SaleWish = NO_WISH) -> QuoteBody:
        """Price a payable fuelling as a wish says; without a member, for the one it is bound to.

        The policy under which a fuelling was first quoted stays with it until it is settled, so
        that the customer pays what the screen showed.

        Raises:
            SaleRefused: `fuelling_unknown`, `sale_already_settled`, `member_unknown`, `goods_...`,
                `coupon_not_here`, `points_no_member`.
        """
        completed = self._payable(fuelling)
        return self._prices.quote(completed, wish, self._buyer(completed, wish.member))

    def estimate(self, fuel: Fuel, wish: SaleWish = NO_WISH) -> QuoteBody:
        """Price a fuelling that has not begun; its `next_step` is the preset to propose.

        Raises:
            SaleRefused: as `quote`, of the wish.
        """
        buyer = None if wish.member is None else self.member(wish.member)
        return self._prices.estimate(fuel, wish, buyer)

    def plan(self, fuelling: FuellingId, wish: SaleWish = NO_WISH) -> tuple[TenderOffer, ...]:
        """Return the tenders that the pay pane proposes, in the order of row V4.

        Raises:
            SaleRefused: as `quote`, or the points may not be redeemed (`points_...`).
        """
        completed = self._payable(fuelling)
        buyer = self._buyer(completed, wish.member)
        quoted = self._prices.quote(completed, wish, buyer)
        policy = self._policies.of(fuelling)
        return tender_plan.plan(
            Money(quoted.payable_fen),
            Money(completed.prepaid_fen),
            self._purses.open(buyer, policy),
            wish,
            policy.points.redeem,
            self._around.lender.now_ms(),
        )

    # --- what moves money -------------------------------------------------------------------

    async def settle(
        self,
        fuelling: FuellingId,
        wish: SaleWish,
        tenders: Sequence[TenderOffer],
        *,
        idempotency_key: str,
        operator: str,
        second: SecondFactor | None = None,
    ) -> SettledSale:
        """Take payment for a fuelling: price, tenders and all that they draw in one append.

        What is charged is what these tenders earn; where that is not `wish.shown`, nothing is.
        What is short of a lease is asked of headquarters (two seconds at most), then taken within
        the floor limit of the account's class while headquarters cannot be asked.

        Raises:
            SaleRefused: it is not payable, its price is not the one shown (`price_changed`), the
                tenders do not add up, what headquarters holds does not cover its share, a limit
                forbids it (`risk_...`, `second_factor_...`), or the key was used for something
                else.
            StorageUnavailable: nothing was written; the same wish may be repeated.
        """
        require_key(idempotency_key)
        async with self._lock(fuelling):
            earlier = self._around.books.sale_by_key(idempotency_key)
            if earlier is None:
                identity = self._identity(idempotency_key, operator)
                try:
                    return await self._settle(fuelling, wish, tenders, identity, second)
                except SaleRefused:
                    # A press whose caller went away half-way may have come to the books since.
                    earlier = self._around.books.sale_by_key(idempotency_key)
                    if earlier is None:
                        raise
            return same_sale(earlier, idempotency_key, fuelling, wish, tenders)

    async def settle_prepaid(self, fuelling: FuellingId) -> SettledSale:
        """Settle a prepaid fuelling from its prepayment; an under-run becomes change.

        Raises:
            SaleRefused: `tender_short` when more was delivered than prepaid: it stays unpaid.
            StorageUnavailable: nothing was written.
        """
        return await self.settle(
            fuelling, NO_WISH, (), idempotency_key=f"prepaid:{fuelling}", operator="prepay"
        )

    async def settle_by_plate(self, fuelling: FuellingId) -> SettledSale:
        """Charge a fuelling to the stored value of the member whose plate was read.

        Raises:
            SaleRefused: plate pay may not pay this sale (`plate_pay_...`): it stays unpaid.
            StorageUnavailable: nothing was written.
        """
        key = f"plate:{fuelling}"
        earlier = self._around.books.sale_by_key(key)
        if earlier is not None:
            return earlier
        completed = self._payable(fuelling)
        member = self._member_of_plate(completed)
        wish = SaleWish(member=member.ref, paying="stored_value")
        payable = Money(self._prices.quote(completed, wish, member).payable_fen)
        self.charging.require_plate_pay(self._policies.of(fuelling), member, payable)
        tenders = (TenderOffer("stored_value"),) if payable else ()
        try:
            return await self.settle(
                fuelling, wish, tenders, idempotency_key=key, operator="plate-pay"
            )
        except SaleRefused as refusal:
            if refusal.problem is INSUFFICIENT:
                raise SaleRefused(PLATE_PAY_UNCOVERED) from None
            raise

    async def top_up(
        self, wish: TopUpWish, *, second: SecondFactor, idempotency_key: str, operator: str
    ) -> StoredValueToppedUp:
        """Take money into a member's account; it may be spent here at once.

        Raises:
            SaleRefused: `top_up_...`, `member_unknown`, `stored_value_no_account`,
                `second_factor_...`, `member_code_...`, `pin_...`, or the key was used for
                something else.
            StorageUnavailable: nothing was written; the same wish may be repeated.
        """
        require_key(idempotency_key)
        member = self._around.catalogues.member(wish.member)
        async with self._holder(member, f"top-up {wish.member}"):
            return await self._top_ups.top_up(
                wish,
                self.policy(),
                top_up_id=self._new_id(),
                second=second,
                idempotency_key=idempotency_key,
                operator=operator,
            )

    async def refund(
        self, sale: SaleId, *, reason: str, idempotency_key: str, operator: str
    ) -> SettledSale:
        """Pay a sale back, each tender to its source; its coupons are frozen (row V5).

        Raises:
            SaleRefused: the sale is unknown or was refunded, no reason is given, or the key was
                used for something else.
            StorageUnavailable: nothing was written; the same wish may be repeated.
        """
        require_key(idempotency_key)
        async with self._lock(sale):
            found = self._sale(sale)
            if refunded_by(found, idempotency_key):
                return same_refund(found, reason)
            bodies = refunding.refund(
                found,
                self._around.books.movements(sale),
                self.policy().points,
                refund_id=self._new_id(),
                reason=reason,
                idempotency_key=idempotency_key,
                operator=operator,
            )
            try:
                await self._around.books.append(bodies)
            except SaleRefused:
                if not refunded_by(self._sale(sale), idempotency_key):
                    raise
            return same_refund(self._sale(sale), reason)

    def receipt(self, sale: SaleId, reprint: bool = False) -> str:
        """Return the receipt, or the refund slip, as plain text of 32 columns.

        Raises:
            SaleRefused: `sale_unknown`.
        """
        return self._receipts.render(self._sale(sale), self.policy(), reprint=reprint)

    # --- parts ------------------------------------------------------------------------------

    async def _settle(
        self,
        fuelling: FuellingId,
        wish: SaleWish,
        tenders: Sequence[TenderOffer],
        identity: SaleIdentity,
        second: SecondFactor | None,
    ) -> SettledSale:
        try:
            return await self._attempt(fuelling, wish, tenders, identity, second)
        except SaleRefused as refusal:
            if refusal.problem.code not in MOVED_MEANWHILE:
                raise
            # A lease ended, or another sale drew from the same campaign: look again.
            return await self._attempt(fuelling, wish, tenders, identity, second)

    async def _attempt(
        self,
        fuelling: FuellingId,
        wish: SaleWish,
        tenders: Sequence[TenderOffer],
        identity: SaleIdentity,
        second: SecondFactor | None,
    ) -> SettledSale:
        completed, policy = self._payable(fuelling), self._policies.of(fuelling)
        buyer = self._buyer(completed, wish.member)
        async with self._holder(buyer, f"sale of {fuelling}"):
            offers = self._prices.resolved(completed, wish, tenders)
            quoted = self._prices.quote_for(completed, wish, buyer, offers)
            if wish.shown is not None and wish.shown.fen != quoted.payable_fen:
                raise SaleRefused(PRICE_CHANGED, f"{Money(quoted.payable_fen)}")
            claim = Claim(completed, quoted, buyer, policy, identity.operator, second)
            charge = await self.charging.judge(claim, offers)
            now_ms = self._around.lender.now_ms()
            bodies = settlement.settle(
                completed, quoted, offers, charge.purse, identity, policy.points, now_ms
            )
            departed = departure(claim, charge, wish, offers, now_ms)
            await self._around.books.append([*bodies, *charge.records, *departed])
        if buyer is not None and charge.confirmed is not None:
            self.confirmation.spend(buyer.ref)
        self._policies.forget(fuelling)
        return self._sale(SaleId(identity.sale_id))

    def _payable(self, fuelling: FuellingId) -> FuellingCompleted:
        unpaid = self._around.books.unpaid_fuelling(fuelling)
        if unpaid is not None:
            return unpaid.completed
        settled = self._around.books.sale_of(fuelling) is not None
        raise SaleRefused(ALREADY_SETTLED if settled else FUELLING_UNKNOWN, fuelling)

    def _buyer(self, completed: FuellingCompleted, asked: MemberRef | None) -> Member | None:
        if asked is None:
            bound = completed.member_ref
            return None if bound is None else self._around.catalogues.member(MemberRef(bound))
        return self.member(asked)

    def _member_of_plate(self, completed: FuellingCompleted) -> Member:
        plate, catalogues = completed.plate_ref, self._around.catalogues
        member = None if plate is None else catalogues.member_by_index("plate", plate)
        if member is None:
            raise SaleRefused(PLATE_PAY_NO_MEMBER)
        if completed.member_ref not in (None, member.ref):
            raise SaleRefused(PLATE_PAY_OTHER_MEMBER)
        return member

    def _sale(self, sale: SaleId) -> SettledSale:
        found = self._around.books.sale(sale)
        if found is None:
            raise SaleRefused(SALE_UNKNOWN, sale)
        return found

    def _holder(self, member: Member | None, otherwise: str) -> asyncio.Lock:
        """Return the lock under which one account, or a member without one, is charged or topped
        up: what is left, capped and proved holds for one of them at a time."""
        return self._lock(otherwise if member is None else f"holder {member.account or member.ref}")

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _new_id(self) -> str:
        return uuid7(self._around.clock.wall_ms(), self._around.entropy.token(10))

    def _identity(self, idempotency_key: str, operator: str) -> SaleIdentity:
        receipt_no = receipt_number(
            self._around.clock.wall_ms(),
            self._till.utc_offset_minutes,
            self._around.entropy.token(5),
        )
        return SaleIdentity(self._new_id(), receipt_no, idempotency_key, operator)
