"""The members' table: a reference, blind indexes, and everything else sealed (row S11).

No column exists for a name, a phone or a plate; what is personal of a member is one sealed text
that opens in its own row only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from edge_agent.model.catalogues import MemberEntry, UsageRulesEntry
from edge_agent.model.errors import CorruptionError
from edge_agent.model.ids import AccountRef, MemberRef
from edge_agent.model.membership import ExpiringPoints, Member, UsageRules
from edge_agent.ports import SEALED_ELSEWHERE, Sealer
from edge_agent.store.database import storage_errors, transaction

BY_REF: Final = "SELECT ref, personal FROM members WHERE ref = ?"
BY_INDEX: Final = (
    "SELECT ref, personal FROM members"
    " WHERE ref = (SELECT ref FROM member_index WHERE kind = ? AND idx = ?)"
)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def put_members(
    connection: sqlite3.Connection, members: Sequence[MemberEntry], sealer: Sealer
) -> None:
    """Write members over what was known of them, within the caller's transaction."""
    connection.executemany("DELETE FROM member_index WHERE ref = ?", ((m.ref,) for m in members))
    connection.executemany(
        "INSERT OR REPLACE INTO members (ref, personal) VALUES (?, ?)",
        ((m.ref, sealer.seal(_place(m.ref), _written(m))) for m in members),
    )
    # A card or plate that went to another member goes with the later word of HQ.
    connection.executemany(
        "INSERT OR REPLACE INTO member_index (kind, idx, ref) VALUES (?, ?, ?)",
        (
            (kind, index, member.ref)
            for member in members
            for kind, indexes in member.indexes.items()
            for index in indexes
        ),
    )


def forget_members(connection: sqlite3.Connection) -> None:
    """Remove all members, within the caller's transaction."""
    connection.execute("DELETE FROM member_index")
    connection.execute("DELETE FROM members")


def lay_aside_unreadable(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Remove members that another key sealed, so that headquarters sends them again.

    After a restore on another disk the old key may be gone; the station sells to members as to
    anybody until they are back, and must start in any case.

    Raises:
        StorageUnavailable: the disk cannot be written.
    """
    with storage_errors():
        found = connection.execute("SELECT ref, personal FROM members LIMIT 1").fetchone()
    if found is None:
        return
    try:
        sealer.open(_place(found[0]), found[1])
    except CorruptionError as error:
        if error.problem.code != SEALED_ELSEWHERE:
            return  # one row that was tampered with: it shows when somebody asks for it
        with transaction(connection):
            forget_members(connection)
            connection.execute("UPDATE catalogue_version SET version = 0 WHERE dataset = 'members'")


def read_member(row: tuple[str, bytes], sealer: Sealer) -> Member:
    """Return the member that a row says.

    Raises:
        CorruptionError: the row was altered, or belongs to another member.
    """
    ref, sealed = row
    # Ours since it opened, so it is taken apart without asking what is in it: this is the way of
    # every plate that a camera reads.
    (
        tier,
        masked_name,
        account,
        plate_pay,
        account_kind,
        limit_class,
        tags,
        birthday_week,
        fills,
        spent_fen,
        points,
        rules,
        pin_hash,
        locked,
    ) = json.loads(sealer.open(_place(ref), sealed))
    return Member(
        MemberRef(ref),
        tier,
        masked_name,
        None if account is None else AccountRef(account),
        plate_pay,
        account_kind,
        limit_class,
        tuple(tags),
        None if birthday_week is None else (birthday_week[0], birthday_week[1]),
        fills,
        spent_fen,
        tuple(ExpiringPoints(expires_ms, count) for expires_ms, count in points),
        None if rules is None else _rules(rules),
        pin_hash,
        locked,
    )


def _written(member: MemberEntry) -> bytes:
    values = [
        member.tier,
        member.masked_name,
        member.account,
        member.plate_pay,
        member.account_kind,
        member.limit_class,
        member.tags,
        member.birthday_week,
        member.fills,
        member.spent_fen,
        [(bucket.expires_ms, bucket.points) for bucket in member.points],
        None if member.rules is None else _rules_written(member.rules),
        member.pin_hash,
        member.locked,
    ]
    return _ENCODER.encode(values).encode()


def _rules_written(rules: UsageRulesEntry) -> list[object]:
    """Return the rules by position: what is new goes last, so that rows sealed before are read."""
    return [
        rules.grades,
        rules.stations,
        rules.hours,
        rules.max_volume_ml,
        rules.max_amount_fen,
        rules.visits_per_day,
        rules.visits_per_week,
        rules.visits_per_month,
        rules.amount_per_month_fen,
        rules.odometer,
        rules.pin,
        rules.amount_per_day_fen,
        rules.amount_per_week_fen,
        rules.volume_per_day_ml,
        rules.volume_per_week_ml,
        rules.volume_per_month_ml,
    ]


def _rules(values: list[Any]) -> UsageRules:
    grades, stations, hours, *rest = values
    windows = tuple((first, last) for first, last in hours)
    return UsageRules(tuple(grades), tuple(stations), windows, *rest)


def _place(ref: str) -> str:
    return f"members|personal|{ref}"
