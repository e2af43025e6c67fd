"""The requests that a guide shows: what the pipeline makes of an example event, at a fixed moment."""

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
    """Return the requests of an event, each as a block; none when the definition cannot make them (lint says why)."""
    try:
        pipeline = _pipeline(destination, [route])
        batcher = Batcher()
        batches = [*batcher.take(_records(pipeline, [event])), *batcher.flush()]
        return [_shown(pipeline.build(batch, times.to_epoch(MOMENT))) for batch in batches]
    except _UNUSABLE:
        return []


def apart(
    destination: Destination,
    routes: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> bool:
    """Say whether events of two operations on one audience cannot share a request."""
    try:
        targets = [record.target for record in _records(_pipeline(destination, routes), events)]
    except _UNUSABLE:
        return False
    return any(
        one.operation != other.operation and one.lane == other.lane and one.key != other.key
        for one, other in combinations(targets, 2)
    )


def _pipeline(destination: Destination, routes: Sequence[Mapping[str, Any]]) -> Pipeline:
    """Return the pipeline of a connection with the example's settings."""
    settings = destination.example_settings
    connection = Connection(
        file="",
        destination=destination,
        settings=settings,
        credentials={},
        base_url=destination.base_url(settings),
        limits=Limits(),
        event_id=None,
        routes=tuple(
            Route(
                route["action"],
                destination.actions[route["action"]],
                route.get("when"),
                field_mappings(route["map"]),
            )
            for route in routes
        ),
    )
    return Pipeline(connection)


def _records(pipeline: Pipeline, events: Sequence[Mapping[str, Any]]) -> list[Record]:
    rows = [Event(place, dict(event)) for place, event in enumerate(events, 1)]
    return [
        one for one in pipeline.prepare(rows, times.to_epoch(MOMENT)) if isinstance(one, Record)
    ]


def _shown(request: Request) -> Markdown:
    headers = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    return block(f"{request.method} {request.url}\n{headers}\n{pretty(request.body)}", "http")
