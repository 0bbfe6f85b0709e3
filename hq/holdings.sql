-- What headquarters holds for others, where it is, and every movement of it. Fen, points or coupons.

CREATE TABLE IF NOT EXISTS account (
    account TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    limit_class TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One holder's share of one asset; points by the instant at which they expire, others at 0.
-- That no station can be promised what is not there, the first CHECK says.
CREATE TABLE IF NOT EXISTS holding (
    asset TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires_ms INTEGER NOT NULL DEFAULT 0,
    free INTEGER NOT NULL DEFAULT 0 CHECK (free >= 0),
    leased INTEGER NOT NULL DEFAULT 0 CHECK (leased >= 0), -- set aside for stations, unspent
    locked INTEGER NOT NULL DEFAULT 0 CHECK (locked >= 0), -- promised to rest
    debt INTEGER NOT NULL DEFAULT 0 CHECK (debt >= 0), -- spent beyond what was there
    PRIMARY KEY (asset, holder, expires_ms),
    CHECK (free = 0 OR debt = 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holding_by_expiry ON holding (expires_ms)
WHERE expires_ms > 0 AND free > 0;

-- Double entry: each line takes an amount from one place and puts it into another.
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    asset TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('world', 'free', 'leased', 'locked', 'spent')),
    target TEXT NOT NULL CHECK (target IN ('world', 'free', 'leased', 'locked', 'spent')),
    amount INTEGER NOT NULL CHECK (amount > 0),
    reason TEXT NOT NULL,
    lease_id TEXT NOT NULL DEFAULT '',
    station TEXT NOT NULL DEFAULT '', -- with epoch and seq the row of its ledger; '' is our own doing
    epoch INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS journal_by_holder ON journal (asset, holder, id);
CREATE INDEX IF NOT EXISTS journal_by_time ON journal (at_ms);

CREATE TRIGGER IF NOT EXISTS journal_is_never_changed BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append only'); END;
CREATE TRIGGER IF NOT EXISTS journal_is_never_shortened BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append only'); END;

-- Every lease that was ever made. `over`: its epoch ended. `frozen`: a coupon that a refund gave
-- back, which its station never uses again. A top-up at a till has no `granted_version`.
CREATE TABLE IF NOT EXISTS lease (
    lease_id TEXT PRIMARY KEY,
    station TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    asset TEXT NOT NULL,
    holder TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    spent INTEGER NOT NULL DEFAULT 0 CHECK (spent BETWEEN 0 AND amount),
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'over', 'frozen')),
    granted_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    granted_version INTEGER,
    recalled_version INTEGER,
    taken INTEGER NOT NULL DEFAULT 0, -- the station's own word that it has it was read
    template TEXT,
    member_ref TEXT,
    from_ms INTEGER NOT NULL DEFAULT 0,
    until_ms INTEGER NOT NULL DEFAULT 0,
    holding INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lease_granted ON lease (station, epoch, granted_version)
WHERE state = 'open';
CREATE INDEX IF NOT EXISTS lease_recalled ON lease (station, epoch, recalled_version)
WHERE state = 'open' AND recalled_version IS NOT NULL;
CREATE INDEX IF NOT EXISTS lease_open ON lease (asset, holder) WHERE state = 'open';

CREATE TABLE IF NOT EXISTS lease_part (
    lease_id TEXT NOT NULL,
    expires_ms INTEGER NOT NULL, -- of the points; 0 for what never expires
    amount INTEGER NOT NULL CHECK (amount > 0),
    spent INTEGER NOT NULL DEFAULT 0 CHECK (spent BETWEEN 0 AND amount),
    PRIMARY KEY (lease_id, expires_ms)
) STRICT, WITHOUT ROWID;

-- In which epoch a station's books are, as far as it has said, and its leases' own version.
CREATE TABLE IF NOT EXISTS lease_book (
    station TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Answers that were given, so that a question that arrives twice is answered alike.
CREATE TABLE IF NOT EXISTS lease_answer (
    station TEXT NOT NULL,
    request_id TEXT NOT NULL,
    granted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (station, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lease_answer_by_time ON lease_answer (at_ms);

-- Where something should lie ready, how much of it (NULL: a fair share), and when to look again.
CREATE TABLE IF NOT EXISTS home (
    asset TEXT NOT NULL,
    holder TEXT NOT NULL,
    station TEXT NOT NULL,
    place INTEGER NOT NULL, -- the first one has place 0
    target INTEGER,
    check_ms INTEGER NOT NULL DEFAULT 0,
    hold_ms INTEGER NOT NULL DEFAULT 0, -- until then another station has precedence
    PRIMARY KEY (asset, holder, station)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS home_due ON home (station, check_ms);

-- What one sale took of something, less what its refund gave back. Lease '' is none.
CREATE TABLE IF NOT EXISTS sale_moved (
    station TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    asset TEXT NOT NULL,
    holder TEXT NOT NULL,
    lease_id TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    net INTEGER NOT NULL CHECK (net >= 0),
    PRIMARY KEY (station, sale_id, asset, holder, lease_id, expires_ms)
) STRICT, WITHOUT ROWID;

-- What a sale says it took and no movement accounts for yet; empty once its records are read.
CREATE TABLE IF NOT EXISTS owing (
    stream INTEGER NOT NULL,
    sale_id TEXT NOT NULL,
    asset TEXT NOT NULL,
    holder TEXT NOT NULL,
    amount INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (stream, sale_id, asset, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS points_sale (
    station TEXT NOT NULL,
    sale_id TEXT NOT NULL,
    member_ref TEXT NOT NULL,
    points INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    reversed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (station, sale_id)
) STRICT, WITHOUT ROWID;

-- Points that rest until a day, and what they grow by then.
CREATE TABLE IF NOT EXISTS points_lock (
    id INTEGER PRIMARY KEY,
    member_ref TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    points INTEGER NOT NULL CHECK (points > 0),
    bonus INTEGER NOT NULL CHECK (bonus >= 0),
    until_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS coupon (
    serial TEXT PRIMARY KEY,
    template TEXT NOT NULL,
    channel TEXT NOT NULL,
    member_ref TEXT, -- NULL: printed, nobody's yet
    state TEXT NOT NULL CHECK (
        state IN ('issued', 'held', 'reserved', 'used', 'frozen', 'expired')
    ),
    issued_ms INTEGER NOT NULL,
    from_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    station TEXT NOT NULL DEFAULT '', -- where it was used
    sale_id TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS coupon_by_member ON coupon (member_ref, template);
CREATE INDEX IF NOT EXISTS coupon_by_template ON coupon (template);
CREATE INDEX IF NOT EXISTS coupon_by_end ON coupon (state, until_ms);

-- A campaign's money as far as it was put in, from the policies that named it.
CREATE TABLE IF NOT EXISTS campaign (
    offer TEXT PRIMARY KEY,
    budget_fen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS code_used (
    nonce TEXT PRIMARY KEY,
    station TEXT NOT NULL,
    member_ref TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS code_used_by_expiry ON code_used (expires_ms);

-- Fills and what was paid, refunds apart, as each ledger says; and whom stations know older figures of.
CREATE TABLE IF NOT EXISTS member_sum (
    member_ref TEXT NOT NULL,
    stream INTEGER NOT NULL,
    fills INTEGER NOT NULL DEFAULT 0,
    spent_fen INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (member_ref, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stale_member (
    member_ref TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Numbers that are given out once: lease ids, coupon serials.
CREATE TABLE IF NOT EXISTS numbering (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
