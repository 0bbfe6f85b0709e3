"""Brings the ledger to headquarters and keeps score of what HQ has committed.

One task receives, one sends; `core.uplink_window` decides, and the ledger itself is the outbox, so
a crash at any instant costs nothing but sending a few rows again, which HQ takes once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.app.downlink import Downlink
from edge_agent.core.uplink_window import (
    DEFAULT_LIMITS,
    Forked,
    Moved,
    Outcome,
    Refused,
    Span,
    UplinkWindow,
    WindowLimits,
)
from edge_agent.model import topics
from edge_agent.model.errors import LinkLost, MessageRefused, StorageUnavailable
from edge_agent.model.ids import StationId
from edge_agent.model.ledger import GENESIS_HASH, EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import AlarmRecorded
from edge_agent.model.views import SyncView
from edge_agent.model.wire import Ack, Birth, LeaseReply, LedgerBatch, decode, encode
from edge_agent.ports import Books, Clock, Entropy, Inbound, Uplink

log = logging.getLogger(__name__)

BATCH_CHARS = 200_000
"""Text in one batch at most, so that even incompressible rows stay below the wire's bound."""
BATCH_EXPIRY_S = 60
"""The broker is a wire, not a store: what HQ did not take by then comes again from the ledger."""


@dataclass(frozen=True, slots=True)
class StationIdentity:
    """Who speaks: the station, this start of it, and the program's version."""

    station: StationId
    boot_id: str
    version: str


class Sync:
    """The uplink's use case. `run` lives as long as the station; everything else may be called any
    time on the event loop."""

    def __init__(
        self,
        identity: StationIdentity,
        books: Books,
        uplink: Uplink,
        downlink: Downlink,
        *,
        clock: Clock,
        entropy: Entropy,
        limits: WindowLimits = DEFAULT_LIMITS,
    ) -> None:
        self._identity = identity
        self._books = books
        self._uplink = uplink
        self._downlink = downlink
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._past: EpochStanding | None = None
        self._to_note: int | None = None
        self._window = self._next_window()
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._heard: list[Callable[[], None]] = []
        self._replies: list[Callable[[LeaseReply], None]] = []
        self._link_since_ms = clock.wall_ms()
        self._last_ack_ms: int | None = None

    def notify(self) -> None:
        """Records were appended: send them."""
        self._wake.set()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop whenever `view` may have changed."""
        self._listeners.append(listener)

    def on_heard(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever headquarters said something that was believed."""
        self._heard.append(listener)

    def on_reply(self, listener: Callable[[LeaseReply], None]) -> None:
        """Call `listener` with each answer to a `LeaseRequest`."""
        self._replies.append(listener)

    def view(self) -> SyncView:
        """Return where the books stand with HQ."""
        head = self._books.head()
        acked = self._books.acked_seq()
        return SyncView(
            connected=self._uplink.connected,
            since_ms=self._link_since_ms,
            waiting=head.seq - acked + self._past_waiting(),
            waiting_sales=self._books.sales_after(acked),
            acked_seq=acked,
            head_seq=head.seq,
            epoch=head.epoch,
            last_ack_ms=self._last_ack_ms,
            fork_alarm=self._window.forked,
        )

    async def drained(self) -> None:
        """Return once HQ has committed every record that the ledger holds by then."""
        while True:
            self._look_for_rows()
            head = self._books.head()
            if self._window.drained and self._books.acked_seq() >= head.seq:
                return
            self._moved.clear()
            self._wake.set()
            await self._moved.wait()

    async def run(self) -> None:
        """Receive and send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(), name="sync-receive")
            tasks.create_task(self._transmit(), name="sync-transmit")

    # --- sending ---------------------------------------------------------------------------------

    async def _transmit(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._note_acked()
            except StorageUnavailable as trouble:
                log.warning("an acknowledgement cannot be noted: %s", trouble)
            try:
                await self._send_what_is_due()
            except LinkLost:
                # The uplink brings the news of it in order, and the next connection begins anew.
                log.info("the link was lost while sending")
            except StorageUnavailable as trouble:
                # The screen shows the disk; the window's next deadline tries again.
                log.warning("rows cannot be read: %s", trouble)
            await self._rest()

    async def _rest(self) -> None:
        deadline_ms = self._window.next_deadline_ms()
        if deadline_ms is None:
            await self._wake.wait()
            return
        wait_ms = max(0, deadline_ms - self._clock.monotonic_ms())
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send_what_is_due(self) -> None:
        self._look_for_rows()
        now_ms = self._clock.monotonic_ms()
        if self._window.due(now_ms):
            await self._greet(now_ms)
        while (span := self._window.next_span()) is not None:
            await self._send_rows(span)
            self._look_for_rows()

    async def _greet(self, now_ms: int) -> None:
        hello = self._entropy.token(8).hex()
        # Noted before it is sent: the answer may be here before `publish` returns.
        self._window.on_hello_sent(hello, now_ms, self._entropy.uniform())
        head = self._head()
        birth = Birth(
            station=self._identity.station,
            epoch=head.epoch,
            head_seq=head.seq,
            head_hash=head.hash,
            acked_seq=self._window.acked,
            boot_id=self._identity.boot_id,
            hello=hello,
            version=self._identity.version,
            catalogues=self._downlink.versions(),
            sent_ms=self._clock.wall_ms(),
            fork=self._window.forked,
        )
        topic = topics.up(self._identity.station, "birth")
        await self._uplink.publish(topic, encode(birth), expiry_s=BATCH_EXPIRY_S)

    async def _send_rows(self, span: Span) -> None:
        records = _within(self._records(span), BATCH_CHARS)
        batch = LedgerBatch.model_construct(
            station=self._identity.station,
            epoch=records[0].epoch,
            first=records[0].seq,
            prev_hash=records[0].prev_hash,
            rows=[(r.kind, r.at_ms, r.body, r.hash) for r in records],
        )
        payload = encode(batch)
        self._window.on_sent(records[-1].seq, self._clock.monotonic_ms())
        topic = topics.up(self._identity.station, "ledger")
        await self._uplink.publish(topic, payload, expiry_s=BATCH_EXPIRY_S)
        # A drain is long and the pumps share this loop: let them have their turn.
        await asyncio.sleep(0)

    # --- which epoch -----------------------------------------------------------------------------

    def _next_window(self) -> UplinkWindow:
        """Take up the oldest epoch that HQ does not have whole; the present one comes last."""
        for standing in self._books.epochs()[:-1]:
            if standing.acked_seq < standing.last_seq:
                self._past = standing
                return UplinkWindow(
                    epoch=standing.epoch,
                    acked=standing.acked_seq,
                    head=standing.last_seq,
                    closed=True,
                    limits=self._limits,
                )
        self._past = None
        head = self._books.head()
        return UplinkWindow(
            epoch=head.epoch, acked=self._books.acked_seq(), head=head.seq, limits=self._limits
        )

    def _go_on_to_the_next_epoch(self) -> None:
        if self._past is None or not self._window.drained:
            return
        self._window = self._next_window()
        if self._uplink.connected:
            self._window.on_connect(self._clock.monotonic_ms())

    def _past_waiting(self) -> int:
        return 0 if self._past is None else self._past.last_seq - self._window.acked

    def _look_for_rows(self) -> None:
        if self._past is None:
            head = self._books.head().seq
            self._window.on_rows_available(head, self._clock.monotonic_ms())

    def _head(self) -> LedgerHead:
        if self._past is None:
            return self._books.head()
        last = self._past.last_seq
        return LedgerHead(self._past.epoch, last, self._hash_at(last) or GENESIS_HASH)

    def _records(self, span: Span) -> list[LedgerRecord]:
        if self._past is None:
            return self._books.records_after(span.first - 1, span.count)
        return self._books.records_of(self._past, span.first - 1, span.count)

    def _hash_at(self, seq: int) -> str | None:
        if self._past is None:
            return self._books.hash_at(seq)
        if seq == 0:
            return GENESIS_HASH
        found = self._books.records_of(self._past, seq - 1, 1)
        return found[0].hash if found else None

    # --- receiving -------------------------------------------------------------------------------

    async def _receive(self) -> None:
        async for item in self._uplink.messages():
            if isinstance(item, Inbound):
                await self._take(item)
            else:
                self._note_link(item)
            self._wake.set()
            self._tell()

    def _note_link(self, connected: bool) -> None:
        self._link_since_ms = self._clock.wall_ms()
        if connected:
            self._window.on_connect(self._clock.monotonic_ms())
        else:
            self._window.on_disconnect()

    async def _take(self, inbound: Inbound) -> None:
        station = self._identity.station
        try:
            if inbound.topic == topics.down(station, "ack"):
                await self._on_ack(decode(Ack, inbound.payload, station), inbound)
            elif inbound.topic == topics.down(station, "reply"):
                reply = decode(LeaseReply, inbound.payload, station)
                self._note_heard()
                for listener in self._replies:
                    listener(reply)
            else:
                await self._on_catalogue(inbound)
        except MessageRefused as refusal:
            await self._downlink.refuse(inbound, refusal.problem.code)
        except (LinkLost, StorageUnavailable):
            # HQ sends again what was not answered: catalogues on the next birth, acks always.
            return

    async def _on_catalogue(self, inbound: Inbound) -> None:
        reply = await self._downlink.take(inbound)
        if reply is not None:
            if reply.accepted:
                self._note_heard()
            topic = topics.up(self._identity.station, "request")
            await self._uplink.publish(topic, encode(reply))

    async def _on_ack(self, ack: Ack, inbound: Inbound) -> None:
        forked_before = self._window.forked
        own_hash = None
        if ack.epoch == self._window.epoch:
            own_hash = self._hash_at(ack.up_to_seq)
        outcome = self._window.on_ack(ack, own_hash, self._clock.monotonic_ms())
        await self._settle(outcome, inbound, forked_before)

    async def _settle(self, outcome: Outcome | None, inbound: Inbound, forked_before: bool) -> None:
        match outcome:
            case Moved(up_to_seq):
                self._note_heard(ack=True)
                self._to_note = up_to_seq
                await self._note_acked()
            case Refused(reason):
                await self._downlink.refuse(inbound, reason)
            case Forked(reason):
                if not forked_before:
                    alarm = AlarmRecorded(code="ledger_fork", fp=None, detail=reason)
                    await self._books.append([alarm])
            case None:
                self._note_heard(ack=True)
                if self._to_note is None:
                    # A late ack may have told of the last row before HQ answered our birth.
                    self._go_on_to_the_next_epoch()
                self._moved.set()

    def _note_heard(self, *, ack: bool = False) -> None:
        if ack:
            self._last_ack_ms = self._clock.wall_ms()
        for listener in self._heard:
            listener()

    async def _note_acked(self) -> None:
        """Make durable what HQ has committed; kept for another try when the disk refuses."""
        up_to_seq = self._to_note
        if up_to_seq is None:
            return
        await self._books.move_acked(self._window.epoch, up_to_seq)
        if self._to_note == up_to_seq:
            self._to_note = None
        self._go_on_to_the_next_epoch()
        self._moved.set()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _within(records: list[LedgerRecord], most_chars: int) -> list[LedgerRecord]:
    """Return as many of the first records as the bound allows, one at least."""
    total = 0
    for place, record in enumerate(records):
        total += len(record.body)
        if total > most_chars and place > 0:
            return records[:place]
    return records
