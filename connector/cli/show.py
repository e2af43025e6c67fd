"""What `list` and `show` print: data first, the text is made of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unicodedata import combining, east_asian_width

from connector._util.json_file import read_json
from connector._util.pretty_json import as_written
from connector.definitions.catalog import Catalog
from connector.definitions.model import Action, Destination, Field, Limits
from connector.errors import ConfigError, DefinitionError, Problem, nearest

_WIDTH = 100
# Examples in a table are cut to the first of these lengths with which it fits.
_SHORT = (18, 12)
_TIED = "\u00a0"  # a blank at which no line breaks


def listing(catalog: Catalog) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return each destination with its title and its actions, and what is wrong with installed packages.

    Nothing is checked, so that this stays fast. Raises DefinitionError for a file of this package, or of a given
    folder, that is not JSON.
    """
    listed = []
    problems = list(catalog.problems)
    for name in catalog.usable_ids():
        try:
            listed.append(_listed(catalog, name))
        except DefinitionError as error:
            if not catalog.is_installed(name):
                raise
            problems += error.problems
    return listed, problems


def _listed(catalog: Catalog, name: str) -> dict[str, Any]:
    from connector.definitions.metaschema import action_files

    folder = catalog.folder(name) / "schemas" / name
    return {
        "destination": name,
        "title": _title(folder / "destination.json"),
        "actions": {path.stem: _title(path) for path in action_files(folder)},
    }


def _title(path: Path) -> Any:
    document = read_json(path)
    return document.get("title", "") if isinstance(document, dict) else ""


def listing_text(found: list[dict[str, Any]]) -> str:
    """Return the listing for people."""
    lines = []
    for one in found:
        lines.append(f"{one['destination']}  {one['title']}")
        width = max(map(len, one["actions"]), default=0)
        lines += [f"  {action:<{width}}  {title}" for action, title in one["actions"].items()]
    return "\n".join(lines)


def showing(catalog: Catalog, name: str) -> dict[str, Any]:
    """Return all that is known of a destination or an action. Raises ConfigError (C201, C207), DefinitionError."""
    destination_id, _, action_id = name.partition(".")
    destination = catalog.load(destination_id)
    if not action_id:
        return _destination(destination)
    if action_id not in destination.actions:
        message = f"unknown action '{action_id}' of {destination_id}"
        raise ConfigError(
            [Problem("C207", name, "", message, nearest(action_id, destination.actions))]
        )
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
    from connector.guide.identifier_words import identifier_rules, notes

    written = action.document.content["action"]

    return {
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
        **{name: written[name] for name in ("audience", "split") if name in written},
    }


def _limits(limits: Limits) -> dict[str, Any]:
    found: dict[str, Any] = {
        "records": limits.records,
        "groups": limits.groups,
        "bytes": limits.bytes,
    }
    found |= {"age": f"{limits.age:g}s"} if limits.age else {}
    return {name: value for name, value in found.items() if value is not None}


def _parameters(fields: Mapping[str, Field]) -> list[dict[str, Any]]:
    keys = (
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
    return [
        {
            "name": field.name,
            "required": field.required,
            **{key: field.schema[key] for key in keys if key in field.schema},
        }
        for field in fields.values()
    ]


def showing_text(found: dict[str, Any]) -> str:
    """Return what `showing` found for people."""
    return "\n".join(_action_lines(found) if "action" in found else _destination_lines(found))


def _destination_lines(found: dict[str, Any]) -> Iterable[str]:
    yield f"{found['destination']}  {found['title']}"
    yield from _wrapped(found["description"])
    yield ""
    api = found["api"]
    yield f"api        {api.get('name', '')} {api.get('version', '')} at {found['base_url']}"
    yield f"docs       {found['docs']}"
    yield from (
        f"{'' if place else 'auth':<10} {line}"
        for place, line in enumerate(_auth_lines(found["auth"]))
    )
    yield f"caps       {_pairs(found['limits'].get('caps', {}))}"
    yield f"defaults   {_pairs(found['limits'].get('defaults', {}))}"
    yield from _source(found["limits"])
    for rate in found["rate"]:
        yield f"rate       {rate['requests']} requests in {rate['per']}, counted per {rate['scope']}"
        yield from _source(rate)
    yield from ("", "settings")
    for setting in found["settings"]:
        yield from _parameter_lines(setting)
    yield from ("", "answers")
    for rule in found["responses"]:
        yield f"  {rule['then']:<10} when {rule['when']}"
        yield from _source(rule)
    yield from ("", "actions")
    width = max(map(len, found["actions"]), default=0)
    yield from (f"  {action:<{width}}  {title}" for action, title in found["actions"].items())


def _auth_lines(auth: Mapping[str, Any]) -> Iterable[str]:
    for choice, scheme in auth.get("schemes", {"": auth}).items():
        chosen = f" (with {auth['setting']}: {choice})" if choice else ""
        names = ", ".join(scheme.get("credentials", ()))
        yield f"{scheme['scheme']}{f': {names}' if names else ''}{chosen}"


def _action_lines(found: dict[str, Any]) -> Iterable[str]:
    yield f"{found['action']}  {found['title']}"
    yield from _wrapped(found["description"])
    yield ""
    yield f"request    {found['request']}"
    yield f"operation  {found['operation']}"
    yield from (
        f"{name:<10} {as_written(found[name])}" for name in ("audience", "split") if name in found
    )
    yield f"caps       {_pairs(found['caps'])}"
    yield f"defaults   {_pairs(found['defaults'])}"
    yield from _source(found)
    yield from ("", "parameters")
    for parameter in found["parameters"]:
        yield from _parameter_lines(parameter)
    if found["identifiers"]:
        yield from ("", "identifiers")
        yield from (f"  {line}" for line in _rule_table(found["identifiers"]))
        yield from (line for note in found["notes"] for line in _wrapped(note, "  "))
    if found["checks"]:
        yield from ("", "checks")
    for check in found["checks"]:
        yield f"  {check['code']}: {check['message']}"


def _parameter_lines(parameter: dict[str, Any]) -> Iterable[str]:
    required = "  (required)" if parameter["required"] else ""
    yield f"  {parameter['name']}{required}  {parameter.get('title', '')}"
    yield from _wrapped(parameter.get("description", ""), "      ")
    if "enum" in parameter:
        yield f"      allowed: {', '.join(map(as_written, parameter['enum']))}"
    if "default" in parameter:
        yield f"      default: {as_written(parameter['default'])}"
    if parameter.get("examples"):
        yield f"      for example: {', '.join(map(as_written, parameter['examples']))}"
    yield from _source(parameter.get("identifier", {}), "      ")
    yield from _source(parameter, "      ")


def _rule_table(rules: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for most in _SHORT:
        lines = list(_aligned(_rule_rows(rules, most), wrap=1, width=_WIDTH - 2))
        if max(map(_cells, lines)) <= _WIDTH - 2:
            break
    return lines


def _rule_rows(rules: list[dict[str, Any]], most: int) -> Iterable[list[str]]:
    """Yield the cells of the identifier table; further examples of an identifier have rows of their own."""
    yield ["parameter", "steps", "hash", "sent as", "example", "becomes"]
    for rule in rules:
        steps = f"{_TIED}→\n".join(rule["steps"])
        hashed = "given" if rule["prehashed"] is True else rule["hash"]
        first = [rule["parameter"], steps, hashed, rule["wire"]]
        for example in rule["examples"] or [{"in": "", "out": ""}]:
            becomes = example["out"] if example["out"] is not None else "dropped"
            digest = becomes if rule["hash"] != "none" else ""
            yield [
                *first,
                *(_short(as_written(text), digest, most) for text in (example["in"], becomes)),
            ]
            first = [""] * len(first)


def _short(text: str, digest: str, most: int) -> str:
    """Shorten a digest, and what is too long for the table."""
    if len(text) <= most:
        return text
    return f"{text[:8]}…" if text == digest else f"{text[:most]}…"


def _aligned(table: Iterable[Sequence[str]], *, wrap: int, width: int) -> Iterable[str]:
    """Yield lines of columns two spaces apart; the column `wrap`, of lines that belong together, takes what is left."""
    rows = list(table)
    widths = [max(map(_cells, column)) for column in zip(*rows, strict=True)]
    room = max(width - sum(widths) + widths[wrap] - 2 * (len(widths) - 1), _NARROWEST)
    rows = [[*row[:wrap], _folded(row[wrap], room), *row[wrap + 1 :]] for row in rows]
    widths[wrap] = max(_cells(line) for row in rows for line in row[wrap].split("\n"))
    for row in rows:
        for number, part in enumerate(row[wrap].split("\n")):
            cells = [
                part if place == wrap else "" if number else cell for place, cell in enumerate(row)
            ]
            padded = (
                cell + " " * (size - _cells(cell)) for cell, size in zip(cells, widths, strict=True)
            )
            yield "  ".join(padded).rstrip().replace(_TIED, " ")


# So wide that the name of no step is broken.
_NARROWEST = 20


def _folded(text: str, room: int) -> str:
    """Join pieces to lines that are no longer than they have to be."""
    lines: list[str] = []
    for piece in text.split("\n"):
        if lines and _cells(lines[-1]) + 1 + _cells(piece) <= room:
            lines[-1] += f" {piece}"
        else:
            lines += textwrap.wrap(piece, room, break_on_hyphens=False) or [""]
    return "\n".join(lines)


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text
    )


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{value:,} {key}" if isinstance(value, int) else f"{key} {value}"
        for key, value in values.items()
    )


def _source(holder: Mapping[str, Any], indent: str = "           ") -> Iterable[str]:
    source = holder.get("source")
    if source:
        where = f" ({source['url']})" if "url" in source else ""
        yield from _wrapped(f"source: {source['read']}. {source.get('note', '')}{where}", indent)


def _wrapped(text: str, indent: str = "") -> Iterable[str]:
    wrap = partial(
        textwrap.wrap,
        width=_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    for paragraph in text.split("\n") if text else ():
        yield from wrap(paragraph) or [""]
