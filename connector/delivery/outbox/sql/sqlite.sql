-- What only SQLite is told.

-- name: tables
CREATE TABLE connection (
    name TEXT NOT NULL PRIMARY KEY,
    pending INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE counter (
    connection TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (connection, name)
) WITHOUT ROWID;
CREATE TABLE lane (
    number INTEGER PRIMARY KEY,
    connection TEXT NOT NULL,
    lane TEXT NOT NULL,
    last_bundle INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    lease INTEGER NOT NULL DEFAULT 0,
    lease_ends REAL NOT NULL DEFAULT 0,
    worker TEXT,
    stop_code TEXT,
    stop_reason TEXT,
    stops INTEGER NOT NULL DEFAULT 0,
    probe_at REAL,
    UNIQUE (connection, lane)
);
CREATE TABLE bundle (
    lane INTEGER NOT NULL,
    number INTEGER NOT NULL,
    records INTEGER NOT NULL,
    operation TEXT NOT NULL,
    keys BLOB NOT NULL,
    payload BLOB NOT NULL,
    committed_at REAL NOT NULL,
    PRIMARY KEY (lane, number)
) WITHOUT ROWID;
CREATE TABLE bundle_marks (
    lane INTEGER NOT NULL,
    number INTEGER NOT NULL,
    marks BLOB NOT NULL,
    PRIMARY KEY (lane, number)
) WITHOUT ROWID;
CREATE TABLE dead (
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    operation TEXT NOT NULL,
    keys BLOB NOT NULL,
    payload BLOB NOT NULL,
    committed_at REAL NOT NULL,
    attempts INTEGER NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    died_at REAL NOT NULL,
    lane_end INTEGER NOT NULL,  -- the lane's last bundle at that time
    overtaken INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, seq)
) WITHOUT ROWID;
CREATE TABLE dead_key (
    lane INTEGER NOT NULL,
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (lane, key, seq)
) WITHOUT ROWID;
CREATE TABLE idempotency (
    key TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    answer BLOB NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires_at);
CREATE TABLE account (
    name TEXT NOT NULL PRIMARY KEY,
    last_block INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE block (
    account TEXT NOT NULL,
    number INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    ends_at REAL NOT NULL,
    forget_at REAL NOT NULL,
    PRIMARY KEY (account, number)
) WITHOUT ROWID;

-- name: add_bundles
INSERT INTO bundle (lane, number, records, operation, keys, payload, committed_at)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: free_all_lanes
UPDATE lane SET lease_ends = 0 WHERE lease_ends > 0
