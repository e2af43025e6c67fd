"""The start of the command line's process: what has to be so before anything else is loaded."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line.

    SIGUSR1, which has a run that reads a pipe send what it has read, would end a process that has
    not come so far yet, or that has nothing to send.
    """
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    from connector.cli import app

    app.main()
