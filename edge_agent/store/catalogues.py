"""What headquarters published and this station took in: members, leases, prices, policies.

Each catalogue comes into force in one transaction with the ledger record that says so.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_agent.model.canonical import canonical_json
from edge_agent.model.catalogues import LeaseEntry, MemberEntry
from edge_agent.model.errors import SaleRefused
from edge_agent.model.ids import GradeId, MemberRef, PriceSetId
from edge_agent.model.leases import LeaseState
from edge_agent.model.ledger import LedgerHead
from edge_agent.model.membership import Member
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import (
    CatalogueAccepted,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    RecordBody,
)
from edge_agent.model.units import UnitPrice
from edge_agent.model.wire import refuse
from edge_agent.ports import Sealer
from edge_agent.store.database import storage_errors
from edge_agent.store.leases import standing
from edge_agent.store.members import (
    BY_INDEX,
    BY_REF,
    forget_members,
    put_members,
    read_member,
)
from edge_agent.store.posting import Change, Posting

PARTS_IN_A_RECORD: Final = 64
"""So many leases and buckets are enough for one `leases.taken`: with the longest names, and a last
lease of 256 buckets, it weighs less than a record may."""


@dataclass(frozen=True, slots=True)
class _InForce:
    """The price set in force, as the books were at a record."""

    head: LedgerHead
    price_set: PriceSet
    until_ms: int | None
    """When the next one begins, where one is known."""

    def holds(self, at_ms: int) -> bool:
        begun = self.price_set.valid_from_ms <= at_ms
        return begun and (self.until_ms is None or at_ms < self.until_ms)


class StationCatalogues:
    """`ports.Catalogues` and `ports.CatalogueAcceptor` on the station's database."""

    def __init__(self, posting: Posting, reader: sqlite3.Connection, sealer: Sealer) -> None:
        self._posting = posting
        self._reader = reader
        self._sealer = sealer
        self._in_force: _InForce | None = None

    # --- asked at the till and the pump ---------------------------------------------------------

    def member(self, ref: MemberRef) -> Member | None:
        """Return a member by reference."""
        return self._member(BY_REF, ref)

    def member_by_index(self, kind: str, index: str) -> Member | None:
        """Look a member up by the blind index of a `kind` of identifier: card, phone or plate."""
        return self._member(BY_INDEX, kind, index)

    def price_set(self, at_ms: int) -> PriceSet | None:
        """Return the price set in force at a wall time: the latest begun, of these the newest."""
        # It is asked for every second, and the books change seldom: read anew after each record.
        head = self._posting.head
        found = self._in_force
        if found is None or found.head != head or not found.holds(at_ms):
            found = self._in_force = self._read_in_force(at_ms, head)
        return None if found is None else found.price_set

    def _read_in_force(self, at_ms: int, head: LedgerHead) -> _InForce | None:
        rows = self._rows(
            "SELECT id, version, valid_from_ms, prices FROM price_sets WHERE valid_from_ms <= ?"
            " ORDER BY valid_from_ms DESC, version DESC, id DESC LIMIT 1",
            at_ms,
        )
        if not rows:
            return None
        set_id, version, valid_from_ms, prices = rows[0]
        price_set = PriceSet(
            PriceSetId(set_id),
            version,
            valid_from_ms,
            {GradeId(grade): UnitPrice(milli) for grade, milli in json.loads(prices).items()},
        )
        ((until_ms,),) = self._rows(
            "SELECT min(valid_from_ms) FROM price_sets WHERE valid_from_ms > ?", at_ms
        )
        return _InForce(head, price_set, until_ms)

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

        What is personal of them is sealed before it reaches the disk (row S11).

        Raises:
            MessageRefused: `replayed`.
            StorageUnavailable: nothing was changed.
        """

        def change(connection: sqlite3.Connection) -> Sequence[RecordBody]:
            if replaced:
                forget_members(connection)
            put_members(connection, members, self._sealer)
            return ()

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

        def change(connection: sqlite3.Connection) -> Sequence[RecordBody]:
            for price_set in price_sets:
                _put_price_set(connection, price_set)
            return ()

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

        def change(connection: sqlite3.Connection) -> Sequence[RecordBody]:
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
            return ()

        await self._accept("policy", version, counter, sha256, change)

    async def accept_leases(
        self,
        version: int,
        counter: int,
        granted: Sequence[LeaseEntry],
        recalled: Sequence[str],
        *,
        sha256: str,
    ) -> None:
        """Take in leases, each once, and close those that are recalled, with their records.

        A lease that was here before, whatever became of it, is passed over; one that is recalled
        before it came is closed unseen, and passed over when it comes.

        Raises:
            MessageRefused: `replayed`, or `bad_content` when a lease contradicts itself.
            StorageUnavailable: nothing was changed.
        """

        def change(connection: sqlite3.Connection) -> Sequence[RecordBody]:
            return [
                *_taken(connection, granted, frozenset(recalled)),
                *_recalled(connection, recalled),
            ]

        try:
            await self._accept("leases", version, counter, sha256, change)
        except SaleRefused as error:
            raise refuse("bad_content", str(error)) from error

    async def _accept(
        self, dataset: str, version: int, counter: int, sha256: str, change: Change
    ) -> None:
        def accepted(connection: sqlite3.Connection) -> Sequence[RecordBody]:
            last = connection.execute(
                "SELECT counter FROM catalogue_version WHERE dataset = ?", (dataset,)
            ).fetchone()
            if last is not None and counter <= last[0]:
                raise refuse("replayed", f"{dataset} counter {counter}, last {last[0]}")
            bodies = change(connection)
            connection.execute(
                "INSERT OR REPLACE INTO catalogue_version (dataset, version, counter, sha256)"
                " VALUES (?, ?, ?, ?)",
                (dataset, version, counter, sha256),
            )
            return bodies

        body = CatalogueAccepted(dataset=dataset, version=version, sha256=sha256)
        await self._posting.commit([body], accepted)

    def _member(self, query: str, *keys: str) -> Member | None:
        rows = self._rows(query, *keys)
        if not rows:
            return None
        return read_member((rows[0][0], rows[0][1]), self._sealer)

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        with storage_errors():
            return self._reader.execute(query, values).fetchall()


def _taken(
    connection: sqlite3.Connection, granted: Sequence[LeaseEntry], recalled: frozenset[str]
) -> list[LeasesTaken]:
    """Return the records of the leases that were never here, none too long to travel."""
    fresh = {
        entry.lease_id: LeaseTerms.model_validate(entry.model_dump())
        for entry in granted
        if entry.lease_id not in recalled and standing(connection, entry.lease_id) is None
    }
    bodies: list[LeasesTaken] = []
    batch: list[LeaseTerms] = []
    parts = 0
    for terms in fresh.values():
        batch.append(terms)
        parts += 1 + len(terms.buckets)
        if parts >= PARTS_IN_A_RECORD:
            bodies.append(LeasesTaken(leases=batch))
            batch, parts = [], 0
    return [*bodies, LeasesTaken(leases=batch)] if batch else bodies


def _recalled(connection: sqlite3.Connection, recalled: Sequence[str]) -> list[LeaseClosed]:
    bodies: list[LeaseClosed] = []
    for lease_id in dict.fromkeys(recalled):
        found = standing(connection, lease_id)
        if found is None or found.state == LeaseState.OPEN:
            spent = 0 if found is None else found.spent
            bodies.append(LeaseClosed(lease_id=lease_id, spent=spent, reason="recalled"))
    return bodies


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
