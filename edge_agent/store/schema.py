"""The tables of the station's database, as numbered migrations that only go forward.

`ledger` holds every record at a `position` that runs through the whole file; an epoch is a stretch
of it that starts after its `base`, so that `seq = position - base`. One key serves both orders, and
a record is written at one place on the disk.

The projections name records by position and repeat none of their text. They can be thrown away and
computed again from the ledger; the catalogues came from headquarters and cannot.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlite_utils import Database, Migrations

MIGRATIONS: Final = Migrations("books")


@MIGRATIONS(name="0001_ledger")
def _ledger(database: Database) -> None:
    _run(
        database,
        """CREATE TABLE epoch (
            number INTEGER PRIMARY KEY,
            epoch INTEGER NOT NULL UNIQUE,
            base INTEGER NOT NULL,
            acked_seq INTEGER NOT NULL DEFAULT 0,
            born_ms INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE ledger (
            position INTEGER PRIMARY KEY,
            epoch INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            at_ms INTEGER NOT NULL,
            body TEXT NOT NULL,
            prev_hash TEXT NOT NULL,
            hash TEXT NOT NULL
        ) STRICT""",
        # Conflict clauses such as OR REPLACE would delete in silence; a taken position is refused
        # here before they are asked.
        """CREATE TRIGGER ledger_gapless BEFORE INSERT ON ledger
        WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM ledger)
            OR NEW.seq IS NOT NEW.position
                - (SELECT base FROM epoch ORDER BY number DESC LIMIT 1)
            OR NEW.epoch IS NOT (SELECT epoch FROM epoch ORDER BY number DESC LIMIT 1)
        BEGIN SELECT RAISE(ABORT, 'the ledger is gap-free'); END""",
        """CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
        BEGIN SELECT RAISE(ABORT, 'the ledger is append only'); END""",
        """CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
        BEGIN SELECT RAISE(ABORT, 'the ledger is append only'); END""",
        """CREATE TRIGGER epoch_no_delete BEFORE DELETE ON epoch
        BEGIN SELECT RAISE(ABORT, 'an epoch is never forgotten'); END""",
        """CREATE TRIGGER epoch_only_acked BEFORE UPDATE ON epoch
        WHEN NEW.number IS NOT OLD.number OR NEW.epoch IS NOT OLD.epoch
            OR NEW.base IS NOT OLD.base OR NEW.born_ms IS NOT OLD.born_ms
            OR NEW.acked_seq < OLD.acked_seq
        BEGIN SELECT RAISE(ABORT, 'an epoch only ever has more acknowledged'); END""",
        """CREATE TABLE storage_probe (number INTEGER PRIMARY KEY, ballast BLOB NOT NULL) STRICT""",
    )


@MIGRATIONS(name="0002_projections")
def _projections(database: Database) -> None:
    _run(
        database,
        """CREATE TABLE projection_version (version INTEGER NOT NULL) STRICT""",
        # version 0: nothing projected yet, so that opening fills the tables from older records
        """INSERT INTO projection_version VALUES (0)""",
        """CREATE TABLE fuelling (
            fuelling_id TEXT PRIMARY KEY,
            fp INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN
                ('open', 'cancelled', 'zero', 'payable', 'settled', 'refunded')),
            authorised INTEGER,
            completed INTEGER,
            settled INTEGER,
            refunded INTEGER
        ) STRICT, WITHOUT ROWID""",
        """CREATE INDEX fuelling_open ON fuelling (authorised) WHERE state = 'open'""",
        """CREATE INDEX fuelling_payable ON fuelling (completed) WHERE state = 'payable'""",
        """CREATE TABLE sale (
            position INTEGER PRIMARY KEY,
            ordinal INTEGER NOT NULL,
            sale_id TEXT NOT NULL UNIQUE,
            fuelling_id TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE idempotency (
            key TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            fuelling_id TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE totaliser (
            fp INTEGER NOT NULL,
            nozzle INTEGER NOT NULL,
            volume_ml INTEGER NOT NULL,
            amount_fen INTEGER,
            PRIMARY KEY (fp, nozzle)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE account_spent (
            account_ref TEXT PRIMARY KEY,
            spent_fen INTEGER NOT NULL CHECK (spent_fen >= 0)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE applied_price (fp INTEGER PRIMARY KEY, position INTEGER NOT NULL) STRICT""",
        """CREATE TABLE forecourt_standing (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            stop_all INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
        """CREATE TABLE fuel_sums (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            fuellings INTEGER NOT NULL DEFAULT 0,
            volume_ml INTEGER NOT NULL DEFAULT 0,
            amount_fen INTEGER NOT NULL DEFAULT 0,
            sales INTEGER NOT NULL DEFAULT 0,
            payable_fen INTEGER NOT NULL DEFAULT 0,
            member_sales INTEGER NOT NULL DEFAULT 0,
            plate_sales INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
    )


@MIGRATIONS(name="0003_catalogues")
def _catalogues(database: Database) -> None:
    _run(
        database,
        """CREATE TABLE catalogue_version (
            dataset TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            counter INTEGER NOT NULL,
            sha256 TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE members (
            ref TEXT PRIMARY KEY,
            tier TEXT NOT NULL,
            masked_name TEXT NOT NULL,
            account TEXT,
            plate_pay INTEGER NOT NULL CHECK (plate_pay IN (0, 1))
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE member_index (
            kind TEXT NOT NULL,
            idx TEXT NOT NULL,
            ref TEXT NOT NULL,
            PRIMARY KEY (kind, idx)
        ) STRICT, WITHOUT ROWID""",
        """CREATE INDEX member_index_ref ON member_index (ref)""",
        """CREATE TABLE accounts (
            ref TEXT PRIMARY KEY,
            granted_fen INTEGER NOT NULL CHECK (granted_fen >= 0)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TRIGGER accounts_only_grow BEFORE UPDATE ON accounts
        WHEN NEW.granted_fen < OLD.granted_fen
        BEGIN SELECT RAISE(ABORT, 'a grant only grows'); END""",
        """CREATE TABLE price_sets (
            id TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            valid_from_ms INTEGER NOT NULL,
            prices TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE policy (
            version INTEGER PRIMARY KEY,
            json TEXT NOT NULL,
            sha256 TEXT NOT NULL
        ) STRICT""",
    )


_SALES: Final = (
    """CREATE TABLE standing (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        latest_ms INTEGER NOT NULL DEFAULT 0,
        stop_all INTEGER NOT NULL DEFAULT 0,
        fuellings INTEGER NOT NULL DEFAULT 0,
        volume_ml INTEGER NOT NULL DEFAULT 0,
        amount_fen INTEGER NOT NULL DEFAULT 0,
        sales INTEGER NOT NULL DEFAULT 0,
        payable_fen INTEGER NOT NULL DEFAULT 0,
        member_sales INTEGER NOT NULL DEFAULT 0,
        plate_sales INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    """CREATE TABLE sale (
        position INTEGER PRIMARY KEY,
        ordinal INTEGER NOT NULL,
        sale_id TEXT NOT NULL UNIQUE,
        fuelling_id TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        member_ref TEXT,
        plate_ref TEXT
    ) STRICT""",
    # fuelling_id is NULL for what is no sale
    """CREATE TABLE idempotency (
        key TEXT PRIMARY KEY,
        position INTEGER NOT NULL,
        fuelling_id TEXT
    ) STRICT, WITHOUT ROWID""",
)

_LEASES: Final = (
    # asset and holder are NULL where a lease was recalled before it came
    """CREATE TABLE lease (
        lease_id TEXT PRIMARY KEY,
        asset TEXT CHECK (asset IN ('balance', 'points', 'coupon', 'budget')),
        holder TEXT,
        amount INTEGER NOT NULL,
        spent INTEGER NOT NULL DEFAULT 0 CHECK (spent BETWEEN 0 AND amount),
        state TEXT NOT NULL CHECK (state IN ('open', 'frozen', 'closed')),
        expires_ms INTEGER NOT NULL,
        template TEXT,
        member_ref TEXT,
        from_ms INTEGER NOT NULL DEFAULT 0,
        until_ms INTEGER NOT NULL DEFAULT 0,
        holding INTEGER NOT NULL DEFAULT 0,
        buckets TEXT NOT NULL DEFAULT '[]',
        drawn TEXT NOT NULL DEFAULT '[]'
    ) STRICT, WITHOUT ROWID""",
    """CREATE INDEX lease_open ON lease (asset, holder, expires_ms) WHERE state = 'open'""",
    """CREATE INDEX lease_due ON lease (expires_ms) WHERE state = 'open'""",
    """CREATE INDEX lease_coupon ON lease (member_ref, expires_ms)
    WHERE state = 'open' AND asset = 'coupon'""",
    """CREATE UNIQUE INDEX lease_coupon_used ON lease (holder)
    WHERE asset = 'coupon' AND spent > 0""",
    # who is member, account, plate or floor, a colon, and the reference
    """CREATE TABLE usage (
        who TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        sale INTEGER NOT NULL,
        amount_fen INTEGER NOT NULL,
        volume_ml INTEGER NOT NULL,
        PRIMARY KEY (who, at_ms, sale)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE odometer (
        member_ref TEXT PRIMARY KEY,
        km INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE member_code (
        nonce TEXT PRIMARY KEY,
        expires_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE INDEX member_code_over ON member_code (expires_ms)""",
)

_MEMBERS: Final = (
    """CREATE TABLE members (
        ref TEXT PRIMARY KEY,
        personal BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE headquarters (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        heard_ms INTEGER
    ) STRICT""",
    """INSERT INTO headquarters (id) VALUES (1)""",
)


@MIGRATIONS(name="0004_leases")
def _leases(database: Database) -> None:
    _run(
        database,
        # Grants that only grew gave way to leases, what stood in clear to what is sealed, and
        # single rows to one. Projections come again from the ledger, members from headquarters.
        """UPDATE projection_version SET version = 0""",
        """DROP TABLE account_spent""",
        """DROP TABLE accounts""",
        """DROP TABLE forecourt_standing""",
        """DROP TABLE fuel_sums""",
        """DROP TABLE sale""",
        """DROP TABLE idempotency""",
        """DROP TABLE members""",
        """DELETE FROM member_index""",
        """UPDATE catalogue_version SET version = 0 WHERE dataset = 'members'""",
    )
    _run(database, *_SALES, *_LEASES, *_MEMBERS)


def migrate(connection: sqlite3.Connection, *, stop_before: str | None = None) -> None:
    """Bring a database's tables up to date, each migration in its own transaction.

    `stop_before` names the first migration to leave out, so that a test can make an older database.
    """
    database = Database(connection)
    MIGRATIONS.apply(database, stop_before=stop_before)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS.applied(database))}")


def _run(database: Database, *statements: str) -> None:
    for statement in statements:
        database.conn.execute(statement)
