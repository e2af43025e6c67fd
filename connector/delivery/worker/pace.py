"""The pace of an account over all lanes, connections and processes that share an outbox.

What a vendor counts together is one account: requests of one destination to one host with the same
credentials and settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from connector.connection.model import Connection
from connector.definitions.model import Rate
from connector.delivery.clock import Clock
from connector.delivery.outbox.model import Grant, Outbox, OutboxError
from connector.delivery.rate_limit import Limiter, Turn
from connector.delivery.worker.channel import SLOT_SECONDS

# A block is a tenth of what the tightest rate allows, and no more than so many requests.
_TENTH = 10
_LARGEST = 100
# Seconds in which the requests of a block start.
_BLOCK_SECONDS = 5.0
# Seconds of a wait, at most, before another process may have given something back.
_LONGEST_WAIT = 5.0


def account_of(connection: Connection, secrets: Mapping[str, str]) -> str:
    """Return a digest of what a vendor counts requests by."""
    document = [
        connection.destination.id,
        connection.base_url,
        dict(connection.settings),
        dict(secrets),
    ]
    content = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()


@dataclass(slots=True, eq=False)
class _Block:
    """Requests that were granted. They start until `ends_at`."""

    grant: Grant
    ends_at: float
    started: int = 0
    answered: int = 0
    is_over: bool = False


@dataclass(slots=True, eq=False)
class _Turn(Turn):
    """A request of a block."""

    block: _Block


class SharedLimiter(Limiter):
    """Keeps to a vendor's rates together with every process that uses the outbox."""

    def __init__(
        self, rates: Sequence[Rate], clock: Clock, outbox: Outbox, account: str, timeout: float
    ) -> None:
        """`timeout`: seconds that a request takes at most."""
        super().__init__(rates, clock)
        self._outbox = outbox
        self._account = account
        self._timeout = timeout
        self._pairs = [(rate.requests, float(rate.per)) for rate in rates]
        smallest = min((requests for requests, _ in self._pairs), default=_LARGEST * _TENTH)
        self._want = max(1, min(_LARGEST, smallest // _TENTH))
        self._block: _Block | None = None

    def wait(self) -> Turn | None:
        """Wait until a request is allowed, and count it. Return None when the run is to end."""
        while not self._clock.ending:
            turn, seconds = self._next()
            if turn is not None:
                return turn
            if not self._clock.sleep(seconds):
                return None
        return None

    def answered(self, turn: Turn) -> None:
        """Note that a request has arrived."""
        if not isinstance(turn, _Turn):
            return
        with self._lock:
            turn.block.answered += 1
            over = self._is_done(turn.block)
        if over:
            self._give_back(turn.block)

    def pause(self, until: float) -> None:
        """Let nobody send before `until`, by the clock's `monotonic`."""
        super().pause(until)
        try:
            self._outbox.pause(self._account, max(0.0, until - self._clock.monotonic()))
        except OutboxError:
            return  # this process waits all the same

    def _next(self) -> tuple[Turn | None, float]:
        """Return a turn, or how long to wait for one."""
        over: _Block | None = None
        with self._lock:
            now = self._clock.monotonic()
            if now < self._not_before:
                return None, self._not_before - now
            block = self._block
            if block is not None and self._is_spent(block):
                block.is_over = True
                self._block = None
                over = block if self._is_done(block) else None
                block = None
            if block is None:
                block, seconds = self._granted()
            if block is not None:
                block.started += 1
                turn = _Turn(now, block)
        if over is not None:
            self._give_back(over)
        return (None, seconds) if block is None else (turn, 0.0)

    def _granted(self) -> tuple[_Block | None, float]:
        """Ask for a block; return it, or how long to wait for one."""
        asked_at = self._clock.monotonic()
        within = _BLOCK_SECONDS + SLOT_SECONDS + self._timeout
        try:
            grant = self._outbox.take(self._account, self._pairs, self._want, within)
        except OutboxError:
            return None, 1.0
        if not grant.requests:
            return None, min(max(grant.wait, 0.01), _LONGEST_WAIT)
        self._block = _Block(grant, asked_at + _BLOCK_SECONDS)
        return self._block, 0.0

    def _is_spent(self, block: _Block) -> bool:
        return block.started >= block.grant.requests or self._clock.monotonic() >= block.ends_at

    def _is_done(self, block: _Block) -> bool:
        return block.is_over and block.answered >= block.started

    def _give_back(self, block: _Block) -> None:
        try:
            self._outbox.used(self._account, block.grant, block.started)
        except OutboxError:
            return  # it counts as a whole, for longer
