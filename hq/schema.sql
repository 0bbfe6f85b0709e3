-- Headquarters' books. Money in fen, volume in millilitres, times in milliseconds since 1970 UTC.

CREATE TABLE IF NOT EXISTS station (
    station TEXT PRIMARY KEY,
    online INTEGER NOT NULL DEFAULT 0,
    seen_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    clock_off_ms INTEGER NOT NULL DEFAULT 0,
    figures TEXT NOT NULL DEFAULT '{}'
) STRICT;

-- One epoch of one station's ledger: how far it has come here, and how far it has been audited.
CREATE TABLE IF NOT EXISTS stream (
    id INTEGER PRIMARY KEY,
    station TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    up_to_seq INTEGER NOT NULL DEFAULT 0,
    head_hash TEXT NOT NULL,
    audited_seq INTEGER NOT NULL DEFAULT 0,
    forked INTEGER NOT NULL DEFAULT 0,
    UNIQUE (station, epoch)
) STRICT;

CREATE TABLE IF NOT EXISTS ledger (
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

-- Which catalogues a station had taken before a row.
CREATE INDEX IF NOT EXISTS ledger_catalogues ON ledger (stream, seq)
WHERE kind = 'catalogue.accepted';

CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_shortened BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append only'); END;

-- What a person has to look at. The same finding is counted, not repeated.
CREATE TABLE IF NOT EXISTS alarm (
    id INTEGER PRIMARY KEY,
    station TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    UNIQUE (station, epoch, seq, code)
) STRICT;

-- Messages that were refused, and rows whose body nobody understands; the oldest gives way.
CREATE TABLE IF NOT EXISTS parked (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    topic TEXT NOT NULL,
    reason TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

-- What the audit made of the rows: one line per fuelling, sums per station.
CREATE TABLE IF NOT EXISTS fuelling (
    station TEXT NOT NULL,
    fuelling_id TEXT NOT NULL,
    volume_ml INTEGER NOT NULL,
    amount_fen INTEGER NOT NULL,
    unit_price_milli INTEGER NOT NULL,
    grade TEXT NOT NULL,
    sale_id TEXT,
    payable_fen INTEGER NOT NULL DEFAULT 0,
    member_ref TEXT,
    points INTEGER NOT NULL DEFAULT 0, -- earned, by the price that was decided
    refunded INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (station, fuelling_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fuelling_by_sale ON fuelling (station, sale_id)
WHERE sale_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS sums (
    station TEXT PRIMARY KEY,
    fuellings INTEGER NOT NULL DEFAULT 0,
    volume_ml INTEGER NOT NULL DEFAULT 0,
    amount_fen INTEGER NOT NULL DEFAULT 0,
    sales INTEGER NOT NULL DEFAULT 0,
    payable_fen INTEGER NOT NULL DEFAULT 0,
    member_sales INTEGER NOT NULL DEFAULT 0,
    plate_sales INTEGER NOT NULL DEFAULT 0,
    refunds INTEGER NOT NULL DEFAULT 0,
    refunded_fen INTEGER NOT NULL DEFAULT 0,
    repriced INTEGER NOT NULL DEFAULT 0,
    differences INTEGER NOT NULL DEFAULT 0,
    unreadable INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What headquarters publishes. A member's row changes with each new version of it.
CREATE TABLE IF NOT EXISTS dataset (
    dataset TEXT PRIMARY KEY,
    version INTEGER NOT NULL DEFAULT 0,
    whole_from INTEGER NOT NULL DEFAULT 0 -- stations below this version need everything anew
) STRICT;
INSERT OR IGNORE INTO dataset (dataset) VALUES ('members'), ('prices'), ('policy');

CREATE TABLE IF NOT EXISTS member (
    ref TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    tier TEXT NOT NULL,
    masked_name TEXT NOT NULL,
    account TEXT,
    plate_pay INTEGER NOT NULL,
    indexes TEXT NOT NULL, -- JSON: blind indexes by kind; nothing personal in clear
    tags TEXT NOT NULL, -- JSON list
    birthday TEXT NOT NULL, -- JSON list of two days MM-DD, or null
    rules TEXT NOT NULL, -- JSON: a fleet's rules of use, or null
    pin_hash TEXT,
    locked TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS member_by_version ON member (version);
CREATE INDEX IF NOT EXISTS member_by_account ON member (account) WHERE account IS NOT NULL;

-- What pricing may know of a member, from which version on; tier '' from the removal on. A sale is
-- held against what its station may have known.
CREATE TABLE IF NOT EXISTS member_past (
    ref TEXT NOT NULL,
    version INTEGER NOT NULL,
    tier TEXT NOT NULL,
    tags TEXT NOT NULL,
    birthday TEXT NOT NULL,
    PRIMARY KEY (ref, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS price_set (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    valid_from_ms INTEGER NOT NULL,
    prices TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS policy (
    version INTEGER PRIMARY KEY,
    json TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS signer (
    key_id TEXT PRIMARY KEY,
    counter INTEGER NOT NULL
) STRICT;

-- What each station works with, as far as it has said.
CREATE TABLE IF NOT EXISTS delivery (
    station TEXT NOT NULL,
    dataset TEXT NOT NULL,
    in_force INTEGER NOT NULL,
    sent_version INTEGER NOT NULL DEFAULT 0,
    sent_ms INTEGER NOT NULL DEFAULT 0,
    refused TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (station, dataset)
) STRICT, WITHOUT ROWID;
