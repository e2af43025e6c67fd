"""Requests: from a batch to the bytes that are sent, and the URL that a target's records go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from connector._util import times
from connector.definitions.headers import CONTROL
from connector.definitions.model import Action, FromNow, Limits
from connector.definitions.uri_template import expand, placeholders
from connector.model import Batch, Request, Target
from connector.pipeline.responses import Classify, compile_rules
from connector.templating.envelope import Envelope
from connector.templating.template import read_template

_OPERATIONS = ("add", "remove", "mixed")


class Builder:
    """Builds the requests of one action for one connection."""

    def __init__(
        self,
        action: Action,
        templates: Path,
        base_url: str,
        settings: Mapping[str, Any],
        limits: Limits,
    ) -> None:
        """Raises RenderError, OSError or ExpressionError for a definition that lint would refuse."""
        self.limits = limits
        self.caps = action.body_caps
        self.classify: Classify = compile_rules(action.responses)
        self._method = expand(action.method, settings, encode=False)
        self._base_url = base_url.rstrip("/")
        self._path = action.path
        self._query = action.query
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            **action.headers,
        }
        self._more_headers = _lowered(settings.get(action.more_headers, {}))
        self._audience = action.audience
        self._settings = settings
        self._template = action.envelope
        template = read_template(templates, action.envelope, "{{ items }}", Envelope.NAMES)
        self._envelope = Envelope(template, settings)
        self._uses = template.uses
        parts = (self._path, *self._query.values(), *self._headers.values())
        self._names = tuple(dict.fromkeys(name for part in parts for name in placeholders(part)))
        #: The settings and parameters without which there is no request.
        self.needed = tuple(dict.fromkeys((*self._names, *placeholders(self._audience))))
        self._sizes: dict[tuple[Any, ...], list[int]] = {}

    def url(self, params: Mapping[str, Any]) -> str:
        """Return the URL for these parameters, each value percent-encoded."""
        values = {**params, **self._settings}
        filled = ((name, expand(text, values, encode=False)) for name, text in self._query.items())
        query = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in filled)
        return (
            self._base_url
            + expand(self._path, values, encode=True)
            + (f"?{query}" if query else "")
        )

    def lane(self, params: Mapping[str, Any], url: str) -> str:
        """Return what is delivered in order: the audience that is changed, the URL where the action names none."""
        if not self._audience:
            return url
        return expand(self._audience, {**params, **self._settings}, encode=False)

    def key(
        self, params: Mapping[str, Any], request: Mapping[str, Any], url: str
    ) -> tuple[str, ...]:
        """Return the batch key: what records have to share to share a request."""
        headers = (f"{name}: {value}" for name, value in self._filled_headers(params).items())
        told = (f"{name}= {value!r}" for name, value in request.items())
        return (self._method, url, self._template, *headers, *told)

    def sizes(
        self,
        params: Mapping[str, Any],
        request: Mapping[str, Any],
        group: Sequence[tuple[str, Any]],
    ) -> tuple[int, int]:
        """Return the bytes of a body with no group, and what this group adds without its items."""
        shared = self._shared(params, request)
        told = repr([shared[name] for name in ("params", "request") if name in self._uses])
        base = self._size(("base", told), shared, [])
        lengths = (_length(value) for _, value in group)
        whole = self._size((told, *lengths), shared, [group])
        return max(base), max(more - less for more, less in zip(whole, base, strict=True)) + 1

    def _size(
        self, key: tuple[Any, ...], shared: Mapping[str, Any], groups: list[Any]
    ) -> list[int]:
        """Return the bytes of a body without items, for each thing that an envelope may see as the operation."""
        if key not in self._sizes:
            if len(self._sizes) > 10_000:
                self._sizes.clear()
            empty = [{**self._resolved(group, 0.0), "items": []} for group in groups]
            seen = _OPERATIONS if "operation" in self._uses else _OPERATIONS[:1]
            self._sizes[key] = [
                len(self._envelope.render(empty, shared, operation)) for operation in seen
            ]
        return self._sizes[key]

    def build(self, batch: Batch, now: float) -> Request:
        """Return the request for a batch; `now` is in seconds since the epoch. Raises RenderError."""
        groups, operations = [], set()
        for target, records in batch.groups():
            groups.append(
                {**self._resolved(target.group, now), "items": [record.item for record in records]}
            )
            operations.add(target.operation)
        params, told = batch.target.params, batch.target.request
        operation = operations.pop() if len(operations) == 1 else "mixed"
        body = self._envelope.render(groups, self._shared(params, told), operation)
        return Request(self._method, batch.target.url, self._filled_headers(params), body)

    def _shared(
        self, params: Mapping[str, Any], request: Mapping[str, Any]
    ) -> dict[str, Mapping[str, Any]]:
        return {
            "params": {name: params[name] for name in self._names if name in params},
            "request": request,
        }

    def _filled_headers(self, params: Mapping[str, Any]) -> dict[str, str]:
        values = {**params, **self._settings}
        filled = {name: expand(text, values, encode=False) for name, text in self._headers.items()}
        return {name: CONTROL.sub("", text) for name, text in (filled | self._more_headers).items()}

    @staticmethod
    def _resolved(group: Sequence[tuple[str, Any]], now: float) -> dict[str, Any]:
        start = times.from_epoch(now)
        return {k: times.plus(start, v.duration) if isinstance(v, FromNow) else v for k, v in group}


def _length(value: Any) -> int | str:
    """Return what decides how many bytes a value takes in a body."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return repr(value)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): text for name, text in headers.items()}


class Refused(NamedTuple):
    """Why no record with these parameters can be sent."""

    code: str
    reason: str


Resolved = Target | Refused
