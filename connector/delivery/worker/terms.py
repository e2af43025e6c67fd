"""What a worker is told: how to hold lanes. And what it tells: what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from connector.delivery.lanes import RECORDS
from connector.model import Record, Stop


class Events:
    """What a worker tells; extend what is wanted. It is called from several threads."""

    def attempted(self, connection: str, word: str, size: int) -> None:
        """A request of so many bytes was sent: "delivered", "refused", "again" or "stopped"."""

    def delivered(self, connection: str, records: Sequence[Record]) -> None:
        """The vendor confirmed records, whose `prepared_at` is the moment of their commit."""

    def stopped(self, connection: str, lane: str, stop: Stop, seconds: float) -> None:
        """A lane was stopped, and is tried again in so many seconds."""

    def retrying(self, connection: str, lane: str, reason: str) -> None:
        """A request of a lane is sent again later."""

    def buried(self, connection: str, lane: str, code: str, reason: str, records: int) -> None:
        """So many records of a lane became dead letters."""

    def resumed(self, connection: str, lane: str) -> None:
        """A lane that was stopped delivers again."""

    def waiting(self, line: str) -> None:
        """A request waits for long before it is sent again; `line` says why."""

    def failed(self, error: Exception) -> None:
        """The outbox cannot be used, or the connector itself failed."""


class Terms(NamedTuple):
    """How lanes are held: `lease` seconds at a time, `timeout` being those of an attempt.

    `records`: how many are in memory at most. `deadline`: seconds after which a record that is
    still pending becomes a dead letter, None for never.
    """

    lease: float
    timeout: float
    records: int = RECORDS
    deadline: float | None = None
