"""What several functions of the library make of their arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from connector.connection.model import Connection
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.audiences.remembered import Remembered
    from connector.delivery.clock import Clock
    from connector.delivery.courier import Transport
    from connector.delivery.report import Counts
    from connector.delivery.seal import Seal


@dataclass(frozen=True)
class Wishes:
    """What the caller of a run asks for, as `send` takes it."""

    transport: Transport | None
    clock: Clock
    report: str | os.PathLike[str] | BinaryIO | None
    progress: Callable[[Counts], None] | None
    notify: Callable[[str], None] | None
    retries: int | None
    timeout: float | None
    keep_failures: bool
    state: str | os.PathLike[str] | None
    resume: bool
    restart: bool
    undelivered: str | os.PathLike[str] | None
    seal: Seal | None

    def show(self, counts: Counts) -> None:
        """Let whoever watches see the counts."""
        if self.progress is not None:
            self.progress(replace(counts))


def require_connection(connection: object) -> None:
    """Raise TypeError for anything that is no connection."""
    if not isinstance(connection, Connection):
        kind = type(connection).__name__
        hint = "load_connection(path) and make_connection(document) return one"
        raise TypeError(f"connection: expected a Connection, got {kind}; {hint}")


def require_routes(connection: Connection) -> None:
    """Raise ConfigError (C040) for a connection without routes."""
    if not connection.routes:
        message = "has no routes: nothing can be sent"
        hint = "add routes, or write a file with 'connector export'"
        raise ConfigError([Problem("C040", connection.file, "", message, hint)])


def remembered_in(
    state: str | os.PathLike[str] | None, connection: Connection
) -> Remembered | None:
    """Return what a state folder holds of audiences, None without a folder."""
    if state is None:
        return None
    from connector.audiences.remembered import Remembered

    return Remembered(Path(state), connection)
