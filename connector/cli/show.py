"""`connector show`: everything about a destination, an action, a call or an export."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.cli.options import DefinitionsOption, Format, FormatOption
from connector.cli.output import print_result


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION[.NAME]",
            help="A destination; an action, a call or an export of it.",
        ),
    ],
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show parameters, identifier rules, caps and sources."""
    from connector.cli.show_text import show_text
    from connector.definitions.catalog import Catalog
    from connector.guide.describe import describe

    print_result(describe(Catalog(definitions or ()), name), show_text, form)
