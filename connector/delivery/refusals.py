"""Refusals of a lane: whether they are the fault of single people, or of the request.

A vendor that refuses whole requests with the same answer, and accepts nothing, means the request or
the account. Nobody is refused for good because of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from connector.model import Batch, Stop

#: So many refusals in a row with one answer are the fault of nobody in them.
IN_A_ROW = 20


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
class Refusals:
    """What a lane knows about refusals.

    `accepted`: whether the vendor ever accepted something in it. `last`, `in_a_row`: the last
    answer, and how often it came since something was accepted. `alone`: the people who were refused
    on their own since then, and are still to be judged.
    """

    accepted: bool = False
    last: Refusal | None = None
    in_a_row: int = 0
    alone: list[tuple[Batch, Refusal]] = field(default_factory=list)

    def count(self, refusal: Refusal) -> bool:
        """Count a refusal. Return whether it differs from the one before it."""
        differs = self.last is not None and not self.last.is_as(refusal)
        if differs:
            self.in_a_row = 0
        self.last = refusal
        self.in_a_row += 1
        return differs

    def accept(self) -> None:
        """Note that the vendor accepted something."""
        self.accepted = True
        self.last = None
        self.in_a_row = 0

    def judged(self) -> list[tuple[Batch, Refusal]]:
        """Return the people who were refused alone; they are no longer to be judged."""
        judged = self.alone
        self.alone = []
        return judged
