"""What several functions of the library make of their arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from connector.connection.model import Connection
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.audiences.remembered import Remembered


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
