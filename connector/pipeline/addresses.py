"""What the requests of actions and of calls have in common: paths, queries and headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from connector.definitions.headers import CONTROL
from connector.definitions.uri_template import expand
from connector.templating.data import ExpressionError

# Whoever reads a URL takes these as the same folder and the one above, encoded or not.
_ELSEWHERE = frozenset({".", ".."})


def path_of(template: str, values: Mapping[str, Any]) -> str:
    """Return a path, each value in it percent-encoded.

    Raise ExpressionError when values make a step of the path that leads elsewhere.
    """
    path = expand(template, values, encode=True)
    if not _ELSEWHERE.isdisjoint(path.split("/")):
        raise ExpressionError("'.' and '..' are no part of a path")
    return path


def query_of(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a query, its names and values percent-encoded."""
    encoded = []
    for name, value in pairs:
        encoded.append(f"{quote(name, safe='')}={quote(value, safe='')}")
    return "&".join(encoded)


def more_headers(setting: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that a setting holds, which are taken without placeholders."""
    headers = {}
    for name, text in settings.get(setting, {}).items():
        headers[name.lower()] = text
    return headers


def filled_headers(
    headers: Mapping[str, str], values: Mapping[str, Any], more: Mapping[str, str]
) -> dict[str, str]:
    """Return headers with their placeholders filled, and more of them."""
    filled = {}
    for name, text in headers.items():
        filled[name] = expand(text, values, encode=False)
    filled |= more

    # A line break in a value would begin a header of its own.
    for name, text in filled.items():
        filled[name] = CONTROL.sub("", text)
    return filled
