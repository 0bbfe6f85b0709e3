"""Reads sales and refunds: facts, price, explanation, tenders; counts them for station and member.

Every method runs inside `HqBooks.transaction`.
"""

from __future__ import annotations

from edge_agent.model.records import SaleRefunded, SaleSettled
from hq.books import HqBooks
from hq.catalogues import CatalogueDesk
from hq.facts import doubt_coupons, doubt_goods, doubt_member, doubt_station
from hq.findings import Doubt, Row, Troubles, counted, shown
from hq.members import Members
from hq.owing import Owing
from hq.repricing import reprice


class SaleAudit:
    """One rule for a sale, one for its refund."""

    def __init__(self, books: HqBooks, desk: CatalogueDesk, members: Members, owing: Owing) -> None:
        self._books = books
        self._db = books.connection
        self._desk = desk
        self._members = members
        self._owing = owing

    def settled(self, row: Row) -> Troubles:
        """Read a sale: its facts are held against ours, its price is decided again."""
        station, body = row.station, SaleSettled.model_validate_json(row.body)
        quote = body.quote
        known = self._db.execute(
            "SELECT volume_ml, amount_fen, unit_price_milli, grade, sale_id FROM fuelling"
            " WHERE station = ? AND fuelling_id = ?",
            (station, body.fuelling_id),
        ).fetchone()
        self._owing.sale(row, body)
        if known is None:
            return [("sale_without_fuelling", body.sale_id[:64])]
        if known[4] is not None:
            return [("settled_twice", f"{body.sale_id[:64]} and {known[4]}")]
        self._db.execute(
            "UPDATE fuelling SET sale_id = ?, payable_fen = ?, member_ref = ?"
            " WHERE station = ? AND fuelling_id = ?",
            (body.sale_id, quote.payable_fen, quote.member_ref, station, body.fuelling_id),
        )
        troubles: Troubles = []
        facts = (quote.volume_ml, quote.fuel_amount_fen, quote.unit_price_milli, quote.grade)
        if tuple(known[:4]) != facts:
            troubles.append(("sale_facts_differ", f"fuelled {known[:4]}, priced {facts}"))
        if sum(tender.amount_fen for tender in body.tenders) != quote.payable_fen:
            troubles.append(("tenders_differ", body.sale_id[:64]))
        troubles += self._reprice(row, body)
        self._books.add(
            station,
            sales=1,
            payable_fen=quote.payable_fen,
            member_sales=int(body.member_ref is not None),
            plate_sales=int(body.plate_ref is not None),
        )
        if quote.member_ref is not None:
            self._count(row, quote.member_ref, 1, quote.payable_fen)
        return troubles

    def _reprice(self, row: Row, body: SaleSettled) -> Troubles:
        quote = body.quote
        doubts: list[Doubt | None] = [
            *doubt_member(self._db, row.stream, row.seq, quote),
            doubt_station(row.station, quote),
            *doubt_coupons(self._db, quote),
        ]
        policy = self._desk.policy(quote.policy_version)
        if policy is None:
            self._books.add(row.station, differences=1)
            return [*shown(*doubts), ("policy_unknown", f"version {quote.policy_version}")]
        doubts.append(doubt_goods(quote, policy))
        again = reprice(quote, policy)
        troubles = shown(*doubts)
        if again.difference is not None:
            troubles.append(("price_differs", again.difference))
        elif again.explanation_sha256 != body.explanation_sha256:
            troubles.append(("explanation_differs", body.explanation_sha256[:64]))
        # One sale is one difference, however much of it is wrong.
        differences = max(counted(*doubts), int(again.difference is not None))
        self._books.add(row.station, repriced=1, differences=differences)
        return troubles

    def refunded(self, row: Row) -> Troubles:
        """Read a refund: whole, once, of a sale that is known."""
        station, body = row.station, SaleRefunded.model_validate_json(row.body)
        known = self._db.execute(
            "SELECT payable_fen, refunded, member_ref FROM fuelling"
            " WHERE station = ? AND fuelling_id = ? AND sale_id = ?",
            (station, body.fuelling_id, body.sale_id),
        ).fetchone()
        self._owing.refund(row, body)
        if known is None:
            return [("refund_without_sale", body.sale_id[:64])]
        if known[1]:
            return [("refunded_twice", body.sale_id[:64])]
        refunded_fen = sum(tender.amount_fen for tender in body.tenders)
        self._db.execute(
            "UPDATE fuelling SET refunded = 1 WHERE station = ? AND fuelling_id = ?",
            (station, body.fuelling_id),
        )
        self._books.add(station, refunds=1, refunded_fen=refunded_fen)
        if known[2] is not None:
            self._count(row, known[2], -1, -known[0])
        return [] if refunded_fen == known[0] else [("refund_differs", body.sale_id[:64])]

    def _count(self, row: Row, member: str, fills: int, spent_fen: int) -> None:
        """Count a member's sale. Stations hear of the first fill and of a tier's mark at once, of
        the rest with the member's next change (`Members.refresh`)."""
        before = self._members.sums(member)
        self._db.execute(
            "INSERT INTO member_sum (member_ref, stream, fills, spent_fen) VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT DO UPDATE SET fills = fills + ?3, spent_fen = spent_fen + ?4",
            (member, row.stream, fills, spent_fen),
        )
        after = (before[0] + fills, before[1] + spent_fen)
        marks = [tier.reached_at_fen for tier in self._desk.policy_in_force().tiers]
        passed = any(
            mark is not None and (before[1] >= mark) != (after[1] >= mark) for mark in marks
        )
        if passed or (before[0] > 0) != (after[0] > 0):
            self._members.touch(member)
        else:
            self._members.grown_stale(member)
