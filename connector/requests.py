"""Requests: from a batch to the bytes that are sent, and the URL that a target's records go to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from . import times
from .batching import Batch
from .definition import Action, Limits
from .expressions import text as as_text
from .outcomes import Classify, compile_rules
from .rendering import Envelope, read_template
from .values import Request, Target

_LONGEST_OPERATION = "remove"  # of what an envelope can see: add, remove, mixed
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Later(NamedTuple):
    """A moment that is known when the request is built: `duration` (ISO 8601) after it."""

    duration: str


def placeholders(text: str) -> list[str]:
    """Return the names in `{…}` of a path, query value or header."""
    return _PLACEHOLDER.findall(text)


def expand(text: str, values: Mapping[str, Any], *, encode: bool) -> str:
    """Put values into `{name}` (RFC 6570 level 1), percent-encoded when asked for."""

    def fill(match: re.Match[str]) -> str:
        value = as_text(values[match[1]])
        return quote(value, safe="") if encode else value

    return _PLACEHOLDER.sub(fill, text)


class Builder:
    """Builds the requests of one action for one connection."""

    def __init__(
        self, action: Action, templates: Path, base_url: str, settings: Mapping[str, Any], limits: Limits
    ) -> None:
        """Raises RenderError, OSError or ExpressionError for a definition that lint would refuse."""
        raw = action.raw
        self.limits = limits
        self.caps = action.caps
        self.classify: Classify = compile_rules(action.responses)
        self._method = str(raw["method"])
        self._url = base_url.rstrip("/") + raw["path"]
        self._query: Mapping[str, str] = raw.get("query", {})
        self._headers = {"content-type": "application/json", "accept": "application/json", **action.headers}
        self._settings = settings
        self._template = str(raw.get("envelope"))
        template = read_template(templates, raw.get("envelope"), "{{ items }}", Envelope.NAMES)
        self._envelope = Envelope(template, settings)
        parts = (raw["path"], *self._query.values(), *self._headers.values())
        self.names = tuple(dict.fromkeys(name for part in parts for name in placeholders(part)))
        self._sizes: dict[tuple[Any, ...], int] = {}

    def url(self, params: Mapping[str, Any]) -> str:
        """Return the URL for these parameters, each value percent-encoded."""
        values = {**params, **self._settings}
        query = "&".join(f"{quote(k, safe='')}={expand(v, values, encode=True)}" for k, v in self._query.items())
        return expand(self._url, values, encode=True) + (f"?{query}" if query else "")

    def key(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the batch key: what records have to share to share a request."""
        headers = (f"{name}: {value}" for name, value in self._filled_headers(params).items())
        return (self._method, self.url(params), self._template, *headers)

    def sizes(self, params: Mapping[str, Any], group: Sequence[tuple[str, Any]]) -> tuple[int, int]:
        """Return the bytes of a body with no group, and what this group adds without its items."""
        shared = self._shared(params)
        base = self._size(("base", *shared.values()), shared, [])
        lengths = (value if isinstance(value, Later) else len(orjson.dumps(value)) for _, value in group)
        return base, self._size((*lengths, *shared.values()), shared, [group]) - base + 1

    def _size(self, key: tuple[Any, ...], shared: Mapping[str, Any], groups: list[Any]) -> int:
        if key not in self._sizes:
            if len(self._sizes) > 10_000:
                self._sizes.clear()
            empty = [{**self._resolved(group, 0.0), "items": []} for group in groups]
            self._sizes[key] = len(self._envelope.render(empty, shared, _LONGEST_OPERATION))
        return self._sizes[key]

    def build(self, batch: Batch, now: float) -> Request:
        """Return the request for a batch; `now` is in seconds since the epoch. Raises RenderError."""
        groups, operations = [], set()
        for target, records in batch.groups():
            groups.append({**self._resolved(target.group, now), "items": [record.item for record in records]})
            operations.add(target.operation)
        params = batch.target.params
        operation = operations.pop() if len(operations) == 1 else "mixed"
        body = self._envelope.render(groups, self._shared(params), operation)
        return Request(self._method, batch.target.url, self._filled_headers(params), body)

    def _shared(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {name: params[name] for name in self.names if name in params}

    def _filled_headers(self, params: Mapping[str, Any]) -> dict[str, str]:
        values = {**params, **self._settings}
        return {name: _CONTROL.sub("", expand(text, values, encode=False)) for name, text in self._headers.items()}

    @staticmethod
    def _resolved(group: Sequence[tuple[str, Any]], now: float) -> dict[str, Any]:
        start = times.from_epoch(now)
        return {k: times.plus(start, v.duration) if isinstance(v, Later) else v for k, v in group}


class Refused(NamedTuple):
    """Why no record with these parameters can be sent."""

    code: str
    reason: str


Resolved = Target | Refused
