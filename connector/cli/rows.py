"""The rows of a call, as a table, or as lines when there is one object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from connector.cli.output import on_one_line

# As wide as it takes: what is cut off cannot be copied.
_WIDTH = 10_000


def rows_text(rows: Sequence[dict[str, Any]], *, is_list: bool) -> str:
    """Return rows as text; what none of them has is left out."""
    if not is_list:
        return "\n".join(_lines(rows[0]))
    if not rows:
        return "nothing found"
    return "\n".join(_table(rows))


def _lines(row: dict[str, Any]) -> list[str]:
    shown = {name: _cell(value) for name, value in row.items() if value is not None}
    if not shown:
        return ["done"]
    width = max(map(len, shown))
    return [f"{on_one_line(name):<{width}}  {text}".rstrip() for name, text in shown.items()]


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A column keeps its place, whichever rows have a value in it.
    names: dict[str, None] = {}
    has_value = set()
    for row in rows:
        names.update(dict.fromkeys(row))
        has_value |= {name for name, value in row.items() if value is not None}
    names = {name: None for name in names if name in has_value}

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for name in names:
        table.add_column(Text(on_one_line(name)), no_wrap=True)
    for row in rows:
        table.add_row(*[Text(_cell(row.get(name))) for name in names])

    console = Console(width=_WIDTH, color_system=None, highlight=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return on_one_line(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return on_one_line(", ".join(value))
    return on_one_line(json.dumps(value, ensure_ascii=False))
