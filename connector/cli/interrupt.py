"""Ctrl-C, SIGTERM and SIGHUP: the first one ends a run in good order, the second one at once.

SIGUSR1, where there is one, has a run that reads a pipe send what it has read.

Signals are taken by a thread of their own: a handler runs in the midst of whatever the main thread
does, and would wait forever for a lock that is held there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.delivery.clock import SystemClock
    from connector.delivery.seal import Seal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SEAL = getattr(signal, "SIGUSR1", None)

#: What is said when a run is to end.
ENDING = "stopping after the requests in flight"

# A shell adds the number of the signal that ended a process.
_ENDED_BY = 128


@contextmanager
def interruptible(
    clock: SystemClock,
    words: str = ENDING,
    seal: Seal | None = None,
) -> Iterator[None]:
    """Let the first signal end the run in good order; `words` say what happens.

    The second one gives up the requests in flight, too. Either way the run accounts for every
    record. The third one ends the process. `seal`: what SIGUSR1 asks for; without it that signal
    stays ignored.
    """
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    watcher = threading.Thread(target=_watch, args=(ours, clock, words, seal), daemon=True)
    watcher.start()

    outer = signal.set_wakeup_fd(theirs)
    before = {}
    for number in _SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # whoever uses nohup wants it so
        before[number] = signal.signal(number, _leave_to_watcher)
    if seal is not None and _SEAL is not None:
        before[_SEAL] = signal.signal(_SEAL, _leave_to_watcher)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(outer)
        os.close(theirs)
        watcher.join()
        os.close(ours)


def _leave_to_watcher(number: int, frame: object) -> None:
    """Do nothing: Python has written the number into the pipe."""


def _watch(pipe: int, clock: SystemClock, words: str, seal: Seal | None) -> None:
    """Act on the signals whose numbers come out of a pipe, until it is closed."""
    count = 0
    while data := os.read(pipe, 1):
        number = data[0]
        if number == _SEAL and seal is not None:
            seal.ask()
        if number not in _SIGNALS:
            continue
        count += 1
        if count == 1:
            clock.end()
            _say(f"{words}; press Ctrl-C again to stop at once")
        elif count == 2:
            clock.cut()
        else:
            os._exit(_ENDED_BY + number)


def _say(line: str) -> None:
    # Past what another thread may be printing there.
    with suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode())
