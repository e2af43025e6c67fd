"""`connector check`: whether a connection would work, line by line, with the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    Format,
    FormatOption,
    SetOption,
    StateOption,
    TimeoutOption,
)
from connector.cli.output import on_one_line, say, say_raw

if TYPE_CHECKING:
    from connector.audiences.check import Check

# As wide as what is mostly there, so that lines can be printed as they come.
_NAME_WIDTH = 24


def check(
    connection: ConnectionArgument,
    state: StateOption = None,
    timeout: TimeoutOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Check a connection at the vendor: credentials, clock, permissions, audiences.

    Nothing is changed, and no event is needed.

    Exit status: 0 it would work (there may be warnings), 1 it would not, 2 usage or configuration
    error.
    """
    from connector import library

    loaded = library.load_connection(
        connection, overrides=settings or (), definitions=definitions or ()
    )
    checks = []
    for found in library.check(loaded, timeout=timeout, state=state):
        checks.append(found)
        if form is Format.TEXT:
            say(_line(found))
    if form is Format.JSON:
        say_raw(_json(checks))
    raise typer.Exit(1 if any(found.status == "error" for found in checks) else 0)


def _line(check: Check) -> str:
    text = "; ".join(filter(None, (check.message, check.fix)))
    return on_one_line(f"{check.status:<7}  {check.name:<{_NAME_WIDTH}}  {text}")


def _json(checks: Sequence[Check]) -> str:
    import json

    return json.dumps([asdict(check) for check in checks], ensure_ascii=False)
