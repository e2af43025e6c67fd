"""`connector test`: cases against their snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.cli.options import DefinitionsOption, Format, FormatOption


def run_tests(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]…", help="Case files or folders; default: this folder."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write the snapshots instead of comparing them.")
    ] = False,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Run *.case.yaml files against their snapshots."""
    from connector.testing.command import run_cases

    status = run_cases(paths or [Path()], definitions or [], update=update, form=form.value)
    raise typer.Exit(status)
