"""The input of a run: files that it opens, or events of the caller."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard, cast

from connector.connection.fields import fields_read
from connector.connection.model import Connection, Taking
from connector.delivery.ledger import Ledger
from connector.errors import SourceError
from connector.model import Chunk
from connector.sources.files import Source, open_source
from connector.sources.objects import object_chunks

#: The path of a file, a folder or a pattern (`-` is standard input), or a list of paths; or the
#: events themselves, as dictionaries.
Events = (
    str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Iterable[Mapping[str, Any]] | Source
)


def open_events(
    connection: Connection,
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    limit: int | None = None,
    takings: Sequence[Taking] | None = None,
) -> Source:
    """Open the files of a run as the connection's `input` says they are written.

    `takings`: who reads them, by default the routes. Raise SourceError.
    """
    named = [paths] if isinstance(paths, str | os.PathLike) else paths
    source = open_source(
        [os.fspath(path) for path in named],
        connection.input,
        reads=fields_read(connection, takings),
        limit=limit,
    )
    if source.headers and takings is not None:
        source.close()
        raise SourceError(
            f"{source.paths[0]}: holds prepared records, which only 'connector send' and "
            "'preview' take; name a file of events"
        )
    return source


def is_pipe(opened: Source | Iterator[Chunk]) -> TypeGuard[Source]:
    """Return whether an input can be read once only: standard input, or a named pipe."""
    return isinstance(opened, Source) and opened.size is None


@contextmanager
def opened_events(
    events: Events,
    connection: Connection,
    limit: int | None,
    takings: Sequence[Taking] | None = None,
) -> Iterator[Source | Iterator[Chunk]]:
    """Yield the open input; close only what is opened here."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be 1 or more, got {limit}")
    if isinstance(events, Source):
        yield events
    elif isinstance(events, str | os.PathLike) or _are_paths(events):
        with open_events(connection, events, limit=limit, takings=takings) as source:
            yield source
    elif isinstance(events, Mapping | bytes):
        message = (
            f"events: expected a path or an iterable of dictionaries, got {type(events).__name__}"
        )
        raise TypeError(message)
    else:
        yield object_chunks(cast(Iterable[Mapping[str, Any]], events), limit)


def _are_paths(events: Events) -> TypeGuard[Sequence[str | os.PathLike[str]]]:
    if not isinstance(events, list | tuple) or not events:
        return False
    return all(isinstance(event, str | os.PathLike) for event in events)


def observed(
    opened: Source | Iterator[Chunk], connection: Connection, ledger: Ledger
) -> Iterator[Chunk]:
    """Yield the chunks; tell the ledger what it has to know of the input."""
    ledger.positions_are_ids = connection.event_id is None
    if not isinstance(opened, Source):
        yield from opened
        return

    ledger.locate = opened.locate
    ledger.doubts_of_input = lambda: opened.doubts
    for chunk in ledger.remaining(opened):
        ledger.counts.blank = opened.blank
        yield chunk
    ledger.counts.blank = opened.blank
