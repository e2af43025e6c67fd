"""Accepting posts: which of them, and at which ends of lanes their records stand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from connector.delivery.outbox.dead import newest_of, overtake, records_of
from connector.delivery.outbox.model import (
    BUNDLE,
    KEEP_KEYS,
    Accepted,
    Answer,
    Bundle,
    Conflict,
    Full,
    Post,
)
from connector.delivery.outbox.transaction import Transaction, count, lock_connections


class _Placed(NamedTuple):
    """A bundle, and where its number is to stand."""

    bundle: Bundle
    numbers: list[int]
    position: int


# By connection and lane.
_Lanes = dict[str, dict[str, list[_Placed]]]


def accept(tx: Transaction, posts: Sequence[Post], max_pending: int) -> list[Answer]:
    """Write the posts that can be taken; return what becomes of each."""
    names: set[str] = set()
    keys = []
    sizes = []
    for post in posts:
        size = _records_of(post)
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

    answers: list[Answer] = []
    taken: list[tuple[int, Post]] = []
    for post, size in zip(posts, sizes, strict=True):
        refused = _refused(post, size, pending, known, max_pending)
        if refused is not None:
            answers.append(refused)
            continue

        taken.append((len(answers), post))
        for connection, number in size.items():
            pending[connection] += number
        answer = b""
        if post.idempotency is not None:
            key, body, answer = post.idempotency
            known[key] = (body, answer)
        answers.append(Accepted(answer))

    numbers, committed_at = _write(tx, [post for _, post in taken], now)
    for (position, _), its_numbers in zip(taken, numbers, strict=True):
        accepted = answers[position]
        assert isinstance(accepted, Accepted)
        answers[position] = replace(accepted, numbers=its_numbers, committed_at=committed_at)
    return answers


def _records_of(post: Post) -> Counter[str]:
    """Return how many records a post has, by connection."""
    size: Counter[str] = Counter()
    for bundle in post.bundles:
        size[bundle.connection] += bundle.records
    return size


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


def _write(tx: Transaction, posts: Sequence[Post], now: float) -> tuple[list[list[int]], float]:
    """Return the numbers of each post's bundles, and the moment of their commit."""
    lanes: _Lanes = defaultdict(lambda: defaultdict(list))
    counts: Counter[tuple[str, str]] = Counter()
    answers = []
    all_numbers = []
    for post in posts:
        counts.update(post.counts)
        numbers = [0] * len(post.bundles)
        all_numbers.append(numbers)
        for index, bundle in enumerate(post.bundles):
            placed = _Placed(bundle, numbers, index)
            lanes[bundle.connection][bundle.lane].append(placed)
        if post.idempotency is not None:
            answers.append((*post.idempotency, now + KEEP_KEYS))

    found = {}
    for connection in sorted(lanes):
        found[connection] = _lock_lanes(tx, connection, sorted(lanes[connection]))
    # Later than every lock: the records of a lane are as old as they stand in it.
    committed_at = tx.now() if lanes else now
    changes = []
    for connection, its_lanes in found.items():
        size = _append(tx, its_lanes, lanes[connection], committed_at)
        counts[connection, "records"] += size
        changes.append((size, connection))
    tx.many("change_connection", changes)
    tx.many("add_post", answers)
    count(tx, counts)
    return all_numbers, committed_at


def _lock_lanes(
    tx: Transaction, connection: str, names: Sequence[str]
) -> list[tuple[int, str, int, int]]:
    """Return number, name, last bundle and dead letters of lanes, which are locked."""
    found = tx.rows("lanes", connection=connection, lanes=names)
    if len(found) < len(names):
        tx.many("add_lane", [(connection, name) for name in names])
        found = tx.rows("lanes", connection=connection, lanes=names)
    return cast(list[tuple[int, str, int, int]], found)


def _append(
    tx: Transaction,
    found: Sequence[tuple[int, str, int, int]],
    lanes: Mapping[str, Sequence[_Placed]],
    now: float,
) -> int:
    """Put bundles at the ends of a connection's lanes; return how many records they have."""
    rows = []
    changes = []
    total = 0
    for lane, name, last, dead in found:
        number = last
        size = 0
        keys = []
        for bundle, numbers, index in lanes[name]:
            _, _, operation, records, its_keys, payload = bundle
            if not 0 < records <= BUNDLE:
                raise ValueError(f"a bundle has from 1 to {BUNDLE} records")
            number += 1
            numbers[index] = number
            size += records
            rows.append((lane, number, records, operation, its_keys, payload, now))
            if dead:
                keys += records_of(number, records, operation, its_keys)
        changes.append((number - last, size, 0, lane))
        total += size
        if keys:
            overtake(tx, lane, newest_of(keys))

    tx.many("add_bundles", rows)
    tx.many("change_lane", changes)
    return total
