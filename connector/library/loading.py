"""Connections from files or documents, and what lint finds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector.connection.load import connection_from_document
from connector.connection.load import load_connection as load_connection_file
from connector.connection.model import Connection
from connector.definitions.catalog import Catalog
from connector.errors import Problem

if TYPE_CHECKING:
    pass


def load_connection(
    path: str | os.PathLike[str],
    *,
    overrides: Sequence[str] = (),
    definitions: Sequence[str | os.PathLike[str]] = (),
) -> Connection:
    """Load a connection file (YAML).

    `overrides` replace members, as in `settings.account_id=42`. `definitions` are further folders
    with `schemas/` and `templates/`.

    Raise ConfigError with every problem, and DefinitionError when the destination itself is wrong.
    """
    return load_connection_file(Path(path), _catalog(definitions), overrides)


def make_connection(
    document: Mapping[str, Any],
    *,
    name: str = "connection",
    definitions: Sequence[str | os.PathLike[str]] = (),
) -> Connection:
    """Make a connection of what a connection file would hold.

    `name` stands for the file in messages.

    Raise ConfigError with every problem, and DefinitionError when the destination itself is wrong.
    """
    return connection_from_document(document, name, _catalog(definitions))


def lint(
    *paths: str | os.PathLike[str], definitions: Sequence[str | os.PathLike[str]] = ()
) -> list[Problem]:
    """Return every problem of definitions, connections and cases.

    Without paths, lint looks at all definitions.

    Raise ConfigError for a path that lint cannot look at.
    """
    # Its many rules are loaded only for this.
    from connector.linting.engine import lint as lint_paths

    return lint_paths([Path(path) for path in paths], _catalog(definitions))


def _catalog(definitions: Sequence[str | os.PathLike[str]]) -> Catalog:
    return Catalog([Path(folder) for folder in definitions])
