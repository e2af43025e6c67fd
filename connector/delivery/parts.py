"""A batch on its way, and the parts that are left of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

from connector.delivery.lane import Lane
from connector.delivery.refusals import Row
from connector.model import Batch
from connector.pipeline.attribution import may_overtake


class Part(NamedTuple):
    """A batch, or what is left of one.

    `retries`: how often the vendor asked to send it again later, the first time at `since`, by the
    clock's `monotonic`.
    `other_half`: whether it is sent as a whole before it is halved, as the first half of what it
    belongs to was refused.
    """

    batch: Batch
    retries: int = 0
    since: float | None = None
    other_half: bool = False

    def halves(self) -> list[Part]:
        """Return the two halves."""
        first, second = self.batch.halves()
        return [Part(first), Part(second, other_half=True)]


class BatchDelivery:
    """A batch on its way."""

    def __init__(self, batch: Batch, lane: Lane) -> None:
        self.batch = batch
        self.lane = lane
        #: Its refusals in a row.
        self.row = Row()
        #: Whether it holds the lane's `asking`.
        self.asks = False
        #: What is to be sent, in order.
        self.pending = deque([Part(batch)])
        #: Other halves that were refused as well; whether they are halved is open.
        self.undecided: list[Part] = []
        #: Whether the vendor accepted a part of the batch.
        self.accepted = False
        #: Whether it refused one.
        self.refused = False
        #: Whether its answers differ from part to part.
        self.told_apart = False
        #: Whether other halves are halved at once when they are refused.
        self.halves_all = False

    def put_back(self, parts: Iterable[Part]) -> None:
        """Put parts before everything that is to be sent."""
        self.pending.extendleft(reversed(list(parts)))

    def tell_apart(self) -> None:
        """Note that the vendor tells people apart: refused parts are halved from now on."""
        self.told_apart = True
        self.halves_all = True
        self.halve_undecided()
        self.asked()

    def halve_undecided(self) -> None:
        """Let the undecided parts be halved, before anything else is sent."""
        halves: list[Part] = []
        for part in self.undecided:
            halves += part.halves()
        self.undecided = []
        self.put_back(halves)

    def would_overtake(self, part: Part) -> bool:
        """Return whether a part must not be sent before the undecided ones."""
        waiting = (undecided.batch for undecided in self.undecided)
        return not all(may_overtake(part.batch, batch) for batch in waiting)

    def wait_to_ask(self) -> None:
        """Wait, after a refusal that may mean everybody, until no other batch is asked about."""
        if self.refused and not self.told_apart and not self.asks:
            self.lane.asking.acquire()
            self.asks = True

    def asked(self) -> None:
        """Let another batch be asked about."""
        if self.asks:
            self.asks = False
            self.lane.asking.release()

    def unsettled(self) -> Iterable[Batch]:
        """Return what has no outcome yet, the people of earlier batches included."""
        refusals = self.lane.refusals
        alone = [batch for batch, _ in refusals.judge(refusals.known)]
        parts = [part.batch for part in chain(self.undecided, self.pending)]
        return [*alone, *parts]
