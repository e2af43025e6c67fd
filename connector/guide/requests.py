"""The requests that a guide shows.

They are what the pipeline makes of an example event, at a fixed moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from connector._util import times
from connector._util.pretty_json import pretty
from connector.connection.model import Connection, Route, field_mappings
from connector.definitions.model import Destination, Limits
from connector.errors import DefinitionError
from connector.guide.markdown import Markdown, block
from connector.model import Event, Record, Request
from connector.pipeline.batching import Batcher
from connector.pipeline.pipeline import Pipeline

#: When the shown requests are made.
MOMENT = "2026-01-15T00:00:00Z"

# What a definition that lint finds wrong can lead to; KeyError: a setting without an example.
_UNUSABLE = (DefinitionError, ValueError, OSError, KeyError)


def requests_of(
    destination: Destination, route: Mapping[str, Any], event: Mapping[str, Any]
) -> list[Markdown]:
    """Return the requests of an event, each as a block.

    There are none when the definition cannot make them; lint says why.
    """
    now = times.to_epoch(MOMENT)
    batcher = Batcher()
    blocks = []
    try:
        pipeline = _pipeline(destination, [route])
        batches = [*batcher.take(_records(pipeline, [event])), *batcher.flush()]
        for batch in batches:
            blocks.append(_request_block(batch.endpoint.build(batch, now)))
    except _UNUSABLE:
        return []
    return blocks


def cannot_share_requests(
    destination: Destination,
    routes: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> bool:
    """Return whether events of two operations on one audience cannot share a request."""
    try:
        records = _records(_pipeline(destination, routes), events)
    except _UNUSABLE:
        return False

    for one, other in combinations([record.target for record in records], 2):
        if one.lane == other.lane and one.operation != other.operation and one.key != other.key:
            return True
    return False


def _pipeline(destination: Destination, routes: Sequence[Mapping[str, Any]]) -> Pipeline:
    """Return the pipeline of a connection with the example's settings."""
    settings = destination.example_settings
    typed_routes = []
    for route in routes:
        action = destination.actions[route["action"]]
        mappings = field_mappings(route["map"])
        typed_routes.append(Route(action.id, action, route.get("when"), mappings))

    connection = Connection(
        file="",
        destination=destination,
        settings=settings,
        credentials={},
        base_url=destination.base_url(settings),
        limits=Limits(),
        event_id=None,
        routes=tuple(typed_routes),
    )
    return Pipeline(connection)


def _records(pipeline: Pipeline, events: Sequence[Mapping[str, Any]]) -> list[Record]:
    chunk = []
    for position, event in enumerate(events, 1):
        chunk.append(Event(position, dict(event)))
    prepared = pipeline.prepare(chunk, times.to_epoch(MOMENT))
    return [one for one in prepared if isinstance(one, Record)]


def _request_block(request: Request) -> Markdown:
    lines = [f"{request.method} {request.url}"]
    for name, value in request.headers.items():
        lines.append(f"{name}: {value}")
    lines += ["", pretty(request.body)]
    return block("\n".join(lines), "http")
