"""Markdown (CommonMark with tables) of any text; its content never becomes markup.

Every function returns one line, or a fenced block, that is also valid in a cell of a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


class Markdown(str):
    """A text that is Markdown already."""

    __slots__ = ()


# White space and control characters, which would end a line or a cell; halves of surrogate pairs
# cannot be written.
_GAP = re.compile("[\x00-\x20\x7f\x85\u2028\u2029\ud800-\udfff]+")
_URL = re.compile(r"(https?://[A-Za-z0-9](?:[A-Za-z0-9./_~:?#@!$&'()+,;=%-]*[A-Za-z0-9/_~#=+-])?)")
# An underscore inside a word is no markup.
_MARKUP = re.compile(r"([\\`*\[\]<|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&(?=[#A-Za-z]))")
# What begins a list, a quotation or a heading.
_BLOCK = re.compile(r"^(?:(?=[-+#>])|(\d{1,9})(?=[.)](?: |$)))")


def prose(text: object) -> Markdown:
    """Return a text that is shown as it is.

    White space becomes one blank, https addresses become links.
    """
    if isinstance(text, Markdown):
        return text

    # every other part is a URL
    plain, *rest = _URL.split(_GAP.sub(" ", str(text)).strip())
    parts = [_BLOCK.sub(_escape_block, _escape(plain))]
    for index, part in enumerate(rest):
        is_url = index % 2 == 0
        parts.append(f"<{part}>" if is_url else _escape(part))
    return Markdown("".join(parts))


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def _escape_block(match: re.Match[str]) -> str:
    number = match[1] or ""
    return number + "\\"


def code(text: object) -> Markdown:
    """Return a text as code; of white space, one blank stays."""
    line = _GAP.sub(" ", str(text))
    if not line.strip():
        return Markdown()

    ticks = "`" * (_longest_run_of_ticks(line) + 1)
    needs_blank = line.startswith(("`", " ")) or line.endswith(("`", " "))
    edge = " " if needs_blank else ""
    return Markdown(f"{ticks}{edge}{line}{edge}{ticks}".replace("|", r"\|"))


def codes(texts: Iterable[object], separator: str = ", ") -> Markdown:
    """Return several texts as code."""
    return Markdown(separator.join(map(code, texts)))


def block(text: str, language: str) -> Markdown:
    """Return lines of code."""
    fence = "`" * max(3, _longest_run_of_ticks(text) + 1)
    return Markdown(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def table(rows: Iterable[Sequence[object]], *head: str) -> Markdown:
    """Return a table; each row has a cell for each word of its head.

    Text other than Markdown is escaped as prose. Raise ValueError for a row of another length.
    """
    lines = [_table_line(head), _table_line(["---"] * len(head))]
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(row)} cells under a head of {len(head)}")
        lines.append(_table_line([prose(cell) for cell in row]))
    return Markdown("\n".join(lines))


def _table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _longest_run_of_ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
