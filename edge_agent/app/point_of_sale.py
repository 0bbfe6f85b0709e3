"""The point of sale: quote, settle, refund and receipt of one station, over its books.

Every wish that moves money carries a key. The same key with the same content brings the same sale
again, however often and however close together it is pressed; with other content it is refused.
While a fuelling is being paid it is locked: a second wish waits, then finds it settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from edge_agent.app.policy import PolicyInForce
from edge_agent.core import settlement
from edge_agent.core.identity import uuid7
from edge_agent.core.membership import (
    PLATE_PAY_NO_MEMBER,
    PLATE_PAY_OTHER_MEMBER,
    facts_of,
    plate_pay_problem,
)
from edge_agent.core.promotions import quote as price
from edge_agent.core.receipt import ReceiptFacts, render
from edge_agent.core.settlement import SaleIdentity, TenderOffer
from edge_agent.model.books import SettledSale
from edge_agent.model.errors import Problem, SaleRefused, invariant
from edge_agent.model.identifiers import IdentifierKind, normalise
from edge_agent.model.ids import FuellingId, GradeId, MemberRef, PlateRef, SaleId
from edge_agent.model.membership import Account, Member
from edge_agent.model.policy import Policy
from edge_agent.model.quote import QuoteRequest
from edge_agent.model.quote_record import body_of
from edge_agent.model.records import FuellingCompleted, QuoteBody, SaleSettled
from edge_agent.model.station import StationPlan
from edge_agent.model.units import Money, UnitPrice, Volume
from edge_agent.ports import BlindIndex, Books, Catalogues, Clock, Entropy

CHINA_UTC_OFFSET_MINUTES: Final = 480
MAX_KEY_LENGTH: Final = 128
RECEIPT_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U to misread."""

MEMBER_UNKNOWN: Final = Problem("member_unknown", "查无此会员", "no such member is known here")
FUELLING_UNKNOWN: Final = Problem(
    "fuelling_unknown", "没有这笔待付款的加油", "no such fuelling waits to be paid"
)
ALREADY_SETTLED: Final = Problem(
    "sale_already_settled",
    "这笔加油已经付款，请勿重复收款",
    "this fuelling has been paid already: do not take money again",
)
SALE_UNKNOWN: Final = Problem("sale_unknown", "账本中没有这笔销售", "the books know no such sale")
KEY_INVALID: Final = Problem(
    "idempotency_key_invalid", "操作号缺失或过长", "the request key is missing or too long"
)
KEY_CONFLICT: Final = Problem(
    "idempotency_conflict",
    "同一操作号对应了不同内容，请重新操作",
    "the same request key came with other content: start again",
)


def _no_mask(_: PlateRef) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Till:
    """What the point of sale knows of its station."""

    station: StationPlan
    utc_offset_minutes: int = CHINA_UTC_OFFSET_MINUTES
    mask_of: Callable[[PlateRef], str | None] = _no_mask
    """The masked text of a plate that a camera read lately; None once it is forgotten."""


class PointOfSale:
    """Prices, payments and refunds of the station's fuellings. Belongs to one event loop."""

    def __init__(
        self,
        books: Books,
        catalogues: Catalogues,
        blind_index: BlindIndex,
        clock: Clock,
        entropy: Entropy,
        till: Till,
    ) -> None:
        self._books = books
        self._catalogues = catalogues
        self._blind_index = blind_index
        self._clock = clock
        self._entropy = entropy
        self._till = till
        self._policies = PolicyInForce(catalogues)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- what holds -------------------------------------------------------------------------

    def policy(self) -> Policy:
        """Return the policy in force; the list price for everybody while there is none."""
        return self._policies.current()

    def policy_problem(self) -> Problem | None:
        """Return why the newest policy is not in force, or None when it is."""
        return self._policies.problem()

    def find_member(self, kind: IdentifierKind, identifier: str) -> Member:
        """Look a member up by what a customer shows or says.

        Raises:
            SaleRefused: `member_unknown`. The identifier is in no message.
        """
        member = None
        if normalise(kind, identifier):
            index = self._blind_index.of(kind, identifier)
            member = self._catalogues.member_by_index(kind, index)
        if member is None:
            raise SaleRefused(MEMBER_UNKNOWN, kind)
        return member

    def member(self, ref: MemberRef) -> Member:
        """Return a member by reference.

        Raises:
            SaleRefused: `member_unknown`.
        """
        member = self._catalogues.member(ref)
        if member is None:
            raise SaleRefused(MEMBER_UNKNOWN)
        return member

    def quote(self, fuelling: FuellingId, member: MemberRef | None = None) -> QuoteBody:
        """Price a payable fuelling for a member; None is the one it is bound to, if any.

        The policy under which a fuelling was first quoted stays with it until it is settled, so
        that the customer pays what the screen showed.

        Raises:
            SaleRefused: `fuelling_unknown`, `sale_already_settled`, `member_unknown`.
        """
        completed = self._payable(fuelling)
        return self._quote(completed, self._member(completed, member))

    # --- what moves money -------------------------------------------------------------------

    async def settle(
        self,
        fuelling: FuellingId,
        tenders: Sequence[TenderOffer],
        *,
        member: MemberRef | None,
        idempotency_key: str,
        operator: str,
    ) -> SettledSale:
        """Take payment for a fuelling: quote, tenders and stored value in one append.

        Raises:
            SaleRefused: it is not payable, the tenders do not add up, stored value does not cover
                its share, or the key was used for something else.
            StorageUnavailable: nothing was written; the same wish may be repeated.
        """
        _require_key(idempotency_key)
        async with self._lock(fuelling):
            earlier = self._books.sale_by_key(idempotency_key)
            if earlier is None:
                try:
                    sale = await self._settle(fuelling, tenders, member, idempotency_key, operator)
                except SaleRefused:
                    # A press whose caller went away half-way may have come to the books since.
                    earlier = self._books.sale_by_key(idempotency_key)
                    if earlier is None:
                        raise
                else:
                    return sale
            return _same_again(earlier, idempotency_key, fuelling, member, tenders)

    async def settle_prepaid(self, fuelling: FuellingId) -> SettledSale:
        """Settle a prepaid fuelling from its prepayment; an under-run becomes change.

        Raises:
            SaleRefused: `tender_short` when more was delivered than prepaid: it stays unpaid.
            StorageUnavailable: nothing was written.
        """
        return await self.settle(
            fuelling, (), member=None, idempotency_key=f"prepaid:{fuelling}", operator="prepay"
        )

    async def settle_by_plate(self, fuelling: FuellingId) -> SettledSale:
        """Charge a fuelling to the stored value of the member whose plate was read.

        Raises:
            SaleRefused: plate pay may not pay this sale (`plate_pay_...`): it stays unpaid.
            StorageUnavailable: nothing was written.
        """
        key = f"plate:{fuelling}"
        earlier = self._books.sale_by_key(key)
        if earlier is not None:
            return earlier
        completed = self._payable(fuelling)
        member = self._member_of_plate(completed)
        payable = Money(self._quote(completed, member).payable_fen)
        settings = self._policies.of(fuelling).plate_pay
        problem = plate_pay_problem(settings, member, self._account(member), payable)
        if problem is not None:
            raise SaleRefused(problem)
        return await self.settle(
            fuelling,
            (TenderOffer("stored_value"),),
            member=member.ref,
            idempotency_key=key,
            operator="plate-pay",
        )

    async def refund(
        self, sale: SaleId, *, reason: str, idempotency_key: str, operator: str
    ) -> SettledSale:
        """Pay a sale back, each tender to its source.

        Raises:
            SaleRefused: the sale is unknown or was refunded, no reason is given, or the key was
                used for something else.
            StorageUnavailable: nothing was written; the same wish may be repeated.
        """
        _require_key(idempotency_key)
        async with self._lock(sale):
            found = self._sale(sale)
            if _refunded_by(found, idempotency_key):
                return _same_refund(found, reason)
            bodies = settlement.refund(
                found,
                refund_id=self._new_id(),
                reason=reason,
                idempotency_key=idempotency_key,
                operator=operator,
            )
            try:
                await self._books.append(bodies)
            except SaleRefused:
                if not _refunded_by(self._sale(sale), idempotency_key):
                    raise
            return _same_refund(self._sale(sale), reason)

    def receipt(self, sale: SaleId, reprint: bool = False) -> str:
        """Return the receipt, or the refund slip, as plain text of 32 columns.

        Raises:
            SaleRefused: `sale_unknown`.
        """
        found = self._sale(sale)
        plan, quoted = self._till.station, found.settled.quote
        names = {grade.grade: grade.name for grade in plan.grades}
        tier = None if quoted.tier is None else self.policy().tier(quoted.tier)
        facts = ReceiptFacts(
            station_zh=plan.name_zh,
            station_en=plan.name_en,
            utc_offset_minutes=self._till.utc_offset_minutes,
            grade_name=names.get(GradeId(found.completed.grade), found.completed.grade),
            member=self._masked_name(found.settled.member_ref),
            tier=None if tier is None else tier.label_zh,
            plate=self._masked_plate(found.settled.plate_ref),
            ledger_hash=self._ledger_hash(found),
        )
        return render(found, facts, reprint=reprint)

    # --- parts ------------------------------------------------------------------------------

    async def _settle(
        self,
        fuelling: FuellingId,
        tenders: Sequence[TenderOffer],
        member: MemberRef | None,
        idempotency_key: str,
        operator: str,
    ) -> SettledSale:
        completed = self._payable(fuelling)
        buyer = self._member(completed, member)
        quoted, account = self._quote(completed, buyer), self._account(buyer)
        identity = self._identity(idempotency_key, operator)
        bodies = settlement.settle(completed, quoted, tenders, account, identity)
        await self._books.append(bodies)
        self._policies.forget(fuelling)
        return self._sale(SaleId(identity.sale_id))

    def _quote(self, completed: FuellingCompleted, member: Member | None) -> QuoteBody:
        request = QuoteRequest(
            grade=GradeId(completed.grade),
            volume=Volume(completed.volume_ml),
            amount=Money(completed.amount_fen),
            unit_price=UnitPrice(completed.unit_price_milli),
            at_ms=completed.ended_ms,
            utc_offset_minutes=self._till.utc_offset_minutes,
            member=facts_of(member),
        )
        return body_of(price(request, self._policies.of(FuellingId(completed.fuelling_id))))

    def _payable(self, fuelling: FuellingId) -> FuellingCompleted:
        unpaid = self._books.unpaid_fuelling(fuelling)
        if unpaid is not None:
            return unpaid.completed
        settled = self._books.sale_of(fuelling) is not None
        raise SaleRefused(ALREADY_SETTLED if settled else FUELLING_UNKNOWN, fuelling)

    def _member(self, completed: FuellingCompleted, asked: MemberRef | None) -> Member | None:
        if asked is None:
            bound = completed.member_ref
            return None if bound is None else self._catalogues.member(MemberRef(bound))
        return self.member(asked)

    def _member_of_plate(self, completed: FuellingCompleted) -> Member:
        plate = completed.plate_ref
        member = None if plate is None else self._catalogues.member_by_index("plate", plate)
        if member is None:
            raise SaleRefused(PLATE_PAY_NO_MEMBER)
        if completed.member_ref not in (None, member.ref):
            raise SaleRefused(PLATE_PAY_OTHER_MEMBER)
        return member

    def _account(self, member: Member | None) -> Account | None:
        if member is None or member.account is None:
            return None
        return self._books.account(member.account)

    def _sale(self, sale: SaleId) -> SettledSale:
        found = self._books.sale(sale)
        if found is None:
            raise SaleRefused(SALE_UNKNOWN, sale)
        return found

    def _ledger_hash(self, sale: SettledSale) -> str:
        """The hash of the sale's record; empty for one of an earlier epoch, before a restore."""
        for record in self._books.records_after(sale.seq - 1, 1):
            if record.kind == SaleSettled.kind and sale.settled.sale_id in record.body:
                return record.hash
        return ""

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _new_id(self) -> str:
        return uuid7(self._clock.wall_ms(), self._entropy.token(10))

    def _identity(self, idempotency_key: str, operator: str) -> SaleIdentity:
        local_ms = timedelta(milliseconds=self._clock.wall_ms())
        local_ms += timedelta(minutes=self._till.utc_offset_minutes)
        day = (datetime(1970, 1, 1, tzinfo=UTC) + local_ms).strftime("%y%m%d")
        number = int.from_bytes(self._entropy.token(5), "big")
        digits = "".join(RECEIPT_ALPHABET[number >> 5 * place & 31] for place in range(8))
        return SaleIdentity(self._new_id(), f"{day}-{digits}", idempotency_key, operator)

    def _masked_name(self, member_ref: str | None) -> str | None:
        if member_ref is None:
            return None
        member = self._catalogues.member(MemberRef(member_ref))
        return "***" if member is None else member.masked_name

    def _masked_plate(self, plate_ref: str | None) -> str | None:
        if plate_ref is None:
            return None
        return self._till.mask_of(PlateRef(plate_ref)) or f"#{plate_ref[:8]}"


def _require_key(idempotency_key: str) -> None:
    if not 0 < len(idempotency_key) <= MAX_KEY_LENGTH:
        raise SaleRefused(KEY_INVALID)


def _same_again(
    earlier: SettledSale,
    idempotency_key: str,
    fuelling: FuellingId,
    member: MemberRef | None,
    tenders: Sequence[TenderOffer],
) -> SettledSale:
    """Return the sale that a key led to, if this wish is the one that it came with."""
    settled = earlier.settled
    same_wish = (settled.idempotency_key, settled.fuelling_id) == (idempotency_key, fuelling)
    same_buyer = member in (None, settled.member_ref)
    if not (same_wish and same_buyer and settlement.paid_as(earlier, tenders)):
        raise SaleRefused(KEY_CONFLICT)
    return earlier


def _refunded_by(sale: SettledSale, idempotency_key: str) -> bool:
    return sale.refunded is not None and sale.refunded.idempotency_key == idempotency_key


def _same_refund(sale: SettledSale, reason: str) -> SettledSale:
    invariant(sale.refunded is not None, "an appended refund is in the books")
    if sale.refunded is not None and sale.refunded.reason != reason.strip():
        raise SaleRefused(KEY_CONFLICT)
    return sale
