"""A station in the simulation: the real downlink and uplink window over books that outlive it.

Only the loop around them is the simulation's own: `app.sync` is driven by asyncio's clock, and here
every message and every write has to be a step that may be the last.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from edge_agent.app.downlink import Downlink
from edge_agent.core import leases
from edge_agent.core.uplink_window import Moved, UplinkWindow, WindowLimits
from edge_agent.model import topics
from edge_agent.model.errors import MessageRefused
from edge_agent.model.ids import MemberRef, StationId
from edge_agent.model.leases import Holding, Lease
from edge_agent.model.ledger import GENESIS_HASH, EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import Asset, AssetMoved, RecordBody
from edge_agent.model.wire import Ack, Birth, LeaseReply, LeaseRequest, LedgerBatch, decode, encode
from edge_agent.ports import (
    Books,
    CatalogueAcceptor,
    Catalogues,
    Clock,
    Inbound,
    SignatureVerifier,
)
from hq.message import Message
from scripts.fuzzing.lending.line import Line
from scripts.fuzzing.lending.mishap import Mishap
from scripts.fuzzing.lending.truth import Truth

LIMITS = WindowLimits(batch_rows=50, ack_timeout_ms=20_000)
MOST_CLOSED = 200


class LentBooks(Protocol):
    """What a station in the simulation asks of its books, `ports.Books` in part."""

    async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]: ...
    async def move_acked(self, epoch: int, up_to_seq: int) -> None: ...
    def head(self) -> LedgerHead: ...
    def acked_seq(self) -> int: ...
    def epochs(self) -> list[EpochStanding]: ...
    def records_after(self, seq: int, limit: int) -> list[LedgerRecord]: ...
    def records_of(self, standing: EpochStanding, seq: int, limit: int) -> list[LedgerRecord]: ...
    def hash_at(self, seq: int) -> str | None: ...
    def time_floor_ms(self) -> int: ...
    def holding(self, asset: Asset, holder: str) -> Holding: ...
    def coupons_of(self, member: MemberRef) -> list[Lease]: ...
    def due_leases(self, now_ms: int, limit: int) -> list[Lease]: ...


@dataclass(slots=True)
class SkewedClock:
    """A station's clock: the world's, and so many milliseconds off."""

    world: Clock
    skew_ms: int = 0
    trusted: bool = True

    def wall_ms(self) -> int:
        """Return what the station believes."""
        return self.world.wall_ms() + self.skew_ms

    def monotonic_ms(self) -> int:
        """Return a time that nobody sets."""
        return self.world.monotonic_ms()


class NoParking:
    """Keeps no refused message."""

    def park(self, topic: str, reason: str, payload: bytes) -> None:
        """Drop it."""


class Ledger:
    """The books with a mishap at each write, which tells the truth of each commit."""

    def __init__(self, name: str, books: LentBooks, mishap: Mishap, truth: Truth) -> None:
        self.books = books
        self.found: list[str] = []
        self._name = name
        self._mishap = mishap
        self._truth = truth

    async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
        """Append; raises `Died` before or after."""
        self._mishap.before()
        records = await self.books.append(bodies)
        self.found += self._truth.committed(self._name, records, bodies)
        self._mishap.after()
        return records

    async def move_acked(self, epoch: int, up_to_seq: int) -> None:
        """Note what headquarters has; raises `Died` before or after."""
        self._mishap.before()
        await self.books.move_acked(epoch, up_to_seq)
        self._mishap.after()

    def head(self) -> LedgerHead:
        """See `ports.Books`."""
        return self.books.head()


class Taking:
    """The catalogues with a mishap at each write."""

    def __init__(self, inner: CatalogueAcceptor, mishap: Mishap) -> None:
        self._inner = inner
        self._mishap = mishap

    def __getattr__(self, name: str) -> object:
        method = getattr(self._inner, name)

        async def accept(*arguments: object, **named: object) -> None:
            self._mishap.before()
            await method(*arguments, **named)
            self._mishap.after()

        return accept


class Station:
    """One station; `start` gives it a new life over its books."""

    def __init__(
        self,
        name: str,
        clock: SkewedClock,
        up: Line,
        verifier: SignatureVerifier,
        truth: Truth,
        chance: random.Random,
    ) -> None:
        self.name = StationId(name)
        self.clock = clock
        self.up = up
        self.mishap = Mishap()
        self.connected = False
        self.found: list[str] = []
        """What must not have happened."""
        self.asked = 0
        self.granted = 0
        self._verifier = verifier
        self._truth = truth
        self.chance = chance
        self._lives = 0

    def start(self, books: LentBooks, catalogues: object) -> None:
        """Begin a life over books that may hold earlier ones."""
        self.mishap.disarm()
        self._lives += 1
        self.books = books
        self.ledger = Ledger(self.name, books, self.mishap, self._truth)
        self.ledger.found = self.found
        self.downlink = Downlink(
            self.name,
            cast("Books", self.ledger),
            cast("Catalogues", catalogues),
            cast("CatalogueAcceptor", Taking(cast("CatalogueAcceptor", catalogues), self.mishap)),
            self._verifier,
            NoParking(),
            self.clock,
        )
        self._past: EpochStanding | None = None
        self._window = self._next_window()
        self._sales: list[str] = []
        if self.connected:
            self._window.on_connect(self.clock.monotonic_ms())

    def now_ms(self) -> int:
        """Return the time by which leases are judged: it never goes back (row S27)."""
        return max(self.clock.wall_ms(), self.books.time_floor_ms())

    # --- the uplink ------------------------------------------------------------------------------

    def connect(self, connected: bool) -> None:
        """The link came or went."""
        if connected == self.connected:
            return
        self.connected = connected
        if connected:
            self._window.on_connect(self.clock.monotonic_ms())
        else:
            self._window.on_disconnect()

    def _next_window(self) -> UplinkWindow:
        """Take up the oldest epoch that headquarters does not have whole; the present one last."""
        self._past = None
        for standing in self.books.epochs()[:-1]:
            if standing.acked_seq < standing.last_seq:
                self._past = standing
                return UplinkWindow(
                    epoch=standing.epoch, acked=standing.acked_seq, head=standing.last_seq,
                    closed=True, limits=LIMITS,
                )  # fmt: skip
        head = self.books.head()
        return UplinkWindow(
            epoch=head.epoch, acked=self.books.acked_seq(), head=head.seq, limits=LIMITS
        )

    def speak(self, most: int) -> None:
        """Send what is due: a birth, or batches of rows."""
        if not self.connected:
            return
        now_ms = self.clock.monotonic_ms()
        if self._past is None:
            self._window.on_rows_available(self.books.head().seq, now_ms)
        if self._window.due(now_ms):
            self._greet(now_ms)
        for _ in range(most):
            span = self._window.next_span()
            if span is None:
                return
            records = self._records(span.first - 1, span.count)
            batch = LedgerBatch.model_construct(
                station=self.name,
                epoch=records[0].epoch,
                first=records[0].seq,
                prev_hash=records[0].prev_hash,
                rows=[(r.kind, r.at_ms, r.body, r.hash) for r in records],
            )
            self._window.on_sent(records[-1].seq, now_ms)
            self._send("ledger", encode(batch))

    def _greet(self, now_ms: int) -> None:
        hello = self.chance.randbytes(8).hex()
        self._window.on_hello_sent(hello, now_ms, self.chance.random())
        head = self._head()
        birth = Birth(
            station=self.name, epoch=head.epoch, head_seq=head.seq, head_hash=head.hash,
            acked_seq=self._window.acked, boot_id=f"b{self._lives}", hello=hello, version="fuzz",
            catalogues=self.downlink.versions(), sent_ms=self.clock.wall_ms(),
            fork=self._window.forked,
        )  # fmt: skip
        self._send("birth", encode(birth))

    def _send(self, what: topics.Up, payload: bytes) -> None:
        self.up.send(Message(topics.up(self.name, what), payload))

    def _head(self) -> LedgerHead:
        if self._past is None:
            return self.books.head()
        last = self._past.last_seq
        return LedgerHead(self._past.epoch, last, self._hash_at(last) or GENESIS_HASH)

    def _records(self, after: int, count: int) -> list[LedgerRecord]:
        if self._past is None:
            return self.books.records_after(after, count)
        return self.books.records_of(self._past, after, count)

    def _hash_at(self, seq: int) -> str | None:
        if self._past is None:
            return self.books.hash_at(seq)
        if seq == 0:
            return GENESIS_HASH
        found = self.books.records_of(self._past, seq - 1, 1)
        return found[0].hash if found else None

    # --- the downlink ----------------------------------------------------------------------------

    async def hear(self, message: Message) -> None:
        """Take a message from headquarters. Raises `Died`."""
        if not self.connected:
            return
        what = message.topic.rpartition("/")[2]
        try:
            if what == "ack":
                await self._on_ack(decode(Ack, message.payload, self.name))
            elif what == "reply":
                self.granted += decode(LeaseReply, message.payload, self.name).granted > 0
            else:
                reply = await self.downlink.take(Inbound(message.topic, message.payload))
                if reply is not None:
                    self._send("request", encode(reply))
        except MessageRefused as refusal:
            self.found.append(f"{self.name} refused {what}: {refusal}")

    async def _on_ack(self, ack: Ack) -> None:
        own_hash = self._hash_at(ack.up_to_seq) if ack.epoch == self._window.epoch else None
        outcome = self._window.on_ack(ack, own_hash, self.clock.monotonic_ms())
        if isinstance(outcome, Moved):
            await self.ledger.move_acked(self._window.epoch, outcome.up_to_seq)
        elif self._window.forked:
            self.found.append(f"{self.name}: headquarters' history is another one: {outcome}")
        if self._past is not None and self._window.drained:
            self._window = self._next_window()
            self._window.on_connect(self.clock.monotonic_ms())

    @property
    def drained(self) -> bool:
        """Whether headquarters has everything."""
        head = self.books.head().seq
        return self._past is None and self._window.drained and self.books.acked_seq() >= head

    # --- at the till -----------------------------------------------------------------------------

    async def close_due(self) -> None:
        """Close leases that are over. Raises `Died`."""
        now_ms = self.now_ms()
        over = self.books.due_leases(now_ms, MOST_CLOSED)
        if over:
            await self.ledger.append(leases.due_to_close(over, now_ms))

    def ask(self, asset: Asset, holder: str, amount: int) -> None:
        """Ask headquarters for a lease."""
        if not self.connected or amount < 1:
            return
        self.asked += 1
        request = LeaseRequest(
            station=self.name,
            epoch=self.books.head().epoch,
            request_id=self.chance.randbytes(12).hex(),
            asset=asset,
            holder=holder,
            amount=amount,
        )
        self._send("request", encode(request))


def drawn(holding: Holding, amount: int, sale: str, now_ms: int) -> list[AssetMoved]:
    """Return the records that draw from a holding for a sale."""
    found = leases.draw(holding, amount, now_ms)
    return leases.movements(holding.asset, holding.holder, found, sale)
