"""Holds what a sale was priced from against what headquarters itself published and enrolled.

Pricing a sale again from its own record proves that the station can reckon. Whether its unit price
was ever published, and whether its member has that tier, only headquarters can say.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from edge_agent.core.adoption import UNKNOWN_PRICE_SET
from edge_agent.model.records import FuellingCompleted, QuoteBody
from edge_agent.model.wire import EVERY_STATION

LOOKED_BACK = 2
"""Members catalogues before a sale that are considered: a sale is priced a moment before it is
written, and one catalogue may come into force between."""
# The kind is a literal as in the index `ledger_catalogues`, since a partial index serves no
# parameter. Left to itself SQLite would read the whole stream.
_IN_FORCE = (
    "SELECT body ->> '$.version' FROM ledger INDEXED BY ledger_catalogues"
    " WHERE stream = ? AND seq < ?"
    " AND kind = 'catalogue.accepted'"
    " AND CASE WHEN json_valid(body) THEN body ->> '$.dataset' = 'members' ELSE 0 END"
    " ORDER BY seq DESC LIMIT ?"
)
_PUBLISHED = (
    "SELECT min(p.value), max(p.value) FROM price_set s, json_each(s.prices) p"
    " WHERE s.scope IN (?, ?) AND p.key = ?"
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What does not fit. `counted`: a price difference, not merely something to look at."""

    code: str
    detail: str
    counted: bool


def doubt_price(
    database: sqlite3.Connection, station: str, body: FuellingCompleted
) -> Doubt | None:
    """Hold a fuelling's unit price against the price set that it names.

    What was not watched from start to end (`recovered`, `offline`) may have flowed under another
    set than the one in force when it was found, and its unit price may be reckoned from totalisers
    that count whole fen. Such a price has to lie among those ever published for its grade.
    """
    watched = body.origin == "observed"
    prices = _price_set(database, station, body.price_set)
    if prices is None and (watched or body.price_set != UNKNOWN_PRICE_SET):
        return Doubt("price_set_unknown", body.price_set[:64], counted=True)
    published = (prices or {}).get(body.grade)
    if published == body.unit_price_milli:
        return None
    if watched:
        detail = f"{body.price_set[:64]}: {published} here, {body.unit_price_milli} there"
        return Doubt("unit_price_differs", detail, counted=True)
    least, most = database.execute(_PUBLISHED, (EVERY_STATION, station, body.grade)).fetchone()
    if least is not None:
        # Half a fen for each sale that the totalisers ran together: 1 % covers sales of 1 L.
        slack = most // 100 + 10_000 // max(1, body.volume_ml)
        if least - slack <= body.unit_price_milli <= most + slack:
            return None
    detail = f"{body.origin}: {least} to {most} here, {body.unit_price_milli} there"
    return Doubt("unit_price_unproven", detail, counted=False)


def doubt_tier(
    database: sqlite3.Connection, stream: int, seq: int, quote: QuoteBody
) -> Doubt | None:
    """Hold a sale's tier against the member as the station may have known one.

    A tier that was changed lately is right at a station that had not taken the change yet. Which
    members catalogue it had, its own ledger says; where it does not (the first sales after a
    restore), a tier that the member once had is shown and not counted.
    """
    ref, tier = quote.member_ref, quote.tier
    if ref is None:
        none = Doubt("tier_differs", "a tier without a member", counted=True)
        return none if tier is not None else None
    history = database.execute(
        "SELECT version, tier FROM member_tier WHERE ref = ? ORDER BY version", (ref,)
    ).fetchall()
    if not history:
        return Doubt("member_unknown", ref[:64], counted=True)
    if history[-1][1] == tier:
        return None
    detail = f"{ref[:64]}: {history[-1][1] or 'removed'} here, {str(tier)[:64]} there"
    known = _in_force(database, stream, seq)
    then = [_tier_at(history, version) for version in known]
    if then and then[0] == tier:
        return None
    former = tier in {former for _, former in history}
    excused = former and (not then or tier in then)
    return Doubt("tier_differs", detail, counted=not excused)


def _price_set(database: sqlite3.Connection, station: str, set_id: str) -> dict[str, int] | None:
    row = database.execute(
        "SELECT prices FROM price_set WHERE id = ? AND scope IN (?, ?)",
        (set_id, EVERY_STATION, station),
    ).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def _in_force(database: sqlite3.Connection, stream: int, seq: int) -> list[int]:
    """Return the latest members versions that the station had taken before a row, latest first."""
    rows = database.execute(_IN_FORCE, (stream, seq, LOOKED_BACK)).fetchall()
    return [version for (version,) in rows if isinstance(version, int)]


def _tier_at(history: list[tuple[int, str]], in_force: int) -> str | None:
    tiers = [tier for version, tier in history if version <= in_force]
    return tiers[-1] if tiers else None
