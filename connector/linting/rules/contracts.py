"""The rules of lint on contracts: their keywords, and what their annotations point to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from connector.definitions.model import Action, Destination
from connector.errors import nearest
from connector.linting.location import Location, of_action
from connector.linting.rule import Problems, rule
from connector.sandbox.contract import SETTING
from connector.sandbox.places import ANNOTATIONS
from connector.validation.schema import ASCENDING

_OPERATIONS = ("add", "remove", "replace", "nothing")

# Keywords of JSON Schema 2020-12 by what stands in them.
_ONE_SCHEMA = ("additionalProperties", "items", "if", "then", "else")
_SCHEMAS = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED_SCHEMAS = ("properties", "$defs")
# Those that are not read for people: an annotation in them would have no effect.
_UNREAD_ONE = ("contains", "not", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
_UNREAD_NAMED = ("patternProperties", "dependentSchemas")
_OTHERS = (
    *("$schema", "$id", "$anchor", "$comment", "$ref", "$dynamicRef", "$dynamicAnchor"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("type", "enum", "const", "multipleOf", "maximum", "minimum"),
    *("exclusiveMaximum", "exclusiveMinimum", "maxLength", "minLength", "pattern", "format"),
    *("maxItems", "minItems", "uniqueItems", "maxContains", "minContains"),
    *("maxProperties", "minProperties", "required", "dependentRequired"),
    *("contentEncoding", "contentMediaType", "contentSchema"),
)
_KEYWORDS = {
    *_ONE_SCHEMA, *_SCHEMAS, *_NAMED_SCHEMAS, *_UNREAD_ONE, *_UNREAD_NAMED, *_OTHERS, *ANNOTATIONS,
    ASCENDING, SETTING,
}  # fmt: skip


class _Place(NamedTuple):
    """A schema in a contract; `is_read` says whether people in it count."""

    location: Location
    schema: Mapping[str, Any]
    is_read: bool


@rule("D244", stage="documents", blocks=True)
def keyword(destination: Destination) -> Problems:
    """Find a keyword of a contract that does not exist, or has a value without a meaning.

    It would have no effect. Correct it.
    """
    for action in destination.actions.values():
        for place in _places(action):
            for word, value in place.schema.items():
                location = place.location / word
                if word not in _KEYWORDS:
                    hint = nearest(word, sorted(_KEYWORDS)).partition("; ")[2]
                    own = ", ".join((*ANNOTATIONS, ASCENDING, SETTING))
                    known = f"known: those of JSON Schema, and {own}"
                    yield location.problem(
                        f"unknown keyword '{word}'", f"{known}; {hint}" if hint else known
                    )
                elif word in ANNOTATIONS and not place.is_read:
                    yield location.problem(
                        "has no effect here",
                        "people are read in properties, additionalProperties, items, prefixItems, "
                        "allOf, anyOf, oneOf, if, then and else",
                    )
                elif word in _FORMS and not _FORMS[word](value):
                    yield location.problem("has no meaning", f"allowed: {_FORM_WORDS[word]}")


@rule("D245", stage="documents")
def annotation(destination: Destination) -> Problems:
    """Find an annotation of a contract that points to nothing, and a contract without people.

    The sandbox would not know what is sent. Correct the name.
    """
    users: dict[str, list[tuple[Action, _Place]]] = {}
    for action in destination.actions.values():
        for place in _places(action):
            users.setdefault(str(place.location), []).append((action, place))
            yield from _no_settings(destination, place)
        if action.accepts is not None and place_of_people(action) is None:
            yield (of_action(action) / "accepts").problem(
                "does not say where people stand",
                'add "person": true to the schema of one person, and "identifier": true to those '
                "of the identifiers in it",
            )

    for uses in users.values():
        yield from _pointing_nowhere(uses)


def _no_settings(destination: Destination, place: _Place) -> Problems:
    """Yield what the keyword `setting` names that is no setting."""
    settings = place.schema.get(SETTING)
    for name in settings if isinstance(settings, dict) else ():
        if name not in destination.settings:
            yield (place.location / SETTING / name).problem(
                f"'{name}' is no setting", nearest(name, sorted(destination.settings))
            )


def _pointing_nowhere(uses: list[tuple[Action, _Place]]) -> Problems:
    """Yield the annotations of one place that point to nothing in any of its actions."""
    place = uses[0][1]
    parameters: dict[str, None] = {}
    wires: dict[str, None] = {}
    for action, _ in uses:
        parameters.update(dict.fromkeys(action.parameters))
        wires.update(dict.fromkeys(action.wires))

    for word in ("parameter", "key"):
        name = place.schema.get(word)
        if isinstance(name, str) and name not in parameters:
            yield (place.location / word).problem(
                f"'{name}' is no parameter", nearest(name, sorted(parameters))
            )
    identifier = place.schema.get("identifier")
    if isinstance(identifier, str) and identifier not in wires:
        yield (place.location / "identifier").problem(
            f"'{identifier}' is no wire key", nearest(identifier, sorted(wires))
        )
    table = place.schema.get("wire")
    for word, wire in table.items() if isinstance(table, dict) else ():
        if wire not in wires:
            yield (place.location / "wire" / word).problem(
                f"'{wire}' is no wire key", nearest(wire, sorted(wires))
            )


def place_of_people(action: Action) -> Location | None:
    """Return where an action's contract says that people stand, None when it does not."""
    for place in _places(action):
        if "person" in place.schema:
            return place.location
    return None


def _places(action: Action) -> Iterator[_Place]:
    """Yield every schema in an action's contract."""
    if action.accepts is not None:
        yield from _below(_Place(of_action(action) / "accepts", action.accepts, True))


def _below(place: _Place) -> Iterator[_Place]:
    if not isinstance(place.schema, dict):
        return
    yield place
    for word, value in place.schema.items():
        location = place.location / word
        is_read = place.is_read and word not in (*_UNREAD_ONE, *_UNREAD_NAMED)
        if word in (*_ONE_SCHEMA, *_UNREAD_ONE):
            yield from _below(_Place(location, value, is_read))
        elif word in _SCHEMAS:
            for index, schema in enumerate(value):
                yield from _below(_Place(location / index, schema, is_read))
        elif word in (*_NAMED_SCHEMAS, *_UNREAD_NAMED):
            for name, schema in value.items():
                yield from _below(_Place(location / name, schema, is_read))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_flag(value: Any) -> bool:
    return value is True


def _is_identifier(value: Any) -> bool:
    return value is True or _is_word(value) or _is_names(value)


def _is_wire(value: Any) -> bool:
    return value is True or (isinstance(value, dict) and all(map(_is_word, value.values())))


def _is_operation(value: Any) -> bool:
    operations = value.values() if isinstance(value, dict) else [value]
    return all(operation in _OPERATIONS for operation in operations)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(map(_is_word, value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_FORMS = {
    ASCENDING: _is_names,
    SETTING: _is_object,
    "person": _is_flag,
    "identifier": _is_identifier,
    "wire": _is_wire,
    "operation": _is_operation,
    "parameter": _is_word,
    "key": _is_word,
}
_FORM_WORDS = {
    ASCENDING: "a list of names of members, two or more",
    SETTING: "an object: the name of a setting → its value",
    "person": "true",
    "identifier": "true, a wire key, or a list of names of members that are one together",
    "wire": "true, or an object: the vendor's word → wire key",
    "operation": "add, remove, replace or nothing, or an object: the vendor's word → one of these",
    "parameter": "the name of a parameter",
    "key": "the name of a parameter",
}
