"""The log of a service: a line of JSON on standard error for whatever an operator has to know.

No line holds an identifier, a secret or a text of a request: what is said is a fixed word, with
names of connections and lanes, numbers, and reasons that are checked already.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Protocol, TextIO, cast

import structlog


class Log(Protocol):
    """Writes lines."""

    def info(self, event: str, **values: object) -> None:
        """Write what happened."""
        ...

    def warning(self, event: str, **values: object) -> None:
        """Write what somebody may have to act on."""
        ...

    def error(self, event: str, **values: object) -> None:
        """Write what is wrong."""
        ...


class _StandardError:
    """Takes lines as long as somebody takes them from it: else they are lost, and nothing ends.

    A full disk is the same for the log and for the store, and passes.
    """

    def write(self, text: str) -> None:
        """Write a text, if that can be done."""
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Hand on what was written, if that can be done."""
        with suppress(OSError):
            sys.stderr.flush()


def open_log() -> Log:
    """Return a log on standard error; nothing of the process around it is changed."""
    logger = structlog.wrap_logger(
        structlog.PrintLogger(cast(TextIO, _StandardError())),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return cast(Log, logger)
