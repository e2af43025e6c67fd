"""Requests: from a batch to the bytes that are sent, and the URL that a target's records go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from connector._util import times
from connector.definitions.headers import CONTROL
from connector.definitions.model import Action, FromNow, Limits
from connector.definitions.uri_template import expand, placeholders
from connector.model import Batch, Request
from connector.pipeline.responses import Classify, compile_rules
from connector.templating.envelope import Envelope
from connector.templating.template import read_template

_OPERATIONS = ("add", "remove", "mixed")

_KEEP_SIZES = 10_000

_Group = Sequence[tuple[str, Any]]


class RequestBuilder:
    """Builds the requests of one action for one connection."""

    def __init__(
        self,
        action: Action,
        templates: Path,
        base_url: str,
        settings: Mapping[str, Any],
        limits: Limits,
    ) -> None:
        """Raise RenderError, OSError or ExpressionError for a definition that lint would refuse."""
        self.limits = limits
        self.caps = action.body_caps
        self.classify: Classify = compile_rules(action.responses)
        self._settings = settings

        self._method = expand(action.method, settings, encode=False)
        self._base_url = base_url.rstrip("/")
        self._path = action.path
        self._query = action.query
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            **action.headers,
        }
        more_headers = settings.get(action.more_headers, {})
        self._more_headers = {name.lower(): text for name, text in more_headers.items()}
        self._audience = action.audience

        self._template = action.envelope
        template = read_template(templates, action.envelope, "{{ items }}", Envelope.NAMES)
        self._envelope = Envelope(template, settings)
        self._uses = template.uses

        self._names = _names_in(self._path, *self._query.values(), *self._headers.values())
        #: The settings and parameters without which there is no request.
        self.needed = tuple(dict.fromkeys((*self._names, *_names_in(self._audience))))
        self._sizes: dict[tuple[Any, ...], list[int]] = {}

    def url(self, params: Mapping[str, Any]) -> str:
        """Return the URL for these parameters, each value percent-encoded."""
        values = {**params, **self._settings}
        url = self._base_url + expand(self._path, values, encode=True)

        query = []
        for name, text in self._query.items():
            filled = expand(text, values, encode=False)
            query.append(f"{quote(name, safe='')}={quote(filled, safe='')}")
        return f"{url}?{'&'.join(query)}" if query else url

    def lane(self, params: Mapping[str, Any], url: str) -> str:
        """Return what is delivered in order: the audience that is changed, the URL where the action names none."""
        if not self._audience:
            return url
        return expand(self._audience, {**params, **self._settings}, encode=False)

    def key(
        self, params: Mapping[str, Any], request: Mapping[str, Any], url: str
    ) -> tuple[str, ...]:
        """Return the batch key: what records have to share to share a request."""
        key = [self._method, url, self._template]
        for name, text in self._filled_headers(params).items():
            key.append(f"{name}: {text}")
        for name, value in request.items():
            key.append(f"{name}= {value!r}")
        return tuple(key)

    def sizes(
        self, params: Mapping[str, Any], request: Mapping[str, Any], group: _Group
    ) -> tuple[int, int]:
        """Return the bytes of a body with no group, and what this group adds without its items."""
        shared = self._shared(params, request)
        used = repr([shared[name] for name in ("params", "request") if name in self._uses])
        lengths = [_length(value) for _, value in group]

        without_group = self._size(("base", used), shared, [])
        with_group = self._size((used, *lengths), shared, [group])
        # and a comma before the next group
        added = [more - less + 1 for more, less in zip(with_group, without_group, strict=True)]
        return max(without_group), max(added)

    def _size(
        self, key: tuple[Any, ...], shared: Mapping[str, Any], groups: list[_Group]
    ) -> list[int]:
        """Return the bytes of a body without items, for each operation that the envelope may see."""
        if key in self._sizes:
            return self._sizes[key]
        if len(self._sizes) > _KEEP_SIZES:
            self._sizes.clear()

        empty = [{**_resolved(group, now=0.0), "items": []} for group in groups]
        operations = _OPERATIONS if "operation" in self._uses else _OPERATIONS[:1]
        bodies = [self._envelope.render(empty, shared, operation) for operation in operations]
        sizes = list(map(len, bodies))
        self._sizes[key] = sizes
        return sizes

    def build(self, batch: Batch, now: float) -> Request:
        """Return the request for a batch; `now` is in seconds since the epoch. Raise RenderError."""
        groups = []
        operations = set()
        for target, records in batch.groups():
            items = [record.item for record in records]
            groups.append({**_resolved(target.group, now), "items": items})
            operations.add(target.operation)

        operation = operations.pop() if len(operations) == 1 else "mixed"
        target = batch.target
        shared = self._shared(target.params, target.request)
        body = self._envelope.render(groups, shared, operation)
        return Request(self._method, target.url, self._filled_headers(target.params), body)

    def _shared(
        self, params: Mapping[str, Any], request: Mapping[str, Any]
    ) -> dict[str, Mapping[str, Any]]:
        """Return what an envelope sees of all records of a request."""
        visible = {name: params[name] for name in self._names if name in params}
        return {"params": visible, "request": request}

    def _filled_headers(self, params: Mapping[str, Any]) -> dict[str, str]:
        values = {**params, **self._settings}
        headers = {}
        for name, text in self._headers.items():
            headers[name] = expand(text, values, encode=False)
        headers |= self._more_headers

        # A line break in a value would begin a header of its own.
        return {name: CONTROL.sub("", text) for name, text in headers.items()}


def _names_in(*templates: str) -> tuple[str, ...]:
    """Return the names of the placeholders in some URI templates, each once."""
    names: dict[str, None] = {}
    for template in templates:
        names |= dict.fromkeys(placeholders(template))
    return tuple(names)


def _resolved(group: _Group, now: float) -> dict[str, Any]:
    """Return the members of a group as they stand in a request that is built now."""
    start = times.from_epoch(now)
    members = {}
    for name, value in group:
        is_moment = isinstance(value, FromNow)
        members[name] = times.plus(start, value.duration) if is_moment else value
    return members


def _length(value: Any) -> int | str:
    """Return what decides how many bytes a value takes in a body."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return repr(value)
