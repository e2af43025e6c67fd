"""`connector list`: the destinations and their actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connector.cli.options import DefinitionsOption, Format, FormatOption
from connector.cli.output import on_one_line, print_result, warn


def list_destinations(
    definitions: DefinitionsOption = None, form: FormatOption = Format.TEXT
) -> None:
    """List the destinations and their actions."""
    from connector.definitions.catalog import Catalog
    from connector.guide.describe import summaries

    destinations, problems = summaries(Catalog(definitions or ()))
    warn(problems)
    print_result(destinations, list_text, form)


def list_text(destinations: list[dict[str, Any]]) -> str:
    """Return a line for each destination and each of its actions."""
    lines: list[str] = []
    for destination in destinations:
        title = on_one_line(str(destination["title"]))
        lines.append(f"{destination['destination']}  {title}")
        lines += action_lines(destination["actions"])
    return "\n".join(lines)


def action_lines(actions: dict[str, str]) -> Iterator[str]:
    """Yield a line for each action, the titles one below the other."""
    width = max(map(len, actions), default=0)
    for action, title in actions.items():
        yield f"  {action:<{width}}  {on_one_line(str(title))}"
