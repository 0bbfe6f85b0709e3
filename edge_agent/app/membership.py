"""Members at the till: found by what they show or say, and what they have here."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from edge_agent.app.confirmation import Confirmation
from edge_agent.app.purse import Purses
from edge_agent.app.till import Surroundings, Till
from edge_agent.core.wallet import wallet
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.identifiers import IdentifierKind, normalise
from edge_agent.model.ids import MemberRef
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy
from edge_agent.model.views import WalletView

FindBy: TypeAlias = IdentifierKind | Literal["code"]
"""What a member is found by; `code` is the dynamic code of the phone."""

MEMBER_UNKNOWN: Final = Problem("member_unknown", "查无此会员", "no such member is known here")


class Membership:
    """Looks members up in what headquarters published."""

    def __init__(
        self, around: Surroundings, till: Till, purses: Purses, confirmation: Confirmation
    ) -> None:
        self._around = around
        self._till = till
        self._purses = purses
        self._confirmation = confirmation

    async def find(self, kind: FindBy, identifier: str) -> Member:
        """Return the member behind a card, phone, plate or dynamic code.

        Raises:
            SaleRefused: `member_unknown` or `member_code_...`. The identifier is in no message.
            StorageUnavailable: a code's use cannot be written.
        """
        if kind == "code":
            return self.member(await self._confirmation.believe(identifier))
        member = None
        if normalise(kind, identifier):
            index = self._around.index.of(kind, identifier)
            member = self._around.catalogues.member_by_index(kind, index)
        if member is None:
            raise SaleRefused(MEMBER_UNKNOWN, kind)
        return member

    def member(self, ref: MemberRef) -> Member:
        """Return a member by reference.

        Raises:
            SaleRefused: `member_unknown`.
        """
        member = self._around.catalogues.member(ref)
        if member is None:
            raise SaleRefused(MEMBER_UNKNOWN)
        return member

    def wallet(self, ref: MemberRef, policy: Policy) -> WalletView:
        """Return what a member has, as far as this station knows.

        Raises:
            SaleRefused: `member_unknown`.
        """
        member = self.member(ref)
        purse = self._purses.open(member, policy)
        now_ms = self._around.lender.now_ms()
        return wallet(member, purse, policy, now_ms, self._till.utc_offset_minutes)
