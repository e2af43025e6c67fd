"""The rules of lint on single values, before anything is rendered: examples, defaults, patterns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.model import Destination, Field
from connector.definitions.resolve import Document
from connector.errors import Problem, nearest
from connector.linting.rule import Rule, at, parameters
from connector.validation.explain import pointer
from connector.validation.schema import is_pattern


def refused_value(destination: Destination) -> Iterator[Problem]:
    """Find an example or default that its own schema refuses: a form would offer it. Mend the value or the schema."""
    for setting in destination.settings.values():
        yield from _refused_values(destination.document, setting)
    for action in destination.actions.values():
        for name in parameters(action):
            yield from _refused_values(action.document, action.parameters[name])


def refused_settings(destination: Destination) -> Iterator[Problem]:
    """Find an example of settings that no connection could have: it would mislead. Mend the example."""
    for index, example in enumerate(destination.schema.get("examples", ())):
        place = f"/examples/{index}"
        for name in destination.schema.get("required", ()):
            if name not in example and name in destination.settings:
                yield at(destination.document, place, f"the required setting '{name}' is missing")
        for name, value in example.items():
            if name in destination.settings:
                yield from _refused(
                    destination.document, f"{place}/{name}", destination.settings[name], value
                )
            else:
                hint = nearest(name, destination.settings)
                yield at(destination.document, f"{place}/{name}", f"unknown setting '{name}'", hint)


def no_setting(destination: Destination) -> Iterator[Problem]:
    """Find a required setting without a value for trying: the examples could not be run. Add an example."""
    if "examples" not in destination.schema:
        for name in destination.schema.get("required", ()):
            setting = destination.settings.get(name)
            if setting and not setting.has_default and "examples" not in setting.schema:
                hint = f'add "examples": [{{"{name}": …}}] at the top of the file'
                yield at(
                    destination.document,
                    f"/properties/{name}",
                    "has no example: lint cannot render anything",
                    hint,
                )


def _refused_values(document: Document, field: Field) -> Iterator[Problem]:
    place = f"/properties/{field.name}"
    for index, example in enumerate(field.examples):
        yield from _refused(document, f"{place}/examples/{index}", field, example)
    if field.has_default:
        yield from _refused(document, f"{place}/default", field, field.default, exact=True)


def _refused(
    document: Document,
    place: str,
    field: Field,
    value: Any,
    *,
    exact: bool = False,
) -> Iterator[Problem]:
    """Yield why a value is refused; an `exact` one is taken as it stands, without what a mapped one is made first."""
    try:
        taken = compile_parameter(field.name, field.schema)(value)
    except ParameterError as error:
        hint = f"allowed: {', '.join(map(str, field.allowed))}" if field.allowed else ""
        yield at(document, place, str(error), hint)
    except ValueError:
        return  # a pattern that is none: another rule says so
    else:
        if exact and (taken != value or type(taken) is not type(value)):
            yield at(
                document, place, "a default is taken as it stands", f"write {json.dumps(taken)}"
            )


def pattern(destination: Destination) -> Iterator[Problem]:
    """Find a pattern that is no regular expression: nothing could be checked with it. Mend the pattern."""
    for document in (
        destination.document,
        *(action.document for action in destination.actions.values()),
    ):
        for place, text in _patterns(document.content, ""):
            if not is_pattern(text):
                hint = "allowed: what ECMA 262 and Python have in common, for example ^[0-9a-z]+$"
                yield at(document, place, "is not a regular expression", hint)


def _patterns(node: Any, place: str) -> Iterator[tuple[str, str]]:
    for key, part in node.items() if isinstance(node, dict) else enumerate(node):
        below = place + pointer([key])
        if key in ("pattern", "matches") and isinstance(part, str):
            yield below, part
        elif isinstance(part, dict | list):
            yield from _patterns(part, below)


#: Code and rule.
RULES: list[tuple[str, Rule]] = [
    ("D221", refused_value),
    ("D221", refused_settings),
    ("D221", no_setting),
    ("D231", pattern),
]
