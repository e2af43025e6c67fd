"""Markdown (CommonMark with tables) of any text: what a text holds never becomes markup.

Every function returns one line, or a fenced block, that can also stand in a cell of a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


class Markdown(str):
    """A text that is Markdown already."""

    __slots__ = ()


# White space and control characters, which would end a line or a cell; halves of surrogate pairs cannot be written.
_GAP = re.compile("[\x00-\x20\x7f\x85\u2028\u2029\ud800-\udfff]+")
_ADDRESS = re.compile(
    r"(https?://[A-Za-z0-9](?:[A-Za-z0-9./_~:?#@!$&'()+,;=%-]*[A-Za-z0-9/_~#=+-])?)"
)
# An underscore inside a word is no markup.
_MARKUP = re.compile(r"([\\`*\[\]<|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&(?=[#A-Za-z]))")
# What begins a list, a quotation or a heading.
_BLOCK = re.compile(r"^(?:(?=[-+#>])|(\d{1,9})(?=[.)](?: |$)))")


def prose(text: object) -> Markdown:
    """Return a text that is shown as it is; white space becomes one blank, https addresses become links."""
    if isinstance(text, Markdown):
        return text
    plain, *rest = _ADDRESS.split(_GAP.sub(" ", str(text)).strip())
    first = _BLOCK.sub(lambda match: (match[1] or "") + "\\", _MARKUP.sub(r"\\\1", plain))
    links = (
        f"<{part}>" if place % 2 == 0 else _MARKUP.sub(r"\\\1", part)
        for place, part in enumerate(rest)
    )
    return Markdown("".join([first, *links]))


def code(text: object) -> Markdown:
    """Return a text as code; of white space, one blank stays."""
    shown = _GAP.sub(" ", str(text))
    if not shown.strip():
        return Markdown()
    ticks = "`" * (_longest(shown) + 1)
    edge = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) else ""
    return Markdown(f"{ticks}{edge}{shown}{edge}{ticks}".replace("|", r"\|"))


def codes(texts: Iterable[object], joined: str = ", ") -> Markdown:
    """Return several texts as code."""
    return Markdown(joined.join(code(text) for text in texts))


def block(text: str, language: str) -> Markdown:
    """Return lines of code."""
    fence = "`" * max(3, _longest(text) + 1)
    return Markdown(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def table(rows: Iterable[Sequence[object]], *head: str) -> Markdown:
    """Return a table; each row has a cell for each word of its head. What is no Markdown is taken as prose."""
    lines: list[Sequence[str]] = [head, ["---"] * len(head)]
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(row)} cells under a head of {len(head)}")
        lines.append([prose(cell) for cell in row])
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _longest(text: str) -> int:
    """Return the length of the longest run of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)
