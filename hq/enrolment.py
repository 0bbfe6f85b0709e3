"""The enrolment desk: members with their accounts, home stations and what they start with.

Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from argon2 import PasswordHasher, Type
from pydantic import ValidationError

from edge_agent.model.catalogues import MemberEntry, UsageRulesEntry
from edge_agent.model.errors import ConfigRefused, Problem
from edge_agent.model.identifiers import blind_index, mask_name, normalise
from edge_agent.model.member_code import MAX_REF_BYTES
from edge_agent.model.membership import AccountKind
from edge_agent.model.policy import StoredValue
from edge_agent.model.records import Asset
from hq.books import HqBooks
from hq.holdings import Cause, Vault
from hq.leases import LeaseDesk
from hq.members import Members
from hq.standing import StandingPlan

PIN_DIGITS = range(6, 13)
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4, type=Type.ID)


@dataclass(frozen=True, slots=True)
class NewMember:
    """A person as the enrolment desk knows one. Only masks, indexes and hashes of it are kept."""

    ref: str
    name: str = field(repr=False)
    tier: str
    account: str | None = None
    account_kind: AccountKind = "personal"
    limit_class: str = "standard"
    plate_pay: bool = False
    cards: Sequence[str] = field(default=(), repr=False)
    phones: Sequence[str] = field(default=(), repr=False)
    plates: Sequence[str] = field(default=(), repr=False)
    tags: Sequence[str] = ()
    birthday_week: tuple[str, str] | None = None
    rules: UsageRulesEntry | None = None
    pin: str | None = field(default=None, repr=False)
    """6 to 12 digits, in clear; kept as an Argon2id hash only."""
    locked: str | None = None
    stations: Sequence[str] = ()
    """Where the member fills up, the usual station first."""
    set_aside_fen: Mapping[str, int] = field(default_factory=dict)
    """What shall lie ready of the account, by station; elsewhere a fair share."""
    opening_fen: int = 0
    """What the account holds when it is opened; an account that is known gets nothing of it."""
    opening_points: Sequence[tuple[int, int]] = ()
    """When they expire, and how many; for a member who is enrolled for the first time."""


class Enrolment:
    """Takes members in, changes them, locks them, and lets them pay in."""

    def __init__(
        self,
        books: HqBooks,
        members: Members,
        vault: Vault,
        leases: LeaseDesk,
        standing: StandingPlan,
        index_key: bytes,
    ) -> None:
        self._db = books.connection
        self._members = members
        self._vault = vault
        self._leases = leases
        self._standing = standing
        self._index_key = index_key

    def enrol(self, member: NewMember, now_ms: int) -> None:
        """Add a member or change one; what is held stays as it is.

        Raises:
            ConfigRefused: an identifier is empty, money has no account, or a field is out of range.
        """
        if member.account is None and (member.set_aside_fen or member.opening_fen):
            raise _refused(f"{member.ref}: stored value needs an account")
        if len(member.ref.encode()) > MAX_REF_BYTES:
            raise _refused(f"{member.ref}: {MAX_REF_BYTES} bytes at most, for the member's code")
        is_new = not self._members.knows(member.ref)
        self._open_account(member, now_ms)
        self._members.put(self._entry(member))
        cause = Cause(now_ms, "opening")
        for expires_ms, points in member.opening_points if is_new else ():
            if expires_ms <= now_ms or points <= 0:
                raise _refused(f"{member.ref}: points that expired, or none")
            self._vault.credit("points", member.ref, points, cause, expires_ms)
        self._settle(member)

    def _entry(self, member: NewMember) -> MemberEntry:
        try:
            return MemberEntry(
                ref=member.ref,
                tier=member.tier,
                masked_name=mask_name(member.name),
                account=member.account,
                plate_pay=member.plate_pay,
                account_kind=member.account_kind,
                limit_class=member.limit_class,
                tags=list(member.tags),
                birthday_week=member.birthday_week,
                rules=member.rules,
                pin_hash=None if member.pin is None else _hashed(member),
                locked=member.locked,
                indexes={
                    "card": self._indexed("card", member.cards),
                    "phone": self._indexed("phone", member.phones),
                    "plate": self._indexed("plate", member.plates),
                },
            )
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(step) for step in problem["loc"])
            raise _refused(f"{member.ref}: {place}: {problem['type']}") from None

    def _indexed(self, kind: str, texts: Sequence[str]) -> list[str]:
        for text in texts:
            if not normalise(kind, text):
                raise _refused(f"a {kind} is empty")
        return [blind_index(self._index_key, kind, text) for text in texts]

    def _open_account(self, member: NewMember, now_ms: int) -> None:
        if member.account is None:
            return
        known = self._db.execute(
            "SELECT kind, limit_class FROM account WHERE account = ?", (member.account,)
        ).fetchone()
        if known is None:
            self._db.execute(
                "INSERT INTO account (account, kind, limit_class) VALUES (?, ?, ?)",
                (member.account, member.account_kind, member.limit_class),
            )
            if member.opening_fen:
                if member.opening_fen < 0:
                    raise _refused(f"{member.ref}: an account does not begin below zero")
                cause = Cause(now_ms, "opening")
                self._vault.credit("balance", member.account, member.opening_fen, cause)
        elif known[0] != member.account_kind:
            raise _refused(f"{member.ref}: account {member.account} is {known[0]}")
        else:
            self._db.execute(
                "UPDATE account SET limit_class = ? WHERE account = ?",
                (member.limit_class, member.account),
            )

    def _settle(self, member: NewMember) -> None:
        homes = list(dict.fromkeys([*member.stations, *member.set_aside_fen]))
        if member.account is not None:
            targets = {station: member.set_aside_fen.get(station) for station in homes}
            self._standing.settle("balance", member.account, targets)
        self._standing.settle("points", member.ref, dict.fromkeys(homes))
        for serial in self._coupons_of(member.ref):
            self._standing.settle("coupon", serial, dict.fromkeys(homes[:1]))

    def _coupons_of(self, ref: str) -> list[str]:
        """Return the coupons that a member may still use."""
        rows = self._db.execute(
            "SELECT serial FROM coupon WHERE member_ref = ? AND state IN ('held', 'reserved')"
            " ORDER BY serial",
            (ref,),
        ).fetchall()
        return [serial for (serial,) in rows]

    # --- what happens to members -----------------------------------------------------------------

    def lock(self, ref: str, reason: str, now_ms: int) -> None:
        """Let nothing be charged to a member, and call back what lies at stations (row R5).

        Raises:
            ConfigRefused: there is no such member, or the reason is empty or too long.
        """
        if not 1 <= len(reason) <= 32:
            raise _refused("a reason has 1 to 32 characters")
        self._must(self._members.lock(ref, reason), ref)
        account = self._members.account_of(ref)
        held: list[tuple[Asset, str]] = [("points", ref)]
        held += [("coupon", serial) for serial in self._coupons_of(ref)]
        if account is not None and self._members.users_of(account) == [ref]:
            held.append(("balance", account))
        for asset, holder in held:
            for lease in self._leases.open_leases(asset, holder):
                self._leases.recall(lease.lease_id, now_ms)

    def unlock(self, ref: str) -> None:
        """Let a member be charged again.

        Raises:
            ConfigRefused: there is no such member.
        """
        self._must(self._members.lock(ref, None), ref)
        self._standing.wake("points", ref)
        for serial in self._coupons_of(ref):
            self._standing.wake("coupon", serial)
        account = self._members.account_of(ref)
        if account is not None:
            self._standing.wake("balance", account)

    def remove(self, ref: str) -> None:
        """Take a member out; what is held stays in the books until it is paid back."""
        account = self._members.account_of(ref)
        self._members.remove(ref)
        self._standing.settle("points", ref, {})
        if account is not None and not self._members.users_of(account):
            self._standing.settle("balance", account, {})

    def pay_in(self, account: str, fen: int, caps: StoredValue, now_ms: int) -> int:
        """Take in money for an account; return what it holds then (rows V6, V12).

        Raises:
            ConfigRefused: the amount is not positive, nobody has this account, or it would hold
                more than the law allows.
        """
        if fen <= 0:
            raise _refused("a top-up is above zero")
        row = self._db.execute("SELECT kind FROM account WHERE account = ?", (account,)).fetchone()
        if row is None:
            raise _refused(f"no member has account {account}")
        held_fen = self._vault.held("balance", account) + fen
        cap_fen = cap_of(row[0], caps)
        if cap_fen is not None and held_fen > cap_fen:
            raise _refused(f"account {account} may hold {cap_fen} fen, not {held_fen}")
        self._vault.credit("balance", account, fen, Cause(now_ms, "top_up"))
        self._standing.wake("balance", account)
        return held_fen

    def _must(self, found: bool, ref: str) -> None:
        if not found:
            raise _refused(f"there is no member {ref}")


def cap_of(kind: str, caps: StoredValue) -> int | None:
    """Return the most that an account may hold; None for a fleet's, which no rule caps."""
    if kind == "fleet":
        return None
    return caps.bearer_cap_fen if kind == "bearer" else caps.named_cap_fen


def _hashed(member: NewMember) -> str:
    pin = member.pin or ""
    if not (pin.isascii() and pin.isdecimal() and len(pin) in PIN_DIGITS):
        raise _refused(f"{member.ref}: a PIN has 6 to 12 digits")
    return _HASHER.hash(pin)


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem("enrolment_refused", "会员资料不合规则，未保存", "not enrolled: it breaks a rule"),
        detail,
    )
