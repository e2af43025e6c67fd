"""What a definition says about a sandbox: its routes, and how each of them is read, limited and answered."""

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

#: The templates of a definition's `sandbox` → the names each of them sees.
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


#: Gives the template of a kind (a key of TEMPLATE_NAMES) by its file, or the kind's default.
ReadTemplate = Callable[[str, str | None], Template]


def templates_of(folder: Path) -> ReadTemplate:
    """Return what reads the templates of a folder, each once. It raises RenderError and OSError."""
    return cache(
        lambda kind, name: read_template(folder, name, _DEFAULTS[kind], TEMPLATE_NAMES[kind])
    )


class Voice:
    """How the vendor reads and answers: the templates and headers of one `sandbox` object."""

    def __init__(self, config: SandboxConfig, template: ReadTemplate) -> None:
        self.reads = template("reads", config.reads)
        self.success = template("success", config.success)
        self.refusal = template("refusal", config.refusal)
        self.headers = config.headers
        self.refusal_status = config.refusal_status
        self._rate = config.rate_headers

    def rate_headers(self, state: Mapping[str, int]) -> dict[str, str]:
        """Return the headers for a limit's `limit`, `remaining` and `reset`, those that are known and have a name."""
        return {
            self._rate[name].lower(): str(value)
            for name, value in state.items()
            if name in self._rate
        }


class Variant:
    """One way to use an endpoint: a contract, caps, and how to read and answer."""

    def __init__(self, action: Action, template: ReadTemplate) -> None:
        self.contract = Contract(True if action.accepts is None else action.accepts)
        self.caps: Limits = action.caps
        self.voice = Voice(action.sandbox, template)

    def read(self, context: Mapping[str, Any]) -> list[Any] | None:
        """Return the groups of a body, None when it cannot be read as groups. `context`: what `reads` sees."""
        try:
            groups = orjson.loads(self.voice.reads.render(context))
        except RenderError:
            return None
        return groups if isinstance(groups, list) else None


class Route:
    """A path template and, for each method, the variants of its endpoint."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.names = placeholders(template)
        self._pattern = re.compile("([^/]+)".join(map(re.escape, _literals(template))))
        self.methods: dict[str, list[Variant]] = {}

    def match(self, path: str) -> dict[str, str] | None:
        """Return the decoded path parameters, None for another path."""
        match = self._pattern.fullmatch(path)
        return dict(zip(self.names, map(unquote, match.groups()), strict=True)) if match else None


def _literals(template: str) -> list[str]:
    return re.split(r"\{[^}]*\}", template)


def routes(
    destination: Destination, prefix: str, settings: Mapping[str, Any], template: ReadTemplate
) -> list[Route]:
    """Return all routes, those with fewer placeholders first: a fixed path wins over a parameter."""
    found: dict[tuple[str, ...], Route] = {}
    seen: list[tuple[Any, ...]] = []
    for action in destination.actions.values():
        path = prefix + action.path
        route = found.setdefault(tuple(_literals(path)), Route(path))
        method = expand(action.method, settings, encode=False)
        variants = route.methods.setdefault(method, [])
        key = (route, method, action.accepts, action.caps, action.sandbox)
        if key not in seen:
            seen.append(key)
            variants.append(Variant(action, template))
    return sorted(found.values(), key=lambda route: len(route.names))
