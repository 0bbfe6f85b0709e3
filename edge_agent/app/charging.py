"""Charging what headquarters holds for a member: allowed, confirmed, and there.

The order is that of what it costs to find out: what may never be charged is refused first, then
limits are held against the books, then headquarters is asked for what is short, and last the
member proves that it is wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.app.confirmation import Allowed, Confirmation, Confirmed
from edge_agent.app.fleet import Fleet
from edge_agent.app.purse import Purses
from edge_agent.app.till import Surroundings, Till
from edge_agent.core import risk, settlement, tender_plan, usage_rules
from edge_agent.core.membership import plate_pay_problem
from edge_agent.core.purse import Purse
from edge_agent.core.station_calendar import day_start_ms
from edge_agent.model.books import Usage
from edge_agent.model.errors import Problem, SaleRefused, StorageUnavailable
from edge_agent.model.ids import AccountRef
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy
from edge_agent.model.records import (
    FuellingCompleted,
    OperatorAction,
    QuoteBody,
    RecordBody,
)
from edge_agent.model.units import NO_MONEY, Money, Volume
from edge_agent.model.wishes import SaleWish, SecondFactor, TenderOffer

logger = logging.getLogger(__name__)

FLAG_EVERY_MS: Final = 60_000
"""A refusal that repeats is recorded once a minute: a stuck button fills no ledger."""
MOST_FLAGGED: Final = 256

ABOVE_RULES: Final = Problem(
    "fleet_above_limit",
    "超出车队单次限额，请用其他方式付款",
    "more than the fleet allows in a fill: take another means of payment",
)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a sale may draw from, and the records that belong into its append."""

    purse: Purse
    records: tuple[RecordBody, ...] = ()
    confirmed: Confirmed | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A sale that is about to be charged, and who asks."""

    completed: FuellingCompleted
    quoted: QuoteBody
    buyer: Member | None
    policy: Policy
    operator: str
    second: SecondFactor | None


class Charging:
    """Judges what a sale wants of its member's stored value and points."""

    def __init__(
        self, around: Surroundings, till: Till, purses: Purses, confirmation: Confirmation
    ) -> None:
        self._around = around
        self._till = till
        self._purses = purses
        self._confirmation = confirmation
        self.fleet = Fleet(around, till, confirmation)
        self._flagged: dict[tuple[str, str], int] = {}

    async def judge(self, claim: Claim, offers: Sequence[TenderOffer]) -> Charge:
        """Return what a sale may draw from.

        Raises:
            SaleRefused: nothing may be charged to this member (`member_locked`,
                `offline_too_long`, `fleet_...`), a limit forbids it (`risk_...`), or it has to be
                confirmed (`second_factor_...`, `member_code_...`, `pin_...`).
            StorageUnavailable: leases that are over cannot be closed.
        """
        payable, prepaid = Money(claim.quoted.payable_fen), Money(claim.completed.prepaid_fen)
        divided = settlement.shares(payable, prepaid, offers)
        stored, redeemed = divided.of("stored_value"), claim.quoted.points_redeemed
        buyer = claim.buyer
        if buyer is None or not (stored or redeemed):
            await self._around.lender.close_due()
            return Charge(self._purses.open(buyer, claim.policy))
        self.require_chargeable(buyer, claim.policy)
        flag = await self._assessed(buyer, claim.policy, stored + divided.of("points"))
        purse = await self._purses.filled(buyer, claim.policy, stored, redeemed)
        proof = await self._proof(claim, buyer, required=flag is not None)
        self._require_rules(claim.completed, buyer, proof)
        flags = () if flag is None else (flag,)
        return Charge(purse, (*(proof.records if proof else ()), *flags), proof)

    def require_chargeable(self, member: Member, policy: Policy) -> None:
        """Check that anything may be charged to a member now.

        Raises:
            SaleRefused: `member_locked` (row R5) or `offline_too_long` (row S06).
        """
        limits = policy.limits_of(member.limit_class)
        problem = usage_rules.locked_problem(member) or usage_rules.offline_problem(
            self._purses.cache_age_s(), limits
        )
        if problem is not None:
            raise SaleRefused(problem)

    def require_plate_pay(self, policy: Policy, member: Member, payable: Money) -> None:
        """Check that a sale may be charged to the member of a plate; whether it is covered, only
        settling can tell.

        Raises:
            SaleRefused: `plate_pay_...`.
        """
        as_if_covered = Purse(account_ref=member.account, floor=payable)
        problem = plate_pay_problem(
            policy.plate_pay, member, as_if_covered, payable, self._around.lender.now_ms()
        )
        if problem is not None:
            raise SaleRefused(problem)

    def plate_limit(self, member: Member, policy: Policy, promised: Money) -> Money:
        """Return up to how much a plate may be charged now without anybody's touch.

        What no lease covers counts only while headquarters cannot be asked, since it may refuse.
        """
        if member.account is None or not (policy.plate_pay.enabled and member.plate_pay):
            return NO_MONEY
        try:
            self.require_chargeable(member, policy)
        except SaleRefused:
            return NO_MONEY
        limits = policy.limits_of(member.limit_class)
        floor = NO_MONEY
        if not self._around.lender.linked():
            floor = self._purses.floor(member.account, limits)
        free = self._leased(member.account) + floor
        bounds = [free - min(promised, free), Money(policy.plate_pay.max_amount_fen)]
        if limits.second_factor_above_fen is not None:
            bounds.append(Money(limits.second_factor_above_fen))
        day = self._around.books.usage("account", member.account, self._midnight_ms()).amount
        bounds.append(Money(max(limits.amount_per_day_fen - day.fen, 0)))
        return min(bounds)

    async def prepare_plate(self, member: Member, policy: Policy) -> None:
        """Ask headquarters for what a plate may be charged at most, where less is leased here."""
        if member.account is None or not (policy.plate_pay.enabled and member.plate_pay):
            return
        missing = policy.plate_pay.max_amount_fen - self._leased(member.account).fen
        if missing > 0 and self._around.lender.linked():
            await self._around.lender.ask("balance", member.account, missing)

    # --- parts ------------------------------------------------------------------------------

    async def _assessed(self, buyer: Member, policy: Policy, amount: Money) -> RecordBody | None:
        """Return the flag of a charge that needs a second factor; None where it needs none."""
        now_ms = self._around.lender.now_ms()
        found = risk.assess(
            policy.limits_of(buyer.limit_class),
            self._charged(buyer, risk.minute_since_ms(now_ms)),
            self._charged(buyer, self._midnight_ms()),
            amount,
            second_factor=False,
        )
        if isinstance(found, risk.Allowed):
            return None
        flag = risk.flagged(found, amount, member_ref=buyer.ref, account_ref=buyer.account)
        if isinstance(found, risk.StepUp):
            return flag
        await self._record(found.rule, buyer.ref, flag)
        raise SaleRefused(found.problem)

    async def _proof(self, claim: Claim, buyer: Member, *, required: bool) -> Confirmed | None:
        rules = buyer.rules
        unproved_driver = rules is not None and rules.pin and not _bound(claim.completed, buyer)
        if not (required or unproved_driver):
            return None
        allowed: Allowed = "either"
        if unproved_driver or claim.policy.stored_value.confirm == "member":
            allowed = "member"
        return await self._confirmation.confirm(
            claim.second, buyer, operator=claim.operator, allowed=allowed
        )

    def _require_rules(
        self, completed: FuellingCompleted, buyer: Member, proof: Confirmed | None
    ) -> None:
        """A fuelling that was released for somebody else, or nobody, meets the rules only now."""
        rules = buyer.rules
        if rules is None or _bound(completed, buyer):
            return
        problem = self.fleet.problem(
            buyer,
            grade=completed.grade,
            odometer_km=completed.odometer_km,
            pin_proven=proof is not None,
        )
        filled = Volume(completed.volume_ml), Money(completed.amount_fen)
        above = usage_rules.exceeded(rules, self.fleet.fills(buyer), *filled)
        if problem is not None or above:
            raise SaleRefused(problem or ABOVE_RULES)

    async def _record(self, rule: str, member: str, flag: RecordBody) -> None:
        now_ms = self._around.clock.monotonic_ms()
        last_ms = self._flagged.get((rule, member))
        if last_ms is not None and now_ms - last_ms < FLAG_EVERY_MS:
            return
        while len(self._flagged) >= MOST_FLAGGED:
            del self._flagged[next(iter(self._flagged))]
        self._flagged[rule, member] = now_ms
        try:
            await self._around.books.append([flag])
        except StorageUnavailable:
            logger.warning("not recorded, storage unavailable", extra={"kind": flag.kind})

    def _charged(self, buyer: Member, since_ms: int) -> Usage:
        """Return what was charged of what headquarters holds for a buyer; cash is nobody's risk."""
        usage, account = self._around.books.usage, buyer.account
        points = usage("points", buyer.ref, since_ms)
        if account is None:
            return points
        stored = usage("account", account, since_ms)
        return Usage(
            stored.payments + points.payments,
            stored.amount + points.amount,
            stored.volume + points.volume,
        )

    def _leased(self, account: AccountRef) -> Money:
        holding = self._around.books.holding("balance", account)
        return Money(holding.available(self._around.lender.now_ms()))

    def _midnight_ms(self) -> int:
        return day_start_ms(self._around.lender.now_ms(), self._till.utc_offset_minutes)


def _bound(completed: FuellingCompleted, buyer: Member) -> bool:
    """Whether the fuel was released for this member, under its rules."""
    return completed.member_ref == buyer.ref


def departure(
    claim: Claim, charge: Charge, wish: SaleWish, offers: Sequence[TenderOffer], now_ms: int
) -> list[OperatorAction]:
    """Return the record of an attendant who departs from the order of row V4, if one does."""
    planned = tender_plan.plan(
        Money(claim.quoted.payable_fen),
        Money(claim.completed.prepaid_fen),
        charge.purse,
        wish,
        claim.policy.points.redeem,
        now_ms,
    )
    departed = tender_plan.departure(
        planned, offers, fp=claim.completed.fp, operator=claim.operator
    )
    return [] if departed is None else [departed]
