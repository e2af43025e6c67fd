-- The queries of both stores, by name. `queries.py` translates them:
--   :name        a value
--   IN :name     a list of values
--   ?            a value of a row of many
--   FOR UPDATE   nothing in SQLite, where one transaction at a time writes

-- name: connections
SELECT name, pending FROM connection WHERE name IN :names ORDER BY name FOR UPDATE

-- name: add_connection
INSERT INTO connection (name) VALUES (?) ON CONFLICT DO NOTHING

-- name: change_connection
UPDATE connection SET pending = pending + ? WHERE name = ?

-- name: count
INSERT INTO counter (connection, name, value) VALUES (?, ?, ?)
ON CONFLICT (connection, name) DO UPDATE SET value = counter.value + excluded.value

-- name: lanes
SELECT number, lane, last_bundle, dead FROM lane
WHERE connection = :connection AND lane IN :lanes ORDER BY number FOR UPDATE

-- name: add_lane
INSERT INTO lane (connection, lane) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: change_lane
UPDATE lane
SET last_bundle = last_bundle + ?, pending = pending + ?, dead = dead + ?
WHERE number = ?

-- name: lane
SELECT last_bundle FROM lane WHERE number = :lane FOR UPDATE

-- name: old_posts
DELETE FROM idempotency WHERE expires_at <= :now

-- name: posts
SELECT key, body, answer FROM idempotency WHERE key IN :keys

-- name: add_post
INSERT INTO idempotency (key, body, answer, expires_at) VALUES (?, ?, ?, ?)

-- name: free_lanes
SELECT connection, lane, number, lease, stops FROM lane
WHERE connection IN :connections AND pending > 0 AND lease_ends <= :now
  AND (probe_at IS NULL OR probe_at <= :now)
ORDER BY lease_ends, number LIMIT :limit FOR UPDATE SKIP LOCKED

-- name: hold
UPDATE lane SET lease = lease + 1, lease_ends = ?, worker = ? WHERE number = ?

-- name: renew
UPDATE lane SET lease_ends = :ends
WHERE number = :lane AND lease = :token AND lease_ends > :now

-- name: stop
UPDATE lane
SET lease_ends = :now, stop_code = :code, stop_reason = :reason, probe_at = :probe_at,
    stops = stops + 1
WHERE number = :lane AND lease = :token AND lease_ends > :now

-- name: start
UPDATE lane SET stop_code = NULL, stop_reason = NULL, probe_at = NULL, stops = 0
WHERE number = :lane AND stops > 0

-- name: start_all
UPDATE lane SET stop_code = NULL, stop_reason = NULL, probe_at = NULL, stops = 0
WHERE connection = :connection AND stops > 0

-- name: own_lane
SELECT last_bundle, dead FROM lane
WHERE number = :lane AND lease = :token AND lease_ends > :now FOR UPDATE

-- name: sizes
SELECT number, records FROM bundle
WHERE lane = :lane AND number > :after ORDER BY number LIMIT :limit

-- name: bundles
SELECT bundle.number, records, operation, payload, committed_at, marks
FROM bundle
LEFT JOIN bundle_marks ON bundle_marks.lane = bundle.lane AND bundle_marks.number = bundle.number
WHERE bundle.lane = :lane AND bundle.number > :after AND bundle.number <= :last
ORDER BY bundle.number

-- name: marks
SELECT bundle.number, records, marks
FROM bundle
LEFT JOIN bundle_marks ON bundle_marks.lane = bundle.lane AND bundle_marks.number = bundle.number
WHERE bundle.lane = :lane AND bundle.number IN :numbers

-- name: set_marks
INSERT INTO bundle_marks (lane, number, marks) VALUES (?, ?, ?)
ON CONFLICT (lane, number) DO UPDATE SET marks = excluded.marks

-- name: remove_marks
DELETE FROM bundle_marks WHERE lane = :lane AND number IN :numbers

-- name: remove_bundles
DELETE FROM bundle WHERE lane = :lane AND number IN :numbers

-- name: keys
SELECT number, records, operation, keys FROM bundle WHERE lane = :lane AND number IN :numbers

-- name: keys_between
SELECT number, records, operation, keys FROM bundle
WHERE lane = :lane AND number > :after AND number <= :last ORDER BY number LIMIT :limit

-- name: contents
SELECT number, operation, payload, committed_at FROM bundle
WHERE lane = :lane AND number IN :numbers

-- name: bury
INSERT INTO dead (lane, seq, operation, keys, payload, committed_at, attempts,
                  code, reason, died_at, lane_end)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_dead_key
INSERT INTO dead_key (lane, key, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: dead_keys
SELECT key, seq FROM dead_key WHERE lane = :lane AND key IN :keys

-- name: overtake
UPDATE dead SET overtaken = 1
WHERE lane = :lane AND seq IN :seqs AND operation <> :operation AND overtaken = 0

-- name: dead_of_lane
SELECT seq, keys, lane_end, overtaken FROM dead WHERE lane = :lane AND seq IN :seqs ORDER BY seq

-- name: dead_contents
SELECT seq, operation, keys, payload, attempts FROM dead
WHERE lane = :lane AND seq IN :seqs ORDER BY seq

-- name: remove_dead
DELETE FROM dead WHERE lane = :lane AND seq IN :seqs

-- name: remove_dead_key
DELETE FROM dead_key WHERE lane = ? AND key = ? AND seq = ?

-- name: dead_letters
SELECT lane.number, dead.seq, lane.connection, lane.lane, dead.operation, dead.payload,
       dead.committed_at, dead.died_at, dead.attempts, dead.code, dead.reason, dead.overtaken
FROM dead JOIN lane ON lane.number = dead.lane
WHERE (dead.lane, dead.seq) > (:lane_number, :seq) AND dead.died_at <= :before
  AND (:connection = '' OR lane.connection = :connection)
  AND (:lane = '' OR lane.lane = :lane)
  AND (:code = '' OR dead.code = :code)
ORDER BY dead.lane, dead.seq LIMIT :limit

-- name: dead_letter
SELECT lane.number, dead.seq, lane.connection, lane.lane, dead.operation, dead.payload,
       dead.committed_at, dead.died_at, dead.attempts, dead.code, dead.reason, dead.overtaken
FROM dead JOIN lane ON lane.number = dead.lane
WHERE dead.lane = :lane AND dead.seq = :seq

-- name: all_connections
SELECT name, pending FROM connection ORDER BY name

-- name: all_counts
SELECT connection, name, value FROM counter ORDER BY connection, name

-- name: all_lanes
SELECT connection, lane, pending, dead, stop_code, stop_reason, stops, probe_at, worker,
       lease_ends,
       (SELECT committed_at FROM bundle
        WHERE bundle.lane = lane.number ORDER BY bundle.number LIMIT 1)
FROM lane WHERE pending > 0 OR dead > 0 OR stops > 0 ORDER BY connection, lane

-- name: add_account
INSERT INTO account (name) VALUES (?) ON CONFLICT DO NOTHING

-- name: account
SELECT last_block, not_before FROM account WHERE name = :account FOR UPDATE

-- name: old_blocks
DELETE FROM block WHERE account = :account AND forget_at <= :now

-- name: blocks
SELECT requests, ends_at FROM block WHERE account = :account ORDER BY ends_at

-- name: add_block
INSERT INTO block (account, number, requests, ends_at, forget_at) VALUES (?, ?, ?, ?, ?)

-- name: number_block
UPDATE account SET last_block = last_block + 1 WHERE name = :account

-- name: end_block
UPDATE block
SET requests = :requests, forget_at = forget_at - ends_at + :now, ends_at = :now
WHERE account = :account AND number = :block AND ends_at > :now

-- name: pause
UPDATE account SET not_before = :until WHERE name = :account AND not_before < :until
