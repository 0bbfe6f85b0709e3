"""What headquarters makes of each message from a station, without a network.

`handle` takes a group of messages in one transaction and returns what to send once that is durable:
an acknowledgement is only ever made of rows that are on disk.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable

from edge_agent.model import topics
from edge_agent.model.errors import MessageRefused
from edge_agent.model.policy import Policy
from edge_agent.model.wire import (
    Ack,
    Birth,
    LeaseRequest,
    LedgerBatch,
    Telemetry,
    decode,
    decode_presence,
    decode_request,
    encode,
    refuse,
)
from hq.asset_audit import AssetAudit
from hq.audit import Audit
from hq.books import HqBooks, Stream
from hq.campaigns import Campaigns
from hq.catalogues import CatalogueDesk
from hq.coupons import CouponDesk
from hq.enrolment import Enrolment
from hq.holdings import Vault
from hq.intake import Finding, take_in
from hq.keys import HqKeys
from hq.lease_catalogue import LeaseCatalogue
from hq.leases import LeaseDesk
from hq.lending import Lending
from hq.members import Members
from hq.message import Message
from hq.points import PointsDesk
from hq.publishing import Publisher
from hq.sale_audit import SaleAudit
from hq.standing import MOST_AT_ONCE, StandingPlan

log = logging.getLogger("hq")

MOST_CREDIT = 5000
"""Rows that one station may have under way to an idle headquarters."""
LEAST_CREDIT = 200
MOST_ENDED = 500
"""Things that expired and are let go in one turn."""


class Headquarters:
    """The books with the rules of the conversation around them; one thread at a time."""

    def __init__(self, books: HqBooks, keys: HqKeys) -> None:
        self.books = books
        self.keys = keys
        self.vault = Vault(books)
        self.leases = LeaseDesk(books, self.vault)
        self.members = Members(books)
        self.standing = StandingPlan(books, self.vault, self.leases)
        self.points = PointsDesk(books, self.vault, self.standing)
        self.coupons = CouponDesk(books, self.vault, self.standing)
        self.campaigns = Campaigns(books, self.vault, self.standing)
        self.desk = CatalogueDesk(books)
        self.enrolment = Enrolment(
            books, self.members, self.vault, self.leases, self.standing, keys.index
        )
        catalogue = LeaseCatalogue(books, self.leases)
        self.publisher = Publisher(books, keys, self.desk, self.members, catalogue)
        self._kept_up_to = ""
        self.lending = Lending(books, self.vault, self.leases, self.standing)
        assets = AssetAudit(
            books, self.vault, self.leases, self.coupons, self.points, self.standing, self.desk
        )
        sales = SaleAudit(books, self.desk, self.members, assets.owing)
        self.audit = Audit(books, sales, assets, self.leases, self.standing)

    def handle(self, messages: Iterable[Message], now_ms: int, load: float = 0.0) -> list[Message]:
        """Deal with messages in one transaction; return what to send now that it is durable.

        Nothing remains of a message that breaks a rule but its place among the parked: one message
        never stops the others, nor headquarters.

        `load` between 0 and 1 says how full the intake queue is; the credit shrinks with it.
        """
        credit = max(LEAST_CREDIT, int(MOST_CREDIT * (1 - load)))
        answers: list[Message] = []
        acks: dict[tuple[str, int], Ack] = {}
        with self.books.transaction():
            for message in messages:
                try:
                    with self.books.part():
                        answers += self._take(message, now_ms, credit, acks)
                except MessageRefused as refusal:
                    reason = refusal.problem.code
                    self.books.park(message.topic, reason, message.payload, now_ms)
                except (ValueError, OverflowError) as error:
                    # A figure that passed the wire's bounds and one of ours does not hold.
                    reason = type(error).__name__
                    log.error("parked %r: %s", message.topic, reason)
                    self.books.park(message.topic, reason, message.payload, now_ms)
        # One ack for all batches of a stream in this group: the last one says it all.
        answers += [_answer(ack) for ack in acks.values()]
        return answers

    def publish(self, now_ms: int) -> list[Message]:
        """Keep the stations' leases as they should be; return what those online lack."""
        with self.books.transaction():
            self._let_go(now_ms)
            stations = self.books.stations_online()
            self._keep(stations, now_ms)
            return [message for each in stations for message in self.publisher.due(each, now_ms)]

    def _keep(self, stations: list[str], now_ms: int) -> None:
        """Make leases for one station after the other, until it is enough for this turn; the next
        turn goes on where this one ended."""
        left = MOST_AT_ONCE
        begin = bisect_right(stations, self._kept_up_to)
        for station in (*stations[begin:], *stations[:begin]):
            self._kept_up_to = station
            left -= self.standing.keep(station, now_ms, left)
            if left <= 0:
                return

    def publish_policy(self, text: str, now_ms: int) -> Policy:
        """Publish a policy, with what its campaigns may spend. Inside `HqBooks.transaction`.

        Raises:
            PolicyRefused, ConfigRefused: as `CatalogueDesk.publish_policy`.
        """
        policy = self.desk.publish_policy(text)
        self.campaigns.fund(policy, now_ms)
        return policy

    def _let_go(self, now_ms: int) -> None:
        """End what time alone ends: points and coupons that expired, rests that are over."""
        self.points.release(now_ms, MOST_ENDED)
        self.coupons.expire(now_ms, MOST_ENDED)
        self.vault.expire(now_ms, MOST_ENDED)

    def examine(self, most_rows: int, now_ms: int) -> int:
        """Audit up to so many rows; return how many there were."""
        with self.books.transaction():
            return self.audit.run(most_rows, now_ms)

    def _take(
        self,
        message: Message,
        now_ms: int,
        credit: int,
        acks: dict[tuple[str, int], Ack],
    ) -> list[Message]:
        place = topics.split(message.topic)
        if place is None or place[1] != "up":
            raise refuse("unknown_topic")
        station, _, what = place
        if what == "ledger":
            batch = decode(LedgerBatch, message.payload, station)
            ack = self._take_rows(batch, now_ms, credit)
            before = acks.get((station, ack.epoch))
            if before is not None and before.up_to_seq == ack.up_to_seq and before.gap:
                ack = before
            acks[station, ack.epoch] = ack
            return []
        if what == "birth":
            presence = decode_presence(message.payload, station)
            if isinstance(presence, Birth):
                return self._on_birth(presence, now_ms, credit)
            self.books.station_gone(station, presence.boot_id, now_ms)
            return []
        if what == "request":
            request = decode_request(message.payload, station)
            if isinstance(request, LeaseRequest):
                return self._lend(request, now_ms)
            self.publisher.on_reply(request, now_ms)
            return self.publisher.due(station, now_ms)
        if what == "telemetry":
            self.books.note_figures(decode(Telemetry, message.payload, station), now_ms)
            return []
        raise refuse("unknown_topic")

    def _on_birth(self, birth: Birth, now_ms: int, credit: int) -> list[Message]:
        greeting = _answer(self._greet(birth, now_ms, credit))
        known = self.leases.epoch(birth.station)
        if self.leases.station_is_in(birth.station, birth.epoch):
            self.standing.wake_station(birth.station)
            if known is None:
                self.campaigns.spread(self.desk.policy_in_force())
        self.publisher.station_has(birth.station, birth.catalogues, now_ms)
        self.standing.keep(birth.station, now_ms)
        return [greeting, *self.publisher.due(birth.station, now_ms)]

    def _lend(self, request: LeaseRequest, now_ms: int) -> list[Message]:
        """Answer a request; the lease goes out before the answer, a recall to whom it concerns."""
        reply, recalled_at = self.lending.answer(request, now_ms)
        messages = self.publisher.due_leases(request.station, now_ms)
        messages.append(Message(topics.down(request.station, "reply"), encode(reply)))
        for station in dict.fromkeys(recalled_at):
            messages += self.publisher.due_leases(station, now_ms)
        return messages

    def _take_rows(self, batch: LedgerBatch, now_ms: int, credit: int) -> Ack:
        stream = self.books.stream(batch.station, batch.epoch)
        if stream.forked:
            return _ack(stream, credit)
        stored: list[str] = [stream.head.hash]
        if batch.first <= stream.head.seq:
            stored = self.books.hashes(stream, batch.first - 1, min(batch.last, stream.head.seq))
        intake = take_in(stream.head, batch, stored)
        if intake.rows:
            stream = self.books.add_rows(stream, intake.rows, intake.head, now_ms)
        if intake.finding is not None:
            self.books.raise_alarm(batch.station, batch.epoch, intake.finding, now_ms)
            stream = self.books.mark_forked(stream)
        return _ack(stream, credit, gap=intake.gap)

    def _greet(self, birth: Birth, now_ms: int, credit: int) -> Ack:
        self.books.station_seen(birth, now_ms)
        stream = self.books.stream(birth.station, birth.epoch)
        finding = self._compare(birth, stream)
        if finding is not None:
            self.books.raise_alarm(birth.station, birth.epoch, finding, now_ms)
            stream = self.books.mark_forked(stream)
        if birth.fork:
            told = Finding(birth.head_seq, "fork_reported", f"HQ stands at {stream.head.seq}")
            self.books.raise_alarm(birth.station, birth.epoch, told, now_ms)
        if stream.head.seq == 0 and self.books.other_epochs(birth.station, birth.epoch):
            new_epoch = Finding(0, "epoch_changed", "the station's database was born anew")
            self.books.raise_alarm(birth.station, birth.epoch, new_epoch, now_ms)
        return _ack(stream, credit, hello=birth.hello)

    def _compare(self, birth: Birth, stream: Stream) -> Finding | None:
        """Return what is wrong with a ledger that ends where the birth says.

        A ledger that is merely shorter proves nothing here, since a birth may arrive late. The
        station compares the answer to its latest birth, and says so in the next one (`fork`).
        """
        if birth.head_seq <= stream.head.seq:
            ours = self.books.hashes(stream, birth.head_seq, birth.head_seq)
            if ours != [birth.head_hash]:
                return Finding(birth.head_seq, "ledger_fork", f"{ours} here")
        return None


def _ack(stream: Stream, credit: int, *, gap: bool = False, hello: str = "") -> Ack:
    return Ack(
        station=stream.station,
        epoch=stream.head.epoch,
        up_to_seq=stream.head.seq,
        head_hash=stream.head.hash,
        credit=credit,
        gap=gap,
        fork=stream.forked,
        hello=hello,
    )


def _answer(ack: Ack) -> Message:
    return Message(topics.down(ack.station, "ack"), encode(ack))
