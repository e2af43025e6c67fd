"""Dead letters: which there are, which of them are overtaken, their return and their end.

A dead letter is overtaken by a newer record of its lane that shares an identifier under another
operation. That is looked for when a record is accepted, for the letters that are dead already; when
a record leaves its lane, for those that died after it was accepted; and before a letter returns,
among the records that still wait behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from connector.delivery.outbox.keys import KEY_BYTES, key_numbers, pack_keys, unpack_keys
from connector.delivery.outbox.model import BUNDLE, PAGE, DeadLetter, Retried, Selection
from connector.delivery.outbox.transaction import Transaction, count, lock_connections

# How many digits a number of the database has at most.
_DIGITS = 18

#: By operation and key, the last record with it.
Newest = dict[str, dict[int, int]]


def records_of(
    number: int, records: int, operation: str, keys: bytes
) -> list[tuple[int, str, bytes]]:
    """Return the records (seq, operation, digests) of a bundle."""
    first = number * BUNDLE
    found = []
    for index, digests in enumerate(unpack_keys(keys, records)):
        found.append((first + index, operation, digests))
    return found


def newest_of(rows: Iterable[tuple[int, str, bytes]]) -> Newest:
    """Return the newest of records (seq, operation, digests) in their order."""
    newest: Newest = defaultdict(dict)
    for seq, operation, digests in rows:
        for key in key_numbers(digests):
            newest[operation][key] = seq
    return newest


def overtake(tx: Transaction, lane: int, newest: Newest) -> None:
    """Mark the dead letters of a lane that these records overtake."""
    for operation, last_seqs in newest.items():
        older = set()
        for key, seq in tx.rows("dead_keys", lane=lane, keys=list(last_seqs)):
            if seq < last_seqs[key]:
                older.add(seq)
        if older:
            tx.change("overtake", lane=lane, seqs=sorted(older), operation=operation)


def letters(
    tx: Transaction, selection: Selection, after: str, limit: int, before: float
) -> list[DeadLetter]:
    """Return a page of the dead letters that died until `before`, those asked for by id at once."""
    if selection.ids:
        found = []
        for dead_id in selection.ids:
            one = letter(tx, dead_id)
            if one is not None and not after and one.died_at <= before:
                found.append(one)
        return found

    lane_number, seq = _parts(after) or (0, 0)
    rows = tx.rows(
        "dead_letters",
        lane_number=lane_number,
        seq=seq,
        before=before,
        connection=selection.connection or "",
        lane=selection.lane or "",
        code=selection.code or "",
        limit=limit,
    )
    return [_letter(*row) for row in rows]


def letter(tx: Transaction, dead_id: str) -> DeadLetter | None:
    """Return one dead letter, None when there is none with this id."""
    parts = _parts(dead_id)
    if parts is None:
        return None
    rows = tx.rows("dead_letter", lane=parts[0], seq=parts[1])
    return _letter(*rows[0]) if rows else None


def by_lane(page: Sequence[DeadLetter]) -> dict[tuple[str, int], list[int]]:
    """Return the numbers of dead letters by connection and number of the lane."""
    seqs = defaultdict(list)
    for one in page:
        parts = _parts(one.id)
        assert parts is not None
        seqs[one.connection, parts[0]].append(parts[1])
    return seqs


def retry_in_lane(tx: Transaction, connection: str, lane: int, seqs: Sequence[int]) -> Retried:
    """Put dead letters of one lane at its end, except for those that are overtaken."""
    lock_connections(tx, [connection])
    [(last,)] = tx.rows("lane", lane=lane)
    _overtake_by_waiting(tx, lane, tx.rows("dead_of_lane", lane=lane, seqs=seqs))

    revived = []
    keys = []
    overtaken = 0
    for seq, digests, _, is_overtaken in tx.rows("dead_of_lane", lane=lane, seqs=seqs):
        if is_overtaken:
            overtaken += 1
        else:
            revived.append(seq)
            keys.append((seq, digests))

    _revive(tx, lane, last, revived)
    _remove(tx, lane, keys)
    size = len(revived)
    tx.many("change_lane", [(size, size, -size, lane)])
    tx.many("change_connection", [(size, connection)])
    count(tx, {(connection, "retried"): size})
    return Retried(size, overtaken)


def _revive(tx: Transaction, lane: int, last: int, seqs: Sequence[int]) -> None:
    """Put dead letters behind the last bundle of their lane, each as one of its own."""
    now = tx.now()
    bundles = []
    marks = []
    found = tx.rows("dead_contents", lane=lane, seqs=seqs)
    for number, (_, operation, digests, payload, attempts) in enumerate(found, last + 1):
        keys = pack_keys([len(digests) // KEY_BYTES], digests)
        bundles.append((lane, number, 1, operation, keys, payload, now))
        if attempts:
            marks.append((lane, number, bytes([attempts])))
    tx.many("add_bundles", bundles)
    tx.many("set_marks", marks)


def purge_in_lane(tx: Transaction, connection: str, lane: int, seqs: Sequence[int]) -> int:
    """Delete dead letters of one lane; return how many."""
    lock_connections(tx, [connection])
    tx.rows("lane", lane=lane)
    keys = []
    for seq, its_keys, *_ in tx.rows("dead_of_lane", lane=lane, seqs=seqs):
        keys.append((seq, its_keys))
    _remove(tx, lane, keys)
    tx.many("change_lane", [(0, 0, -len(keys), lane)])
    count(tx, {(connection, "purged"): len(keys)})
    return len(keys)


def add_keys(tx: Transaction, lane: int, keys: Iterable[tuple[int, bytes]]) -> None:
    """Let dead letters (seq, keys) be found by their identifiers."""
    tx.many("add_dead_key", _key_rows(lane, keys))


def _remove(tx: Transaction, lane: int, keys: Sequence[tuple[int, bytes]]) -> None:
    tx.change("remove_dead", lane=lane, seqs=[seq for seq, _ in keys])
    tx.many("remove_dead_key", _key_rows(lane, keys))


def _key_rows(lane: int, keys: Iterable[tuple[int, bytes]]) -> list[tuple[int, int, int]]:
    rows = []
    for seq, its_keys in keys:
        for key in key_numbers(its_keys):
            rows.append((lane, key, seq))
    return rows


def _overtake_by_waiting(
    tx: Transaction, lane: int, dead: Sequence[tuple[int, bytes, int, int]]
) -> None:
    """Mark the dead letters that records overtake which waited when they died, and still do."""
    wanted: set[int] = set()
    for _, keys, _, overtaken in dead:
        if not overtaken:
            wanted.update(key_numbers(keys))
    if not wanted:
        return

    after = min(seq for seq, *_ in dead) // BUNDLE - 1
    last = max(lane_end for _, _, lane_end, _ in dead)
    while True:
        page = tx.rows("keys_between", lane=lane, after=after, last=last, limit=PAGE)
        waiting = []
        for bundle in page:
            waiting += records_of(*bundle)
        overtake(tx, lane, _only(newest_of(waiting), wanted))
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _only(newest: Newest, wanted: set[int]) -> Newest:
    found: Newest = {}
    for operation, last_seqs in newest.items():
        found[operation] = {key: last_seqs[key] for key in wanted & last_seqs.keys()}
    return found


def _parts(dead_id: str) -> tuple[int, int] | None:
    """Return the number of the lane and the record's number in it, None for what is no id."""
    lane, dash, seq = dead_id.partition("-")
    if not dash or not (lane + seq).isascii() or not (lane.isdigit() and seq.isdigit()):
        return None
    parts = int(lane[:_DIGITS]), int(seq[:_DIGITS])
    return parts if dead_id == f"{parts[0]}-{parts[1]}" else None


def _letter(lane_number: int, seq: int, *row: Any) -> DeadLetter:
    *others, overtaken = row
    return DeadLetter._make((f"{lane_number}-{seq}", *others, bool(overtaken)))
