"""Accepting posts: which of them, and at which ends of lanes their records stand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from connector.delivery.outbox.dead import Newest, key_numbers, overtake
from connector.delivery.outbox.model import (
    KEEP_KEYS,
    KEY_BYTES,
    Accepted,
    Answer,
    Conflict,
    Entry,
    Full,
    Post,
)
from connector.delivery.outbox.transaction import Transaction, count, lock_connections

# By connection and lane.
_Lanes = dict[str, dict[str, list[Entry]]]


def accept(tx: Transaction, posts: Sequence[Post], max_pending: int) -> list[Answer]:
    """Write the posts that can be taken; return what becomes of each."""
    names: set[str] = set()
    keys = []
    sizes = []
    for post in posts:
        size = Counter(entry.connection for entry in post.entries)
        sizes.append(size)
        names.update(size)
        names.update(connection for connection, _ in post.counts)
        if post.idempotency is not None:
            keys.append(post.idempotency.key)

    pending = lock_connections(tx, names)
    now = 0.0
    known: dict[str, tuple[str, bytes]] = {}
    if keys:
        now = tx.now()
        tx.change("old_posts", now=now)
        for key, body, answer in tx.rows("posts", keys=keys):
            known[key] = (body, answer)

    answers = []
    taken = []
    for post, size in zip(posts, sizes, strict=True):
        refused = _refused(post, size, pending, known, max_pending)
        if refused is not None:
            answers.append(refused)
            continue

        taken.append(post)
        for connection, number in size.items():
            pending[connection] += number
        if post.idempotency is None:
            answers.append(Accepted())
        else:
            key, body, answer = post.idempotency
            known[key] = (body, answer)
            answers.append(Accepted(answer))

    _write(tx, taken, now)
    return answers


def _refused(
    post: Post,
    size: Mapping[str, int],
    pending: Mapping[str, int],
    known: Mapping[str, tuple[str, bytes]],
    max_pending: int,
) -> Answer | None:
    """Return the answer to a post that is not written, None for one that is."""
    if post.idempotency is not None and post.idempotency.key in known:
        body, answer = known[post.idempotency.key]
        if body != post.idempotency.body:
            return Conflict(post.idempotency.key)
        return Accepted(answer, repeated=True)

    # One post may go beyond the bound, so that a large one can be taken at all.
    for connection in sorted(size):
        if pending[connection] >= max_pending:
            return Full(connection, pending[connection])
    return None


def _write(tx: Transaction, posts: Sequence[Post], now: float) -> None:
    lanes: _Lanes = defaultdict(lambda: defaultdict(list))
    counts: Counter[tuple[str, str]] = Counter()
    answers = []
    for post in posts:
        counts.update(post.counts)
        for entry in post.entries:
            lanes[entry.connection][entry.lane].append(entry)
        if post.idempotency is not None:
            answers.append((*post.idempotency, now + KEEP_KEYS))

    changes = []
    for connection in sorted(lanes):
        size = _append(tx, connection, lanes[connection])
        counts[connection, "records"] += size
        changes.append((size, connection))
    tx.many("change_connection", changes)
    tx.many("add_post", answers)
    count(tx, counts)


def _append(tx: Transaction, connection: str, lanes: Mapping[str, list[Entry]]) -> int:
    """Put records at the ends of a connection's lanes; return how many."""
    names = sorted(lanes)
    found = tx.rows("lanes", connection=connection, lanes=names)
    if len(found) < len(names):
        tx.many("add_lane", [(connection, name) for name in names])
        found = tx.rows("lanes", connection=connection, lanes=names)

    # later than every lock: the records of a lane are as old as they stand in it
    now = tx.now()
    rows = []
    changes = []
    for number, name, last_seq, dead in found:
        entries = lanes[name]
        for seq, entry in enumerate(entries, last_seq + 1):
            keys = b"".join(entry.keys)
            if len(keys) % KEY_BYTES:
                raise ValueError("a key has 8 bytes")
            rows.append((number, seq, entry.operation, keys, entry.payload, now))
        changes.append((len(entries), len(entries), 0, number))
        if dead:
            overtake(tx, number, _newest(entries, last_seq + 1))

    tx.many("add_entries", rows)
    tx.many("change_lane", changes)
    return len(rows)


def _newest(entries: Sequence[Entry], first_seq: int) -> Newest:
    newest: Newest = defaultdict(dict)
    for seq, entry in enumerate(entries, first_seq):
        for key in key_numbers(b"".join(entry.keys)):
            newest[entry.operation][key] = seq
    return newest
