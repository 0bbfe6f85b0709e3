"""What headquarters holds must be what it took in, less what the simulated station drew of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_agent.model.records import (
    AssetMoved,
    PointsEarned,
    RecordBody,
    StoredValueToppedUp,
)

Holder: TypeAlias = tuple[str, str]
"""Asset and holder."""


@dataclass(frozen=True, slots=True)
class OpenLease:
    """A lease that neither side has closed, as one side sees it."""

    holder: Holder
    amount: int
    spent: int


@dataclass(frozen=True, slots=True)
class Held:
    """What each side says of what headquarters holds for others."""

    held: Mapping[Holder, int]
    """What headquarters holds, wherever it lies; below zero for a debtor."""
    taken_in: Mapping[Holder, int]
    """What it took in by itself, less what it let go: openings, payments, coupons, expiry."""
    lent: Mapping[str, OpenLease]
    """By headquarters' books, by id."""
    here: Mapping[str, OpenLease]
    """By the station's."""
    unproved: Sequence[str]
    """Where headquarters' holdings are not what its own journal and leases say."""


def headquarters_agrees(held: Held, bodies: Sequence[RecordBody]) -> Iterator[str]:
    """Everything reconciles to the fen once all of a station's records were read."""
    yield from (f"held: {what}" for what in held.unproved)
    expected: Counter[Holder] = Counter(held.taken_in)
    for body in bodies:
        match body:
            case AssetMoved():
                expected[body.asset, body.holder] += body.delta
            case StoredValueToppedUp():
                expected["balance", body.account_ref] += body.amount_fen
            case PointsEarned():
                expected["points", body.member_ref] += body.points
    for holder in sorted(expected.keys() | held.held.keys()):
        if held.held.get(holder, 0) != expected[holder]:
            yield (
                f"held: {' of '.join(holder)} is {held.held.get(holder, 0)} at headquarters,"
                f" {expected[holder]} by what came and went"
            )
    for lease_id, ours in held.here.items():
        theirs = held.lent.get(lease_id)
        if theirs != ours:
            yield f"held: lease {lease_id} is {ours} here and {theirs} at headquarters"
