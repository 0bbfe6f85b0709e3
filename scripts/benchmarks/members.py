"""A member by plate, among as many as a province has."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from edge_agent.model.membership import Member
from edge_agent.store.catalogues import StationCatalogues
from edge_agent.store.station import StationStore
from scripts.benchmarks.outside import INDEX, NO_DIGEST, folder, member, open_store, plate
from scripts.benchmarks.row import Row, Scale, Timing, median, percentile, say

AT_ONCE: Final = 5_000
"""Members in one catalogue message, the most that the wire allows."""
ROUND: Final = 100
UNKNOWN_SHARE: Final = 0.3
"""Cars whose plate is no member's."""


def measure(scale: Scale) -> list[Row]:
    """Measure looking a plate up, its blind index included, beside a bare look-up by key."""
    count = scale.of(1_000_000, 50_000, 200)
    with folder() as path, open_store(path) as store:
        filled = Timing()
        filled.add(lambda: asyncio.run(_fill(store, count)))
        say(f"members: {count} are cached, {filled.wall_ms[0] / 1000:.0f} s")
        return [_row(store.catalogues, path, count, scale.of(20_000, 5_000, 200))]


async def _fill(store: StationStore, count: int) -> None:
    # In the order of their indexes, which SQLite takes in many times as quickly as in any other.
    ordered = sorted((INDEX.of("plate", plate(number)), number) for number in range(count))
    for version, first in enumerate(range(0, count, AT_ONCE), start=1):
        chunk = ordered[first : first + AT_ONCE]
        entries = [member(number, index, has_account=number % 10 == 0) for index, number in chunk]
        await store.catalogues.accept_members(
            version, version, entries, replaced=False, sha256=NO_DIGEST
        )


def look_up(catalogues: StationCatalogues, text: str) -> Member | None:
    """Do what happens between a plate that was read and the member behind it."""
    return catalogues.member_by_index("plate", INDEX.of("plate", text))


def _row(catalogues: StationCatalogues, path: Path, count: int, calls: int) -> Row:
    chance = random.Random(count)
    ours, bare = Timing(), Timing()
    wrong = 0
    uri = f"{(path / 'ledger.db').as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        for _ in range(calls // ROUND):
            numbers = [chance.randrange(count) for _ in range(ROUND)]
            for number in numbers:
                known = chance.random() >= UNKNOWN_SHARE
                text = plate(number if known else number + count)
                ours.add(partial(look_up, catalogues, text))
                found = look_up(catalogues, text)
                wrong += (found and found.ref) != (f"m-{number:07d}" if known else None)
            for number in numbers:
                bare.add(partial(_bare, connection, f"m-{number:07d}"))
    return Row(
        name="member_by_plate", value=percentile(ours.cpu_ms, 0.99),
        unit="ms of processor time, p99",
        limit=0.3, limit_name="promised p99", sense="at_most", goal_ratio=1.0,
        goal="a member by plate among 1,000,000 cached: p99 at most 0.3 ms",
        peers={"bare SQLite look-up by primary key, same file": percentile(bare.cpu_ms, 0.99)},
        details=ours.details() | {"members": count, "bare_median_ms": median(bare.cpu_ms),
                                  "bare_wall_p99_ms": percentile(bare.wall_ms, 0.99)},
        flaws=(f"{wrong} plates led to the wrong member",) if wrong else (),
    )  # fmt: skip


def _bare(connection: sqlite3.Connection, ref: str) -> object:
    return connection.execute("SELECT ref FROM members WHERE ref = ?", (ref,)).fetchone()
