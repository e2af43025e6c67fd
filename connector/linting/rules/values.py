"""The rules of lint on single values, before anything is rendered: examples, defaults, patterns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.model import Destination, Field
from connector.errors import Problem, nearest
from connector.linting.location import Location
from connector.linting.rule import Problems, locations, rule
from connector.validation.explain import pointer as json_pointer
from connector.validation.patterns import PART_SYNTAX, compile_part
from connector.validation.schema import is_pattern

_NO_PATTERN = "is not a regular expression"
_PATTERNS = "allowed: syntax that ECMA 262 and Python share, such as ^[0-9a-z]+$"


@rule("D221", stage="documents", blocks=True)
def invalid_value(destination: Destination) -> Problems:
    """Find an example or a default that violates its own schema.

    A form would offer it. Correct the value or the schema.
    """
    location = Location(destination.document) / "properties"
    for setting in destination.settings.values():
        yield from invalid_values(location, setting)

    for action in destination.actions.values():
        location = Location(action.document) / "properties"
        for name in action.shared_parameters:
            yield from invalid_values(location, action.parameters[name])

    for call in destination.calls.values():
        location = Location(call.document) / "properties"
        for parameter in call.parameters.values():
            yield from invalid_values(location, parameter)


def invalid_values(properties: Location, field: Field) -> Problems:
    """Yield the examples and the default of a field that violate its schema."""
    location = properties / field.name
    for index, example in enumerate(field.examples):
        yield from _invalid(location / "examples" / index, field, example)

    if field.has_default:
        yield from _invalid(location / "default", field, field.default, exact=True)


def _invalid(location: Location, field: Field, value: Any, *, exact: bool = False) -> Problems:
    """Yield why a value is invalid. With exact=True, it must not need any conversion."""
    try:
        converted = compile_parameter(field.name, field.schema)(value)
    except ParameterError as error:
        hint = ""
        if field.allowed:
            hint = f"allowed: {', '.join(map(str, field.allowed))}"
        yield location.problem(str(error), hint)
        return
    except ValueError:
        # an invalid pattern is the business of another rule
        return

    is_same = converted == value and type(converted) is type(value)
    if exact and not is_same:
        hint = f"write {json.dumps(converted)}"
        yield location.problem("a default is not converted", hint)


@rule("D221", stage="documents", blocks=True)
def invalid_settings(destination: Destination) -> Problems:
    """Find an example of settings that no connection could have.

    It would mislead whoever copies it. Correct the example.
    """
    settings = destination.settings
    examples = Location(destination.document) / "examples"

    for index, example in enumerate(destination.schema.get("examples", ())):
        location = examples / index
        for setting in settings.values():
            if setting.required and setting.name not in example:
                yield location.problem(f"missing required setting '{setting.name}'")

        for name, value in example.items():
            if name in settings:
                yield from _invalid(location / name, settings[name], value)
            else:
                yield (location / name).problem(
                    f"unknown setting '{name}'",
                    nearest(name, settings),
                )


@rule("D221", stage="documents", blocks=True)
def missing_example(destination: Destination) -> Problems:
    """Find a required setting without an example.

    Lint could not run the examples of actions. Add one.
    """
    if "examples" in destination.schema:
        return
    for name, setting in destination.settings.items():
        has_value = setting.has_default or "examples" in setting.schema
        if setting.required and not has_value:
            location = Location(destination.document) / "properties" / name
            yield location.problem(
                "has no example: lint cannot render requests",
                f'add "examples": [{{"{name}": …}}] at the top level of the file',
            )


@rule("D231", stage="documents", blocks=True)
def pattern(destination: Destination) -> Problems:
    """Find a pattern that is not a regular expression, or may take long.

    Nothing could be checked with it. Write it in the syntax that ECMA 262 and Python share.
    """
    for top in locations(destination):
        yield from invalid_patterns(top)

    folder = destination.document.folder
    for path in sorted(folder.path.glob("*.accepts.json")):
        for pointer, text in _patterns(folder.content(path.name), ("pattern",)):
            if not is_pattern(text):
                yield Problem("", str(path), pointer, _NO_PATTERN, _PATTERNS)


def invalid_patterns(top: Location) -> Problems:
    """Yield the patterns of a document that are no regular expressions, or not of their kind."""
    for pointer, text in _patterns(top.document.content, ("pattern", "matches")):
        if not is_pattern(text):
            yield top.below(pointer).problem(_NO_PATTERN, _PATTERNS)
    for pointer, text in _patterns(top.document.content, ("keep",)):
        if not _is_part(text):
            yield top.below(pointer).problem(
                "is not a regular expression of the kind that is fast on every text",
                f"allowed: one group, and {PART_SYNTAX}",
            )


def _is_part(text: str) -> bool:
    try:
        compile_part(text)
    except ValueError:
        return False
    return True


def _patterns(node: Any, keys: tuple[str, ...], pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield every pattern below a node, by the keys that have one, with its pointer."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for key, part in members:
        below = pointer + json_pointer([key])
        if key in keys and isinstance(part, str):
            yield below, part
        elif isinstance(part, dict | list):
            yield from _patterns(part, keys, below)
