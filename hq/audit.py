"""Reads every row once after it was taken in: sums per station, prices again, looks for trouble.

The audit runs behind the intake and at its own pace, so that no station waits for it. Its cursor
moves in the transaction that holds its results, so a crash repeats nothing and skips nothing. A
body that nobody understands is parked and the stream goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from pydantic import ValidationError

from edge_agent.model.ledger import GENESIS_HASH
from edge_agent.model.records import (
    BODIES,
    AssetMoved,
    EpochOpened,
    FuellingCompleted,
    LeaseClosed,
    LeasesTaken,
    MemberCodeUsed,
    PointsEarned,
    SaleRefunded,
    SaleSettled,
    StoredValueToppedUp,
)
from hq.asset_audit import AssetAudit
from hq.books import HqBooks
from hq.facts import doubt_price
from hq.findings import Row, Troubles, counted, shown
from hq.intake import Finding
from hq.leases import LeaseDesk
from hq.sale_audit import SaleAudit
from hq.standing import StandingPlan


class Audit:
    """Every method runs inside `HqBooks.transaction`."""

    def __init__(
        self,
        books: HqBooks,
        sales: SaleAudit,
        assets: AssetAudit,
        leases: LeaseDesk,
        standing: StandingPlan,
    ) -> None:
        self._books = books
        self._db = books.connection
        self._assets = assets
        self._leases = leases
        self._standing = standing
        self._rules: dict[str, Callable[[Row], Troubles]] = {
            FuellingCompleted.kind: self._completed,
            SaleSettled.kind: sales.settled,
            SaleRefunded.kind: sales.refunded,
            LeasesTaken.kind: assets.taken,
            LeaseClosed.kind: assets.closed,
            AssetMoved.kind: assets.moved,
            PointsEarned.kind: assets.earned,
            StoredValueToppedUp.kind: assets.topped_up,
            MemberCodeUsed.kind: assets.code_used,
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
                "SELECT seq, kind, at_ms, body FROM ledger WHERE stream = ? AND seq > ?"
                " ORDER BY seq LIMIT ?",
                (stream, audited, most_rows - read),
            ).fetchall()
            for seq, kind, at_ms, body in rows:
                self._read(Row(station, epoch, stream, seq, kind, at_ms, body, now_ms))
            if rows:
                self._db.execute(
                    "UPDATE stream SET audited_seq = ? WHERE id = ?", (rows[-1][0], stream)
                )
                self._end_epochs(station, now_ms)
            read += len(rows)
            if read >= most_rows:
                break
        return read

    def _end_epochs(self, station: str, now_ms: int) -> None:
        """Free what belongs to lives of a station's books that are over and wholly read."""
        if self._leases.end_epochs(station, now_ms):
            self._standing.wake_station(station)

    def _read(self, row: Row) -> None:
        station, epoch = row.station, row.epoch
        for seq, detail in self._assets.owing.left_before(row):
            unmoved = Finding(seq, "movements_differ", detail)
            self._books.raise_alarm(station, epoch, unmoved, row.now_ms)
        # A figure beyond SQLite's integers shows only when it is written: then nothing of it stays.
        self._db.execute("SAVEPOINT one_row")
        try:
            troubles = self._judge(row)
            if row.seq == 1 and self._books.other_epochs(station, epoch):
                troubles += self._born(row)
        except (ValidationError, KeyError, OverflowError, sqlite3.IntegrityError) as error:
            self._db.execute("ROLLBACK TO one_row")
            self._books.add(station, unreadable=1)
            place = f"{station}/{epoch}/{row.seq}"
            self._books.park(place, row.kind[:64], row.body.encode(), row.now_ms)
            troubles = [("row_unreadable", f"{row.kind}: {type(error).__name__}")]
        for code, detail in troubles:
            self._books.raise_alarm(station, epoch, Finding(row.seq, code, detail), row.now_ms)
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
        self._books.add(
            station,
            fuellings=1,
            volume_ml=body.volume_ml,
            amount_fen=body.amount_fen,
            differences=counted(doubt),
        )
        return shown(doubt)
