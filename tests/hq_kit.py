"""Rows and messages as a station would send them, for the tests of headquarters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from edge_agent.core.chain import seal
from edge_agent.core.promotions import quote
from edge_agent.model import topics
from edge_agent.model.canonical import canonical_json
from edge_agent.model.ids import GradeId, MemberRef
from edge_agent.model.ledger import GENESIS_HASH, LedgerRecord
from edge_agent.model.policy import NO_POLICY, Policy
from edge_agent.model.quote import MemberFacts, QuoteRequest
from edge_agent.model.quote_record import body_of, explanation_hash, without_words
from edge_agent.model.records import (
    AssetMoved,
    FuellingCompleted,
    OperatorAction,
    PointsEarned,
    QuoteBody,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    Tender,
)
from edge_agent.model.units import Money, UnitPrice, Volume, amount_of
from edge_agent.model.wire import Ack, Birth, LedgerBatch, SignedCatalogue, decode, encode
from hq.books import HqBooks
from hq.headquarters import Headquarters
from hq.keys import HqKeys
from hq.message import Message

KEYS = HqKeys(bytes(range(32)), bytes(range(32, 64)))
STATION = "S-1"
EPOCH = 7
NOW = 1_790_000_000_000

POLICY_1 = json.dumps(
    {
        "format": 1,
        "version": 1,
        "tiers": [
            {"code": c, "label_zh": "银", "label_en": c, "text_zh": "银", "text_en": c}
            for c in ("silver",)
        ],
        "offers": [
            {
                "id": "silver",
                "kind": "percent_off",
                "off_bp": 200,
                "text_zh": "银牌98折",
                "text_en": "2 % off",
                "conditions": {"tiers": ["silver"]},
            }
        ],
    }
)


def headquarters() -> Headquarters:
    return Headquarters(HqBooks(":memory:"), KEYS)


def chain(
    bodies: Iterable[RecordBody | tuple[str, str]],
    *,
    epoch: int = EPOCH,
    after: Sequence[LedgerRecord] = (),
    at_ms: int = NOW,
) -> list[LedgerRecord]:
    """Seal bodies, or kinds with any text, into records that follow `after`."""
    records = list(after)
    for body in bodies:
        kind, text = body if isinstance(body, tuple) else (body.kind, text_of(body))
        prev_hash = records[-1].hash if records else GENESIS_HASH
        records.append(seal(epoch, len(records) + 1, kind, at_ms, text, prev_hash))
    return records


def text_of(body: RecordBody) -> str:
    return canonical_json(body.model_dump()).decode()


def batch(records: Sequence[LedgerRecord], station: str = STATION) -> Message:
    content = LedgerBatch(
        station=station,
        epoch=records[0].epoch,
        first=records[0].seq,
        prev_hash=records[0].prev_hash,
        rows=[(r.kind, r.at_ms, r.body, r.hash) for r in records],
    )
    return Message(topics.up(station, "ledger"), encode(content))


def birth(
    records: Sequence[LedgerRecord] = (),
    *,
    epoch: int = EPOCH,
    station: str = STATION,
    **more: object,
) -> Message:
    fields = {
        "station": station,
        "epoch": epoch,
        "head_seq": len(records),
        "head_hash": records[-1].hash if records else GENESIS_HASH,
        "acked_seq": 0,
        "boot_id": "b1",
        "hello": "h1",
        "version": "1.0",
        "catalogues": {},
        "sent_ms": NOW,
    }
    return Message(topics.up(station, "birth"), encode(Birth.model_validate(fields | more)))


def acks(messages: Iterable[Message]) -> list[Ack]:
    return [decode(Ack, m.payload) for m in messages if m.topic == topics.down(STATION, "ack")]


def catalogues(messages: Iterable[Message], station: str = STATION) -> list[SignedCatalogue]:
    return [
        decode(SignedCatalogue, m.payload)
        for m in messages
        if m.topic == topics.down(station, "catalogue")
    ]


def action(number: int) -> OperatorAction:
    return OperatorAction(action="test", fp=None, operator="op", detail=f"number {number}")


def completed(number: int, volume_ml: int = 30_000, price: int = 7_850) -> FuellingCompleted:
    amount = amount_of(Volume(volume_ml), UnitPrice(price))
    return FuellingCompleted(
        fuelling_id=f"f-{number}",
        fp=1,
        nozzle=1,
        nozzle_number=1,
        grade="92",
        price_set="ps-1",
        unit_price_milli=price,
        volume_ml=volume_ml,
        amount_fen=amount.fen,
        totals_before=None,
        totals_after=None,
        origin="observed",
        member_ref=None,
        plate_ref=None,
        prepaid_fen=0,
        started_ms=NOW,
        ended_ms=NOW,
    )


def priced(fuelling: FuellingCompleted, policy: Policy, tier: str | None) -> QuoteBody:
    member = None if tier is None else MemberFacts(MemberRef("m-1"), tier)
    request = QuoteRequest(
        GradeId(fuelling.grade),
        Volume(fuelling.volume_ml),
        Money(fuelling.amount_fen),
        UnitPrice(fuelling.unit_price_milli),
        NOW,
        480,
        member,
    )
    return body_of(quote(request, policy))


def settled(
    fuelling: FuellingCompleted,
    policy: Policy = NO_POLICY,
    tier: str | None = None,
    account: str | None = None,
) -> SaleSettled:
    """A sale paid whole, in cash or from an account, as a station writes one."""
    quoted = priced(fuelling, policy, tier)
    means = "cash" if account is None else "stored_value"
    tender = Tender.model_validate(
        {"means": means, "amount_fen": quoted.payable_fen, "account_ref": account}
    )
    return sale_of(fuelling, quoted, [tender])


def sale_of(
    fuelling: FuellingCompleted, quoted: QuoteBody, tenders: Sequence[Tender]
) -> SaleSettled:
    """A sale at a price that was decided, with its words taken out."""
    return SaleSettled(
        sale_id=fuelling.fuelling_id.replace("f", "s"),
        fuelling_id=fuelling.fuelling_id,
        quote=without_words(quoted),
        explanation_sha256=explanation_hash(quoted),
        tenders=list(tenders),
        change_fen=0,
        member_ref=quoted.member_ref,
        plate_ref=None,
        receipt_no="1",
        idempotency_key=fuelling.fuelling_id,
        operator="op",
    )


def moved(
    sale: SaleSettled, account: str, lease_id: str | None, *, back: bool = False
) -> AssetMoved:
    """What a sale took of an account, or its refund gave back."""
    fen = sale.quote.payable_fen
    return AssetMoved(
        asset="balance",
        holder=account,
        delta=fen if back else -fen,
        sale_id=sale.sale_id,
        reason="refund" if back else "sale",
        lease_id=lease_id,
        cache_age_s=None if lease_id is not None else 60,
    )


def earned(sale: SaleSettled) -> PointsEarned:
    """The points of a member's sale, good for two years."""
    return PointsEarned(
        member_ref=sale.member_ref or "",
        sale_id=sale.sale_id,
        points=sale.quote.points_earned,
        expires_ms=NOW + 730 * 86_400_000,
        reason="sale",
    )


def refunded(sale: SaleSettled) -> SaleRefunded:
    return SaleRefunded(
        refund_id=f"r-{sale.sale_id}",
        sale_id=sale.sale_id,
        fuelling_id=sale.fuelling_id,
        tenders=sale.tenders,
        reason="test",
        idempotency_key=f"r-{sale.sale_id}",
        operator="op",
    )


def alarms(hq: Headquarters) -> list[tuple[int, str]]:
    rows = hq.books.connection.execute("SELECT seq, code FROM alarm ORDER BY id")
    return [(seq, code) for seq, code in rows]


def audit_all(hq: Headquarters, now_ms: int = NOW) -> None:
    while hq.examine(100, now_ms):
        pass


def sums(hq: Headquarters, station: str = STATION) -> dict[str, int]:
    cursor = hq.books.connection.execute("SELECT * FROM sums WHERE station = ?", (station,))
    names = [column[0] for column in cursor.description]
    row = cursor.fetchone()
    return {} if row is None else dict(zip(names[1:], row[1:], strict=True))
