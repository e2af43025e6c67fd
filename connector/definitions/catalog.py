"""Where definitions are found: packaged, in the checkout, from installed packages, in a given folder.

A definition folder has `schemas/<destination>/` and `templates/<destination>/`. An earlier folder wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from connector.definitions.metaschema import action_files, check_form, form_problems, own_folder
from connector.definitions.model import Destination
from connector.definitions.read import read_destination
from connector.errors import ConfigError, DefinitionError, Problem, nearest

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

ENTRY_POINTS = "connector.destinations"


class Catalog:
    """The destinations of some definition folders, each loaded when it is asked for."""

    def __init__(self, extra: Sequence[Path] = ()) -> None:
        """Raises ConfigError (C010) when an extra folder has no `schemas/`."""
        for folder in extra:
            if not (folder / "schemas").is_dir():
                hint = (
                    "a definitions folder holds schemas/<destination>/ and templates/<destination>/"
                )
                raise ConfigError(
                    [Problem("C010", str(folder), "", "has no folder 'schemas'", hint)]
                )
        self._folders = [*extra, *_installed(), own_folder()]

    def ids(self) -> list[str]:
        """Return the ids of all destinations, sorted."""
        return sorted({path.name for root in self._folders for path in _destinations(root)})

    def folder(self, destination: str) -> Path:
        """Return the definition folder that holds a destination. Raises ConfigError (C201)."""
        for root in self._folders:
            if (root / "schemas" / destination / "destination.json").is_file():
                return root
        message = f"unknown destination '{destination}'"
        raise ConfigError(
            [Problem("C201", "destination", "", message, nearest(destination, self.ids()))]
        )

    def load(self, destination: str) -> Destination:
        """Return a destination after a check of its files' form. Raises ConfigError (C201) and DefinitionError."""
        return load(self.folder(destination), destination)


def load(root: Path, destination: str) -> Destination:
    """Load one destination of one definition folder. Raises DefinitionError with every problem of form."""
    schemas = root / "schemas" / destination
    problems = check_form(schemas)
    if problems:
        raise DefinitionError(problems)

    from connector.definitions.resolve import Folder

    folder = Folder(schemas)
    documents = {path.stem: folder.document(path.name) for path in action_files(schemas)}
    document = folder.document("destination.json")
    problems = [
        *_whole(document, "destination"),
        *(p for one in documents.values() for p in _whole(one, "action")),
    ]
    if problems:
        raise DefinitionError(problems)
    return read_destination(destination, document, documents, root / "templates" / destination)


def _whole(document: Document, kind: str) -> Iterator[Problem]:
    """Yield what is wrong, or still missing, once every `$ref` is put in."""
    for problem in form_problems(kind, document.content, "", "D"):
        file, place = document.origin(problem.pointer)
        yield problem._replace(file=file, pointer=place)


def _installed() -> Iterator[Path]:
    """Yield the folders that installed packages name under the entry point group; their code is not run.

    Raises ConfigError (C010) for a package that is not there, or has no `schemas/`.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS):
        found = [folder for folder in _folders(entry.value) if (folder / "schemas").is_dir()]
        if not found:
            place = f"the entry point '{entry.name}' of {ENTRY_POINTS}"
            message = f"there is no package '{entry.value}' with a folder 'schemas'"
            raise ConfigError(
                [
                    Problem(
                        "C010",
                        place,
                        "",
                        message,
                        "mend the package that it comes with, or remove it",
                    )
                ]
            )
        yield from found


def _folders(package: str) -> list[Path]:
    """Return the folders of an installed package; one without Python may have several."""
    from importlib.util import find_spec

    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _destinations(root: Path) -> Iterator[Path]:
    return (path.parent for path in (root / "schemas").glob("*/destination.json"))
