"""`{name}` in a URL, a header or another text of a definition (RFC 6570, level 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from connector.templating.data import text as as_text

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def placeholders(text: str) -> list[str]:
    """Return the names in `{…}`."""
    return _PLACEHOLDER.findall(text)


def expand(text: str, values: Mapping[str, Any], *, encode: bool) -> str:
    """Put values into `{name}`, percent-encoded when asked for."""
    if "{" not in text:
        return text

    def fill(match: re.Match[str]) -> str:
        value = as_text(values[match[1]])
        return quote(value, safe="") if encode else value

    return _PLACEHOLDER.sub(fill, text)
