"""`connector docs`: the setup guide of a destination."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.cli.options import DefinitionsOption
from connector.cli.output import say


def docs(
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="The destination to describe.")
    ],
    definitions: DefinitionsOption = None,
) -> None:
    """Print a destination's setup guide, as Markdown."""
    from connector.definitions.catalog import Catalog
    from connector.guide.guide import guide

    say(guide(Catalog(definitions or ()).load(destination)))
