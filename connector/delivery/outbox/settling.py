"""Leases of lanes, and what becomes of the records of a lane that is held."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from connector.delivery.outbox.dead import add_keys, newest_of, overtake, records_of
from connector.delivery.outbox.marks import Marks
from connector.delivery.outbox.model import BUNDLE, Lease, Settled, Verdict
from connector.delivery.outbox.transaction import Transaction, count, lock_connections
from connector.errors import ConnectorError

#: Returns the payload of one record, given that of its bundle and its index there. Raises
#: ConnectorError for what is no bundle.
Split = Callable[[bytes, int], bytes]


def lease(
    tx: Transaction, worker: str, connections: Collection[str], seconds: float, limit: int
) -> list[Lease]:
    """Return lanes that are held from now on."""
    now = tx.now()
    free = tx.rows("free_lanes", connections=sorted(connections), now=now, limit=limit)
    leases = []
    held = []
    for connection, lane, number, token, stops in free:
        leases.append(Lease(connection, lane, number, token + 1, stops))
        held.append((now + seconds, worker, number))
    tx.many("hold", held)
    return leases


def renew(tx: Transaction, held: Lease, seconds: float) -> bool:
    """Hold a lane until `seconds` from now; return whether it was held."""
    now = tx.now()
    ends = now + seconds
    return tx.change("renew", lane=held.number, token=held.token, now=now, ends=ends) == 1


def stop(tx: Transaction, held: Lease, code: str, reason: str, seconds: float) -> bool:
    """Stop a lane; return whether it was held."""
    now = tx.now()
    stopped = tx.change(
        "stop",
        lane=held.number,
        token=held.token,
        now=now,
        code=code,
        reason=reason,
        probe_at=now + seconds,
    )
    return stopped == 1


def start(tx: Transaction, connection: str) -> None:
    """End the stops of all lanes of a connection."""
    lock_connections(tx, [connection])
    tx.change("start_all", connection=connection)


def settle(tx: Transaction, held: Lease, settled: Settled, split: Split) -> bool:
    """Note what became of records; return whether their lane was held."""
    lock_connections(tx, [held.connection])
    own = tx.rows("own_lane", lane=held.number, token=held.token, now=tx.now())
    if not own:
        return False
    [(last, dead)] = own

    lane = held.number
    dying = [verdict.seq for verdict in settled.dead]
    marks = Marks(tx, lane, (settled.delivered, settled.superseded, dying, settled.attempts))
    marks.add(settled.attempts)
    if dying:
        _bury(tx, lane, settled.dead, marks, last, split)
    if dead or dying:
        leaving = [*settled.delivered, *settled.superseded, *dying]
        overtake(tx, lane, newest_of(_records(tx, lane, leaving)))

    delivered = marks.remove(settled.delivered)
    superseded = marks.remove(settled.superseded)
    buried = marks.remove(dying)
    marks.write()
    if delivered:
        tx.change("start", lane=lane)

    counts = {(held.connection, name): value for name, value in settled.counts.items()}
    own_counts = {"delivered": delivered, "superseded": superseded, "buried": buried}
    for name, value in own_counts.items():
        counts[held.connection, name] = counts.get((held.connection, name), 0) + value
    count(tx, counts)

    gone = delivered + superseded + buried
    tx.many("change_lane", [(0, -gone, buried, lane)])
    tx.many("change_connection", [(-gone, held.connection)])
    return True


def _bury(
    tx: Transaction,
    lane: int,
    verdicts: Sequence[Verdict],
    marks: Marks,
    last: int,
    split: Split,
) -> None:
    """Make dead letters of pending records."""
    numbers = sorted({verdict.seq // BUNDLE for verdict in verdicts})
    digests = {seq: found for seq, _, found in _records(tx, lane, [v.seq for v in verdicts])}
    contents = {}
    for number, *content in tx.rows("contents", lane=lane, numbers=numbers):
        contents[number] = content

    now = tx.now()
    rows = []
    keys = []
    for seq, code, reason in verdicts:
        attempts = marks.attempts(seq)
        if attempts is None:
            continue
        number, index = divmod(seq, BUNDLE)
        operation, payload, committed_at = contents[number]
        its_keys = digests[seq]
        try:
            one = split(payload, index)
        except ConnectorError:
            one = b""  # the bundle is damaged: nobody can read what it was
        rows.append(
            (lane, seq, operation, its_keys, one, committed_at, attempts, code, reason, now, last)
        )
        keys.append((seq, its_keys))
    tx.many("bury", rows)
    add_keys(tx, lane, keys)


def _records(tx: Transaction, lane: int, seqs: Collection[int]) -> list[tuple[int, str, bytes]]:
    """Return records (seq, operation, digests) in their order."""
    wanted = set(seqs)
    numbers = sorted({seq // BUNDLE for seq in wanted})
    found = []
    for bundle in tx.rows("keys", lane=lane, numbers=numbers):
        for record in records_of(*bundle):
            if record[0] in wanted:
                found.append(record)
    return sorted(found)
