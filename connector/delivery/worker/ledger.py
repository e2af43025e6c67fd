"""The ledger of a lane that is held: what becomes of its records is settled in the outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter

from connector.delivery.ledger import Ledger
from connector.delivery.outbox.model import Settled, Verdict
from connector.model import Batch, Delivered, Outcome, Record, Request, Response

#: Called with each request that was sent, its answer, and its outcome: "delivered", "refused",
#: "again" or "stopped".
Attempted = Callable[[Batch, Request, Response | None, str], None]
#: Called with why a request is sent again later.
Retrying = Callable[[str], None]
#: Called with records that the vendor confirmed.
Confirmed = Callable[[Sequence[Record]], None]

# The number of a record in its lane is its event id.
_event_id_of: Callable[[Record], int] = itemgetter(Record._fields.index("event_id"))

_WORDS = {"Delivered": "delivered", "Retry": "again", "Stop": "stopped"}


class LaneLedger(Ledger):
    """Settles what is delivered or rejected, with what it superseded.

    What is undelivered stays in its lane.
    """

    def __init__(
        self,
        settle: Callable[[Settled], None],
        attempted: Attempted,
        delivered: Confirmed,
        retrying: Retrying,
    ) -> None:
        super().__init__()
        self._settle = settle
        self._on_attempt = attempted
        self._on_delivery = delivered
        self._on_retry = retrying
        # By the number of a record: those that it replaced, transitively.
        self._replaced: dict[int, list[int]] = {}
        # How often records were sent that are not delivered yet.
        self._attempts: Counter[int] = Counter()

    def superseded(self, older: Record, newer: Record) -> None:
        """Note that a record shares the outcome of a newer one."""
        old, new = _event_id_of(older), _event_id_of(newer)
        with self._lock:
            replaced = [old, *self._replaced.pop(old, ())]
            self._replaced.setdefault(new, []).extend(replaced)

    def delivered(self, records: Sequence[Record]) -> None:
        """Settle records that the vendor confirmed."""
        if not records:
            return
        seqs = list(map(_event_id_of, records))
        replaced, _ = self._take(seqs)
        self._settle(Settled(delivered=seqs, superseded=replaced))
        self._on_delivery(records)

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Let records become dead letters that the vendor refused for good."""
        seqs = list(map(_event_id_of, records))
        replaced, attempts = self._take(seqs)
        dead = [Verdict(seq, code, reason) for seq in seqs]
        self._settle(Settled(superseded=replaced, dead=dead, attempts=attempts))

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Leave records where they are; `left` says how often they were sent."""

    def unanswered(self, records: Sequence[Record], code: str, reason: str) -> None:
        """Let records become dead letters: a lane is tried again by itself, these are not."""
        self.rejected(records, code, reason)

    def waiting(self, seconds: float, reason: str) -> None:
        """Say why a request waits before it is sent again."""
        super().waiting(seconds, reason)
        self._on_retry(reason)

    def left(self) -> dict[int, int]:
        """Return how often records were sent that stay, when the lane is left."""
        with self._lock:
            attempts = dict(self._attempts)
            self._attempts.clear()
            self._replaced.clear()
        return attempts

    def attempted(
        self, batch: Batch, request: Request, response: Response | None, outcome: Outcome
    ) -> None:
        """Count a request that was sent."""
        word = _WORDS.get(type(outcome).__name__, "refused")
        self._on_attempt(batch, request, response, word)
        if not isinstance(outcome, Delivered):
            with self._lock:
                self._attempts.update(map(_event_id_of, batch.records))

    def _take(self, seqs: Sequence[int]) -> tuple[list[int], dict[int, int]]:
        """Return what records replaced, and how often they were sent; it is settled with them."""
        with self._lock:
            replaced: list[int] = []
            if self._replaced:
                replaced += chain.from_iterable(self._replaced.pop(seq, ()) for seq in seqs)
            attempts = {}
            if self._attempts:
                for seq in seqs:
                    count = self._attempts.pop(seq, 0)
                    if count:
                        attempts[seq] = count
        return replaced, attempts
