"""A vendor's contract for bodies, and its failures by position.

No message quotes the body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from connector.definitions.uri_template import expand
from connector.validation.explain import Failure
from connector.validation.schema import Schema

_ALTERNATIVES = ("anyOf", "oneOf")
_UNKNOWN_KEY = ("additionalProperties", "unevaluatedProperties", "propertyNames")

#: The keyword of a schema that counts only for some connections: values of settings, by name.
SETTING = "setting"

# An answer need not list every failure of a group to say that it has one.
_MOST_ERRORS = 20

#: For each entry of a list, its errors: `message` and `parameter`.
Errors = list[list[dict[str, str | None]]]


class _Location(NamedTuple):
    """Where a failure is.

    `before` leads to the first list on the way, which has `size` entries; `entry` is the one,
    `parameter` what comes after it.
    """

    before: Sequence[str]
    size: int
    entry: int
    parameter: str | None


def for_settings(contract: Any, settings: Mapping[str, Any]) -> Any:
    """Return a contract for a connection with these settings.

    A schema with the keyword `setting` allows nothing where a setting has another value, and a text
    or the name of a member that is "{name}" is the value of that setting.
    """
    if isinstance(contract, list):
        return [for_settings(part, settings) for part in contract]
    if isinstance(contract, str):
        return (
            expand(contract, settings, encode=False)
            if _is_setting(contract, settings)
            else contract
        )
    if not isinstance(contract, dict):
        return contract

    for setting, value in contract.get(SETTING, {}).items():
        if settings.get(setting) != value:
            return False
    members = {}
    for name, part in contract.items():
        if name in _ALTERNATIVES:
            alternatives = for_settings(part, settings)
            members[name] = [one for one in alternatives if one is not False]
        elif name != SETTING:
            members[for_settings(name, settings)] = for_settings(part, settings)
    return members


def _is_setting(text: str, settings: Mapping[str, Any]) -> bool:
    return text[:1] == "{" and text[-1:] == "}" and text[1:-1] in settings


class Contract:
    """The JSON Schema of an action's `accepts`; without one, everything is accepted."""

    def __init__(self, schema: Any) -> None:
        """Compile a schema, True when there is none. Raise ValueError for an invalid one."""
        self.schema = schema
        self._compiled = Schema(schema)

    def holds(self, body: Any) -> bool:
        """Return whether a body satisfies it."""
        return self._compiled.is_valid(body)

    def explain(self, body: Any) -> tuple[str, Errors]:
        """Return why a body is refused, in one sentence, and the errors of each entry.

        The entries are those of the list that holds the failures. There are none when a failure is
        about the whole body.
        """
        failures = self._compiled.failures(body)
        sentence = _sentence(failures[0])

        locations: list[_Location] = []
        for failure in failures:
            location = self._locate(failure, body)
            if location is None or (locations and location.before != locations[0].before):
                return sentence, []
            locations.append(location)

        errors: Errors = [[] for _ in range(locations[0].size)]
        for failure, location in zip(failures, locations, strict=True):
            listed = errors[location.entry]
            if len(listed) < _MOST_ERRORS:
                listed.append({"message": _sentence(failure), "parameter": location.parameter})
        return sentence, errors

    @cached_property
    def _known_keys(self) -> frozenset[str]:
        return frozenset(_property_names(self.schema))

    def _locate(self, failure: Failure, body: Any) -> _Location | None:
        """Return where a failure is, None when it is in no list."""
        before: list[str] = []
        steps = _walk(failure.pointer, body)
        for step, size in steps:
            if isinstance(step, int):
                return _Location(before, size, step, self._parameter(steps))
            before.append(step)
        return None

    def _parameter(self, steps: Iterator[tuple[str | int, int]]) -> str | None:
        """Return the rest of a way, as far as the contract knows its keys.

        Another key may be an identifier.
        """
        path = ""
        for step, _ in steps:
            if isinstance(step, int):
                path += f"[{step}]"
            elif step in self._known_keys:
                path += f".{step}"
            else:
                break
        return path.removeprefix(".") or None


def _walk(pointer: str, document: Any) -> Iterator[tuple[str | int, int]]:
    """Yield the keys and indexes of a JSON pointer, each index with the length of its list."""
    for part in pointer.split("/")[1:]:
        if isinstance(document, list):
            index = int(part)
            yield index, len(document)
            document = document[index]
        else:
            key = part.replace("~1", "/").replace("~0", "~")
            yield key, 0
            document = document.get(key) if isinstance(document, dict) else None


def _sentence(failure: Failure) -> str:
    message = failure.message
    if failure.keyword in _UNKNOWN_KEY:
        message = "has an unknown key"  # the key itself may be an identifier
    return f"{message}; {failure.hint}" if failure.hint else message


def _property_names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _property_names(part)
