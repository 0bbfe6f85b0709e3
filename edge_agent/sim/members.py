"""Who the simulated members are: private ones, a family, a fleet, a bearer card; all invented."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from edge_agent.model.catalogues import UsageRulesEntry
from edge_agent.model.ids import MemberRef
from edge_agent.model.membership import AccountKind
from hq.enrolment import NewMember

TIERS: Final = ("regular", "silver", "gold", "diamond")
OPENING_FEN: Final = (3_000, 20_000, 100_000, 500_000)
"""From less than a fill to as much as the law allows."""
READY_FEN: Final = (5_000, 20_000, 100_000, None)
"""What lies ready at the station; None for headquarters' own rule."""
HOUR_MS: Final = 3_600_000
PRIVATE: Final = 7
FAMILY: Final = 2
VEHICLES: Final = 2
BIRTHDAY_WEEK: Final = ("12-29", "01-04")


@dataclass(frozen=True, slots=True)
class SimMember:
    """A member as the simulation invents them."""

    ref: MemberRef
    card: str
    plate: str
    has_account: bool = True
    in_fleet: bool = False


def invent(chance: random.Random, station: str, now_ms: int) -> list[tuple[SimMember, NewMember]]:
    """Return the members of a run, each with how headquarters enrols them."""
    kinds = ["private"] * PRIVATE + ["family"] * FAMILY + ["vehicle"] * VEHICLES
    kinds += ["bearer", "points only"]
    return [_member(chance, number, kind, station, now_ms) for number, kind in enumerate(kinds)]


def _member(
    chance: random.Random, number: int, kind: str, station: str, now_ms: int
) -> tuple[SimMember, NewMember]:
    ref = f"m-{number:03d}"
    person = SimMember(
        MemberRef(ref), f"9{number:07d}", f"云A{chance.randrange(10_000, 99_999)}",
        has_account=kind != "points only", in_fleet=kind == "vehicle",
    )  # fmt: skip
    account = {"family": "acc-family", "vehicle": "acc-fleet", "points only": None}
    opening_fen, ready_fen = chance.choice(OPENING_FEN), chance.choice(READY_FEN)
    if kind == "bearer":
        opening_fen = min(opening_fen, 80_000)
    enrolled = NewMember(
        ref=ref,
        name="测试",
        tier=chance.choice(TIERS),
        account=account.get(kind, f"acc-{ref}"),
        account_kind=_ACCOUNT_KINDS.get(kind, "personal"),
        limit_class="fleet" if kind == "vehicle" else "standard",
        plate_pay=chance.random() < 0.7,
        cards=[person.card],
        plates=[person.plate],
        tags=["taxi"] if chance.random() < 0.2 else [],
        birthday_week=BIRTHDAY_WEEK if chance.random() < 0.3 else None,
        rules=_rules(chance) if kind == "vehicle" else None,
        stations=[station],
        set_aside_fen={station: ready_fen} if person.has_account and ready_fen else {},
        opening_fen=opening_fen if person.has_account else 0,
        opening_points=_points(chance, now_ms),
    )
    return person, enrolled


_ACCOUNT_KINDS: Final[dict[str, AccountKind]] = {
    "family": "family",
    "vehicle": "fleet",
    "bearer": "bearer",
}


def _rules(chance: random.Random) -> UsageRulesEntry:
    """What a fleet allows: one grade, so much a fill, and the driver's word."""
    return UsageRulesEntry(
        grades=[chance.choice(("92", "95"))],
        max_volume_ml=chance.choice((30_000, 60_000)),
        max_amount_fen=chance.choice((None, 25_000)),
        visits_per_day=20,
        odometer=chance.random() < 0.5,
        pin=chance.random() < 0.5,
    )


def _points(chance: random.Random, now_ms: int) -> list[tuple[int, int]]:
    """Points that last, and some that expire while the simulation runs (row P8)."""
    lasting = (now_ms + 10_000 * HOUR_MS, chance.randrange(0, 8_000))
    soon = (now_ms + chance.randrange(HOUR_MS // 4, 3 * HOUR_MS), chance.randrange(0, 1_500))
    return [bucket for bucket in (soon, lasting) if bucket[1]]
