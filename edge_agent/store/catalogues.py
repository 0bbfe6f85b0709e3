"""What headquarters published and this station took in: members, accounts, prices, policies.

Members are found by blind index; no table has a column for a name, a phone or a plate in clear.
Each catalogue comes into force in one transaction with the ledger record that says so.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from edge_agent.model.canonical import canonical_json
from edge_agent.model.catalogues import MemberEntry
from edge_agent.model.ids import AccountRef, GradeId, MemberRef, PriceSetId
from edge_agent.model.membership import Member
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import CatalogueAccepted
from edge_agent.model.units import UnitPrice
from edge_agent.model.wire import refuse
from edge_agent.store.database import storage_errors
from edge_agent.store.posting import Change, Posting

_MEMBER = "SELECT ref, tier, masked_name, account, plate_pay FROM members WHERE ref = ?"
_INDEXED = (
    "SELECT ref, tier, masked_name, account, plate_pay FROM members"
    " WHERE ref = (SELECT ref FROM member_index WHERE kind = ? AND idx = ?)"
)


class StationCatalogues:
    """`ports.Catalogues` and `ports.CatalogueAcceptor` on the station's database."""

    def __init__(self, posting: Posting, reader: sqlite3.Connection) -> None:
        self._posting = posting
        self._reader = reader

    # --- asked at the till and the pump ---------------------------------------------------------

    def member(self, ref: MemberRef) -> Member | None:
        """Return a member by reference."""
        return self._member(_MEMBER, ref)

    def member_by_index(self, kind: str, index: str) -> Member | None:
        """Look a member up by the blind index of a `kind` of identifier: card, phone or plate."""
        return self._member(_INDEXED, kind, index)

    def price_set(self, at_ms: int) -> PriceSet | None:
        """Return the price set in force at a wall time: the latest begun, of these the newest."""
        rows = self._rows(
            "SELECT id, version, valid_from_ms, prices FROM price_sets WHERE valid_from_ms <= ?"
            " ORDER BY valid_from_ms DESC, version DESC, id DESC LIMIT 1",
            at_ms,
        )
        if not rows:
            return None
        set_id, version, valid_from_ms, prices = rows[0]
        return PriceSet(
            PriceSetId(set_id),
            version,
            valid_from_ms,
            {GradeId(grade): UnitPrice(milli) for grade, milli in json.loads(prices).items()},
        )

    def policy_json(self) -> str | None:
        """Return the policy in force as JSON text."""
        rows = self._rows(
            "SELECT json FROM policy WHERE version ="
            " (SELECT version FROM catalogue_version WHERE dataset = 'policy')"
        )
        return str(rows[0][0]) if rows else None

    def versions(self) -> dict[str, int]:
        """Return the version in force by dataset."""
        return dict(self._rows("SELECT dataset, version FROM catalogue_version ORDER BY dataset"))

    # --- taken in from headquarters -------------------------------------------------------------

    async def accept_members(
        self,
        version: int,
        counter: int,
        members: Sequence[MemberEntry],
        *,
        replaced: bool,
        sha256: str,
    ) -> None:
        """Take in members: all of them anew (`replaced`), or those that changed.

        Accounts stay when their member goes, and what HQ granted on them only grows, so that
        neither a late nor a repeated catalogue lets the same money be spent twice.

        Raises:
            MessageRefused: `replayed`.
            StorageUnavailable: nothing was changed.
        """

        def change(connection: sqlite3.Connection) -> None:
            if replaced:
                connection.execute("DELETE FROM member_index")
                connection.execute("DELETE FROM members")
            _put_members(connection, members)

        await self._accept("members", version, counter, sha256, change)

    async def accept_prices(
        self, version: int, counter: int, price_sets: Sequence[PriceSet], *, sha256: str
    ) -> None:
        """Take in price sets; each comes into force by itself at its `valid_from_ms`.

        Earlier sets are kept, because sales name them.

        Raises:
            MessageRefused: `replayed`, or `version_rewritten` when a set of this id is known with
                other prices or another beginning.
            StorageUnavailable: nothing was changed.
        """

        def change(connection: sqlite3.Connection) -> None:
            for price_set in price_sets:
                _put_price_set(connection, price_set)

        await self._accept("prices", version, counter, sha256, change)

    async def accept_policy(
        self, version: int, counter: int, policy_json: str, *, sha256: str
    ) -> None:
        """Take in a policy that `model.policy` has read without complaint.

        Earlier versions are kept, because sales name them.

        Raises:
            MessageRefused: `replayed`, or `version_rewritten` when this version is known with
                other content.
            StorageUnavailable: nothing was changed.
        """
        content = hashlib.sha256(policy_json.encode()).hexdigest()

        def change(connection: sqlite3.Connection) -> None:
            known = connection.execute(
                "SELECT sha256 FROM policy WHERE version = ?", (version,)
            ).fetchone()
            if known is None:
                connection.execute(
                    "INSERT INTO policy (version, json, sha256) VALUES (?, ?, ?)",
                    (version, policy_json, content),
                )
            elif known[0] != content:
                raise refuse("version_rewritten", f"policy {version}")

        await self._accept("policy", version, counter, sha256, change)

    async def _accept(
        self, dataset: str, version: int, counter: int, sha256: str, change: Change
    ) -> None:
        def accepted(connection: sqlite3.Connection) -> None:
            last = connection.execute(
                "SELECT counter FROM catalogue_version WHERE dataset = ?", (dataset,)
            ).fetchone()
            if last is not None and counter <= last[0]:
                raise refuse("replayed", f"{dataset} counter {counter}, last {last[0]}")
            change(connection)
            connection.execute(
                "INSERT OR REPLACE INTO catalogue_version (dataset, version, counter, sha256)"
                " VALUES (?, ?, ?, ?)",
                (dataset, version, counter, sha256),
            )

        body = CatalogueAccepted(dataset=dataset, version=version, sha256=sha256)
        await self._posting.commit([body], accepted)

    def _member(self, query: str, *keys: str) -> Member | None:
        rows = self._rows(query, *keys)
        if not rows:
            return None
        ref, tier, masked_name, account, plate_pay = rows[0]
        return Member(
            MemberRef(ref),
            tier,
            masked_name,
            None if account is None else AccountRef(account),
            bool(plate_pay),
        )

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        with storage_errors():
            return self._reader.execute(query, values).fetchall()


def _put_members(connection: sqlite3.Connection, members: Sequence[MemberEntry]) -> None:
    connection.executemany("DELETE FROM member_index WHERE ref = ?", ((m.ref,) for m in members))
    connection.executemany(
        "INSERT OR REPLACE INTO members (ref, tier, masked_name, account, plate_pay)"
        " VALUES (?, ?, ?, ?, ?)",
        ((m.ref, m.tier, m.masked_name, m.account, int(m.plate_pay)) for m in members),
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
    connection.executemany(
        "INSERT INTO accounts (ref, granted_fen) VALUES (?, ?) ON CONFLICT (ref) DO UPDATE"
        " SET granted_fen = excluded.granted_fen WHERE excluded.granted_fen > granted_fen",
        ((m.account, m.granted_fen) for m in members if m.account is not None),
    )


def _put_price_set(connection: sqlite3.Connection, price_set: PriceSet) -> None:
    prices = canonical_json(
        {grade: price.milli for grade, price in price_set.prices.items()}
    ).decode()
    known = connection.execute(
        "SELECT valid_from_ms, prices FROM price_sets WHERE id = ?", (price_set.id,)
    ).fetchone()
    if known is None:
        connection.execute(
            "INSERT INTO price_sets (id, version, valid_from_ms, prices) VALUES (?, ?, ?, ?)",
            (price_set.id, price_set.version, price_set.valid_from_ms, prices),
        )
    elif known != (price_set.valid_from_ms, prices):
        raise refuse("version_rewritten", f"price set {price_set.id}")
