"""A station's books on paper: the ledger as a list, leases by the pure rules of `core.leases`.

Everything here outlives a crash; a backup is a copy. The rules are those that the store enforces
in SQL; `--real` holds the simulation to the store itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.core import leases
from edge_agent.core.chain import genesis, seal
from edge_agent.model.canonical import canonical_json
from edge_agent.model.catalogues import LeaseEntry
from edge_agent.model.errors import SaleRefused
from edge_agent.model.leases import Holding, Lease, LeaseState
from edge_agent.model.ledger import EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import (
    Asset,
    AssetMoved,
    CatalogueAccepted,
    EpochOpened,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    RecordBody,
    StoredValueToppedUp,
)
from edge_agent.model.wire import refuse
from edge_agent.ports import Clock

_LEASE_KINDS = (LeasesTaken, LeaseClosed, AssetMoved, StoredValueToppedUp)


class PaperBooks:
    """One station's books and what it has of the catalogues."""

    def __init__(self, clock: Clock, epoch: int) -> None:
        self._clock = clock
        self._records: dict[int, list[LedgerRecord]] = {epoch: []}
        self._acked: dict[int, int] = {epoch: 0}
        self._epoch = epoch
        self._latest_ms = 0
        self._leases: dict[str, Lease] = {}
        self._open: dict[tuple[Asset, str], dict[str, None]] = {}
        self._used: dict[str, set[str]] = {}
        """By serial, the leases under which a coupon is used."""
        self._coupons: dict[str, dict[str, None]] = {}
        """Open leases of coupons by member."""
        self._unseen: set[str] = set()
        """Leases that were recalled before they came."""
        self._moved: dict[str, list[AssetMoved]] = {}
        self._refunded: set[str] = set()
        self._versions: dict[str, tuple[int, int]] = {}
        """Version and counter by dataset."""

    # --- the ledger ------------------------------------------------------------------------------

    async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
        """Append records with their effects on the leases, all or none."""
        return self._post(bodies)

    def _post(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
        wall_ms = self._clock.wall_ms()
        now_ms = max(wall_ms, self._latest_ms)
        changed: dict[str, Lease] = {}
        for body in bodies:
            changed |= self._judged(body, changed, now_ms)
        for lease in changed.values():
            self._put(lease)
        self._latest_ms = now_ms
        posted = []
        chain = self._records[self._epoch]
        for body in bodies:
            head = self.head()
            text = canonical_json(body.model_dump(mode="json")).decode()
            record = seal(head.epoch, head.seq + 1, body.kind, wall_ms, text, head.hash)
            chain.append(record)
            posted.append(record)
            if isinstance(body, AssetMoved) and body.reason == "sale":
                self._moved.setdefault(body.sale_id, []).append(body)
            elif isinstance(body, AssetMoved):
                self._refunded.add(body.sale_id)
            elif isinstance(body, LeaseClosed) and body.lease_id not in self._leases:
                self._unseen.add(body.lease_id)
        return tuple(posted)

    def _judged(self, body: RecordBody, changed: dict[str, Lease], now_ms: int) -> dict[str, Lease]:
        """Return the leases that a record changes, as the pure rules have it."""
        if not isinstance(body, _LEASE_KINDS):
            return {}
        named = {name: lease for name in _named(body) if (lease := self._find(name, changed))}
        if isinstance(body, LeaseClosed) and not named:
            return {}
        if self._unseen & set(_named(body)):
            raise SaleRefused(leases.PROBLEMS["lease_repeated"], "recalled before it came")
        if isinstance(body, AssetMoved) and body.asset == "coupon" and body.delta < 0:
            self._refuse_used(body.holder)
        return leases.apply(named, body, now_ms)

    def _find(self, name: str, changed: dict[str, Lease]) -> Lease | None:
        return changed.get(name) or self._leases.get(name)

    def _refuse_used(self, serial: str) -> None:
        if self._used.get(serial):
            raise SaleRefused(leases.PROBLEMS["lease_overdrawn"], serial)

    def _put(self, lease: Lease) -> None:
        terms = lease.terms
        self._leases[terms.lease_id] = lease
        places = [self._open.setdefault((terms.asset, terms.holder), {})]
        if terms.asset == "coupon":
            places.append(self._coupons.setdefault(terms.member_ref or "", {}))
            used = self._used.setdefault(terms.holder, set())
            (used.add if lease.spent else used.discard)(terms.lease_id)
        for names in places:
            if lease.state is LeaseState.OPEN:
                names[terms.lease_id] = None
            else:
                names.pop(terms.lease_id, None)

    def head(self) -> LedgerHead:
        """Return the end of the present epoch."""
        chain = self._records[self._epoch]
        if not chain:
            return genesis(self._epoch)
        return LedgerHead(self._epoch, len(chain), chain[-1].hash)

    def acked_seq(self) -> int:
        """Return what headquarters has of the present epoch."""
        return self._acked[self._epoch]

    def epochs(self) -> list[EpochStanding]:
        """Return every epoch, the present one last."""
        return [
            EpochStanding(epoch, 0, len(chain), self._acked[epoch])
            for epoch, chain in sorted(self._records.items())
        ]

    def records_after(self, seq: int, limit: int) -> list[LedgerRecord]:
        """Return records of the present epoch."""
        return self._records[self._epoch][seq : seq + limit]

    def records_of(self, standing: EpochStanding, seq: int, limit: int) -> list[LedgerRecord]:
        """Return records of an epoch."""
        return self._records[standing.epoch][seq : seq + limit]

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of a record of the present epoch."""
        chain = self._records[self._epoch]
        if seq == 0:
            return genesis(self._epoch).hash
        return chain[seq - 1].hash if seq <= len(chain) else None

    async def move_acked(self, epoch: int, up_to_seq: int) -> None:
        """Note what headquarters has committed."""
        self._acked[epoch] = max(self._acked[epoch], up_to_seq)

    def time_floor_ms(self) -> int:
        """Return the latest wall time of any record."""
        return self._latest_ms

    # --- leases ----------------------------------------------------------------------------------

    def holding(self, asset: Asset, holder: str) -> Holding:
        """Return the open leases of an asset, soonest expiry first."""
        found = {name: self._leases[name] for name in self._open.get((asset, holder), {})}
        return leases.holding_of(found, asset, holder)

    def coupons_of(self, member: str) -> list[Lease]:
        """Return the open leases of a member's coupons that were never used here."""
        found = [self._leases[name] for name in self._coupons.get(member, {})]
        return [lease for lease in found if not self._used.get(lease.terms.holder)]

    def due_leases(self, now_ms: int, limit: int) -> list[Lease]:
        """Return open leases that are over."""
        found = (self._leases[name] for names in self._open.values() for name in names)
        return [lease for lease in found if lease.terms.expires_ms <= now_ms][:limit]

    def movements(self, sale: str) -> list[AssetMoved]:
        """Return what a sale moved; nothing once it was given back."""
        return [] if sale in self._refunded else self._moved.get(sale, [])

    # --- catalogues ------------------------------------------------------------------------------

    def versions(self) -> dict[str, int]:
        """Return the version in force by dataset."""
        return {dataset: version for dataset, (version, _) in self._versions.items() if version}

    async def accept_leases(
        self,
        version: int,
        counter: int,
        granted: Sequence[LeaseEntry],
        recalled: Sequence[str],
        *,
        sha256: str,
    ) -> None:
        """Take in leases, each once, and close those that are recalled."""
        self._check_counter("leases", counter)
        fresh = {
            entry.lease_id: LeaseTerms.model_validate(entry.model_dump())
            for entry in granted
            if entry.lease_id not in self._leases
            and entry.lease_id not in self._unseen
            and entry.lease_id not in recalled
        }
        bodies: list[RecordBody] = [_accepted("leases", version, sha256)]
        if fresh:
            bodies.append(LeasesTaken(leases=list(fresh.values())))
        for name in dict.fromkeys(recalled):
            lease = self._leases.get(name)
            if name not in self._unseen and (lease is None or lease.state is LeaseState.OPEN):
                spent = 0 if lease is None else lease.spent
                bodies.append(LeaseClosed(lease_id=name, spent=spent, reason="recalled"))
        self._post(bodies)
        self._versions["leases"] = (version, counter)

    async def accept_members(
        self, version: int, counter: int, members: object, *, replaced: bool, sha256: str
    ) -> None:
        """Take in members; on paper only their version matters."""
        del members, replaced
        self._accept("members", version, counter, sha256)

    async def accept_policy(
        self, version: int, counter: int, policy_json: str, *, sha256: str
    ) -> None:
        """Take in a policy; on paper only its version matters."""
        del policy_json
        self._accept("policy", version, counter, sha256)

    async def accept_prices(
        self, version: int, counter: int, price_sets: object, *, sha256: str
    ) -> None:
        """Take in prices; on paper only their version matters."""
        del price_sets
        self._accept("prices", version, counter, sha256)

    def _accept(self, dataset: str, version: int, counter: int, sha256: str) -> None:
        self._check_counter(dataset, counter)
        self._post([_accepted(dataset, version, sha256)])
        self._versions[dataset] = (version, counter)

    def _check_counter(self, dataset: str, counter: int) -> None:
        if counter <= self._versions.get(dataset, (0, 0))[1]:
            raise refuse("replayed")

    # --- backups ---------------------------------------------------------------------------------

    def copied(self) -> PaperBooks:
        """Return a backup."""
        backup = PaperBooks(self._clock, self._epoch)
        backup._records = {epoch: [*chain] for epoch, chain in self._records.items()}
        backup._acked = {**self._acked}
        backup._latest_ms = self._latest_ms
        backup._leases = {**self._leases}
        backup._open = {key: {**names} for key, names in self._open.items()}
        backup._used = {serial: {*names} for serial, names in self._used.items()}
        backup._coupons = {member: {**names} for member, names in self._coupons.items()}
        backup._unseen = {*self._unseen}
        backup._moved = {sale: [*moved] for sale, moved in self._moved.items()}
        backup._refunded = {*self._refunded}
        backup._versions = {**self._versions}
        return backup

    def restored(self, epoch: int) -> LedgerHead:
        """Begin a new epoch in books that were a backup: every lease is over."""
        previous = self.head()
        self._records[epoch], self._acked[epoch], self._epoch = [], 0, epoch
        for name, lease in leases.apply(self._leases, _opened(previous), self._latest_ms).items():
            self._leases[name] = lease
        self._open.clear()
        self._coupons.clear()
        self._latest_ms = 0
        self._versions["leases"] = (0, self._versions.get("leases", (0, 0))[1])
        self._post([_opened(previous)])
        return self.head()


def _named(body: RecordBody) -> list[str]:
    match body:
        case LeasesTaken():
            return [terms.lease_id for terms in body.leases]
        case StoredValueToppedUp():
            return [body.top_up_id]
        case AssetMoved():
            return [] if body.lease_id is None else [body.lease_id]
        case LeaseClosed():
            return [body.lease_id]
    return []


def _opened(previous: LedgerHead) -> EpochOpened:
    return EpochOpened(
        reason="restore",
        previous_epoch=previous.epoch,
        previous_seq=previous.seq,
        previous_hash=previous.hash,
    )


def _accepted(dataset: str, version: int, sha256: str) -> CatalogueAccepted:
    return CatalogueAccepted(dataset=dataset, version=version, sha256=sha256)
