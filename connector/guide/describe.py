"""What `connector list` and `connector show` know of destinations, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector._util.json_file import read_json
from connector.definitions.catalog import Catalog
from connector.definitions.metaschema import action_files
from connector.errors import ConfigError, DefinitionError, Problem, nearest

if TYPE_CHECKING:
    from connector.definitions.model import Action, Destination, Field, Limits

# The members of a parameter that are described, in this order.
_PARAMETER_KEYS = (
    "title",
    "description",
    "type",
    "enum",
    "format",
    "pattern",
    "default",
    "examples",
    "identifier",
    "source",
)


def summaries(catalog: Catalog) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return each destination with its title and its actions.

    The second list says what is wrong with installed packages. Nothing is checked, so that this
    stays fast. Raise DefinitionError for a file of this package, or of a given folder, that is not
    JSON.
    """
    destinations = []
    problems = list(catalog.problems)
    for name in catalog.usable_ids():
        try:
            destinations.append(_summary(catalog, name))
        except DefinitionError as error:
            if not catalog.is_installed(name):
                raise
            problems += error.problems
    return destinations, problems


def _summary(catalog: Catalog, name: str) -> dict[str, Any]:
    folder = catalog.folder(name) / "schemas" / name
    return {
        "destination": name,
        "title": _title(folder / "destination.json"),
        "actions": {path.stem: _title(path) for path in action_files(folder)},
    }


def _title(path: Path) -> Any:
    document = read_json(path)
    return document.get("title", "") if isinstance(document, dict) else ""


def describe(catalog: Catalog, name: str) -> dict[str, Any]:
    """Return all that is known of `DESTINATION` or `DESTINATION.ACTION`, ready for JSON.

    Raise ConfigError (C201, C207) for an unknown name, and DefinitionError.
    """
    destination_id, _, action_id = name.partition(".")
    destination = catalog.load(destination_id)
    if not action_id:
        return _destination(destination)
    if action_id not in destination.actions:
        message = f"unknown action '{action_id}' of {destination_id}"
        hint = nearest(action_id, destination.actions)
        raise ConfigError([Problem("C207", name, "", message, hint)])
    return _action(destination, destination.actions[action_id])


def _destination(destination: Destination) -> dict[str, Any]:
    written = destination.document.content["destination"]
    return {
        "destination": destination.id,
        "title": destination.title,
        "description": destination.description,
        "api": written["api"],
        "docs": destination.docs,
        "base_url": destination.base_url_template,
        "auth": dict(written["auth"]),
        "limits": written.get("limits", {}),
        "rate": written.get("rate", []),
        "settings": _parameters(destination.settings),
        "responses": written.get("responses", []),
        "actions": {action.id: action.title for action in destination.actions.values()},
    }


def _action(destination: Destination, action: Action) -> dict[str, Any]:
    # Loads the normalisers, which listing destinations does without.
    from connector.guide.identifier_words import identifier_rules, notes

    written = action.document.content["action"]
    description = {
        "action": f"{destination.id}.{action.id}",
        "title": action.title,
        "description": action.description,
        "operation": action.operation,
        "request": f"{action.method} {destination.base_url_template}{action.path}",
        "caps": _limits(action.caps),
        "defaults": _limits(action.default_limits),
        "source": written.get("source", {}),
        "parameters": _parameters(action.parameters),
        "identifiers": identifier_rules(action),
        "notes": notes(action.identifiers),
        "checks": written.get("checks", []),
    }
    for name in ("audience", "split"):
        if name in written:
            description[name] = written[name]
    return description


def _limits(limits: Limits) -> dict[str, Any]:
    values = {
        "records": limits.records,
        "groups": limits.groups,
        "bytes": limits.bytes,
        "age": f"{limits.age:g}s" if limits.age else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _parameters(fields: Mapping[str, Field]) -> list[dict[str, Any]]:
    parameters = []
    for field in fields.values():
        parameter: dict[str, Any] = {"name": field.name, "required": field.required}
        for key in _PARAMETER_KEYS:
            if key in field.schema:
                parameter[key] = field.schema[key]
        parameters.append(parameter)
    return parameters
