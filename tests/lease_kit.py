"""A station's side of leases for the tests of headquarters: real records, real messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_agent.core import leases as rules
from edge_agent.model import topics
from edge_agent.model.catalogues import LeaseEntry, LeasesPayload
from edge_agent.model.leases import Holding, Lease, LeaseState
from edge_agent.model.ledger import LedgerRecord
from edge_agent.model.records import (
    Asset,
    AssetMoved,
    EpochOpened,
    LeaseClosed,
    LeasesTaken,
    LeaseTerms,
    OperatorAction,
    RecordBody,
    SaleSettled,
)
from edge_agent.model.wire import (
    CatalogueReply,
    LeaseReply,
    LeaseRequest,
    SignedCatalogue,
    decode,
    decode_payload,
    encode,
)
from hq.enrolment import NewMember
from hq.headquarters import Headquarters
from hq.message import Message
from tests.hq_kit import (
    EPOCH,
    NOW,
    STATION,
    alarms,
    audit_all,
    batch,
    birth,
    catalogues,
    chain,
    completed,
    headquarters,
    refunded,
    settled,
)

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class LeaseStation:
    """Takes leases, spends them, closes them, and tells headquarters of it."""

    def __init__(self, hq: Headquarters, name: str = STATION, epoch: int = EPOCH) -> None:
        self.hq = hq
        self.name = name
        self.epoch = epoch
        self.records: list[LedgerRecord] = []
        self.past: list[list[LedgerRecord]] = []
        self.sent = 0
        self.leases: dict[str, Lease] = {}
        self.in_force = 0
        self.now_ms = NOW
        self.replies: list[LeaseReply] = []
        self.outbox: list[Message] = []
        """What headquarters sent to others meanwhile."""
        self.sales = 0
        self.deaf: Callable[[Message], bool] = lambda message: False

    # --- the conversation ------------------------------------------------------------------------

    def come_up(self) -> None:
        hello = birth(
            self.records,
            epoch=self.epoch,
            station=self.name,
            catalogues={"leases": self.in_force},
        )
        self.take(self.hq.handle([hello], self.now_ms))

    def take(self, messages: Iterable[Message]) -> None:
        waiting = list(messages)
        while waiting:
            message = waiting.pop(0)
            if self.deaf(message):
                continue
            if message.topic == topics.down(self.name, "reply"):
                self.replies.append(decode(LeaseReply, message.payload))
            elif message.topic == topics.down(self.name, "catalogue"):
                (catalogue,) = catalogues([message], self.name)
                if catalogue.dataset == "leases":
                    waiting += self.hq.handle([self.answer(catalogue)], self.now_ms)
            elif f"/{self.name}/" not in message.topic:
                self.outbox.append(message)

    def answer(self, catalogue: SignedCatalogue) -> Message:
        reason = self.judge(catalogue)
        reply = CatalogueReply(
            station=self.name,
            dataset="leases",
            version=catalogue.version,
            in_force=self.in_force,
            accepted=not reason,
            reason=reason,
        )
        return Message(topics.up(self.name, "request"), encode(reply))

    def judge(self, catalogue: SignedCatalogue) -> str:
        if catalogue.version == self.in_force:
            return ""
        content = decode_payload(LeasesPayload, catalogue)
        if content.base > self.in_force or content.epoch != self.epoch:
            return "out_of_order"
        fresh = [
            entry
            for entry in content.granted
            if entry.lease_id not in self.leases and entry.lease_id not in content.recalled
        ]
        if fresh:
            self.append(LeasesTaken(leases=[terms_of(entry) for entry in fresh]))
        for lease_id in content.recalled:
            lease = self.leases.get(lease_id)
            if lease is None or lease.state is LeaseState.OPEN:
                spent = 0 if lease is None else lease.spent
                closed = LeaseClosed(lease_id=lease_id, spent=spent, reason="recalled")
                self.write(closed)
                if lease is not None:
                    self.leases = rules.apply(self.leases, closed, self.now_ms)
        self.in_force = catalogue.version
        return ""

    def request(self, asset: Asset, holder: str, amount: int, request_id: str = "q") -> Message:
        request = LeaseRequest(
            station=self.name,
            epoch=self.epoch,
            request_id=request_id,
            asset=asset,
            holder=holder,
            amount=amount,
        )
        return Message(topics.up(self.name, "request"), encode(request))

    def ask(self, asset: Asset, holder: str, amount: int, request_id: str = "") -> LeaseReply:
        name = request_id or f"q-{self.name}-{len(self.replies)}"
        self.take(self.hq.handle([self.request(asset, holder, amount, name)], self.now_ms))
        return self.replies[-1]

    # --- the books -------------------------------------------------------------------------------

    def append(self, *bodies: RecordBody) -> None:
        """Write records, as far as the rules of leases allow."""
        for body in bodies:
            self.leases = rules.apply(self.leases, body, self.now_ms)
            self.write(body)

    def write(self, body: RecordBody) -> None:
        """Write a record, whatever it says."""
        self.records = chain([body], epoch=self.epoch, after=self.records, at_ms=self.now_ms)

    def tell(self) -> None:
        """Send what was written; headquarters reads it."""
        self.tell_at(self.now_ms)

    def tell_at(self, now_ms: int) -> None:
        """Send what was written; headquarters, whose clock shows this, reads it."""
        for records in self.past:
            self.hq.handle([batch(records, self.name)], now_ms)
        self.past.clear()
        if self.sent < len(self.records):
            self.hq.handle([batch(self.records[self.sent :], self.name)], now_ms)
            self.sent = len(self.records)
        audit_all(self.hq, now_ms)

    def publish(self) -> None:
        """Let headquarters publish; take what is for this station."""
        self.take(self.hq.publish(self.now_ms))

    def restore(self, kept: int) -> None:
        """Come back from a backup that holds so many records, in a new epoch."""
        backup = self.records[:kept]
        opened = EpochOpened(
            reason="restore",
            previous_epoch=self.epoch,
            previous_seq=kept,
            previous_hash=backup[-1].hash if backup else "0" * 64,
        )
        if kept:
            self.past.append(backup)
        self.epoch += 1
        self.records, self.sent, self.in_force = [], 0, 0
        self.append(opened)

    # --- trade -----------------------------------------------------------------------------------

    def holding(self, asset: Asset, holder: str) -> Holding:
        mine = [
            lease
            for lease in self.leases.values()
            if (lease.terms.asset, lease.terms.holder) == (asset, holder)
            and lease.state is LeaseState.OPEN
        ]
        return Holding(asset, holder, tuple(mine))

    def available(self, asset: Asset, holder: str) -> int:
        return self.holding(asset, holder).available(self.now_ms)

    def spend(self, account: str, fen: int, floor_fen: int = 0) -> SaleSettled:
        """Sell fuel for an amount that an account pays, the last part of it by the floor limit."""
        self.sales += 1
        fuelling = completed(self.sales, price=7_850).model_copy(
            update={"fuelling_id": f"f-{self.name}-{self.sales}", "amount_fen": fen}
        )
        sale = settled(fuelling, account=account)
        draws = rules.draw(self.holding("balance", account), fen - floor_fen, self.now_ms)
        bodies: list[RecordBody] = [fuelling, sale]
        bodies += rules.movements("balance", account, draws, sale.sale_id)
        if floor_fen:
            bodies.append(beyond(sale, account, floor_fen))
        self.append(*bodies, quiet())
        return sale

    def refund(self, sale: SaleSettled) -> None:
        """Pay a sale back, all that moved going where it came from."""
        moved = [
            AssetMoved.model_validate_json(record.body)
            for record in [r for records in (*self.past, self.records) for r in records]
            if record.kind == AssetMoved.kind
        ]
        back = rules.given_back(each for each in moved if each.sale_id == sale.sale_id)
        self.append(refunded(sale), *back, quiet())

    def close_due(self) -> None:
        """Close every lease whose time is over."""
        self.append(*rules.due_to_close(self.leases.values(), self.now_ms))


def terms_of(entry: LeaseEntry) -> LeaseTerms:
    return LeaseTerms.model_validate(entry.model_dump())


def quiet() -> OperatorAction:
    """A record that ends an append, so that the audit looks back."""
    return OperatorAction(action="test", fp=None, operator="op")


def beyond(sale: SaleSettled, account: str, fen: int) -> AssetMoved:
    """What a sale took of an account beyond every lease."""
    return AssetMoved(
        asset="balance",
        holder=account,
        delta=-fen,
        sale_id=sale.sale_id,
        reason="sale",
        lease_id=None,
        cache_age_s=60,
    )


def banking(**more: object) -> Headquarters:
    """A headquarters with a price set and one member (`enrol`)."""
    hq = headquarters()
    with hq.books.transaction():
        hq.desk.publish_prices("ps-1", 0, {"92": 7_850})
    enrol(hq, **more)  # type: ignore[arg-type]
    return hq


def enrol(hq: Headquarters, ref: str = "m-1", now_ms: int = NOW, **more: object) -> None:
    """Enrol a member with an account of 1,000 yuan whose home is the first station."""
    fields: dict[str, object] = {
        "ref": ref,
        "name": "王小明",
        "tier": "silver",
        "account": ref.replace("m", "a"),
        "stations": [STATION],
        "opening_fen": 100_000,
    }
    with hq.books.transaction():
        hq.enrolment.enrol(NewMember(**(fields | more)), now_ms)  # type: ignore[arg-type]


def codes(hq: Headquarters) -> list[str]:
    """The alarms so far, those of a restore apart."""
    born = {"epoch_changed", "rows_after_backup", "born_anew"}
    return [code for _, code in alarms(hq) if code not in born]


def lent(hq: Headquarters, asset: Asset = "balance", holder: str = "a-1") -> tuple[int, int]:
    """What lies here free, and what is set aside."""
    buckets = hq.vault.buckets(asset, holder)
    return sum(b.free for b in buckets), sum(b.leased for b in buckets)
