"""What `--state DIR` holds of runs: how far each one is, so that it can go on after it ended.

Nothing that needs a database is loaded before a run has a state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from connector.connection.model import Connection
from connector.model import Chunk
from connector.sources.files import Source

if TYPE_CHECKING:
    from connector.delivery.state.resume import OpenRun


def can_go_on(events: Source | Iterator[Chunk]) -> TypeGuard[Source]:
    """Return whether the events can be read again: files can, a pipe or an iterator cannot."""
    return isinstance(events, Source) and events.size is not None


def durable_run(
    folder: str | os.PathLike[str],
    connection: Connection,
    source: Source,
    limit: int | None,
    *,
    restart: bool,
) -> AbstractContextManager[OpenRun]:
    """Go on with the run of a connection, or begin one, as `open_run` does."""
    from connector.delivery.state.inputs import describe
    from connector.delivery.state.resume import open_run

    found = describe(source.paths, limit)
    return open_run(Path(folder), connection, found, restart=restart)
