"""What `connector list` and `connector show` know of destinations, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector._util.json_file import read_json
from connector.definitions.catalog import Catalog
from connector.definitions.metaschema import action_files
from connector.definitions.presets import presets
from connector.errors import ConfigError, DefinitionError, Problem, nearest

if TYPE_CHECKING:
    from connector.definitions.exports import Export
    from connector.definitions.model import (
        Action,
        Call,
        Destination,
        Field,
        Limits,
        ResponseRule,
        Source,
    )

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

# The members of a response rule that are described, in this order.
_RESPONSE_KEYS = (
    "when",
    "then",
    "reason",
    "code",
    "detail",
    "at",
    "after",
    "each",
    "by",
    "error",
    "position",
    "later",
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
    actions: dict[str, Any] = {}
    for path in action_files(folder):
        document = _members(path)
        for action, operation in document.get("operations", {path.stem: {}}).items():
            actions[action] = operation.get("title", document.get("title", ""))
    return {
        "destination": name,
        "title": _members(folder / "destination.json").get("title", ""),
        "actions": dict(sorted(actions.items())),
    }


def _members(path: Path) -> dict[str, Any]:
    document = read_json(path)
    return document if isinstance(document, dict) else {}


def describe(catalog: Catalog, name: str) -> dict[str, Any]:
    """Return all that is known of a destination, an action, a call or an export, ready for JSON.

    `name`: `DESTINATION`, or `DESTINATION.NAME` with the name of one of the others.

    Raise ConfigError (C201, C207) for an unknown name, and DefinitionError.
    """
    destination_id, _, action_id = name.partition(".")
    destination = catalog.load(destination_id)
    exports = destination.exports
    if not action_id:
        return {**_destination(destination), **_exports(exports)}
    if action_id in destination.actions:
        return _action(destination, destination.actions[action_id])
    if action_id in destination.calls:
        return _call(destination, destination.calls[action_id])
    if action_id in exports:
        return _export(destination, exports[action_id])

    kinds = ["action"]
    if destination.calls:
        kinds.append("call")
    if exports:
        kinds.append("export")
    message = f"unknown {' or '.join(kinds)} '{action_id}' of {destination_id}"
    hint = nearest(action_id, (*destination.actions, *destination.calls, *exports))
    raise ConfigError([Problem("C207", name, "", message, hint)])


def _destination(destination: Destination) -> dict[str, Any]:
    written = _with_sources(destination, destination.document.content["destination"])
    found = presets(destination.document.folder.path)
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
        "concurrency": written.get("concurrency", {"requests": 1}),
        "retry": written.get("retry", {}),
        "settings": _parameters(destination, destination.settings),
        "responses": [_response(rule) for rule in destination.responses],
        "actions": {action.id: action.title for action in destination.actions.values()},
        "calls": {call.id: call.title for call in destination.calls.values()},
        "presets": {preset.name: preset.description for preset in found},
    }


def _call(destination: Destination, call: Call) -> dict[str, Any]:
    written = _with_sources(destination, call.document.content["action"])
    return {
        "call": f"{destination.id}.{call.id}",
        "title": call.title,
        "description": call.description,
        "request": f"{call.method} {destination.base_url_template}{call.path}",
        "query": dict(call.query),
        "source": written["source"],
        "parameters": _parameters(destination, call.parameters),
        "fields": dict(call.fields),
        "pages": written.get("pages", {}),
        "responses": [_response(rule) for rule in call.own_responses],
    }


def _action(destination: Destination, action: Action) -> dict[str, Any]:
    # Loads the normalisers, which listing destinations does without.
    from connector.guide.identifier_words import identifier_rules, notes

    written = _with_sources(destination, action.document.content["action"])
    description = {
        "action": f"{destination.id}.{action.id}",
        "title": action.title,
        "description": action.description,
        "operation": action.operation,
        "request": f"{action.method} {destination.base_url_template}{action.path}",
        "caps": _limits(action.caps),
        "defaults": _limits(action.default_limits),
        "source": written.get("source", {}),
        "parameters": _parameters(destination, action.parameters),
        "identifiers": identifier_rules(action),
        "notes": notes(action.identifiers),
        "checks": written.get("checks", []),
    }
    for name in ("audience", "split", "prefer", "together"):
        if name in written:
            description[name] = written[name]
    return description


def _exports(exports: Mapping[str, Export]) -> dict[str, Any]:
    """Return the titles of the exports; nothing where there are none."""
    if not exports:
        return {}
    return {"exports": {export.id: export.title for export in exports.values()}}


def _export(destination: Destination, export: Export) -> dict[str, Any]:
    from connector.guide.identifier_words import identifier_rules, notes

    written = _with_sources(destination, export.document.content["export"])
    return {
        "export": f"{destination.id}.{export.id}",
        "title": export.title,
        "description": export.description,
        **written,
        "parameters": _parameters(destination, export.parameters),
        "identifiers": identifier_rules(export),
        "notes": notes(export.identifiers),
    }


def _limits(limits: Limits) -> dict[str, Any]:
    values = {
        "records": limits.records,
        "groups": limits.groups,
        "bytes": limits.bytes,
        "age": f"{limits.age:g}s" if limits.age else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _parameters(destination: Destination, fields: Mapping[str, Field]) -> list[dict[str, Any]]:
    parameters = []
    for field in fields.values():
        parameter: dict[str, Any] = {"name": field.name, "required": field.required}
        for key in _PARAMETER_KEYS:
            if key in field.schema:
                parameter[key] = field.schema[key]
        parameters.append(_with_sources(destination, parameter))
    return parameters


def _response(rule: ResponseRule) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for name in _RESPONSE_KEYS:
        value = getattr(rule, name)
        if value:
            described[name] = value
    if rule.source:
        described["source"] = _source(rule.source)
    return described


def _with_sources(destination: Destination, value: Any) -> Any:
    """Return a part of a definition with the page in place of each source's name."""
    if isinstance(value, list):
        return [_with_sources(destination, element) for element in value]
    if not isinstance(value, dict):
        return value

    described = {}
    for key, member in value.items():
        if key == "source" and isinstance(member, str):
            described[key] = _source(_page(destination, member))
        else:
            described[key] = _with_sources(destination, member)
    return described


def _page(destination: Destination, source: str) -> Source:
    from connector.definitions.read import Reader, declared_sources

    reader = Reader(declared_sources(destination.document))
    return reader.required_source({"source": source})


def _source(source: Source) -> dict[str, str]:
    described = {"read": source.read, "note": source.note}
    if source.url:
        described["url"] = source.url
    return described
