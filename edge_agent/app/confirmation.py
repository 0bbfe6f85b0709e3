"""The second factor: what proves beside the attendant that a charge or a top-up is wanted.

A member proves it by the dynamic code of the phone or by PIN, a second member of staff by name and
PIN. A code is believed once, ever. One that was shown to find its member proves one charge of that
member for a few minutes more, so that nobody has to show it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from edge_agent.app.till import Surroundings, Till
from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.ids import MemberRef
from edge_agent.model.member_code import MemberCode
from edge_agent.model.membership import Member
from edge_agent.model.records import MemberCodeUsed
from edge_agent.model.wishes import SecondFactor

Confirmer: TypeAlias = Literal["member_code", "member_pin", "second_person"]
Allowed: TypeAlias = Literal["member", "second_person", "either"]

SHOWN_MS: Final = 300_000
"""How long a code that found its member proves a charge."""
MOST_SHOWN: Final = 256

CODE_USED: Final = Problem(
    "member_code_used",
    "该会员码已使用，请刷新",
    "this code was used already: let the phone show a new one",
)
CODE_OF_ANOTHER: Final = Problem(
    "member_code_other_member", "会员码不属于该会员", "the code is another member's"
)
REQUIRED: Final = Problem(
    "second_factor_required",
    "需要会员出示会员码、输入密码，或由第二名员工确认",
    "it needs the member's code or PIN, or a second member of staff",
)
NOT_THIS_ONE: Final = Problem(
    "second_factor_not_allowed",
    "政策不允许以此方式确认",
    "the policy does not take this kind of confirmation",
)
SAME_PERSON: Final = Problem(
    "second_factor_same_person",
    "须由另一名员工确认",
    "another member of staff has to confirm it",
)
NO_PIN: Final = Problem("pin_unset", "该会员未设置密码", "this member has no PIN")
PIN_WRONG: Final = Problem("pin_wrong", "密码错误", "the PIN is wrong")


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Who confirmed. `records` belong into the append that it confirms."""

    by: Confirmer
    records: tuple[MemberCodeUsed, ...] = ()
    second_operator: str | None = None


@dataclass(frozen=True, slots=True)
class _Shown:
    nonce: str
    until_ms: int


class Confirmation:
    """Judges second factors. Belongs to one event loop."""

    def __init__(self, around: Surroundings, till: Till) -> None:
        self._around = around
        self._till = till
        self._shown: dict[MemberRef, _Shown] = {}

    async def believe(self, text: str) -> MemberRef:
        """Take a dynamic code as the word of its member, once, and remember for a while that it
        was shown here.

        Raises:
            SaleRefused: `member_code_...`.
            StorageUnavailable: that it was used cannot be written, so it is not believed.
        """
        code = self._read(text)
        await self._around.books.append([_used(code)])
        while len(self._shown) >= MOST_SHOWN:
            del self._shown[next(iter(self._shown))]
        until_ms = self._around.clock.monotonic_ms() + SHOWN_MS
        self._shown[code.member_ref] = _Shown(code.nonce, until_ms)
        return code.member_ref

    def is_shown(self, member: MemberRef) -> bool:
        """Whether the member's code was shown here lately and has proved nothing yet."""
        shown = self._shown.get(member)
        return shown is not None and self._around.clock.monotonic_ms() <= shown.until_ms

    def spend(self, member: MemberRef) -> None:
        """Let a code that was shown prove no second charge."""
        self._shown.pop(member, None)

    async def confirm(
        self,
        second: SecondFactor | None,
        member: Member,
        *,
        operator: str,
        allowed: Allowed = "either",
    ) -> Confirmed:
        """Return who confirmed a charge or top-up of a member.

        Raises:
            SaleRefused: nobody did (`second_factor_required`), or not rightly
                (`second_factor_...`, `member_code_...`, `pin_...`).
        """
        if second is not None and second.operator is not None:
            if allowed == "member":
                raise SaleRefused(NOT_THIS_ONE)
            return await self._by_staff(second.operator, second.operator_pin or "", operator)
        proved_by_member = second is not None and (second.member_code or second.member_pin)
        if proved_by_member and allowed == "second_person":
            raise SaleRefused(NOT_THIS_ONE)
        if second is not None and second.member_code:
            return self._by_code(second.member_code, member.ref)
        if second is not None and second.member_pin:
            return await self._by_pin(member, second.member_pin)
        if allowed != "second_person" and self.is_shown(member.ref):
            return Confirmed("member_code")
        raise SaleRefused(REQUIRED)

    def _by_code(self, text: str, member: MemberRef) -> Confirmed:
        code = self._around.codes.read(text, self._around.lender.now_ms())
        if code.member_ref != member:
            raise SaleRefused(CODE_OF_ANOTHER)
        shown = self._shown.get(member)
        if shown is not None and shown.nonce == code.nonce and self.is_shown(member):
            return Confirmed("member_code")
        return Confirmed("member_code", (_used(self._read(text)),))

    async def _by_pin(self, member: Member, pin: str) -> Confirmed:
        if member.pin_hash is None:
            raise SaleRefused(NO_PIN)
        await self._around.pins.check(f"member {member.ref}", member.pin_hash, pin)
        return Confirmed("member_pin")

    async def _by_staff(self, name: str, pin: str, operator: str) -> Confirmed:
        if name == operator:
            raise SaleRefused(SAME_PERSON)
        pin_hash = self._till.staff.get(name)
        if pin_hash is None:
            raise SaleRefused(PIN_WRONG)
        await self._around.pins.check(f"staff {name}", pin_hash, pin)
        return Confirmed("second_person", second_operator=name)

    def _read(self, text: str) -> MemberCode:
        code = self._around.codes.read(text, self._around.lender.now_ms())
        if self._around.books.code_used(code.nonce):
            raise SaleRefused(CODE_USED)
        return code


def _used(code: MemberCode) -> MemberCodeUsed:
    return MemberCodeUsed(nonce=code.nonce, member_ref=code.member_ref, expires_ms=code.expires_ms)
