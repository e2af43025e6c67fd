"""How long to wait before a request is sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The command line reads the defaults at every start; the model loads a JSON library.
    from connector.model import Retry

#: Gives a number from 0 to 1, as `random.random` does.
RandomUnit = Callable[[], float]

# 2.0 ** 1024 overflows; no backoff is anywhere near 2 ** 64 seconds.
_MAX_EXPONENT = 64


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter.

    Before retry n, wait up to `base` * 2**n seconds, at most `cap`. `longest_wait` caps what a
    vendor may ask for: a window of a quarter of an hour, and a minute.
    """

    retries: int = 7
    base: float = 1.0
    cap: float = 60.0
    longest_wait: float = 960.0

    def backoff(self, retry: int, random_unit: RandomUnit) -> float:
        """Return the seconds to wait before a retry when the vendor names no time.

        `retry`: 0 is the first.
        """
        exponent = min(retry, _MAX_EXPONENT)
        ceiling = min(self.cap, self.base * 2.0**exponent)
        return random_unit() * ceiling

    def delay(self, retry: int, outcome: Retry, now: float, random_unit: RandomUnit) -> float:
        """Return the seconds to wait before a retry: the vendor's, or a backoff.

        `retry`: 0 is the first.
        """
        if outcome.not_before is not None and outcome.not_before > now:
            wait = min(outcome.not_before - now, self.longest_wait)
            # A little later than the vendor asks, so that the lanes do not all start at once.
            return wait + random_unit()

        return self.backoff(retry, random_unit)
