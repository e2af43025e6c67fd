"""`connector lint`: every problem of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.cli.options import DefinitionsOption, Format, FormatOption, StrictOption
from connector.cli.output import print_result


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…",
            help="Definitions, connections, cases or folders of them; default: all definitions.",
        ),
    ] = None,
    definitions: DefinitionsOption = None,
    strict: StrictOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Find every problem of files, each with code and place."""
    from connector import library

    problems = library.lint(*(paths or ()), definitions=definitions or ())

    text = "\n".join(map(str, problems)) or "no problems"
    result = [problem._asdict() for problem in problems]
    print_result(result, lambda _: text, form)
    failures = [problem for problem in problems if strict or problem.severity == "error"]
    raise typer.Exit(1 if failures else 0)
