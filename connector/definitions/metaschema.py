"""The form of files, checked against the closed meta-schemas of `schemas/meta/`.

The files are definitions, connections and cases.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from connector._util.json_file import read_json
from connector.errors import DefinitionError, Problem
from connector.validation.explain import Failure, lookup
from connector.validation.schema import Schema, schema_failures

_NUMBERS = {
    "additionalProperties": 102,
    "unevaluatedProperties": 102,
    "not": 102,
    "required": 103,
    "dependentRequired": 103,
}
_NUMBERS |= {
    "enum": 104,
    "const": 104,
    "type": 105,
    "pattern": 106,
    "format": 106,
    "propertyNames": 106,
}
_OTHER = 107

# What to write instead of a word of JSON Schema, or of this language's first edition, by the end of
# its pointer.
_INSTEAD = {
    "/$ref": "use 'extends': a list of what these keys are laid over",
    "/action/group": "use 'share'; an envelope that renders 'groups' makes groups of it",
    "/action/request": "use 'share'",
    "/split/as": 'use "by": "wire"',
    "/split/parts": 'use "by": "wire"',
    "/sandbox/reads": "remove it: mark in the contract where people stand",
    "/rate/0/scope": "remove it: a limit counts over all requests of a connection",
    "/auth/client": "remove it: the client's credentials go into the form",
    "/credentials": "remove it: the credentials follow from the scheme",
    "/auth/signature": "remove it: HMAC-SHA1 is the only one",
    "/anyOf": "remove it: at least one identifier is always needed",
    "/allOf": "use 'required'",
    "/dependentRequired": "remove it, and check it with 'checks'",
    "/additionalProperties": "remove it: nothing but what is listed is ever allowed",
    "/type": "remove it: a file is an object; an identifier is text, a number or a list of these",
    "/items": "remove it: an identifier is text, a whole number or a list of these",
    "/operations": "move them into an action file: a fragment is no action",
    "/param": "allowed: either 'add' and 'remove', or 'param' and 'default'",
    "/default": "allowed: either 'add' and 'remove', or 'param' and 'default'",
}


#: The folders of a destination's calls and exports, in that of its definition files.
CALLS = "calls"
EXPORTS = "exports"


def own_folder() -> Path:
    """Return the folder of the definitions that come with this package.

    It is in the wheel, else in the checkout.
    """
    package = Path(str(resources.files("connector")))
    packaged = package / "_data"
    return packaged if packaged.is_dir() else package.parent


def standard_identifiers() -> Path:
    """Return the file of the identifiers that every destination may extend."""
    return own_folder() / "schemas" / "standard" / "identifiers.json"


def form_problems(kind: str, document: object, file: str, letter: str) -> list[Problem]:
    """Return what the meta-schema `kind` finds in a document.

    `action#whole` is an action with all that it extends put in.
    The code of a problem is `letter` and the number of a keyword.
    """
    # what a customer writes may be a secret; an author's words are quoted
    failures = _meta_schema(kind).failures(document, quote=letter != "C")

    # Where a key is unknown, it is probably the one that is missing, with a typo.
    mistyped = set()
    for failure in failures:
        if failure.keyword == "additionalProperties":
            mistyped.add(failure.pointer.rpartition("/")[0])

    problems = []
    for failure in failures:
        if failure.keyword != "required" or failure.pointer not in mistyped:
            problems.append(_problem(failure, document, file, letter, kind))
    return problems


def _problem(failure: Failure, document: object, file: str, letter: str, kind: str) -> Problem:
    message, hint = failure.message, failure.hint
    instead = _instead(failure) if letter == "D" else ""
    if instead:
        hint = instead
    elif hint:
        # what our meta-schemas say in words is enough
        message = message.partition(" (pattern ")[0]
    elif failure.missing:
        hint = _about(failure.missing, lookup(document, failure.pointer), kind)
    return Problem(
        f"{letter}{_NUMBERS.get(failure.keyword, _OTHER)}", file, failure.pointer, message, hint
    )


def _instead(failure: Failure) -> str:
    """Return what to write instead of a key that is not allowed, "" when nothing is known."""
    if _NUMBERS.get(failure.keyword) != 102:
        return ""
    pointer = re.sub("/[0-9]+/", "/0/", failure.pointer)
    for end, hint in _INSTEAD.items():
        if pointer.endswith(end):
            return hint
    return ""


def check_form(files: Iterable[Path]) -> list[Problem]:
    """Return every problem of form in some definition files."""
    problems = []
    for path in files:
        problems += _file_problems(path)
    return problems


def definition_files(folder: Path) -> list[Path]:
    """Return all definition files of a destination's folder."""
    return [*own_files(folder), *call_files(folder), *export_files(folder)]


def own_files(folder: Path) -> list[Path]:
    """Return the files of a destination, of its actions, and what they are made of."""
    return sorted(folder.glob("*.json"))


def action_files(folder: Path) -> list[Path]:
    """Return the files of a destination's actions, in the order of their names."""
    return sorted(path for path in folder.glob("*.json") if kind_of(path) == "action")


def call_files(folder: Path) -> list[Path]:
    """Return the files of a destination's calls, in the order of their names."""
    return sorted((folder / CALLS).glob("*.json"))


def export_files(folder: Path) -> list[Path]:
    """Return the files of a destination's exports, in the order of their names."""
    return sorted((folder / EXPORTS).glob("*.json"))


def kind_of(path: Path) -> str:
    """Return what a file of a destination's folder is.

    It is a destination, a fragment, a contract, an action, a call or an export.
    """
    if path.parent.name == CALLS:
        return "call"
    if path.parent.name == EXPORTS:
        return "export"
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

    problems = []
    for failure in schema_failures(document):
        message = f"invalid JSON Schema (2020-12): {failure.message}"
        problems.append(Problem("D109", str(path), failure.pointer, message, failure.hint))
    return problems


@cache
def _meta_files() -> dict[str, Any]:
    return {
        path.name: read_json(path) for path in (own_folder() / "schemas" / "meta").glob("*.json")
    }


def _about(key: str, beside: Collection[str], kind: str) -> str:
    """Return the description of a key beside these others.

    Return "" unless all meta-schemas agree on it; an export's words are its own.
    """
    is_export = kind.startswith("export")
    descriptions = {
        _description(part["properties"][key], name)
        for name, schema in _meta_files().items()
        if name.startswith("export") == is_export
        for part in _objects(schema)
        if isinstance(part["properties"].get(key), dict)
        and part["properties"].keys() >= set(beside)
    }
    descriptions.discard("")
    return descriptions.pop() if len(descriptions) == 1 else ""


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        yield from _objects(part)


def _description(schema: Any, file: str) -> str:
    """Return a schema's description, or that of what it refers to."""
    if "description" not in schema and "$ref" in schema:
        target, _, place = schema["$ref"].partition("#")
        return _description(lookup(_meta_files()[target or file], place), target or file)
    return str(schema.get("description", ""))


@cache
def _meta_schema(kind: str) -> Schema:
    name, _, definition = kind.partition("#")
    fragment = f"#/$defs/{definition}" if definition else ""
    return Schema({"$ref": f"{name}.schema.json{fragment}"}, _meta_files())
