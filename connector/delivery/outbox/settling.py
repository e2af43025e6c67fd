"""Leases of lanes, and what becomes of the records of a lane that is held."""

from __future__ import annotations

from collections.abc import Collection

from connector.delivery.outbox.dead import add_keys, newest_of, overtake
from connector.delivery.outbox.model import Lease, Settled
from connector.delivery.outbox.transaction import Transaction, count, lock_connections


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


def settle(tx: Transaction, held: Lease, settled: Settled) -> bool:
    """Note what became of records; return whether their lane was held."""
    lock_connections(tx, [held.connection])
    own = tx.rows("own_lane", lane=held.number, token=held.token, now=tx.now())
    if not own:
        return False
    [(last_seq, dead)] = own

    lane = held.number
    attempts = [(times, lane, seq) for seq, times in settled.attempts.items()]
    tx.many("add_attempts", attempts)
    if dead or settled.dead:
        _overtake(tx, lane, settled, last_seq)

    delivered = _remove(tx, lane, settled.delivered)
    superseded = _remove(tx, lane, settled.superseded)
    buried = _remove(tx, lane, [verdict.seq for verdict in settled.dead])
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


def _overtake(tx: Transaction, lane: int, settled: Settled, last_seq: int) -> None:
    """Bury, and let what leaves the lane overtake what is dead in it."""
    buried = {verdict.seq: verdict for verdict in settled.dead}
    leaving = sorted({*settled.delivered, *settled.superseded, *buried})
    rows = sorted(tx.rows("entry_keys", lane=lane, seqs=leaving))
    now = tx.now()
    verdicts = []
    keys = []
    for seq, _, its_keys in rows:
        verdict = buried.get(seq)
        if verdict is not None:
            verdicts.append((verdict.code, verdict.reason, now, last_seq, lane, seq))
            keys.append((seq, its_keys))
    tx.many("bury", verdicts)
    add_keys(tx, lane, keys)
    overtake(tx, lane, newest_of(rows))


def _remove(tx: Transaction, lane: int, seqs: Collection[int]) -> int:
    if not seqs:
        return 0
    return tx.change("remove_entries", lane=lane, seqs=list(seqs))
