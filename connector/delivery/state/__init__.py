"""What `--state DIR` holds of runs: how far each one is, so that it can go on after it ended.

Nothing that needs a database is loaded before a run has a state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from connector.connection.model import Connection
from connector.delivery.inputs import is_pipe
from connector.model import Chunk
from connector.sources.files import Source

if TYPE_CHECKING:
    from connector.delivery.state.resume import OpenRun


def durable_run(
    folder: str | os.PathLike[str] | None,
    connection: Connection,
    source: Source | Iterator[Chunk],
    *,
    restart: bool,
) -> AbstractContextManager[OpenRun | None]:
    """Go on with the run of a connection, or begin one, as `open_run` does.

    None without a folder, and for events that cannot be read again: a pipe, or an iterator.
    """
    if folder is None or not isinstance(source, Source) or is_pipe(source):
        return nullcontext()

    from connector.delivery.state.inputs import describe
    from connector.delivery.state.resume import open_run

    found = describe(source.paths, source.limit)
    return open_run(Path(folder), connection, found, restart=restart)
