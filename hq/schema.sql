-- Headquarters' books. Money in fen, volume in millilitres, times in milliseconds since 1970 UTC.

CREATE TABLE IF NOT EXISTS station (
    station TEXT PRIMARY KEY,
    online INTEGER NOT NULL DEFAULT 0,
    seen_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    clock_off_ms INTEGER NOT NULL DEFAULT 0
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
    stream INTEGER NOT NULL REFERENCES stream (id),
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (stream, seq)
) STRICT, WITHOUT ROWID;

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
