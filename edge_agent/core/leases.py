"""Drawing from leases, giving back, closing; and what each record does to a lease.

`apply` is the station's own rule as a pure function: the store holds to it in SQL, simulations and
tests call it. Nothing is drawn from a lease that is closed, frozen or expired, never more than it
has left, and what a refund gives back goes to the very lease and bucket that it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge_agent.model.errors import Problem, SaleRefused
from edge_agent.model.leases import Holding, Lease, LeaseState
from edge_agent.model.records import (
    Asset,
    AssetMoved,
    EpochOpened,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    PointsBucket,
    RecordBody,
    StoredValueToppedUp,
)

LEASE_INSUFFICIENT: Final = Problem(
    "lease_insufficient",
    "本站可用额度不足，请换其他方式",
    "not enough of it is set aside for this station",
)
PROBLEMS: Final = {
    problem.code: problem
    for problem in (
        LEASE_INSUFFICIENT,
        Problem(
            "lease_unknown",
            "本站没有该额度，请换其他支付方式",
            "no such lease is known here: take another means of payment",
        ),
        Problem("lease_known", "该额度编号已经使用过", "a lease of this id was here already"),
        Problem("lease_malformed", "额度内容错误", "a lease's terms contradict themselves"),
        Problem(
            "lease_over",
            "该额度已经结束，请换其他支付方式",
            "this lease is over: take another means of payment",
        ),
        Problem(
            "lease_expired",
            "该额度已经过期，请换其他支付方式",
            "this lease, or its points, have expired: take another means of payment",
        ),
        Problem(
            "lease_overdrawn",
            "本站可用额度不足，请换其他支付方式",
            "not enough is left of the lease: take another means of payment",
        ),
        Problem(
            "lease_mismatched",
            "变动与额度内容不一致",
            "the movement is not of this lease, or not what was drawn from it",
        ),
        Problem("coupon_used", "该优惠券已经使用过", "this coupon was used already"),
    )
}
"""Every reason for which a record about a lease is refused, by its stable code; the store refuses
by the same."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What is taken from one lease."""

    lease_id: str
    amount: int
    buckets: tuple[PointsBucket, ...] = ()


def draw(holding: Holding, amount: int, now_ms: int) -> tuple[Draw, ...]:
    """Return what to take from which leases: what expires soonest first, then the lowest id.

    Points are taken by the expiry of their buckets, whichever lease they are in (row P8): a lease
    that ends gives its points back to headquarters, a bucket that ends loses them.

    Raises:
        SaleRefused: `lease_insufficient`.
    """
    if amount > holding.available(now_ms):
        raise SaleRefused(LEASE_INSUFFICIENT, f"{holding.available(now_ms)} of {amount}")
    open_leases = sorted(
        holding.leases, key=lambda each: (each.terms.expires_ms, each.terms.lease_id)
    )
    if holding.asset == "points":
        return _points_drawn(open_leases, amount, now_ms)
    draws: list[Draw] = []
    for lease in open_leases:
        taken = min(lease.available(now_ms), amount)
        if taken:
            draws.append(Draw(lease.terms.lease_id, taken))
            amount -= taken
    return tuple(draws)


def _points_drawn(leases: Sequence[Lease], amount: int, now_ms: int) -> tuple[Draw, ...]:
    """Take points from buckets, soonest expiry first; within one expiry in the order of leases."""
    pool = [
        (bucket, lease.terms.lease_id)
        for lease in leases
        if lease.available(now_ms)
        for bucket in lease.buckets_left(now_ms)
    ]
    pool.sort(key=lambda each: each[0].expires_ms)
    taken: dict[str, list[PointsBucket]] = {}
    for bucket, lease_id in pool:
        points = min(bucket.points, amount)
        if points:
            part = PointsBucket(expires_ms=bucket.expires_ms, points=points)
            taken.setdefault(lease_id, []).append(part)
            amount -= points
    return tuple(
        Draw(lease_id, sum(part.points for part in parts), tuple(parts))
        for lease_id, parts in taken.items()
    )


def movements(asset: Asset, holder: str, draws: Iterable[Draw], sale_id: str) -> list[AssetMoved]:
    """Return the records that take these draws for a sale."""
    return [
        AssetMoved(
            asset=asset,
            holder=holder,
            delta=-each.amount,
            sale_id=sale_id,
            reason="sale",
            lease_id=each.lease_id,
            buckets=list(each.buckets),
        )
        for each in draws
    ]


def given_back(moved: Iterable[AssetMoved]) -> list[AssetMoved]:
    """Return the records that give back all that a sale took: to the same leases and buckets."""
    return [
        body.model_copy(update={"delta": -body.delta, "reason": "refund"})
        for body in moved
        if body.reason == "sale"
    ]


def due_to_close(leases: Iterable[Lease], now_ms: int) -> list[LeaseClosed]:
    """Return the records that close every open lease that has expired."""
    return [
        LeaseClosed(lease_id=lease.terms.lease_id, spent=lease.spent, reason="expired")
        for lease in leases
        if lease.state is LeaseState.OPEN and lease.terms.expires_ms <= now_ms
    ]


def top_up_terms(body: StoredValueToppedUp) -> LeaseTerms:
    """Return the lease that a top-up at the till makes: the money is here."""
    return LeaseTerms(
        lease_id=body.top_up_id,
        asset="balance",
        holder=body.account_ref,
        amount=body.amount_fen,
        expires_ms=body.expires_ms,
        member_ref=body.member_ref,
    )


def held_at_headquarters(holding: Holding) -> int | None:
    """Return all that headquarters held when it last said so; None when it never did.

    The lease that ends last is the newest.
    """
    known = [lease.terms for lease in holding.leases if lease.terms.holding]
    if not known:
        return None
    return max(known, key=lambda terms: (terms.expires_ms, terms.lease_id)).holding


def held_at_most(holding: Holding) -> int:
    """Return the most that an account may hold now, for the cap on a top-up (row V12).

    Of all that headquarters said the most counts, since no order among its words is told; what was
    topped up here counts beside it, although headquarters may know of it by now. A top-up too few
    is a nuisance, an account above the legal cap an offence.
    """
    known = max((lease.terms.holding for lease in holding.leases), default=0)
    own = sum(lease.left for lease in holding.leases if not lease.terms.holding)
    return known + own


def holding_of(leases: Mapping[str, Lease], asset: Asset, holder: str) -> Holding:
    """Return the open leases of an asset and holder, soonest expiry first."""
    found = [
        lease
        for lease in leases.values()
        if lease.state is LeaseState.OPEN
        and (lease.terms.asset, lease.terms.holder) == (asset, holder)
    ]
    found.sort(key=lambda each: (each.terms.expires_ms, each.terms.lease_id))
    return Holding(asset, holder, tuple(found))


def apply(leases: Mapping[str, Lease], body: RecordBody, at_ms: int) -> dict[str, Lease]:
    """Return the leases of a station after one record of its books.

    Args:
        leases: every lease that the station ever took, by id.
        body: the record; kinds that have nothing to do with leases change nothing.
        at_ms: the latest wall time of any record so far, this one included, so that a clock set
            back revives nothing (row S27).

    Raises:
        SaleRefused: the record contradicts the leases (`PROBLEMS`).
    """
    after = dict(leases)
    if isinstance(body, LeasesTaken):
        for terms in body.leases:
            _open(after, terms)
    elif isinstance(body, StoredValueToppedUp):
        _open(after, top_up_terms(body))
    elif isinstance(body, AssetMoved):
        if body.lease_id is not None:
            _require_fresh(leases, body)
            after[body.lease_id] = _moved(_known(after, body.lease_id), body, at_ms)
    elif isinstance(body, LeaseClosed):
        after[body.lease_id] = _closed(after.get(body.lease_id), body)
    elif isinstance(body, EpochOpened):
        after = {name: replace(each, state=LeaseState.CLOSED) for name, each in after.items()}
    return after


def _open(leases: dict[str, Lease], terms: LeaseTerms) -> None:
    if terms.lease_id in leases:
        raise _refused("lease_known", terms.lease_id)
    if terms.amount < 1 or (
        terms.asset == "points" and sum(each.points for each in terms.buckets) != terms.amount
    ):
        raise _refused("lease_malformed", terms.lease_id)
    leases[terms.lease_id] = Lease(terms, 0, LeaseState.OPEN)


def _require_fresh(leases: Mapping[str, Lease], body: AssetMoved) -> None:
    """Refuse a coupon that was used under any lease and not given back."""
    if body.asset == "coupon" and body.delta < 0:
        used = (each for each in leases.values() if each.spent and each.terms.asset == "coupon")
        if any(each.terms.holder == body.holder for each in used):
            raise _refused("coupon_used", body.holder)


def _moved(lease: Lease, body: AssetMoved, at_ms: int) -> Lease:
    terms = lease.terms
    if (terms.asset, terms.holder) != (body.asset, body.holder):
        raise _refused("lease_mismatched", terms.lease_id)
    if not body.delta or (body.delta < 0) != (body.reason == "sale"):
        raise _refused("lease_overdrawn", terms.lease_id)
    if body.delta < 0 and lease.state is not LeaseState.OPEN:
        raise _refused("lease_over", terms.lease_id)
    if body.delta < 0 and terms.expires_ms <= at_ms:
        raise _refused("lease_expired", terms.lease_id)
    spent = lease.spent - body.delta
    if not 0 <= spent <= terms.amount:
        raise _refused("lease_overdrawn", terms.lease_id)
    drawn = _drawn(lease, body, at_ms) if terms.asset == "points" else ()
    state = lease.state
    if body.delta > 0 and terms.asset == "coupon" and state is LeaseState.OPEN:
        state = LeaseState.FROZEN
    return Lease(terms, spent, state, drawn)


def _drawn(lease: Lease, body: AssetMoved, at_ms: int) -> tuple[PointsBucket, ...]:
    """Return what is drawn of each bucket after a movement of points."""
    sign = 1 if body.delta < 0 else -1
    total = {bucket.expires_ms: bucket.points for bucket in lease.drawn}
    holds: dict[int, int] = {}
    for bucket in lease.terms.buckets:
        holds[bucket.expires_ms] = holds.get(bucket.expires_ms, 0) + bucket.points
    for bucket in body.buckets:
        drawn = total.get(bucket.expires_ms, 0) + sign * bucket.points
        if bucket.points < 1 or not 0 <= drawn <= holds.get(bucket.expires_ms, 0):
            raise _refused("lease_mismatched", lease.terms.lease_id)
        if sign > 0 and bucket.expires_ms <= at_ms:
            raise _refused("lease_expired", lease.terms.lease_id)
        total[bucket.expires_ms] = drawn
    if sum(bucket.points for bucket in body.buckets) != abs(body.delta):
        raise _refused("lease_mismatched", lease.terms.lease_id)
    return tuple(
        PointsBucket(expires_ms=expires_ms, points=points)
        for expires_ms, points in sorted(total.items())
        if points
    )


def _closed(lease: Lease | None, body: LeaseClosed) -> Lease:
    """Return the lease closed; one that never came is kept closed, so that it never opens."""
    if lease is None:
        never = LeaseTerms(
            lease_id=body.lease_id, asset="balance", holder="", amount=0, expires_ms=0
        )
        lease = Lease(never, 0, LeaseState.OPEN)
    if lease.state is LeaseState.CLOSED:
        raise _refused("lease_over", body.lease_id)
    if body.spent != lease.spent:
        raise _refused("lease_mismatched", body.lease_id)
    return replace(lease, state=LeaseState.CLOSED)


def _known(leases: Mapping[str, Lease], lease_id: str) -> Lease:
    lease = leases.get(lease_id)
    if lease is None:
        raise _refused("lease_unknown", lease_id)
    return lease


def _refused(code: str, lease_id: str) -> SaleRefused:
    return SaleRefused(PROBLEMS[code], lease_id)
