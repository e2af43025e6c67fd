"""The form of files: definitions, connections and cases against the closed meta-schemas of `schemas/meta/`."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs

from .errors import DefinitionError, Problem
from .references import read_json

_NUMBERS = {"additionalProperties": 102, "unevaluatedProperties": 102, "required": 103, "dependentRequired": 103}
_NUMBERS |= {"enum": 104, "const": 104, "type": 105, "pattern": 106, "format": 106, "propertyNames": 106}
_OTHER = 107


def own_folder() -> Path:
    """Return the folder of the definitions that come with this package: in the wheel, else in the checkout."""
    package = Path(str(resources.files("connector")))
    packaged = package / "_data"
    return packaged if packaged.is_dir() else package.parent


def form_problems(kind: str, document: object, file: str, letter: str) -> list[Problem]:
    """Return what the meta-schema `kind` finds in a document; codes are `letter` and a number that names the keyword."""
    if _fast(kind).is_valid(document):
        return []
    from .schemas import explained

    found = explained(_explaining(kind), document, quote=letter != "C")
    return [Problem(f"{letter}{_NUMBERS.get(f.keyword, _OTHER)}", file, f.pointer, f.message, f.hint) for f in found]


def check_form(folder: Path) -> list[Problem]:
    """Return every problem of form in one destination's folder of schemas."""
    return [problem for path in sorted(folder.glob("*.json")) for problem in _file_problems(path)]


def action_files(folder: Path) -> list[Path]:
    """Return the files of a destination's actions, in the order of their names."""
    return sorted(path for path in folder.glob("*.json") if kind_of(path) == "action")


def kind_of(path: Path) -> str:
    """Return what a file of a destination's folder is: destination, fragment, contract or action."""
    if path.name == "destination.json":
        return "destination"
    if path.name.startswith("_"):
        return "fragment"
    return "contract" if path.name.endswith(".accepts.json") else "action"


def _file_problems(path: Path) -> list[Problem]:
    try:
        document = read_json(path)
    except DefinitionError as error:
        return list(error.problems)
    kind = kind_of(path)
    if kind != "contract":
        return form_problems(kind, document, str(path), "D")
    try:
        jsonschema_rs.meta.validate(document)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return [Problem("D109", str(path), "", "is not a JSON Schema (2020-12)")]
    return []


@cache
def _meta_files() -> dict[str, Any]:
    return {path.name: read_json(path) for path in (own_folder() / "schemas" / "meta").glob("*.json")}


@cache
def _fast(kind: str) -> Any:
    files = _meta_files()
    registry = jsonschema_rs.Registry([(f"json-schema:///{name}", schema) for name, schema in files.items()])
    schema = {"$ref": f"json-schema:///{kind}.schema.json"}
    return jsonschema_rs.Draft202012Validator(schema, registry=registry)


@cache
def _explaining(kind: str) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    files = {name: Resource(schema, DRAFT202012) for name, schema in _meta_files().items()}
    registry: Any = Registry().with_resources(files.items())
    return Draft202012Validator({"$ref": f"{kind}.schema.json"}, registry=registry)
