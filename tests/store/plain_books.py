"""The books as anybody would keep them with a pencil: what the real ones are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edge_agent.core.leases import apply
from edge_agent.model.errors import SaleRefused
from edge_agent.model.leases import Lease, LeaseState
from edge_agent.model.member_code import CLOCK_ALLOWANCE_MS
from edge_agent.model.records import RecordBody

MOVING = ("asset.moved", "points.earned")
Key = tuple[str, ...]


@dataclass
class Plain:
    """Says no by raising ValueError; what it holds then is not to be used any more."""

    state: dict[str, str] = field(default_factory=dict)
    fp: dict[str, int] = field(default_factory=dict)
    completed: dict[str, Any] = field(default_factory=dict)
    sales: dict[str, Any] = field(default_factory=dict)
    sold_ms: dict[str, int] = field(default_factory=dict)
    order: list[tuple[int, str]] = field(default_factory=list)
    moved: dict[str, list[Any]] = field(default_factory=dict)
    """What each sale moved, in order."""
    refunds: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """The sale that each key settled or refunded; an empty name for a top-up."""
    leases: dict[str, Lease] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    totals: dict[tuple[int, int], tuple[int, int | None]] = field(default_factory=dict)
    stop_all: bool = False
    seq: int = 0
    latest_ms: int = 0
    now_ms: int = 0
    """By which leases and codes are judged."""

    def copy(self) -> Plain:
        """Return books that can be written without touching these; records never change."""
        copied = replace(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | list):
                setattr(copied, name, value.copy())
        return copied

    def write(self, bodies: Sequence[RecordBody], at_ms: int) -> None:
        """Write records of one moment, or raise ValueError."""
        self.now_ms = max(at_ms, self.latest_ms)
        self.latest_ms = self.now_ms
        cause: Any = None
        own: list[Any] = []
        for body in bodies:
            self.seq += 1
            if body.kind not in MOVING:
                self.adds_up(cause, own)
                cause, own = body, []
            else:
                self.must(getattr(cause, "sale_id", None) == getattr(body, "sale_id", ""))
                own.append(body)
            self.lend(body, at_ms)
            handle = getattr(self, body.kind.replace(".", "_"), None)
            if handle is not None:
                handle(body)
        self.adds_up(cause, own)

    def must(self, holds: bool) -> None:
        if not holds:
            raise ValueError

    def lend(self, body: RecordBody, at_ms: int) -> None:
        if body.kind == "epoch.opened":
            self.latest_ms = at_ms
        try:
            self.leases = apply(self.leases, body, self.now_ms)
        except SaleRefused as error:
            raise ValueError from error

    # --- what is moved --------------------------------------------------------------------------

    def adds_up(self, cause: Any, own: list[Any]) -> None:
        """Check what was moved for a sale or refund, now that all of it is written."""
        if cause is None or cause.kind not in ("sale.settled", "sale.refunded"):
            self.must(not own)
        elif cause.kind == "sale.settled":
            self.must(all(body.reason == "sale" for body in own))
            self.must(sum_moved(own) == taken_by(cause))
            self.moved[cause.sale_id] = own
        else:
            self.must(all(body.reason == "refund" for body in own))
            sale = self.sales[cause.sale_id]
            self.must(sorted(map(pay, cause.tenders)) == sorted(map(pay, sale.tenders)))
            back = sorted(mirror(body, 1) for body in own)
            self.must(back == sorted(mirror(body, -1) for body in self.moved[cause.sale_id]))

    def asset_moved(self, body: Any) -> None:
        self.must((body.delta < 0) == (body.reason == "sale") and body.delta != 0)
        if body.lease_id is None:
            self.must(body.asset == "balance" and body.cache_age_s is not None)

    def points_earned(self, body: Any) -> None:
        self.must((body.points > 0) == (body.reason == "sale") and body.points != 0)

    def stored_value_topped_up(self, body: Any) -> None:
        self.must(body.amount_fen > 0)
        self.used_key(body.idempotency_key, "")

    def lease_closed(self, body: Any) -> None:
        if not self.leases[body.lease_id].terms.amount:
            self.must(body.reason == "recalled")

    def member_code_used(self, body: Any) -> None:
        self.must(body.nonce not in self.codes)
        self.must(body.expires_ms + CLOCK_ALLOWANCE_MS > self.now_ms)
        self.codes[body.nonce] = body.expires_ms

    def used(self, who: str, ref: str, since_ms: int) -> tuple[int, int, int]:
        """Return payments, fen and millilitres of a member, account or plate since a time."""
        found = [0, 0, 0]
        for name, sale in self.sales.items():
            amounts = [t.amount_fen for t in sale.tenders if t.account_ref == ref]
            amounts = amounts if who == "account" else [sale.quote.payable_fen]
            named = {"member": sale.member_ref, "plate": sale.plate_ref}.get(who, ref)
            stored = any(t.account_ref == ref and t.means == "stored_value" for t in sale.tenders)
            counts = named == ref and (who != "account" or stored)
            if counts and name not in self.refunds and self.sold_ms[name] >= since_ms:
                found[0] += 1
                found[1] += sum(amounts)
                found[2] += sale.quote.volume_ml
        return found[0], found[1], found[2]

    def beyond(self, account: str) -> int:
        """Return what was spent of an account beyond its leases, refunds apart."""
        return -sum(
            int(body.delta)
            for name, own in self.moved.items()
            if name not in self.refunds
            for body in own
            if body.kind == "asset.moved" and body.lease_id is None and body.holder == account
        )

    def open_leases(self) -> list[Lease]:
        """Return the open leases, soonest expiry first."""
        found = [lease for lease in self.leases.values() if lease.state is LeaseState.OPEN]
        return sorted(found, key=lambda each: (each.terms.expires_ms, each.terms.lease_id))

    # --- fuel and sales -------------------------------------------------------------------------

    def fuelling_authorised(self, body: Any) -> None:
        self.must(body.fuelling_id not in self.state)
        self.state[body.fuelling_id] = "open"
        self.fp[body.fuelling_id] = body.fp

    def fuelling_cancelled(self, body: Any) -> None:
        self.must(self.state.get(body.fuelling_id) == "open")
        self.must(self.fp[body.fuelling_id] == body.fp)
        self.state[body.fuelling_id] = "cancelled"

    def fuelling_completed(self, body: Any) -> None:
        self.must(self.state.get(body.fuelling_id, "open") == "open")
        self.must(self.fp.setdefault(body.fuelling_id, body.fp) == body.fp)
        self.state[body.fuelling_id] = "payable" if body.volume_ml else "zero"
        self.completed[body.fuelling_id] = body
        self.stands(body.fp, body.totals_after)

    def totaliser_jumped(self, body: Any) -> None:
        self.stands(body.fp, body.after)

    def stands(self, fp: int, totals: Any) -> None:
        self.totals[fp, totals.nozzle] = (totals.volume_ml, totals.amount_fen)

    def sale_settled(self, body: Any) -> None:
        self.must(self.state.get(body.fuelling_id) == "payable")
        self.must(body.sale_id not in self.sales)
        self.used_key(body.idempotency_key, body.sale_id)
        self.state[body.fuelling_id] = "settled"
        self.sales[body.sale_id] = body
        self.sold_ms[body.sale_id] = self.latest_ms
        self.order.append((self.seq, body.sale_id))

    def sale_refunded(self, body: Any) -> None:
        self.must(body.sale_id in self.sales and body.sale_id not in self.refunds)
        self.must(self.sales[body.sale_id].fuelling_id == body.fuelling_id)
        self.used_key(body.idempotency_key, body.sale_id)
        self.state[body.fuelling_id] = "refunded"
        self.refunds[body.sale_id] = body

    def used_key(self, key: str, sale_id: str) -> None:
        self.must(key not in self.keys)
        self.keys[key] = sale_id

    def forecourt_stop_all(self, body: Any) -> None:
        self.stop_all = body.active


def taken_by(sale: Any) -> Counter[Key]:
    """Return what a sale takes of each asset and holder, and the points that it earns."""
    due: Counter[Key] = Counter()
    for tender in sale.tenders:
        if tender.means == "stored_value":
            due["balance", tender.account_ref] += tender.amount_fen
        if tender.means == "points":
            due["points", tender.account_ref] += tender.points
    for line in sale.quote.applied:
        if line.coupon:
            due["coupon", line.coupon] += 1
        if line.offer in sale.quote.budgets:
            due["budget", line.offer] += line.amount_fen
    if sale.quote.points_earned:
        due["earned", sale.member_ref or ""] += sale.quote.points_earned
    return +due


def sum_moved(own: list[Any]) -> Counter[Key]:
    """Return the same of the records that follow a sale."""
    found: Counter[Key] = Counter()
    for body in own:
        if body.kind == "asset.moved":
            found[body.asset, body.holder] -= body.delta
        else:
            found["earned", body.member_ref] += body.points
    return +found


def pay(tender: Any) -> tuple[Any, ...]:
    """Return what a refund has to repeat of a tender."""
    return tender.means, tender.account_ref or "", tender.amount_fen, tender.points


def mirror(body: Any, sign: int) -> Key:
    """Return what a movement (-1) and what gives it back (1) have in common."""
    if body.kind == "points.earned":
        return "earned", body.member_ref, str(-sign * body.points)
    buckets = sorted((bucket.expires_ms, bucket.points) for bucket in body.buckets)
    return body.asset, body.holder, str(body.lease_id), str(sign * body.delta), str(buckets)
