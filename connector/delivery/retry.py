"""How long to wait before a request is sent again, and for how long at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The command line reads the defaults at every start; the model loads a JSON library.
    from connector.definitions.model import RetrySchedule
    from connector.model import Retry

#: Gives a number from 0 to 1, as `random.random` does.
RandomUnit = Callable[[], float]

#: How often a request is sent again when nothing else is known.
RETRIES = 7

#: So many refusals in a row with one answer are the fault of nobody in them.
REFUSALS = 20

# Seconds. Shorter waits are not worth a line.
_LONG_WAIT = 5.0

# Seconds. Vendors count windows of up to an hour.
_DEADLINE = 7200.0

# 2.0 ** 1024 overflows; no backoff is anywhere near 2 ** 64 seconds.
_MAX_EXPONENT = 64


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a request is sent again.

    `retries`: how often at most, None when only the deadline limits it. A wait that a response
    names uses up none of them.

    `deadline`: for how many seconds after its first attempt.

    `waits`: seconds before the first retries; the last one repeats. Without them there is
    exponential backoff with full jitter: up to `base` * 2**n seconds before retry n, at most `cap`.

    `stops_unanswered`: a request that got no answer is not sent again, as changes must not be made
    twice. `refusals`: after so many in a row with one answer a lane stops.
    """

    retries: int | None = RETRIES
    base: float = 1.0
    cap: float = 60.0
    waits: tuple[float, ...] = ()
    deadline: float = _DEADLINE
    stops_unanswered: bool = False
    refusals: int = REFUSALS

    @classmethod
    def of(cls, schedule: RetrySchedule | None, retries: int | None = None) -> RetryPolicy:
        """Return the policy of a definition, with at most so many retries when a user says so."""
        if schedule is None:
            return cls(RETRIES if retries is None else retries)
        if retries is None and not schedule.waits:
            retries = RETRIES
        return cls(
            retries,
            waits=schedule.waits,
            deadline=schedule.deadline or _DEADLINE,
            stops_unanswered=not schedule.is_repeatable,
            refusals=schedule.refusals or REFUSALS,
        )

    def allows(self, retry: int) -> bool:
        """Return whether there may be this retry; 0 is the first."""
        return self.retries is None or retry < self.retries

    def backoff(self, retry: int, random_unit: RandomUnit) -> float:
        """Return the seconds to wait before a retry when the vendor names no time.

        `retry`: 0 is the first.
        """
        if self.waits:
            wait = self.waits[min(retry, len(self.waits) - 1)]
            return wait + random_unit() if wait else wait

        exponent = min(retry, _MAX_EXPONENT)
        ceiling = min(self.cap, self.base * 2.0**exponent)
        return random_unit() * ceiling

    def delay(self, retry: int, outcome: Retry, now: float, random_unit: RandomUnit) -> float:
        """Return the seconds to wait before a retry: until a known moment, or a backoff.

        `retry`: 0 is the first.
        """
        if outcome.not_before is not None and outcome.not_before > now:
            # A little later, so that the lanes do not all start at once.
            return outcome.not_before - now + random_unit()

        return self.backoff(retry, random_unit)


def waiting_line(seconds: float, reason: str) -> str:
    """Return a line about a wait before a request is sent again, "" for a short one."""
    if seconds < _LONG_WAIT:
        return ""
    return f"waiting {seconds:.0f} s before retrying a request: {reason}"
