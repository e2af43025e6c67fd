"""The vendor's endpoints, as a definition describes them.

An endpoint says how its requests are read, limited and answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from connector.definitions.model import Action, Destination, Limits, SandboxConfig
from connector.definitions.uri_template import expand, placeholders
from connector.sandbox.contract import Contract
from connector.templating.template import RenderError, Template, read_template

#: The templates of a definition's `sandbox`, and the names that each of them sees.
TEMPLATE_NAMES: dict[str, tuple[str, ...]] = {
    "reads": ("body", "path", "method", "headers"),
    "success": ("groups", "sent", "accepted", "path", "body"),
    "refusal": ("status", "code", "message", "errors", "path", "body"),
}

_DEFAULTS = {
    "reads": "[]",
    "success": "{}",
    "refusal": '{"code": {{ code }}, "message": {{ message }}}',
}

#: For when a definition's own template of refusals fails.
PLAIN_REFUSAL = Template(_DEFAULTS["refusal"], TEMPLATE_NAMES["refusal"])

#: Gives a template by what it is for (a key of TEMPLATE_NAMES) and its file, "" for the default.
ReadTemplate = Callable[[str, str], Template]


def templates_of(folder: Path) -> ReadTemplate:
    """Return what reads the templates of a folder, each once. It raises RenderError and OSError."""

    @cache
    def read(purpose: str, file: str) -> Template:
        return read_template(folder, file, _DEFAULTS[purpose], TEMPLATE_NAMES[purpose])

    return read


class Answers:
    """How the vendor reads and answers: the templates and headers of one `sandbox` object."""

    def __init__(self, config: SandboxConfig, read: ReadTemplate) -> None:
        self.reads = read("reads", config.reads)
        self.success = read("success", config.success)
        self.refusal = read("refusal", config.refusal)
        self.headers = config.headers
        self.refusal_status = config.refusal_status
        self._rate_headers = config.rate_headers

    def rate_headers(self, state: Mapping[str, int]) -> dict[str, str]:
        """Return the headers for a limit's `limit`, `remaining` and `reset`.

        Those without a name in the definition are left out.
        """
        headers = {}
        for member, value in state.items():
            if member in self._rate_headers:
                headers[self._rate_headers[member].lower()] = str(value)
        return headers


class Operation:
    """One way to use an endpoint: a contract, caps, and how to read and answer."""

    def __init__(self, action: Action, read: ReadTemplate) -> None:
        self.contract = Contract(True if action.accepts is None else action.accepts)
        self.caps: Limits = action.caps
        self.answers = Answers(action.sandbox, read)

    def groups_of(self, context: Mapping[str, Any]) -> list[Any] | None:
        """Return the groups of people in a body, None when it cannot be read as groups.

        `context`: what the template `reads` sees.
        """
        try:
            groups = orjson.loads(self.answers.reads.render(context))
        except RenderError:
            return None
        return groups if isinstance(groups, list) else None


class Endpoint:
    """A path template and, for each method, the operations that it takes."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.names = placeholders(template)
        self.methods: dict[str, list[Operation]] = {}
        literals = map(re.escape, _literals(template))
        self._pattern = re.compile("([^/]+)".join(literals))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the decoded path parameters, None for another path."""
        match = self._pattern.fullmatch(path)
        if match is None:
            return None
        values = map(unquote, match.groups())
        return dict(zip(self.names, values, strict=True))


def _literals(template: str) -> list[str]:
    """Return the literal texts around the placeholders."""
    return re.split(r"\{[^}]*\}", template)


def endpoints_of(
    destination: Destination, prefix: str, settings: Mapping[str, Any], read: ReadTemplate
) -> list[Endpoint]:
    """Return all endpoints, those with fewer placeholders first.

    So a fixed path wins over one with a parameter.
    """
    endpoints: dict[tuple[str, ...], Endpoint] = {}
    seen: list[tuple[Any, ...]] = []
    for action in destination.actions.values():
        path = prefix + action.path
        endpoint = endpoints.setdefault(tuple(_literals(path)), Endpoint(path))
        method = expand(action.method, settings, encode=False)
        operations = endpoint.methods.setdefault(method, [])

        # several actions may be one operation for the vendor
        key = (endpoint, method, action.accepts, action.caps, action.sandbox)
        if key not in seen:
            seen.append(key)
            operations.append(Operation(action, read))
    return sorted(endpoints.values(), key=lambda endpoint: len(endpoint.names))
