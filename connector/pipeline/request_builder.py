"""Requests: from a batch to the bytes that are sent, and the URL that a target's records go to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from connector.definitions.model import Action, Limits
from connector.definitions.uri_template import expand, placeholders
from connector.model import Batch, Request, Target
from connector.pipeline.addresses import filled_headers, more_headers, path_of, query_of
from connector.pipeline.envelope_size import EnvelopeSizes, Group, group_members
from connector.pipeline.item_renderer import item_template
from connector.pipeline.responses import Classify, compile_rules
from connector.pipeline.vendor_words import VendorWords
from connector.templating.envelope import Envelope
from connector.templating.template import RenderError, read_template
from connector.templating.values import MARK

# Without a template, a body is the array of all items.
_DEFAULT_ENVELOPE = "{{ items }}"

_LITERAL = re.compile(r""""([^"\n]*)"|'([^'\n]*)'""")

_Params = Mapping[str, Any]
_Shared = dict[str, Mapping[str, Any]]


class RequestBuilder:
    """Builds the requests of one action for one connection."""

    def __init__(
        self,
        action: Action,
        templates: Path,
        base_url: str,
        settings: Mapping[str, Any],
        limits: Limits,
        *,
        repeatable: bool = True,
    ) -> None:
        """Compile an action. `repeatable`: whether its requests may arrive twice.

        Raise RenderError, OSError or ExpressionError for a definition that lint refuses.
        """
        self.limits = limits
        self.caps = action.body_caps
        constants = (*action.wires, *_literals(templates, action.item))
        words = VendorWords(action.codes, constants)
        self.classify: Classify = compile_rules(action.responses, words)
        self._settings = settings

        self._is_repeatable = repeatable
        self._method = expand(action.method, settings, encode=False)
        self._base_url = base_url.rstrip("/")
        self._path = action.path
        self._query = action.query
        self._audience = action.audience

        #: Whether items may say more of a person than who they are.
        self.items_read_params = "params" in item_template(action, templates).uses

        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            **action.headers,
        }
        self._more_headers = more_headers(action.more_headers, settings)

        file = action.envelope
        template = read_template(templates, file, _DEFAULT_ENVELOPE, Envelope.NAMES)
        self._template = file
        self._template_path = str(templates / file)
        self._envelope = Envelope(template, settings)
        self._sizes = EnvelopeSizes(self._envelope, template.uses)

        texts = (self._path, *self._query.values(), *self._headers.values())
        self._names = _names_in(*texts)
        #: The settings and parameters without which there is no request.
        self.needed = _names_in(*texts, self._audience)

    def url(self, params: _Params) -> str:
        """Return the URL for these parameters, each value percent-encoded.

        Raise ExpressionError when values make a step of the path that leads elsewhere.
        """
        values = {**params, **self._settings}
        url = self._base_url + path_of(self._path, values)
        if not self._query:
            return url

        pairs = []
        for name, text in self._query.items():
            pairs.append((name, expand(text, values, encode=False)))
        return f"{url}?{query_of(pairs)}"

    def lane(self, params: _Params, url: str) -> str:
        """Return what is delivered in order: the audience, the URL where the action names none."""
        if not self._audience:
            return url
        values = {**params, **self._settings}
        return expand(self._audience, values, encode=False)

    def key(self, params: _Params, request: Mapping[str, Any], url: str) -> tuple[str, ...]:
        """Return the batch key: what records have to share to share a request."""
        key = [self._method, url, self._template]
        for name, text in self._filled_headers(params).items():
            key.append(f"{name}: {text}")
        for name, value in request.items():
            key.append(f"{name}= {value!r}")
        return tuple(key)

    def sizes(self, params: _Params, request: Mapping[str, Any], group: Group) -> tuple[int, int]:
        """Return the bytes of a body without groups, and what this group adds without its items."""
        shared = self._shared(params, request)
        return self._sizes.measure(shared, group)

    def build(self, batch: Batch, now: float) -> Request:
        """Return the request for a batch. `now`: seconds since the epoch. Raise RenderError."""
        groups = []
        for target, records in batch.groups():
            groups.append((target, [record.item for record in records]))
        body = self._body(batch, groups, now)

        target = batch.target
        headers = self._filled_headers(target.params)
        return Request(self._method, target.url, headers, body, self._is_repeatable)

    def places(self, batch: Batch, now: float) -> list[list[int]] | None:
        """Return the indexes of the records of each group in the order of the body.

        None when an item does not stand there exactly once, or a group is not in one place. An
        envelope cannot look into items, so that it places marks as it places them. Raise
        RenderError.
        """
        groups = []
        group_of = {}
        in_batch = zip(batch.groups(), batch.places(), strict=True)
        for number, ((target, _), indexes) in enumerate(in_batch):
            groups.append((target, [b"\x02%d\x03" % index for index in indexes]))
            group_of.update(dict.fromkeys(indexes, number))

        body = self._body(batch, groups, now).decode()
        order = list(map(int, MARK.findall(body)))
        places = [list(indexes) for _, indexes in groupby(order, key=group_of.__getitem__)]
        if len(order) != len(batch.records) or len(set(order)) != len(order):
            return None
        return places if len(places) == len(groups) else None

    def _body(
        self, batch: Batch, groups: Sequence[tuple[Target, list[bytes]]], now: float
    ) -> bytes:
        """Return the body around the items of each group. Raise RenderError."""
        rendered = []
        operations = set()
        for target, items in groups:
            members = group_members(target.group, now)
            rendered.append({**members, "items": items})
            operations.add(target.operation)
        operation = operations.pop() if len(operations) == 1 else "mixed"

        shared = self._shared(batch.target.params, batch.target.request)
        try:
            return self._envelope.render(rendered, shared, operation)
        except RenderError as error:
            error.file = self._template_path
            raise

    def _shared(self, params: _Params, request: Mapping[str, Any]) -> _Shared:
        """Return what an envelope sees of all records of a request.

        Of the parameters it sees only those of the URL, the query and the headers, which all
        records of a request have in common.
        """
        visible = {name: params[name] for name in self._names if name in params}
        return {"params": visible, "share": request}

    def _filled_headers(self, params: _Params) -> dict[str, str]:
        return filled_headers(self._headers, {**params, **self._settings}, self._more_headers)


def _literals(templates: Path, file: str) -> list[str]:
    """Return the texts of a template's own, as they stand between its quotes."""
    if not file:
        return []
    found: list[str] = []
    for double, single in _LITERAL.findall((templates / file).read_text("utf-8")):
        found.append(double or single)
    return found


def _names_in(*texts: str) -> tuple[str, ...]:
    """Return the names of the placeholders in some texts, each once."""
    names: dict[str, None] = {}
    for text in texts:
        names |= dict.fromkeys(placeholders(text))
    return tuple(names)
