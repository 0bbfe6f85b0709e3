"""Reads every row once after it was taken in: sums per station, prices again, looks for trouble.

The audit runs behind the intake and at its own pace, so that no station waits for it. Its cursor
moves in the transaction that holds its results, so a crash repeats nothing and skips nothing. A
body that nobody understands is parked and the stream goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from pydantic import ValidationError

from edge_agent.model.ledger import GENESIS_HASH
from edge_agent.model.records import (
    BODIES,
    EpochOpened,
    FuellingCompleted,
    QuoteBody,
    SaleRefunded,
    SaleSettled,
    StoredValueMoved,
)
from hq.books import HqBooks
from hq.catalogues import CatalogueDesk
from hq.facts import Doubt, doubt_price, doubt_tier
from hq.forgotten import forgotten
from hq.intake import Finding
from hq.repricing import difference

Troubles: TypeAlias = list[tuple[str, str]]


class Row(NamedTuple):
    """A row of the ledger and where it stands."""

    station: str
    epoch: int
    stream: int
    seq: int
    kind: str
    body: str


class Audit:
    """Every method runs inside `HqBooks.transaction`."""

    def __init__(self, books: HqBooks, desk: CatalogueDesk) -> None:
        self._books = books
        self._db = books.connection
        self._desk = desk
        self._rules: dict[str, Callable[[Row], Troubles]] = {
            FuellingCompleted.kind: self._completed,
            SaleSettled.kind: self._settled,
            SaleRefunded.kind: self._refunded,
            StoredValueMoved.kind: self._moved,
        }

    def run(self, most_rows: int, now_ms: int) -> int:
        """Read up to so many rows; return how many were read."""
        read = 0
        streams = self._db.execute(
            "SELECT id, station, epoch, audited_seq FROM stream WHERE audited_seq < up_to_seq"
            " ORDER BY id"
        ).fetchall()
        for stream, station, epoch, audited in streams:
            rows = self._db.execute(
                "SELECT seq, kind, body FROM ledger WHERE stream = ? AND seq > ?"
                " ORDER BY seq LIMIT ?",
                (stream, audited, most_rows - read),
            ).fetchall()
            for seq, kind, body in rows:
                self._read(Row(station, epoch, stream, seq, kind, body), now_ms)
            if rows:
                self._db.execute(
                    "UPDATE stream SET audited_seq = ? WHERE id = ?", (rows[-1][0], stream)
                )
            read += len(rows)
            if read >= most_rows:
                break
        return read

    def _read(self, row: Row, now_ms: int) -> None:
        station, epoch = row.station, row.epoch
        # A figure beyond SQLite's integers shows only when it is written: then nothing of it stays.
        self._db.execute("SAVEPOINT one_row")
        try:
            troubles = self._judge(row)
            if row.seq == 1 and self._books.other_epochs(station, epoch):
                troubles += self._born(row)
        except (ValidationError, KeyError, OverflowError, sqlite3.IntegrityError) as error:
            self._db.execute("ROLLBACK TO one_row")
            self._add(station, unreadable=1)
            place = f"{station}/{epoch}/{row.seq}"
            self._books.park(place, row.kind[:64], row.body.encode(), now_ms)
            troubles = [("row_unreadable", f"{row.kind}: {type(error).__name__}")]
        for code, detail in troubles:
            self._books.raise_alarm(station, epoch, Finding(row.seq, code, detail), now_ms)
        self._db.execute("RELEASE one_row")

    def _judge(self, row: Row) -> Troubles:
        rule = self._rules.get(row.kind)
        if rule is not None:
            return rule(row)
        BODIES[row.kind].model_validate_json(row.body)
        return []

    # --- one rule per kind -----------------------------------------------------------------------

    def _born(self, first: Row) -> Troubles:
        """Judge the first row of an epoch that follows others: a restore, or a database anew."""
        station = first.station
        self._desk.set_withdrawn(station, forgotten(self._db, station, first.epoch))
        if first.kind != EpochOpened.kind:
            return [("born_anew", "the station lost its database and has no backup of it")]
        body = EpochOpened.model_validate_json(first.body)
        row = self._db.execute(
            "SELECT up_to_seq, coalesce(l.hash, ?) FROM stream s"
            " LEFT JOIN ledger l ON l.stream = s.id AND l.seq = ?"
            " WHERE s.station = ? AND s.epoch = ?",
            (GENESIS_HASH, body.previous_seq, station, body.previous_epoch),
        ).fetchone()
        if row is None or row[0] < body.previous_seq:
            return [("epoch_missing_rows", f"epoch {body.previous_epoch} to {body.previous_seq}")]
        if row[1] != body.previous_hash:
            return [("ledger_fork", f"epoch {body.previous_epoch} seq {body.previous_seq}")]
        after = row[0] - body.previous_seq
        return [("rows_after_backup", f"{after} rows are known here alone")] if after else []

    def _completed(self, entry: Row) -> Troubles:
        station, body = entry.station, FuellingCompleted.model_validate_json(entry.body)
        added = self._db.execute(
            "INSERT OR IGNORE INTO fuelling (station, fuelling_id, volume_ml, amount_fen,"
            " unit_price_milli, grade) VALUES (?, ?, ?, ?, ?, ?)",
            (
                station,
                body.fuelling_id,
                body.volume_ml,
                body.amount_fen,
                body.unit_price_milli,
                body.grade,
            ),
        )
        if added.rowcount != 1:
            return [("fuelling_twice", body.fuelling_id)]
        doubt = doubt_price(self._db, station, body)
        self._add(
            station,
            fuellings=1,
            volume_ml=body.volume_ml,
            amount_fen=body.amount_fen,
            differences=_counted(doubt),
        )
        return _shown(doubt)

    def _settled(self, entry: Row) -> Troubles:
        station, body = entry.station, SaleSettled.model_validate_json(entry.body)
        quote = body.quote
        row = self._db.execute(
            "SELECT volume_ml, amount_fen, unit_price_milli, grade, sale_id FROM fuelling"
            " WHERE station = ? AND fuelling_id = ?",
            (station, body.fuelling_id),
        ).fetchone()
        if row is None:
            return [("sale_without_fuelling", body.sale_id)]
        if row[4] is not None:
            return [("settled_twice", f"{body.sale_id} and {row[4]}")]
        self._db.execute(
            "UPDATE fuelling SET sale_id = ?, payable_fen = ?"
            " WHERE station = ? AND fuelling_id = ?",
            (body.sale_id, quote.payable_fen, station, body.fuelling_id),
        )
        troubles: Troubles = []
        facts = (quote.volume_ml, quote.list_amount_fen, quote.unit_price_milli, quote.grade)
        if tuple(row[:4]) != facts:
            troubles.append(("sale_facts_differ", f"fuelled {row[:4]}, priced {facts}"))
        if sum(tender.amount_fen for tender in body.tenders) != quote.payable_fen:
            troubles.append(("tenders_differ", body.sale_id))
        troubles += self._reprice(entry, quote)
        self._add(
            station,
            sales=1,
            payable_fen=quote.payable_fen,
            member_sales=int(body.member_ref is not None),
            plate_sales=int(body.plate_ref is not None),
        )
        return troubles

    def _reprice(self, entry: Row, quote: QuoteBody) -> Troubles:
        doubt = doubt_tier(self._db, entry.stream, entry.seq, quote)
        policy = self._desk.policy(quote.policy_version)
        if policy is None:
            self._add(entry.station, differences=1)
            return [*_shown(doubt), ("policy_unknown", f"version {quote.policy_version}")]
        found = difference(quote, policy)
        # One sale is one difference, however much of it is wrong.
        differences = max(_counted(doubt), int(found is not None))
        self._add(entry.station, repriced=1, differences=differences)
        return [*_shown(doubt), *([("price_differs", found)] if found else [])]

    def _refunded(self, entry: Row) -> Troubles:
        station, body = entry.station, SaleRefunded.model_validate_json(entry.body)
        row = self._db.execute(
            "SELECT payable_fen, refunded FROM fuelling"
            " WHERE station = ? AND fuelling_id = ? AND sale_id = ?",
            (station, body.fuelling_id, body.sale_id),
        ).fetchone()
        if row is None:
            return [("refund_without_sale", body.sale_id)]
        if row[1]:
            return [("refunded_twice", body.sale_id)]
        refunded_fen = sum(tender.amount_fen for tender in body.tenders)
        self._db.execute(
            "UPDATE fuelling SET refunded = 1 WHERE station = ? AND fuelling_id = ?",
            (station, body.fuelling_id),
        )
        self._add(station, refunds=1, refunded_fen=refunded_fen)
        return [] if refunded_fen == row[0] else [("refund_differs", body.sale_id)]

    def _moved(self, entry: Row) -> Troubles:
        station, body = entry.station, StoredValueMoved.model_validate_json(entry.body)
        (spent_fen,) = self._db.execute(
            "INSERT INTO spent (station, account, spent_fen) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (station, account) DO UPDATE SET spent_fen = spent_fen + ?3"
            " RETURNING spent_fen",
            (station, body.account_ref, -body.delta_fen),
        ).fetchone()
        granted_fen = self._desk.granted(body.account_ref, station)
        if spent_fen > granted_fen:
            detail = f"{body.account_ref}: {spent_fen} of {granted_fen}"
            return [("overspent", detail)]
        return []

    def _add(self, station: str, **amounts: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO sums (station) VALUES (?)", (station,))
        changes = ", ".join(f"{name} = {name} + ?" for name in amounts)
        self._db.execute(
            f"UPDATE sums SET {changes} WHERE station = ?",  # noqa: S608 -- our own column names
            (*amounts.values(), station),
        )


def _shown(doubt: Doubt | None) -> Troubles:
    return [] if doubt is None else [(doubt.code, doubt.detail)]


def _counted(doubt: Doubt | None) -> int:
    return int(doubt is not None and doubt.counted)
