"""Settle, then refund: every balance, point, coupon and budget is back where it was, exactly.

What is drawn lies in several leases and buckets, so that a sale has to take from more than one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from edge_agent.core import leases
from edge_agent.core.purse import Purse
from edge_agent.core.refunding import refund
from edge_agent.core.settlement import SaleIdentity, settle
from edge_agent.model.books import SettledSale
from edge_agent.model.ids import AccountRef
from edge_agent.model.leases import Lease, LeaseState
from edge_agent.model.policy import Policy
from edge_agent.model.quote import Quote
from edge_agent.model.quote_record import body_of
from edge_agent.model.records import (
    Asset,
    AssetMoved,
    FuellingCompleted,
    LeasesTaken,
    LeaseTerms,
    PointsBucket,
    PointsEarned,
    RecordBody,
    SaleRefunded,
    SaleSettled,
)
from edge_agent.model.tenders import TenderMeans
from edge_agent.model.units import Money
from edge_agent.model.wishes import TenderOffer

ACCOUNT: Final = AccountRef("acc-1")
LEASED_MS: Final = 7 * 86_400_000
IDENTITY: Final = SaleIdentity("s-1", "r-1", "k-1", "fuzz")
FLOOR: Final = Money(2_000)
"""What may be spent beyond the leases."""

Leases = Mapping[str, Lease]


def troubles(quoted: Quote, policy: Policy, chance: random.Random) -> Iterator[str]:
    """Settle a quote and refund it; yield what is not as it was, or was never right."""
    tenders = _tenders(quoted, policy)
    if tenders is None:
        return
    before = _set_aside(quoted, chance)
    purse = _purse(before, quoted)
    now_ms = quoted.request.at_ms
    completed = _completed(quoted)
    paid = settle(completed, body_of(quoted), tenders, purse, IDENTITY, policy.points, now_ms)
    between = _after(before, paid, now_ms)
    yield from _paid_rightly(quoted, paid, before, between)
    sale = next(body for body in paid if isinstance(body, SaleSettled))
    moved = [body for body in paid if isinstance(body, AssetMoved)]
    back = refund(
        SettledSale(1, now_ms, sale, completed, None),
        moved,
        policy.points,
        refund_id="f-1",
        reason="fuzz",
        idempotency_key="k-2",
        operator="fuzz",
    )
    yield from _restored(before, _after(between, back, now_ms))
    yield from _undone([*paid, *back])


def _tenders(quoted: Quote, policy: Policy) -> list[TenderOffer] | None:
    """Return tenders that are those of the question; None where nobody could pay like that."""
    request, payable = quoted.request, quoted.payable.fen
    redeem = policy.points.redeem
    by_points = 0
    if redeem is not None:
        by_points = request.points_redeemed // redeem.points_per_yuan * 100
    others = request.paying.others.fen if request.paying else by_points
    if by_points > payable or others > payable or others < by_points:
        return None
    means = request.paying.means if request.paying else "cash"
    tenders = [TenderOffer("points")] if by_points else []
    if others > by_points:
        beside: TenderMeans = "bank_card" if means != "bank_card" else "wallet"
        tenders.append(TenderOffer(beside, Money(others - by_points), "T-1"))
    if payable > others or means == "cash":
        tenders.append(TenderOffer(means, None, "T-2" if means in {"bank_card", "wallet"} else ""))
    return tenders


def _set_aside(quoted: Quote, chance: random.Random) -> dict[str, Lease]:
    """Return leases for all that the sale may draw, each sum in two leases."""
    request = quoted.request
    terms: list[LeaseTerms] = []
    ends = [request.at_ms + LEASED_MS, request.at_ms + chance.choice((1, LEASED_MS))]
    most = max(0, quoted.payable.fen - chance.choice((0, FLOOR.fen)))
    terms += _in_two(chance, "balance", ACCOUNT, most, ends)
    if request.member is not None:
        terms += _in_two(chance, "points", request.member.ref, request.points_redeemed, ends)
    for coupon in request.coupons:
        terms.append(
            _terms(f"of {coupon.serial}", "coupon", coupon.serial, 1, ends[0], coupon.template)
        )
    for budget in request.budgets:
        terms += _in_two(chance, "budget", budget.offer, budget.left.fen, ends)
    return leases.apply({}, LeasesTaken(leases=terms), request.at_ms)


def _in_two(
    chance: random.Random, asset: Asset, holder: str, amount: int, ends: Sequence[int]
) -> Iterator[LeaseTerms]:
    first = chance.randint(0, amount)
    for number, part in enumerate((first, amount - first)):
        if part:
            yield _terms(f"{asset} {holder} {number}", asset, holder, part, ends[number])


def _terms(
    lease_id: str, asset: Asset, holder: str, amount: int, ends_ms: int, template: str | None = None
) -> LeaseTerms:
    buckets = []
    if asset == "points":
        early = amount // 3
        parts = ((ends_ms + LEASED_MS, early), (ends_ms + 2 * LEASED_MS, amount - early))
        buckets = [
            PointsBucket(expires_ms=at_ms, points=points) for at_ms, points in parts if points
        ]
    return LeaseTerms(
        lease_id=lease_id, asset=asset, holder=holder, amount=amount, expires_ms=ends_ms,
        template=template, buckets=buckets,
    )  # fmt: skip


def _purse(found: Leases, quoted: Quote) -> Purse:
    member = quoted.request.member
    return Purse(
        account_ref=ACCOUNT,
        account=leases.holding_of(found, "balance", ACCOUNT),
        points=None if member is None else leases.holding_of(found, "points", member.ref),
        coupons=tuple(each for each in found.values() if each.terms.asset == "coupon"),
        budgets=tuple(
            leases.holding_of(found, "budget", budget.offer) for budget in quoted.request.budgets
        ),
        floor=FLOOR,
        cache_age_s=60,
    )


def _completed(quoted: Quote) -> FuellingCompleted:
    request = quoted.request
    return FuellingCompleted(
        fuelling_id="f-1", fp=1, nozzle=1, nozzle_number=1, grade=request.grade, price_set="p-1",
        unit_price_milli=request.unit_price.milli, volume_ml=request.volume.ml,
        amount_fen=request.amount.fen, totals_before=None, totals_after=None, origin="observed",
        member_ref=None, plate_ref=None, prepaid_fen=0, started_ms=None, ended_ms=request.at_ms,
    )  # fmt: skip


def _after(found: Leases, bodies: Sequence[RecordBody], at_ms: int) -> dict[str, Lease]:
    after = dict(found)
    for body in bodies:
        after = leases.apply(after, body, at_ms)
    return after


# --- what has to hold ---------------------------------------------------------------------------


def _paid_rightly(
    quoted: Quote, paid: Sequence[RecordBody], before: Leases, after: Leases
) -> Iterator[str]:
    """Hold what was drawn against what the price says."""
    request = quoted.request
    drawn: Counter[str] = Counter()
    for body in paid:
        if isinstance(body, AssetMoved):
            drawn[body.asset] -= body.delta
    sale = next(body for body in paid if isinstance(body, SaleSettled))
    by = {tender.means: tender.amount_fen for tender in sale.tenders}
    if sum(by.values()) != quoted.payable.fen:
        yield f"tenders sum to {sum(by.values())}, to be paid are {quoted.payable.fen}"
    serials = [line.coupon for line in quoted.applied]
    serials += [line.coupon for line in quoted.benefits]
    named = {budget.offer for budget in request.budgets}
    due = Counter(
        balance=by.get("stored_value", 0),
        points=request.points_redeemed,
        coupon=len(set(serials) - {None}),
        budget=sum(line.amount.fen for line in quoted.applied if line.offer in named),
    )
    if +drawn != +due:
        yield f"drawn {dict(+drawn)}, due {dict(+due)}"
    spent = sum(each.spent for each in after.values()) - sum(each.spent for each in before.values())
    beyond = sum(
        -body.delta for body in paid if isinstance(body, AssetMoved) and body.lease_id is None
    )
    if spent + beyond != sum(drawn.values()):
        yield f"leases gave {spent}, the floor {beyond}, drawn were {sum(drawn.values())}"
    earned = sum(body.points for body in paid if isinstance(body, PointsEarned))
    if earned != (quoted.points_earned if request.member else 0):
        yield f"{earned} points were earned, quoted were {quoted.points_earned}"


def _restored(before: Leases, after: Leases) -> Iterator[str]:
    for name, lease in before.items():
        now = after[name]
        if (now.spent, now.drawn) != (lease.spent, lease.drawn):
            yield f"lease {name}: {now.spent} spent after the refund, {lease.spent} before"
        was_used = now.state is LeaseState.FROZEN
        if now.state is not lease.state and not (was_used and lease.terms.asset == "coupon"):
            yield f"lease {name} is {now.state} after the refund"


def _undone(bodies: Sequence[RecordBody]) -> Iterator[str]:
    sums: Counter[str] = Counter()
    for body in bodies:
        match body:
            case AssetMoved():
                sums[f"{body.asset} of {body.holder} in {body.lease_id}"] += body.delta
            case PointsEarned():
                sums["points earned"] += body.points
            case SaleSettled():
                sums["paid"] += sum(tender.amount_fen for tender in body.tenders)
            case SaleRefunded():
                sums["paid"] -= sum(tender.amount_fen for tender in body.tenders)
            case _:
                yield f"{body.kind} does not belong to a sale"
    for what, left in sums.items():
        if left:
            yield f"{what}: {left} is left over after settling and refunding"
