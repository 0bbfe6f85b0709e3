"""Holds what a sale was priced from against what headquarters itself published and enrolled.

Pricing a sale again from its own record proves that the station can reckon. Whether its unit price
was ever published, and whether its member is what the sale says, only headquarters can say.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agent.core.adoption import UNKNOWN_PRICE_SET
from edge_agent.core.membership import in_birthday_week
from edge_agent.model.ids import MemberRef
from edge_agent.model.membership import Member
from edge_agent.model.policy import Policy
from edge_agent.model.records import FuellingCompleted, QuoteBody
from edge_agent.model.wire import EVERY_STATION
from hq.findings import Doubt
from hq.owing import coupons_used

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


@dataclass(frozen=True, slots=True)
class _Past:
    """What pricing might know of a member from one version on; tier '' from the removal on."""

    version: int
    tier: str
    tags: frozenset[str]
    birthday_week: tuple[str, str] | None


def doubt_member(
    database: sqlite3.Connection, stream: int, seq: int, quote: QuoteBody
) -> list[Doubt]:
    """Hold what a sale says of its member against what the station may have known.

    What was changed lately is right at a station that had not taken the change yet. Which members
    catalogue it had, its own ledger says; where it does not (the first sales after a restore), what
    the member once was is shown and not counted.
    """
    ref = quote.member_ref
    if ref is None:
        none = Doubt("tier_differs", "a tier without a member", counted=True)
        return [none] if quote.tier is not None else []
    history = _history(database, ref)
    if not history:
        return [Doubt("member_unknown", ref[:64], counted=True)]
    known = _in_force(database, stream, seq)
    name, last = ref[:64], history[-1]

    def weighed(code: str, fits: Callable[[_Past], bool], detail: str) -> list[Doubt]:
        return [] if fits(last) else _weigh(history, known, fits, code, f"{name}: {detail}")

    local = quote.at_ms, quote.utc_offset_minutes
    found = weighed(
        "tier_differs",
        lambda past: past.tier == quote.tier,
        f"{last.tier or 'removed'} here, {str(quote.tier)[:64]} there",
    )
    if not last.tier:
        return [*found, *_doubt_first_fill(database, stream, quote)]
    found += weighed(
        "tags_differ",
        lambda past: past.tags == frozenset(quote.tags),
        f"{sorted(last.tags)} here, {quote.tags[:8]} there",
    )
    found += weighed(
        "birthday_differs",
        lambda past: _celebrates(past, *local) == quote.birthday_week,
        f"{last.birthday_week} here",
    )
    return [*found, *_doubt_first_fill(database, stream, quote)]


def _weigh(
    history: Sequence[_Past],
    known: Sequence[int],
    fits: Callable[[_Past], bool],
    code: str,
    detail: str,
) -> list[Doubt]:
    then = [past for version in known if (past := _at(history, version)) is not None]
    if then and fits(then[0]):
        return []
    former = any(fits(past) for past in history)
    excused = former and (not then or any(fits(past) for past in then))
    return [Doubt(code, detail, counted=not excused)]


def _doubt_first_fill(database: sqlite3.Connection, stream: int, quote: QuoteBody) -> list[Doubt]:
    """A first fill of a member who filled up before: provable where the same books hold that."""
    if not quote.first_fill:
        return []
    everywhere, here = database.execute(
        "SELECT coalesce(sum(fills), 0), coalesce(sum(iif(stream = ?, fills, 0)), 0)"
        " FROM member_sum WHERE member_ref = ?",
        (stream, quote.member_ref),
    ).fetchone()
    if everywhere <= 0:
        return []
    detail = f"{str(quote.member_ref)[:64]}: {everywhere} fills are known"
    return [Doubt("first_fill_differs", detail, counted=here > 0)]


def doubt_station(station: str, quote: QuoteBody) -> Doubt | None:
    """A sale is priced as at the station whose books it is in."""
    if quote.station in {"", station}:
        return None
    return Doubt("station_differs", quote.station[:64], counted=True)


def doubt_goods(quote: QuoteBody, policy: Policy) -> Doubt | None:
    """Goods cost what the policy says."""
    for line in quote.goods:
        good = policy.good(line.good)
        if good is None or good.price_fen * line.pieces != line.amount_fen:
            return Doubt(
                "goods_price_differs", f"{line.good[:40]}: {line.amount_fen}", counted=True
            )
    return None


def doubt_coupons(database: sqlite3.Connection, quote: QuoteBody) -> list[Doubt]:
    """Coupons that a sale used are the member's, and what they are said to be."""
    used = coupons_used(quote)
    found: list[Doubt] = []
    for coupon in quote.coupons:
        if coupon.serial not in used:
            continue
        row = database.execute(
            "SELECT member_ref, template, from_ms, until_ms FROM coupon WHERE serial = ?",
            (coupon.serial,),
        ).fetchone()
        name = coupon.serial[:64]
        if row is None:
            found.append(Doubt("coupon_unknown", name, counted=True))
        elif row[0] != quote.member_ref:
            found.append(Doubt("coupon_not_theirs", f"{name}: of {row[0]}", counted=True))
        elif tuple(row[1:]) != (coupon.template, coupon.from_ms, coupon.until_ms):
            found.append(Doubt("coupon_differs", f"{name}: {row[1]}", counted=True))
    return found


def _celebrates(past: _Past, at_ms: int, utc_offset_minutes: int) -> bool:
    member = Member(
        MemberRef(""), past.tier, "", None, plate_pay=False, birthday_week=past.birthday_week
    )
    return in_birthday_week(member, at_ms, utc_offset_minutes)


def _history(database: sqlite3.Connection, ref: str) -> list[_Past]:
    rows = database.execute(
        "SELECT version, tier, tags, birthday FROM member_past WHERE ref = ? ORDER BY version",
        (ref,),
    )
    found: list[_Past] = []
    for version, tier, tags, birthday in rows:
        week = json.loads(birthday)
        days = None if week is None else (str(week[0]), str(week[1]))
        found.append(_Past(version, tier, frozenset(json.loads(tags)), days))
    return found


def _at(history: Sequence[_Past], in_force: int) -> _Past | None:
    past = [each for each in history if each.version <= in_force]
    return past[-1] if past else None


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
