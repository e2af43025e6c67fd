"""A seal: what was read so far is to be sent now, without waiting for full requests."""

from __future__ import annotations

import threading


class Seal:
    """Is asked for by any thread, and done by the run."""

    def __init__(self) -> None:
        self._is_asked = threading.Event()

    def ask(self) -> None:
        """Have what was read so far sent now."""
        self._is_asked.set()

    def take(self) -> bool:
        """Return whether it was asked for since this was called last."""
        if not self._is_asked.is_set():
            return False
        self._is_asked.clear()
        return True
