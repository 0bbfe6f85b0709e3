"""Members as headquarters keeps and publishes them: masks and indexes, nothing personal in clear.

Members travel as changes since the version that a station has, in pieces, or as a whole from the
beginning where changes do not lead there. Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from edge_agent.model.canonical import Json, canonical_json
from edge_agent.model.catalogues import MemberEntry, MembersPayload
from edge_agent.model.records import Asset
from hq.books import HqBooks
from hq.content import Content

MEMBERS_IN_ONE = 1000
"""Members in one message: about 250 kB on the wire."""
BUCKETS_SHOWN = 64
MOST_LOST_VERSIONS = 10_000_000
"""So many versions may have been published after the backup that headquarters was restored from. A
station that claims more is not believed: numbers are bounded on the wire, and one claim near the
bound would leave no number to publish under."""


class _Row(NamedTuple):
    ref: str
    version: int
    tier: str
    masked_name: str
    account: str | None
    plate_pay: int
    indexes: str
    tags: str
    birthday: str
    rules: str
    pin_hash: str | None
    locked: str | None
    kind: str
    limit_class: str
    fills: int
    spent_fen: int
    points: str


_SELECT = f"""
SELECT m.ref, m.version, m.tier, m.masked_name, m.account, m.plate_pay, m.indexes, m.tags,
    m.birthday, m.rules, m.pin_hash, m.locked, coalesce(a.kind, 'personal'),
    coalesce(a.limit_class, 'standard'),
    (SELECT coalesce(sum(fills), 0) FROM member_sum s WHERE s.member_ref = m.ref),
    (SELECT coalesce(sum(spent_fen), 0) FROM member_sum s WHERE s.member_ref = m.ref),
    (SELECT json_group_array(json_array(expires_ms, points)) FROM (
        SELECT expires_ms, free + leased + locked AS points FROM holding h
        WHERE h.asset = 'points' AND h.holder = m.ref AND free + leased + locked > 0
        ORDER BY expires_ms LIMIT {BUCKETS_SHOWN}))
FROM member m LEFT JOIN account a ON a.account = m.account
"""  # noqa: S608 -- our own bound


class Members:
    """The dataset "members", and what each member was in the past."""

    def __init__(self, books: HqBooks) -> None:
        self._db = books.connection

    # --- changes ---------------------------------------------------------------------------------

    def put(self, entry: MemberEntry) -> None:
        """Add a member or change one. What was counted and what is held stays with the books."""
        version = self._next_version()
        fields = entry.model_dump(mode="json")
        tags, birthday, rules, indexes = (
            canonical_json(fields[name]).decode()
            for name in ("tags", "birthday_week", "rules", "indexes")
        )
        self._db.execute(
            "INSERT OR REPLACE INTO member (ref, version, tier, masked_name, account, plate_pay,"
            " indexes, tags, birthday, rules, pin_hash, locked)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.ref, version, entry.tier, entry.masked_name, entry.account,
                int(entry.plate_pay), indexes, tags, birthday, rules, entry.pin_hash,
                entry.locked,
            ),
        )  # fmt: skip
        self._note_past(entry.ref, version, (entry.tier, tags, birthday))

    def remove(self, ref: str) -> bool:
        """Take a member out: every station gets its members anew."""
        gone = self._db.execute("DELETE FROM member WHERE ref = ?", (ref,)).rowcount
        self._number_anew(self.version())
        if gone:
            self._note_past(ref, self._whole_from(), ("", "[]", "null"))
        return bool(gone)

    def lock(self, ref: str, reason: str | None) -> bool:
        """Let nothing be charged to a member any more, or let it again (None, row R5)."""
        found = self._db.execute("UPDATE member SET locked = ? WHERE ref = ?", (reason, ref))
        self.touch(ref)
        return found.rowcount == 1

    def touch(self, ref: str) -> None:
        """Publish a member anew, as the books are now."""
        known = self._db.execute("SELECT 1 FROM member WHERE ref = ?", (ref,)).fetchone()
        if known is not None:  # each its own version, since messages are cut between versions
            self._db.execute(
                "UPDATE member SET version = ? WHERE ref = ?", (self._next_version(), ref)
            )
        self._db.execute("DELETE FROM stale_member WHERE member_ref = ?", (ref,))

    def grown_stale(self, ref: str) -> None:
        """Note that stations know older figures of a member; it may wait for `refresh`."""
        self._db.execute("INSERT OR IGNORE INTO stale_member (member_ref) VALUES (?)", (ref,))

    def refresh(self, most: int) -> int:
        """Publish members whose figures changed; return how many there were."""
        refs = self._db.execute(
            "SELECT member_ref FROM stale_member ORDER BY member_ref LIMIT ?", (most,)
        ).fetchall()
        for (ref,) in refs:
            self.touch(ref)
        return len(refs)

    # --- looking ---------------------------------------------------------------------------------

    def sums(self, ref: str) -> tuple[int, int]:
        """Return a member's fills and what was paid for them, refunds apart."""
        fills, spent_fen = self._db.execute(
            "SELECT coalesce(sum(fills), 0), coalesce(sum(spent_fen), 0) FROM member_sum"
            " WHERE member_ref = ?",
            (ref,),
        ).fetchone()
        return int(fills), int(spent_fen)

    def account_of(self, ref: str) -> str | None:
        """Return a member's account; None when there is none, or no such member."""
        row = self._db.execute("SELECT account FROM member WHERE ref = ?", (ref,)).fetchone()
        return row[0] if row else None

    def knows(self, ref: str) -> bool:
        """Whether such a member is enrolled."""
        return self._db.execute("SELECT 1 FROM member WHERE ref = ?", (ref,)).fetchone() is not None

    def users_of(self, account: str) -> list[str]:
        """Return the members that use an account."""
        rows = self._db.execute(
            "SELECT ref FROM member WHERE account = ? ORDER BY ref", (account,)
        ).fetchall()
        return [ref for (ref,) in rows]

    # --- versions and pieces ---------------------------------------------------------------------

    def version(self) -> int:
        """Return the newest version; 0 before the first."""
        row = self._db.execute("SELECT version FROM dataset WHERE dataset = 'members'").fetchone()
        return int(row[0])

    def lacking(self, in_force: int) -> Content | None:
        """Return the next piece that brings a station forward; None when it has everything.

        The caller has seen that the station's version is not beyond reason.
        """
        newest = self.version()
        if in_force == newest:
            return None
        if in_force > newest:
            # This database is older than what it once published: begin beyond it.
            self._number_anew(in_force)
            newest = self.version()
        base = in_force if in_force >= self._whole_from() else 0
        found = self._db.execute(
            f"{_SELECT} WHERE m.version > ? ORDER BY m.version LIMIT ?", (base, MEMBERS_IN_ONE + 1)
        ).fetchall()
        more = len(found) > MEMBERS_IN_ONE
        rows = [_Row(*row) for row in found[:MEMBERS_IN_ONE]]
        payload = MembersPayload(base=base, members=[_entry(row) for row in rows])
        text = canonical_json(payload.model_dump()).decode()
        return Content("members", rows[-1].version if more else newest, text)

    def _next_version(self) -> int:
        row = self._db.execute(
            "UPDATE dataset SET version = version + 1 WHERE dataset = 'members' RETURNING version"
        ).fetchone()
        return int(row[0])

    def _whole_from(self) -> int:
        row = self._db.execute(
            "SELECT whole_from FROM dataset WHERE dataset = 'members'"
        ).fetchone()
        return int(row[0])

    def _number_anew(self, after: int) -> None:
        """Number all members beyond `after`, so that every station takes them from the start."""
        refs = self._db.execute("SELECT ref FROM member ORDER BY version, ref").fetchall()
        self._db.executemany(
            "UPDATE member SET version = ? WHERE ref = ?",
            [(after + place, ref) for place, (ref,) in enumerate(refs, 1)],
        )
        self._db.execute(
            "UPDATE dataset SET version = ?, whole_from = ? WHERE dataset = 'members'",
            (after + max(1, len(refs)), after + 1),
        )

    def _note_past(self, ref: str, version: int, facts: tuple[str, str, str]) -> None:
        last = self._db.execute(
            "SELECT tier, tags, birthday FROM member_past WHERE ref = ?"
            " ORDER BY version DESC LIMIT 1",
            (ref,),
        ).fetchone()
        if last != facts:
            self._db.execute(
                "INSERT INTO member_past (ref, version, tier, tags, birthday)"
                " VALUES (?, ?, ?, ?, ?)",
                (ref, version, *facts),
            )


def is_locked(database: sqlite3.Connection, asset: Asset, holder: str) -> bool:
    """Whether nothing may be set aside: the member is locked, or everybody who uses the account."""
    if asset == "budget":
        return False
    where = {
        "balance": "account = ?",
        "points": "ref = ?",
        "coupon": "ref = (SELECT member_ref FROM coupon WHERE serial = ?)",
    }[asset]
    users, locked = database.execute(
        f"SELECT count(*), count(locked) FROM member WHERE {where}",  # noqa: S608 -- our own words
        (holder,),
    ).fetchone()
    return bool(users == locked)


def _entry(row: _Row) -> MemberEntry:
    fields: dict[str, Json] = {
        "ref": row.ref,
        "tier": row.tier,
        "masked_name": row.masked_name,
        "account": row.account,
        "plate_pay": bool(row.plate_pay),
        "account_kind": row.kind,
        "limit_class": row.limit_class,
        "tags": json.loads(row.tags),
        "birthday_week": json.loads(row.birthday),
        "fills": max(0, row.fills),
        "spent_fen": max(0, row.spent_fen),
        "points": [
            {"expires_ms": expires_ms, "points": points}
            for expires_ms, points in json.loads(row.points)
        ],
        "rules": json.loads(row.rules),
        "pin_hash": row.pin_hash,
        "locked": row.locked,
        "indexes": json.loads(row.indexes),
    }
    return MemberEntry.model_validate_json(canonical_json(fields))
