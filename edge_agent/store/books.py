"""The books as the application sees them (`ports.Books`): append to the ledger, ask projections."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from edge_agent.model.books import (
    FuelSums,
    OpenFuelling,
    SettledSale,
    Totals,
    UnpaidFuelling,
    Usage,
    UsageSubject,
)
from edge_agent.model.ids import AccountRef, FpId, FuellingId, LogicalNozzle, MemberRef, SaleId
from edge_agent.model.leases import Holding, Lease
from edge_agent.model.ledger import EpochStanding, LedgerHead, LedgerRecord
from edge_agent.model.records import (
    Asset,
    AssetMoved,
    FuellingAuthorised,
    FuellingCompleted,
    PriceApplied,
    RecordBody,
    SaleRefunded,
    SaleSettled,
    StoredValueToppedUp,
)
from edge_agent.model.units import Money, Volume
from edge_agent.store import leases, usage
from edge_agent.store.database import storage_errors
from edge_agent.store.health import StorageHealth
from edge_agent.store.ledger import read_after, read_epochs
from edge_agent.store.movements import read_movements
from edge_agent.store.posting import Posting

_OPEN = (
    "SELECT r.seq, r.at_ms, r.body FROM fuelling f JOIN ledger r ON r.position = f.authorised"
    " WHERE f.state = 'open' ORDER BY f.authorised"
)
_UNPAID = (
    "SELECT r.seq, r.at_ms, r.body FROM fuelling f JOIN ledger r ON r.position = f.completed"
    " WHERE f.state = 'payable'"
)
_SALES = (
    "SELECT s.seq, s.at_ms, s.body, c.body, x.body FROM fuelling f"
    " JOIN ledger s ON s.position = f.settled"
    " JOIN ledger c ON c.position = f.completed"
    " LEFT JOIN ledger x ON x.position = f.refunded"
)
_RECENT = (
    "SELECT s.seq, s.at_ms, s.body, c.body, x.body FROM sale"
    " JOIN fuelling f ON f.fuelling_id = sale.fuelling_id"
    " JOIN ledger s ON s.position = f.settled"
    " JOIN ledger c ON c.position = f.completed"
    " LEFT JOIN ledger x ON x.position = f.refunded"
    " ORDER BY sale.position DESC LIMIT ?"
)
_TOP_UP = (
    "SELECT r.body FROM idempotency i JOIN ledger r ON r.position = i.position"
    " WHERE i.key = ? AND r.kind = 'stored_value.topped_up'"
)
_SUMS = (
    "SELECT fuellings, volume_ml, amount_fen, sales, payable_fen, member_sales, plate_sales"
    " FROM standing"
)


class LedgerBooks:
    """`ports.Books` on the ledger. Every read raises `StorageUnavailable` when the disk fails."""

    def __init__(self, posting: Posting, reader: sqlite3.Connection, health: StorageHealth) -> None:
        self._posting = posting
        self._reader = reader
        self._health = health

    # --- the ledger -----------------------------------------------------------------------------

    async def append(self, bodies: Sequence[RecordBody]) -> tuple[LedgerRecord, ...]:
        """See `ports.Books.append`. Once begun it ends, even if the caller is cancelled."""
        if not bodies:
            return ()
        return await self._posting.commit(bodies)

    def subscribe(self, listener: Callable[[LedgerHead], None]) -> None:
        """Call `listener` on the event loop with the new head after every append."""
        self._posting.subscribe(listener)

    def head(self) -> LedgerHead:
        """Return the end of the present epoch's chain."""
        return self._posting.head

    def acked_seq(self) -> int:
        """Return up to where HQ has committed the present epoch."""
        return self._posting.standing.acked_seq

    def records_after(self, seq: int, limit: int) -> list[LedgerRecord]:
        """Return up to `limit` records of the present epoch that follow `seq`."""
        with storage_errors():
            return read_after(self._reader, self._posting.standing, seq, limit)

    def hash_at(self, seq: int) -> str | None:
        """Return the hash of a record of this epoch; the genesis hash for 0; None if unknown."""
        with storage_errors():
            return self._posting.hash_at(self._reader, seq)

    async def move_acked(self, epoch: int, up_to_seq: int) -> None:
        """Note durably that HQ has committed everything up to this record; never goes back.

        Raises:
            CorruptionError: these books have no such record.
        """
        await self._posting.move_acked(epoch, up_to_seq)

    def epochs(self) -> list[EpochStanding]:
        """Return every epoch of these books, the present one last.

        After a restore an earlier epoch may hold records that HQ has not acknowledged yet.
        """
        with storage_errors():
            return read_epochs(self._reader)

    def records_of(self, standing: EpochStanding, seq: int, limit: int) -> list[LedgerRecord]:
        """Return up to `limit` records after `seq` of one of `epochs()`."""
        with storage_errors():
            return read_after(self._reader, standing, seq, limit)

    # --- projections ----------------------------------------------------------------------------

    def open_fuellings(self) -> list[OpenFuelling]:
        """Return fuellings authorised and neither completed nor cancelled, oldest first."""
        return [
            OpenFuelling(seq, at_ms, FuellingAuthorised.model_validate_json(body))
            for seq, at_ms, body in self._rows(_OPEN)
        ]

    def unpaid(self) -> list[UnpaidFuelling]:
        """Return payable fuellings, oldest first. A zero sale is never among them."""
        return [_unpaid(row) for row in self._rows(f"{_UNPAID} ORDER BY f.completed")]

    def unpaid_fuelling(self, fuelling: FuellingId) -> UnpaidFuelling | None:
        """Return a fuelling if it is payable."""
        rows = self._rows(f"{_UNPAID} AND f.fuelling_id = ?", fuelling)
        return _unpaid(rows[0]) if rows else None

    def sale(self, sale: SaleId) -> SettledSale | None:
        """Return a sale by its id."""
        return self._sale(
            " WHERE f.fuelling_id = (SELECT fuelling_id FROM sale WHERE sale_id = ?)", sale
        )

    def sale_of(self, fuelling: FuellingId) -> SettledSale | None:
        """Return the sale that paid a fuelling."""
        return self._sale(" WHERE f.fuelling_id = ?", fuelling)

    def sale_by_key(self, idempotency_key: str) -> SettledSale | None:
        """Return the sale that was settled, or refunded, under this key."""
        return self._sale(
            " WHERE f.fuelling_id = (SELECT fuelling_id FROM idempotency WHERE key = ?)",
            idempotency_key,
        )

    def recent_sales(self, limit: int) -> list[SettledSale]:
        """Return the last sales, newest first."""
        return [_sale(row) for row in self._rows(_RECENT, max(limit, 0))]

    def sales_after(self, seq: int) -> int:
        """Return how many sales of the present epoch were settled after `seq`."""
        # Sales are counted as they are written, so this takes two look-ups however many wait.
        position = self._posting.standing.base + max(seq, 0)
        (waiting,) = self._rows(
            "SELECT (SELECT coalesce(max(ordinal), 0) FROM"
            "   (SELECT ordinal FROM sale ORDER BY position DESC LIMIT 1))"
            " - (SELECT coalesce(max(ordinal), 0) FROM"
            "   (SELECT ordinal FROM sale WHERE position <= ? ORDER BY position DESC LIMIT 1))",
            position,
        )[0]
        return int(waiting)

    def totals(self) -> list[Totals]:
        """Return the totalisers of every nozzle as last recorded."""
        rows = self._rows(
            "SELECT fp, nozzle, volume_ml, amount_fen FROM totaliser ORDER BY fp, nozzle"
        )
        return [
            Totals(
                FpId(fp),
                LogicalNozzle(nozzle),
                Volume(volume_ml),
                None if amount_fen is None else Money(amount_fen),
            )
            for fp, nozzle, volume_ml, amount_fen in rows
        ]

    # --- what headquarters holds ----------------------------------------------------------------

    def holding(self, asset: Asset, holder: str) -> Holding:
        """Return the open leases of an asset, soonest expiry first; none is an empty holding."""
        return Holding(asset, holder, tuple(self._leases(leases.HOLDING, asset, holder)))

    def coupons_of(self, member: MemberRef) -> list[Lease]:
        """Return the leases of a member's coupons that may be used, soonest expiry first.

        Whether a coupon holds yet, or no more, is a question of its own times.
        """
        return self._leases(leases.COUPONS, member)

    def open_leases(self) -> list[Lease]:
        """Return every lease that was neither closed nor frozen, soonest expiry first."""
        return self._leases(leases.OPEN)

    def lent(self, now_ms: int) -> dict[Asset, int]:
        """Return what may still be spent of each asset, of all holders together: fen, points,
        coupons. Points that end before their lease are counted. Summed by the database, since tens
        of thousands of members may have something here."""
        return dict(self._rows(leases.LENT, now_ms))

    def due_leases(self, now_ms: int, limit: int) -> list[Lease]:
        """Return up to `limit` leases that are over and not closed yet, frozen ones apart."""
        return self._leases(leases.DUE, now_ms, max(limit, 0))

    def movements(self, sale: SaleId) -> list[AssetMoved]:
        """Return what a sale moved of what headquarters holds, in the order of the books."""
        rows = self._rows("SELECT position FROM sale WHERE sale_id = ?", sale)
        if not rows:
            return []
        with storage_errors():
            moved = read_movements(self._reader, rows[0][0])
            return [body for body in moved if isinstance(body, AssetMoved)]

    def usage(self, subject: UsageSubject, ref: str, since_ms: int) -> Usage:
        """Return what was paid for a member, account, plate or points, refunds apart.

        For a member or plate the payable amounts count, for an account what was charged to it, for
        a member's points what they paid where no account did beside them.
        """
        payments, amount_fen, volume_ml = self._rows(usage.SUM, usage.who(subject, ref), since_ms)[
            0
        ]
        return Usage(payments, Money(amount_fen), Volume(volume_ml))

    def visits(self, member: MemberRef, since_ms: int) -> int:
        """Return how many sales of a member were settled here since a wall time, refunds apart."""
        return int(self._rows(usage.COUNT, usage.who("member", member), since_ms)[0][0])

    def last_odometer_km(self, member: MemberRef) -> int | None:
        """Return what a member's odometer showed at the last fuelling that says so."""
        rows = self._rows("SELECT km FROM odometer WHERE member_ref = ?", member)
        return int(rows[0][0]) if rows else None

    def floor_spent(self, account: AccountRef, since_ms: int) -> Money:
        """Return what was spent of an account beyond its leases since a wall time."""
        return Money(self._rows(usage.SUM, usage.who(usage.FLOOR, account), since_ms)[0][1])

    def code_used(self, nonce: str) -> bool:
        """Whether a member's dynamic code was believed before.

        Codes are forgotten a day after they expired: then they are refused for that.
        """
        return bool(self._rows("SELECT 1 FROM member_code WHERE nonce = ?", nonce))

    def top_up_by_key(self, idempotency_key: str) -> StoredValueToppedUp | None:
        """Return the top-up that was made under this key."""
        rows = self._rows(_TOP_UP, idempotency_key)
        return StoredValueToppedUp.model_validate_json(rows[0][0]) if rows else None

    # --- time -----------------------------------------------------------------------------------

    def time_floor_ms(self) -> int:
        """Return the latest wall time of any record of this epoch; 0 before the first.

        No lease, coupon or code is judged by an earlier one, so that a clock set back revives
        nothing (row S27). A new epoch, which has no leases yet, begins with the time of its birth.
        """
        return self._posting.latest_ms

    def heard_ms(self) -> int | None:
        """Return the wall time at which headquarters was last heard from, or None for never."""
        return self._posting.heard_ms

    async def note_heard(self, at_ms: int) -> None:
        """Keep the wall time at which headquarters was heard from, through restarts to within half
        a minute. Raises `StorageUnavailable`."""
        await self._posting.note_heard(at_ms)

    # --- sums and flags -------------------------------------------------------------------------

    def sums(self) -> FuelSums:
        """Return the sums; see `store.projections` for which states each counts."""
        fuellings, volume_ml, amount_fen, sales, payable_fen, member, plate = self._rows(_SUMS)[0]
        return FuelSums(
            fuellings,
            Volume(volume_ml),
            Money(amount_fen),
            sales,
            Money(payable_fen),
            member,
            plate,
        )

    def applied_prices(self, fp: FpId) -> PriceApplied | None:
        """Return the prices that a fuelling point confirmed last."""
        rows = self._rows(
            "SELECT r.body FROM applied_price a JOIN ledger r ON r.position = a.position"
            " WHERE a.fp = ?",
            fp,
        )
        return PriceApplied.model_validate_json(rows[0][0]) if rows else None

    def stop_all_active(self) -> bool:
        """Whether everything was stopped at one touch and not released since."""
        return bool(self._rows("SELECT stop_all FROM standing")[0][0])

    # --- the disk -------------------------------------------------------------------------------

    def storage_healthy(self) -> bool:
        """False while appends fail; probes and recovers by itself once there is space again."""
        return self._health.good()

    def _sale(self, where: str, key: str) -> SettledSale | None:
        rows = self._rows(_SALES + where, key)
        return _sale(rows[0]) if rows else None

    def _leases(self, query: str, *values: str | int) -> list[Lease]:
        return [leases.read_lease(row) for row in self._rows(query, *values)]

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        with storage_errors():
            return self._reader.execute(query, values).fetchall()


def _unpaid(row: tuple[Any, ...]) -> UnpaidFuelling:
    seq, at_ms, body = row
    return UnpaidFuelling(seq, at_ms, FuellingCompleted.model_validate_json(body))


def _sale(row: tuple[Any, ...]) -> SettledSale:
    seq, at_ms, settled, completed, refunded = row
    return SettledSale(
        seq,
        at_ms,
        SaleSettled.model_validate_json(settled),
        FuellingCompleted.model_validate_json(completed),
        None if refunded is None else SaleRefunded.model_validate_json(refunded),
    )
