"""How the sandbox answers: the templates and headers of a definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from connector.definitions.model import SandboxConfig
from connector.templating.template import Template, read_template

#: The templates of a definition's `sandbox`, and the names that each of them sees.
TEMPLATE_NAMES: dict[str, tuple[str, ...]] = {
    "success": ("groups", "sent", "accepted", "path", "body"),
    "refusal": ("status", "code", "message", "errors", "path", "body"),
    "result": (
        "objects",
        "object",
        "page",
        "last",
        "total",
        "next",
        "path",
        "query",
        "body",
        "settings",
    ),
}

_DEFAULTS = {
    "success": "{}",
    "result": "{}",
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
    """How the vendor takes and answers requests: one `sandbox` object with its templates.

    `success` is what the template of success is for: it tells apart actions and calls ("result").
    """

    def __init__(self, config: SandboxConfig, read: ReadTemplate, success: str = "success") -> None:
        self.success = read(success, config.success)
        self.refusal = read("refusal", config.refusal)
        self.headers = config.headers
        self.refusal_status = config.refusal_status
        self.requires = config.requires
        self.members_in = config.members_in
        self._rate_headers = config.rate_headers

    def rate_headers(self, state: Mapping[str, int]) -> dict[str, str]:
        """Return the headers for a limit's `limit`, `remaining` and `reset`.

        Those without a name in the definition are left out.
        """
        headers = {}
        for member, value in state.items():
            for name in self._rate_headers.get(member, ()):
                headers[name.lower()] = str(value)
        return headers
