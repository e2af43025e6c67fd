"""The pace of an account over all lanes and processes, granted in blocks.

A block's requests arrive at any time from its grant to its end. So it counts against a rate until
`per` seconds after its end: then no window of `per` seconds holds a request of it and a later one.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.delivery.outbox.model import Grant
from connector.delivery.outbox.transaction import Transaction

_Rates = Sequence[tuple[int, float]]


def take(tx: Transaction, account: str, rates: _Rates, want: int, within: float) -> Grant:
    """Grant at most `want` requests, which arrive within `within` seconds."""
    last_block, not_before = _account(tx, account)
    now = tx.now()
    if now < not_before:
        return Grant(0, 0, not_before - now)

    tx.change("old_blocks", account=account, now=now)
    blocks = tx.rows("blocks", account=account)
    requests = want
    wait = 0.0
    for allowed, per in rates:
        free, free_in = _free(blocks, allowed, per, now)
        requests = min(requests, free)
        wait = max(wait, free_in)
    if requests <= 0:
        return Grant(0, 0, wait)

    number = last_block + 1
    ends_at = now + within
    longest = max((per for _, per in rates), default=0.0)
    tx.change("number_block", account=account)
    tx.many("add_block", [(account, number, requests, ends_at, ends_at + longest)])
    return Grant(number, requests, 0.0)


def used(tx: Transaction, account: str, grant: Grant, requests: int) -> None:
    """End a block now: so many of its requests were sent, and have arrived."""
    _account(tx, account)
    now = tx.now()
    tx.change("end_block", account=account, block=grant.block, requests=requests, now=now)


def pause(tx: Transaction, account: str, seconds: float) -> None:
    """Grant nothing for so many seconds."""
    _account(tx, account)
    tx.change("pause", account=account, until=tx.now() + seconds)


def _account(tx: Transaction, account: str) -> tuple[int, float]:
    found = tx.rows("account", account=account)
    if not found:
        tx.many("add_account", [(account,)])
        found = tx.rows("account", account=account)
    [(last_block, not_before)] = found
    return last_block, not_before


def _free(
    blocks: Sequence[tuple[int, float]], allowed: int, per: float, now: float
) -> tuple[int, float]:
    """Return how many requests a rate has left, and in how many seconds it has one.

    `blocks`: (requests, end), those that end first before the others.
    """
    counted = []
    taken = 0
    for requests, ends_at in blocks:
        if ends_at + per > now:
            counted.append((requests, ends_at))
            taken += requests

    free = allowed - taken
    free_in = 0.0
    for requests, ends_at in counted:
        if taken < allowed:
            break
        taken -= requests
        free_in = ends_at + per - now
    return free, free_in
