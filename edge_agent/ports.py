"""What lies outside the core, as protocols: clock, entropy, dispensers, books, catalogues, uplink.

Adapters implement these; `bootstrap` and `sim` choose which. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from edge_agent.model.books import (
    FuelSums,
    OpenFuelling,
    SettledSale,
    Totals,
    UnpaidFuelling,
    Usage,
    UsageSubject,
)
from edge_agent.model.catalogues import LeaseEntry, MemberEntry
from edge_agent.model.dispenser import DispenserCommand, DispenserEvent
from edge_agent.model.ids import AccountRef, FpId, FuellingId, MemberRef, SaleId
from edge_agent.model.leases import Holding, Lease
from edge_agent.model.ledger import EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.member_code import MemberCode
from edge_agent.model.membership import Member
from edge_agent.model.plates import PlateSighting
from edge_agent.model.prices import PriceSet
from edge_agent.model.records import (
    Asset,
    AssetMoved,
    PriceApplied,
    RecordBody,
    StoredValueToppedUp,
)
from edge_agent.model.units import Money

# --- time and chance ----------------------------------------------------------------------------


class Clock(Protocol):
    """Wall time for records, monotonic time for deadlines."""

    @property
    def trusted(self) -> bool:
        """Whether the wall clock is synchronised."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds of a clock that never goes back; its zero means nothing."""


class Entropy(Protocol):
    """The only source of chance."""

    def token(self, bytes_count: int) -> bytes:
        """Return random bytes; cryptographically strong outside the simulator."""

    def uniform(self) -> float:
        """Return a number in [0, 1), for jitter."""


# --- dispensers ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes to put on the wire, as one write."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Emit:
    """Something a dispenser reported."""

    event: DispenserEvent


@dataclass(frozen=True, slots=True)
class Fault:
    """Bytes or behaviour that break the protocol: counted by reason, shown, never fatal."""

    reason: str
    data: bytes = b""


Output: TypeAlias = Send | Emit | Fault


class Engine(Protocol):
    """A protocol without I/O: bytes and time in, bytes and events out. One engine serves one bus.

    `now_ms` is monotonic. The runner calls `on_connected` whenever the transport opens, again after
    each reconnection, and `on_timer` once `next_deadline_ms` has passed. No method blocks or raises
    on any bytes.
    """

    def on_connected(self, now_ms: int) -> list[Output]:
        """The transport opened: forget half-received frames, ask every fuelling point anew."""

    def on_disconnected(self, now_ms: int) -> list[Output]:
        """The transport is gone: report every fuelling point offline."""

    def on_bytes(self, now_ms: int, data: bytes) -> list[Output]:
        """Take in bytes, in pieces of any size."""

    def on_timer(self, now_ms: int) -> list[Output]:
        """Poll, time out, retry: whatever is due."""

    def submit(self, now_ms: int, command: DispenserCommand) -> list[Output]:
        """Queue a command; it is answered by exactly one `CommandDone` or `CommandFailed`."""

    def next_deadline_ms(self) -> int | None:
        """When `on_timer` wants to be called; None for never."""


class Transport(Protocol):
    """A byte stream to the other side of a bus."""

    async def open(self) -> None:
        """Open the device or connection. Raises `LinkLost`."""

    async def read(self) -> bytes:
        """Return at least one byte. Raises `LinkLost` when the stream ended."""

    async def write(self, data: bytes) -> None:
        """Write all bytes. Raises `LinkLost`."""

    async def close(self) -> None:
        """Close; closing twice is harmless."""


class Dispensers(Protocol):
    """All dispensers of the station, whatever bus they are on."""

    def command(self, command: DispenserCommand) -> None:
        """Hand a command to the bus of its fuelling point; the answer comes as an event."""

    def subscribe(self, listener: Callable[[DispenserEvent], None]) -> None:
        """Call `listener` on the event loop with each event, in the order of the wire."""


# --- the books ----------------------------------------------------------------------------------


class Books(Protocol):
    """The ledger and its projections. Reads are quick and synchronous; appends are durable."""

    async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
        """Append records in one transaction, with their effects on the projections.

        Returns once they are on disk.

        Raises:
            SaleRefused: a body contradicts the projections (paid twice, refunded twice,
                overspent); nothing was written.
            StorageUnavailable: the disk is full, read-only or broken; nothing was written.
        """

    def head(self) -> LedgerHead: ...
    def acked_seq(self) -> int: ...
    def records_after(self, seq: int, limit: int) -> list[LedgerRecord]: ...
    def hash_at(self, seq: int) -> str | None:
        """Return the hash of a record of this epoch; the genesis hash for 0; None if unknown."""

    def sales_after(self, seq: int) -> int:
        """Return how many sales were settled in records after this one: what HQ still waits for."""

    def epochs(self) -> list[EpochStanding]:
        """Return every epoch of these books, the present one last.

        After a restore an earlier epoch may hold records that HQ has not acknowledged yet.
        """

    def records_of(self, standing: EpochStanding, seq: int, limit: int) -> list[LedgerRecord]:
        """Return up to `limit` records after `seq` of one of `epochs()`."""

    async def move_acked(self, epoch: int, up_to_seq: int) -> None:
        """Note durably that HQ has committed everything up to this record."""

    def open_fuellings(self) -> list[OpenFuelling]: ...
    def unpaid(self) -> list[UnpaidFuelling]: ...
    def unpaid_fuelling(self, fuelling: FuellingId) -> UnpaidFuelling | None: ...
    def sale(self, sale: SaleId) -> SettledSale | None: ...
    def sale_of(self, fuelling: FuellingId) -> SettledSale | None: ...
    def sale_by_key(self, idempotency_key: str) -> SettledSale | None: ...
    def recent_sales(self, limit: int) -> list[SettledSale]: ...
    def totals(self) -> list[Totals]: ...
    def holding(self, asset: Asset, holder: str) -> Holding:
        """Return the open leases of an asset, soonest expiry first; none is an empty holding."""

    def coupons_of(self, member: MemberRef) -> list[Lease]:
        """Return the leases of a member's coupons that may be used, soonest expiry first."""

    def open_leases(self) -> list[Lease]:
        """Return every lease that was neither closed nor frozen, soonest expiry first."""

    def lent(self, now_ms: int) -> Mapping[Asset, int]:
        """Return what may still be spent of each asset, of all holders together."""

    def due_leases(self, now_ms: int, limit: int) -> list[Lease]:
        """Return up to `limit` leases that are over and not closed yet, frozen ones apart."""

    def movements(self, sale: SaleId) -> list[AssetMoved]:
        """Return what a sale moved of what headquarters holds, in the order of the books."""

    def usage(self, subject: UsageSubject, ref: str, since_ms: int) -> Usage:
        """Return what was paid for a member, account or plate since a wall time, refunds apart."""

    def visits(self, member: MemberRef, since_ms: int) -> int:
        """Return how many sales of a member were settled here since a wall time, refunds apart."""

    def last_odometer_km(self, member: MemberRef) -> int | None:
        """Return what a member's odometer showed at the last fuelling that says so."""

    def floor_spent(self, account: AccountRef, since_ms: int) -> Money:
        """Return what was spent of an account beyond its leases since a wall time."""

    def code_used(self, nonce: str) -> bool:
        """Whether a member's dynamic code was believed before."""

    def top_up_by_key(self, idempotency_key: str) -> StoredValueToppedUp | None: ...
    def time_floor_ms(self) -> int:
        """Return the latest wall time of any record; 0 for empty books.

        No lease, coupon or code is judged by an earlier one, so that a clock set back revives
        nothing (row S27).
        """

    def heard_ms(self) -> int | None:
        """Return the wall time at which headquarters was last heard from, or None for never."""

    async def note_heard(self, at_ms: int) -> None:
        """Keep the wall time at which headquarters was heard from. Raises `StorageUnavailable`."""

    def sums(self) -> FuelSums: ...
    def applied_prices(self, fp: FpId) -> PriceApplied | None:
        """Return the prices that a fuelling point confirmed last."""

    def stop_all_active(self) -> bool: ...

    def storage_healthy(self) -> bool:
        """False while appends fail; probes and recovers by itself once there is space again."""


class Catalogues(Protocol):
    """What HQ published and this station accepted: members, prices, policy."""

    def member(self, ref: MemberRef) -> Member | None: ...
    def member_by_index(self, kind: str, index: str) -> Member | None:
        """Look a member up by the blind index of a `kind` of identifier: card, phone or plate."""

    def price_set(self, at_ms: int) -> PriceSet | None:
        """Return the price set in force at a wall time."""

    def policy_json(self) -> str | None:
        """Return the policy in force as JSON text."""

    def versions(self) -> dict[str, int]:
        """Return the version in force by dataset."""


SEALED_ELSEWHERE: Final = "sealed_elsewhere"
"""Code of the problem of data that were sealed under another key."""


class Sealer(Protocol):
    """Keeps personal data closed at rest (row S11)."""

    def seal(self, place: str, plain: bytes) -> bytes:
        """Seal a text for one place, such as `table|column|row`; never the same bytes twice."""

    def open(self, place: str, sealed: bytes) -> bytes:
        """Return what was sealed for this place.

        Raises:
            CorruptionError: another key sealed it (`SEALED_ELSEWHERE`), or it was altered or
                stands in another place.
        """


class BlindIndex(Protocol):
    """Keyed hashes of personal identifiers."""

    def of(self, kind: str, identifier: str) -> str:
        """Return the index of a normalised identifier under its kind's key."""


class CatalogueAcceptor(Protocol):
    """Brings a verified catalogue into force, in one transaction with its ledger record.

    `version` is the dataset's, `counter` the signer's, `sha256` the digest of the payload as it
    travelled. Each method raises `MessageRefused` (`replayed`) for a counter that is not greater
    than the last one accepted of the dataset, and `StorageUnavailable`; then nothing has changed.
    """

    async def accept_members(
        self,
        version: int,
        counter: int,
        members: Sequence[MemberEntry],
        *,
        replaced: bool,
        sha256: str,
    ) -> None:
        """Take in members: all of them anew (`replaced`), or those that changed."""

    async def accept_prices(
        self, version: int, counter: int, price_sets: Sequence[PriceSet], *, sha256: str
    ) -> None:
        """Take in every price set that is in force or to come."""

    async def accept_policy(
        self, version: int, counter: int, policy_json: str, *, sha256: str
    ) -> None:
        """Take in a policy that `model.policy` has read without complaint."""

    async def accept_leases(
        self,
        version: int,
        counter: int,
        granted: Sequence[LeaseEntry],
        recalled: Sequence[str],
        *,
        sha256: str,
    ) -> None:
        """Take in leases, each once, and close those that are recalled, with their records."""


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """How a wish for more than is leased here ended."""

    granted: int
    """What came into force of it."""
    answered: bool
    """False: headquarters could not be asked, or was silent. Only then does a floor limit hold."""
    reason: str = ""
    """Why headquarters granted less (`model.wire.LeaseReply`)."""


class Lender(Protocol):
    """Headquarters, asked for more than is leased here."""

    def linked(self) -> bool:
        """Whether headquarters can be asked now."""

    async def ask(self, asset: Asset, holder: str, amount: int) -> LeaseAnswer:
        """Ask for a lease; return once it is in force, was refused, or its bound has passed."""

    async def close_due(self) -> None:
        """Close what is over, before anything is drawn.

        Raises:
            StorageUnavailable: nothing was written.
        """

    def now_ms(self) -> int:
        """Return the time by which leases are judged: it never goes back (row S27)."""

    def heard_ms_ago(self) -> int:
        """Return how long ago headquarters was last heard from, counted through restarts."""


class MemberCodes(Protocol):
    """Reads the dynamic codes that members' phones show."""

    def read(self, text: str, now_ms: int) -> MemberCode:
        """Return what a code says. Whether it was used before is for the books to say.

        Raises:
            SaleRefused: `member_code_...`: no code, not signed by headquarters, not valid now.
        """


class Pins(Protocol):
    """Checks PINs against their hashes, off the event loop, with a bound on guesses."""

    async def check(self, subject: str, pin_hash: str, pin: str) -> None:
        """Return when the PIN is right.

        Args:
            subject: whose PIN it is; guesses are counted by it.
            pin_hash: Argon2id, in its own text form.
            pin: what was typed.

        Raises:
            SaleRefused: `pin_wrong`, or `pin_locked` after too many guesses.
        """


class SignatureVerifier(Protocol):
    """The HQ keys that this station trusts."""

    def verify(self, key_id: str, signed: bytes, signature: bytes) -> None:
        """Check a signature. Raises `MessageRefused`: `unknown_key` or `bad_signature`."""


class Parking(Protocol):
    """Where refused messages wait for a person, bounded: the oldest gives way."""

    def park(self, topic: str, reason: str, payload: bytes) -> None:
        """Keep a refused message."""


# --- uplink and cameras -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from the broker, as it came."""

    topic: str
    payload: bytes


class Uplink(Protocol):
    """A wire to HQ. Its acknowledgements mean nothing; only HQ's own do."""

    @property
    def connected(self) -> bool: ...

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int | None = None) -> None:
        """Hand a message to the broker. Raises `LinkLost` when there is no connection."""

    def messages(self) -> AsyncIterator[Inbound | bool]:
        """Yield inbound messages, and True/False whenever the connection comes or goes."""


class Sightings(Protocol):
    """Where the plates that cameras read come from."""

    def subscribe(self, listener: Callable[[PlateSighting], None]) -> None: ...
