"""What must hold of leases, coupons, points and limits in a simulated station's ledger.

Reckoned anew from the records alone, by none of the code that wrote them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from edge_agent.model.policy import ClassLimits
from edge_agent.model.records import (
    AssetMoved,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    MemberCodeUsed,
    PointsEarned,
    RecordBody,
    RiskFlagged,
    SaleRefunded,
    SaleSettled,
    StoredValueToppedUp,
)

Dated: TypeAlias = tuple[int, RecordBody]
"""A record's body, and the latest wall time of any record up to it."""

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
CHINA_MS: Final = 8 * 3_600_000
APART: Final = (AssetMoved, PointsEarned, MemberCodeUsed, RiskFlagged)
"""Kinds that stand in one append with a sale, after it."""


def leases_hold(ledger: Sequence[Dated]) -> Iterator[str]:
    """Each lease is taken once, drawn while it lasts and never beyond; a coupon is used once."""
    leases = _Leases()
    for at_ms, body in ledger:
        match body:
            case LeasesTaken():
                for terms in body.leases:
                    yield from leases.take(terms)
            case StoredValueToppedUp():
                yield from leases.take(_paid_in(body))
            case LeaseClosed():
                yield from leases.close(body)
            case AssetMoved():
                yield from leases.move(body, at_ms)


@dataclass(slots=True)
class _Leases:
    known: dict[str, _Lease] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)
    """How often each coupon was used and not given back."""

    def take(self, terms: LeaseTerms) -> Iterator[str]:
        if terms.lease_id in self.known:
            yield f"lease: {terms.lease_id} was taken twice"
        self.known[terms.lease_id] = _Lease(terms)

    def close(self, body: LeaseClosed) -> Iterator[str]:
        lease = self.known.setdefault(body.lease_id, _Lease(None))
        if lease.closed or lease.spent != body.spent:
            yield f"lease: {body.lease_id} was closed twice, or spent {lease.spent}"
        lease.closed = True

    def move(self, body: AssetMoved, at_ms: int) -> Iterator[str]:
        if body.lease_id is not None:
            found = self.known.get(body.lease_id, _Lease(None)).move(body, at_ms)
            yield from (f"lease: {body.lease_id} {what}" for what in found)
        if body.asset == "coupon":
            self.used[body.holder] -= body.delta
            if not 0 <= self.used[body.holder] <= 1:
                yield f"coupon: {body.holder} was used {self.used[body.holder]} times"


@dataclass(slots=True)
class _Lease:
    terms: LeaseTerms | None
    """None of a lease that never came, or was never taken."""
    spent: int = 0
    closed: bool = False
    frozen: bool = False
    drawn: Counter[int] = field(default_factory=Counter)

    def move(self, body: AssetMoved, at_ms: int) -> Iterator[str]:
        """Take in a movement; say what is wrong with it."""
        terms = self.terms
        if terms is None or (terms.asset, terms.holder) != (body.asset, body.holder):
            yield "was moved and is not here, or another's"
            return
        self.spent -= body.delta
        if not 0 <= self.spent <= terms.amount:
            yield f"was overspent: {self.spent} of {terms.amount}"
        if body.delta < 0 and (self.closed or self.frozen or terms.expires_ms <= at_ms):
            yield "was drawn from after its end"
        self.frozen = self.frozen or (body.delta > 0 and body.asset == "coupon")
        if body.asset == "points":
            yield from self._move_points(body, terms, at_ms)

    def _move_points(self, body: AssetMoved, terms: LeaseTerms, at_ms: int) -> Iterator[str]:
        room = {bucket.expires_ms: bucket.points for bucket in terms.buckets}
        if sum(bucket.points for bucket in body.buckets) != abs(body.delta):
            yield "moved other points than its buckets say"
        for bucket in body.buckets:
            self.drawn[bucket.expires_ms] += bucket.points if body.delta < 0 else -bucket.points
            if not 0 <= self.drawn[bucket.expires_ms] <= room.get(bucket.expires_ms, 0):
                yield "was overdrawn in a bucket of points"
            if body.delta < 0 and bucket.expires_ms <= at_ms:
                yield "gave points that had expired"


def _paid_in(body: StoredValueToppedUp) -> LeaseTerms:
    return LeaseTerms(
        lease_id=body.top_up_id, asset="balance", holder=body.account_ref, amount=body.amount_fen,
        expires_ms=body.expires_ms,
    )  # fmt: skip


def sales_move_what_they_say(ledger: Sequence[Dated]) -> Iterator[str]:
    """What a sale was paid with has moved, once, and a refund has brought all of it back."""
    wanted: Counter[tuple[str, str, str]] = Counter()
    moved: Counter[tuple[str, str, str]] = Counter()
    sales: dict[str, SaleSettled] = {}
    nonces: Counter[str] = Counter()
    for _, body in ledger:
        match body:
            case SaleSettled():
                sales[body.sale_id] = body
                wanted.update(_owed(body))
            case SaleRefunded():
                wanted.subtract(_owed(sales[body.sale_id]))
            case AssetMoved():
                moved[body.sale_id, body.asset, body.holder] -= body.delta
            case PointsEarned():
                moved[body.sale_id, "earned", body.member_ref] += body.points
            case MemberCodeUsed():
                nonces[body.nonce] += 1
                if nonces[body.nonce] > 1:
                    yield f"code: one of {body.member_ref} was believed twice"
    for key in sorted(wanted.keys() | moved.keys()):
        if wanted[key] != moved[key]:
            yield f"money: {' '.join(key)}: {wanted[key]} by the sale, {moved[key]} moved"


def _owed(sale: SaleSettled) -> Counter[tuple[str, str, str]]:
    """Return what a sale takes of what headquarters holds, by asset and holder."""
    owed: Counter[tuple[str, str, str]] = Counter()
    quote, name = sale.quote, sale.sale_id
    for tender in sale.tenders:
        if tender.means == "stored_value":
            owed[name, "balance", str(tender.account_ref)] += tender.amount_fen
        elif tender.means == "points":
            owed[name, "points", str(tender.account_ref)] += tender.points
    lowered = {line.coupon for line in quote.applied}
    for serial in lowered | {line.coupon for line in quote.benefits}:
        if serial is not None:
            owed[name, "coupon", serial] += 1
    for line in quote.applied:
        if line.offer in quote.budgets:
            owed[name, "budget", line.offer] += line.amount_fen
    if quote.points_earned:
        owed[name, "earned", str(quote.member_ref)] += quote.points_earned
    return owed


def limits_hold(ledger: Sequence[Dated], limits: Mapping[str, ClassLimits]) -> Iterator[str]:
    """Nobody pays more often, more a day or more beyond the leases than the account's class may.

    `limits` are those of each account (rows R1, R2, S26).
    """
    so_far = _Spending(limits)
    for at_ms, body in ledger:
        match body:
            case SaleSettled():
                for tender in body.tenders:
                    if tender.means == "stored_value" and tender.account_ref is not None:
                        payment = (at_ms, tender.amount_fen, body.sale_id)
                        yield from so_far.pay(tender.account_ref, payment)
            case SaleRefunded():
                so_far.pay_back(body.sale_id)
            case AssetMoved(lease_id=None, reason="sale"):
                yield from so_far.go_beyond(body, at_ms)


@dataclass(slots=True)
class _Spending:
    limits: Mapping[str, ClassLimits]
    paid: dict[str, list[tuple[int, int, str]]] = field(default_factory=lambda: defaultdict(list))
    """When, how much and in which sale, by account."""
    beyond: dict[tuple[str, int], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    """Fen beyond the leases by account and day, by sale."""

    def pay(self, account: str, payment: tuple[int, int, str]) -> Iterator[str]:
        self.paid[account].append(payment)
        return _too_much(account, self.paid[account], self.limits[account])

    def pay_back(self, sale_id: str) -> None:
        for payments in self.paid.values():
            payments[:] = [each for each in payments if each[2] != sale_id]
        for floor in self.beyond.values():
            del floor[sale_id]

    def go_beyond(self, body: AssetMoved, at_ms: int) -> Iterator[str]:
        allowed, day = self.limits[body.holder], (at_ms + CHINA_MS) // DAY_MS
        floor = self.beyond[body.holder, day]
        floor[body.sale_id] -= body.delta
        dear = floor[body.sale_id] > allowed.floor_per_sale_fen
        if dear or floor.total() > allowed.floor_per_day_fen:
            yield f"floor: {body.holder} spent {dict(floor)} beyond the leases"
        if body.cache_age_s is None or body.cache_age_s > allowed.grace_s:
            yield f"floor: {body.holder} {body.cache_age_s} s after headquarters' last word"


def _too_much(
    account: str, payments: Sequence[tuple[int, int, str]], allowed: ClassLimits
) -> Iterator[str]:
    now_ms = payments[-1][0]
    today = (now_ms + CHINA_MS) // DAY_MS
    often = sum(at_ms > now_ms - MINUTE_MS for at_ms, _, _ in payments)
    much = sum(fen for at_ms, fen, _ in payments if (at_ms + CHINA_MS) // DAY_MS == today)
    if often > allowed.payments_per_minute:
        yield f"risk: {account} paid {often} times within a minute"
    if much > allowed.amount_per_day_fen:
        yield f"risk: {account} paid {much} fen within a day"


def proofs_were_asked_for(
    ledger: Sequence[Dated], limits: Mapping[str, ClassLimits]
) -> Iterator[str]:
    """A large charge stands beside the flag that says it was confirmed (row R10)."""
    for place, (_, body) in enumerate(ledger):
        if not isinstance(body, SaleSettled):
            continue
        held = [each for each in body.tenders if each.means in ("stored_value", "points")]
        account = next((e.account_ref for e in held if e.means == "stored_value"), None)
        above = None if account is None else limits[account].second_factor_above_fen
        if above is None or sum(each.amount_fen for each in held) <= above:
            continue
        beside: list[RecordBody] = []
        for _, other in ledger[place + 1 :]:
            if not isinstance(other, APART):
                break
            beside.append(other)
        if not any(isinstance(each, RiskFlagged) for each in beside):
            yield f"risk: sale {body.sale_id} was charged unproved"


def top_ups_are_single(ledger: Sequence[Dated]) -> Iterator[str]:
    """A button that was pressed twice took the money once."""
    keys = Counter(b.idempotency_key for _, b in ledger if isinstance(b, StoredValueToppedUp))
    yield from (f"top-up: {key} was taken {n} times" for key, n in keys.items() if n > 1)
