"""The options that say where the records of a service are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="The folder that keeps what is accepted; one process."
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Or a database, for several processes: postgresql://…, or env:NAME or file:PATH "
        "where its URL stands.",
    ),
]
