"""Topping up: money that a member pays into the account at the till, and may spend here at once.

The record is a lease of that amount, since the money is here. Two confirm it: the attendant and,
as the policy says, the member or a second member of staff (row V8).
"""

from __future__ import annotations

from typing import Final

from edge_agent.app.confirmation import Confirmation
from edge_agent.app.membership import Membership
from edge_agent.app.purse import Purses
from edge_agent.app.same_wish import KEY_CONFLICT
from edge_agent.app.till import Surroundings
from edge_agent.core import leases, usage_rules
from edge_agent.core.settlement import MAX_REFERENCE_LENGTH, TENDER_REFERENCE, TERMINAL_MEANS
from edge_agent.core.spending import NO_ACCOUNT
from edge_agent.core.wallet import TOP_UP_AMOUNT, require_top_up
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import AccountRef
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy
from edge_agent.model.records import StoredValueToppedUp
from edge_agent.model.tenders import HELD_MEANS
from edge_agent.model.wishes import SecondFactor, TopUpWish

LEASE_MS: Final = 7 * 86_400_000
"""How long a top-up may be spent here before what is left of it goes to headquarters."""
FEN_A_YUAN: Final = 100

MEANS: Final = Problem(
    "top_up_means", "充值只收现金、银行卡或钱包", "a top-up is paid in cash, by card or wallet"
)
HOLDING_UNKNOWN: Final = Problem(
    "top_up_balance_unknown",
    "暂时无法确认账户余额，请联网后再充值",
    "what the account holds is not known here: top up when headquarters answers",
)


class TopUps:
    """Takes money into accounts."""

    def __init__(
        self,
        around: Surroundings,
        members: Membership,
        purses: Purses,
        confirmation: Confirmation,
    ) -> None:
        self._around = around
        self._members = members
        self._purses = purses
        self._confirmation = confirmation

    async def top_up(
        self,
        wish: TopUpWish,
        policy: Policy,
        *,
        top_up_id: str,
        second: SecondFactor,
        idempotency_key: str,
        operator: str,
    ) -> StoredValueToppedUp:
        """Take a top-up, or return the one that this key brought already.

        Raises:
            SaleRefused: as `PointOfSale.top_up`.
            StorageUnavailable: nothing was written.
        """
        books = self._around.books
        earlier = books.top_up_by_key(idempotency_key)
        if earlier is not None:
            return _same_again(earlier, wish)
        member = self._members.member(wish.member)
        account = await self._account_with_room(member, wish, policy)
        confirmed = await self._confirmation.confirm(
            second, member, operator=operator, allowed=policy.stored_value.confirm
        )
        body = StoredValueToppedUp(
            top_up_id=top_up_id,
            account_ref=account,
            member_ref=member.ref,
            amount_fen=wish.amount.fen,
            means=wish.means,
            reference=_reference(wish),
            confirmed_by=confirmed.by,
            second_operator=confirmed.second_operator,
            idempotency_key=idempotency_key,
            operator=operator,
            expires_ms=self._around.lender.now_ms() + LEASE_MS,
        )
        try:
            await books.append([*confirmed.records, body])
        except SaleRefused:
            # A press whose caller went away half-way may have come to the books since.
            earlier = books.top_up_by_key(idempotency_key)
            if earlier is None:
                raise
            return _same_again(earlier, wish)
        self._confirmation.spend(member.ref)
        return body

    async def _account_with_room(
        self, member: Member, wish: TopUpWish, policy: Policy
    ) -> AccountRef:
        """Hold a top-up against the policy, and against the legal cap of the account's kind.

        Where nothing says what headquarters holds, it is asked: its answer is a lease that says
        so, or that there is nothing.
        """
        _require_payment(wish)
        locked = usage_rules.locked_problem(member)
        if locked is not None:
            raise SaleRefused(locked)
        purse = self._purses.open(member, policy)
        require_top_up(policy.stored_value, member, purse, wish.amount)
        if member.account is None or purse.account is None:
            raise SaleRefused(NO_ACCOUNT)
        if leases.held_at_headquarters(purse.account) is None:
            answer = await self._around.lender.ask("balance", member.account, 1)
            holding = self._around.books.holding("balance", member.account)
            empty = answer.answered and answer.reason == "nothing_left"
            if leases.held_at_headquarters(holding) is None and not empty:
                raise SaleRefused(HOLDING_UNKNOWN)
            purse = self._purses.open(member, policy)
            require_top_up(policy.stored_value, member, purse, wish.amount)
        return member.account


def _require_payment(wish: TopUpWish) -> None:
    if wish.means in HELD_MEANS:
        raise SaleRefused(MEANS)
    if wish.amount.fen % FEN_A_YUAN:
        raise SaleRefused(TOP_UP_AMOUNT)
    proved = 0 < len(wish.reference.strip()) <= MAX_REFERENCE_LENGTH
    if wish.means in TERMINAL_MEANS and not proved:
        raise SaleRefused(TENDER_REFERENCE, wish.means)


def _reference(wish: TopUpWish) -> str:
    return wish.reference.strip() if wish.means in TERMINAL_MEANS else ""


def _same_again(earlier: StoredValueToppedUp, wish: TopUpWish) -> StoredValueToppedUp:
    told = (earlier.member_ref, earlier.amount_fen, earlier.means, earlier.reference)
    if told != (wish.member, wish.amount.fen, wish.means, _reference(wish)):
        raise SaleRefused(KEY_CONFLICT)
    return earlier
