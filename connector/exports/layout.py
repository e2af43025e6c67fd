"""The layout of a line: which values can be its cells, and how they become a line.

Nothing is ever quoted: readers of such files disagree about quoting. What cannot be written as it
is, is not written. In a URL everything can be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import repeat
from urllib.parse import quote

from connector.definitions.exports import Export
from connector.definitions.uri_template import placeholders
from connector.pipeline.dropped import DroppedError
from connector.pipeline.texts import encode

# What ends a line for some reader, and what none shows.
_NEVER = "\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029"

# Readers take the double quote for quoting in files with commas.
_ALSO = {",": ',"', "\t": ""}


class Layout:
    """How the cells of an export become a line.

    `join` makes a line of cells. `cell` makes a cell of a text, and `cells` those of many texts.
    """

    def __init__(self, export: Export) -> None:
        self.columns = export.columns
        self.join: Callable[[Sequence[str]], str] = export.delimiter.join
        self._is_url = bool(export.url)
        if self._is_url:
            self.columns = tuple(placeholders(export.url))
            self.join = _filled(export.url)
        forbidden = _NEVER + _ALSO.get(export.delimiter, "")
        self._is_forbidden = re.compile(f"[{forbidden}]").search

    def cell(self, text: str) -> str:
        """Return a text as a cell. Raise DroppedError (not_a_cell, not_unicode)."""
        encode(text)
        if self._is_url:
            return quote(text, safe="")
        if self._is_forbidden(text):
            raise DroppedError("not_a_cell")
        return text

    def cells(self, texts: Sequence[str]) -> Sequence[str] | None:
        """Return many texts as cells; None when one of them cannot be one."""
        whole = "".join(texts)
        try:
            whole.encode()
        except UnicodeEncodeError:
            return None
        if self._is_url:
            return list(map(quote, texts, repeat("")))
        return None if self._is_forbidden(whole) else texts


def _filled(url: str) -> Callable[[Sequence[str]], str]:
    """Return the function that puts cells into a URL, in the order of their places."""
    pattern = url.replace("%", "%%")
    for name in placeholders(url):
        pattern = pattern.replace(f"{{{name}}}", "%s", 1)
    return lambda cells: pattern % tuple(cells)
