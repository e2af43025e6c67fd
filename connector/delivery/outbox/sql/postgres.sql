-- What only PostgreSQL is told. The tables are in a schema of their own, `connector`.

-- name: tables
CREATE SCHEMA IF NOT EXISTS connector;
CREATE TABLE connector.version (version integer NOT NULL);
CREATE TABLE connector.connection (
    name text PRIMARY KEY,
    pending bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE connector.counter (
    connection text NOT NULL,
    name text NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (connection, name)
) WITH (fillfactor = 50);
CREATE TABLE connector.lane (
    number bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    connection text NOT NULL,
    lane text NOT NULL,
    last_bundle bigint NOT NULL DEFAULT 0,
    pending bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    lease bigint NOT NULL DEFAULT 0,
    lease_ends double precision NOT NULL DEFAULT 0,
    worker text,
    stop_code text,
    stop_reason text,
    stops integer NOT NULL DEFAULT 0,
    probe_at double precision,
    UNIQUE (connection, lane)
) WITH (fillfactor = 50);
CREATE TABLE connector.bundle (
    lane bigint NOT NULL,
    number bigint NOT NULL,
    records integer NOT NULL,
    operation text NOT NULL,
    keys bytea STORAGE EXTERNAL NOT NULL,
    payload bytea STORAGE EXTERNAL NOT NULL,
    committed_at double precision NOT NULL,
    PRIMARY KEY (lane, number)
);
CREATE TABLE connector.bundle_marks (
    lane bigint NOT NULL,
    number bigint NOT NULL,
    marks bytea NOT NULL,
    PRIMARY KEY (lane, number)
) WITH (fillfactor = 50);
CREATE TABLE connector.dead (
    lane bigint NOT NULL,
    seq bigint NOT NULL,
    operation text NOT NULL,
    keys bytea NOT NULL,
    payload bytea STORAGE EXTERNAL NOT NULL,
    committed_at double precision NOT NULL,
    attempts integer NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    died_at double precision NOT NULL,
    lane_end bigint NOT NULL,  -- the lane's last bundle at that time
    overtaken integer NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, seq)
);
CREATE TABLE connector.dead_key (
    lane bigint NOT NULL,
    key bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (lane, key, seq)
);
CREATE TABLE connector.idempotency (
    key text PRIMARY KEY,
    body text NOT NULL,
    answer bytea NOT NULL,
    expires_at double precision NOT NULL
);
CREATE INDEX idempotency_expires ON connector.idempotency (expires_at);
CREATE TABLE connector.account (
    name text PRIMARY KEY,
    last_block bigint NOT NULL DEFAULT 0,
    not_before double precision NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE connector.block (
    account text NOT NULL,
    number bigint NOT NULL,
    requests bigint NOT NULL,
    ends_at double precision NOT NULL,
    forget_at double precision NOT NULL,
    PRIMARY KEY (account, number)
);

-- name: add_bundles
COPY bundle (lane, number, records, operation, keys, payload, committed_at)
FROM STDIN (FORMAT BINARY)

-- name: now
SELECT extract(epoch FROM clock_timestamp())::double precision

-- name: lock_tables
SELECT pg_advisory_xact_lock(7165630)

-- name: has_tables
SELECT to_regclass('connector.version') IS NOT NULL

-- name: version
SELECT version FROM version

-- name: set_version
INSERT INTO connector.version (version) VALUES (:version)

-- name: transaction
SELECT pg_current_xact_id_if_assigned()::text

-- name: transaction_status
SELECT pg_xact_status(:transaction::xid8)

-- name: durable
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
