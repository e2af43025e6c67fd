"""Ctrl-C and SIGTERM: the first one ends a run in good order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.delivery.clock import SystemClock


@contextmanager
def interruptible(
    clock: SystemClock, words: str = "stopping after the requests in flight"
) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the run in good order; `words` say what happens.

    The second one ends it at once.
    """

    def end(number: int, frame: object) -> None:
        restore()
        clock.end()
        print(f"{words}; press Ctrl-C again to stop at once", file=sys.stderr)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()
