"""Refusals of a lane: whether they are the fault of single people, or of the request.

A vendor that refuses whole requests with the same answer, and accepts nothing, means the request or
the account. Nobody is refused for good because of that.

Several batches of a lane may be on their way side by side. Each counts its own refusals in a row,
so that one bad person in each of many batches is not taken for a fault of the account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from connector.model import Batch, Stop


class Refusal(NamedTuple):
    """What a vendor said when it refused a whole request.

    `said`: the reason with all of its own words, to tell answers apart; it is never shown.
    """

    code: str
    reason: str
    said: str = ""

    def __repr__(self) -> str:
        return f"Refusal(code={self.code!r}, reason={self.reason!r})"

    def is_as(self, other: Refusal) -> bool:
        """Return whether the vendor said the same, whatever of it is repeated."""
        return (self.code, self.said or self.reason) == (other.code, other.said or other.reason)

    def of_everybody(self) -> Stop:
        """Return why a lane stops in which everybody gets this answer."""
        fault = "everybody gets this answer, so the request or the account is at fault"
        return Stop(self.code, f"{self.reason}; {fault}")


@dataclass(slots=True)
class Row:
    """Refusals in a row with one answer, since something was accepted."""

    last: Refusal | None = None
    length: int = 0

    def differs(self, refusal: Refusal) -> bool:
        """Return whether the last answer was another one."""
        return self.last is not None and not self.last.is_as(refusal)

    def add(self, refusal: Refusal, times: int = 1) -> None:
        """Count a refusal."""
        if self.differs(refusal):
            self.length = 0
        self.last = refusal
        self.length += times

    def clear(self) -> None:
        """Begin anew."""
        self.last = None
        self.length = 0


@dataclass(slots=True)
class Refusals:
    """What a lane knows about refusals.

    `accepted`: whether the vendor ever accepted something in it. `row`: the refusals of the batches
    that are settled. `alone`: the people who were refused on their own since something was
    accepted, and are still to be judged; `judged`: how many were judged before.
    """

    accepted: bool = False
    row: Row = field(default_factory=Row)
    alone: list[tuple[Batch, Refusal]] = field(default_factory=list)
    judged: int = 0

    @property
    def known(self) -> int:
        """How many people were refused alone so far, for `judge`."""
        return self.judged + len(self.alone)

    def judge(self, known: int) -> list[tuple[Batch, Refusal]]:
        """Return the people who are still to be judged, of the first so many; they are judged now.

        An answer says nothing of who was refused after its request was sent.
        """
        count = max(0, known - self.judged)
        judged = self.alone[:count]
        self.alone = self.alone[count:]
        self.judged += len(judged)
        return judged
