"""JSON Schema failures in our own words.

`jsonschema`'s message quotes the value, which may be an identifier; these texts are made of keyword, path and schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from connector.errors import nearest

_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_LIMITS = {
    "minLength": "has to have at least {} characters",
    "maxLength": "has to have at most {} characters",
    "minItems": "has to have at least {} entries",
    "maxItems": "has to have at most {} entries",
    "minProperties": "has to have at least {} members",
    "maxProperties": "has to have at most {} members",
    "minimum": "has to be at least {}",
    "maximum": "has to be at most {}",
    "exclusiveMinimum": "has to be more than {}",
    "exclusiveMaximum": "has to be less than {}",
    "multipleOf": "has to be a multiple of {}",
}

# What is said instead when the limit is 1.
_ONE = dict.fromkeys(("minLength", "minItems", "minProperties"), "is empty")
_ONE |= {"maxLength": "has more than one character", "maxItems": "has more than one entry"}
_ONE |= {"maxProperties": "has more than one member"}


class Failure(NamedTuple):
    """One failure: the keyword, a JSON pointer into the checked document, what is wrong and how to mend it.

    `missing` is the key that is not there.
    """

    keyword: str
    pointer: str
    message: str
    hint: str = ""
    missing: str = ""


def pointer(parts: Any) -> str:
    """Return a JSON pointer (RFC 6901) of keys and indexes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def lookup(document: Any, place: str) -> Any:
    """Return what a JSON pointer leads to. Raises LookupError or ValueError when there is nothing."""
    for part in place.split("/")[1:]:
        document = document[
            int(part) if isinstance(document, list) else part.replace("~1", "/").replace("~0", "~")
        ]
    return document


def failures(validator: Any, document: object, *, quote: bool = True) -> list[Failure]:
    """Return every failure of a document, in the order of the document; `quote` allows single words of it in texts."""
    found = [item for error in validator.iter_errors(document) for item in _explain(error, quote)]
    return sorted(dict.fromkeys(found), key=lambda item: item.pointer)


def explained(validator: Any, document: object, *, quote: bool = True) -> list[Failure]:
    """Return the failures of a document that another validator has refused: never none.

    The two can differ in a corner: Python's `$` lets a final line break pass.
    """
    try:
        found = failures(validator, document, quote=quote)
    except re.error:  # a pattern that only the other validator can read
        found = []
    return found or [Failure("pattern", "", "is not of the right form")]


def _explain(error: Any, quote: bool) -> Iterator[Failure]:
    if error.validator in ("anyOf", "oneOf") and error.context:
        yield from _best_branch(error, quote)
        return
    if error.validator == "oneOf":
        yield _one_of_several(error)
        return
    if "propertyNames" in error.relative_schema_path:
        yield _wrong_key(error)
        return
    explain = _EXPLAIN.get(error.validator, _form)
    for said in explain(error, quote):
        place = pointer([*error.absolute_path, *said.parts])
        yield Failure(error.validator, place, said.message, said.hint, said.missing)


def _wrong_key(error: Any) -> Failure:
    """Explain a key that may not be called so: what is checked then is the key, not a value."""
    place = pointer([*error.absolute_path, error.instance])
    return Failure(
        "propertyNames",
        place,
        f"the key '{error.instance}' is not of the right form",
        _allowed(error.schema),
    )


def _best_branch(error: Any, quote: bool) -> Iterator[Failure]:
    """Explain the branch that got furthest; with none better than the others, say what each of them asks."""
    branches: dict[int, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    if all(inner.validator == "required" for inner in error.context):
        names = ", ".join(sorted({key for inner in error.context for key in inner.validator_value}))
        yield Failure(
            "required", pointer(error.absolute_path), f"at least one of these is needed: {names}"
        )
        return
    best = min(
        branches.values(),
        key=lambda inner: (any(e.validator == "type" and not e.path for e in inner), len(inner)),
    )
    if all(any(e.validator == "type" and not e.path for e in inner) for inner in branches.values()):
        kinds = " or ".join(
            dict.fromkeys(_kinds(e.validator_value) for inner in branches.values() for e in inner)
        )
        message = f"has to be {kinds}, not {_kind_of(error.instance)}"
        yield Failure("type", pointer(error.absolute_path), message, _allowed(error.schema))
        return
    for inner in best:
        yield from _explain(inner, quote)


def _one_of_several(error: Any) -> Failure:
    """Explain an object that fits several branches where it may fit one."""
    branches = error.validator_value
    names = sorted({name for branch in branches for name in branch.get("required", ())})
    message = (
        f"exactly one of these is needed: {', '.join(names)}"
        if names
        else "fits several forms where one is allowed"
    )
    return Failure("oneOf", pointer(error.absolute_path), message)


class _Said(NamedTuple):
    """What one keyword has to say, at the place `parts` below the failing value."""

    message: str
    hint: str = ""
    parts: tuple[Any, ...] = ()
    missing: str = ""


def _unknown_keys(error: Any, _quote: bool) -> Iterator[_Said]:
    known = _properties(error.schema)
    for key in error.instance:
        if key not in known:
            yield _Said(f"unknown key '{key}'", nearest(key, known), (key,))


def _properties(schema: Any) -> set[str]:
    known = set(schema.get("properties", ()))
    for part in (*schema.get("allOf", ()), schema.get("then"), schema.get("else")):
        known |= _properties(part) if isinstance(part, dict) else set()
    return known


def _missing_key(error: Any, _quote: bool) -> Iterator[_Said]:
    for key in error.validator_value:
        if key not in error.instance:
            about = error.schema.get("properties", {}).get(key, {})
            hint = about.get("description", "") if isinstance(about, dict) else ""
            yield _Said(f"missing key '{key}'", hint, missing=key)


def _missing_dependent(error: Any, _quote: bool) -> Iterator[_Said]:
    for key, needed in error.validator_value.items():
        for other in needed if key in error.instance else ():
            if other not in error.instance:
                yield _Said(f"missing key '{other}'", f"'{key}' needs it", missing=other)


def _unknown_word(error: Any, quote: bool) -> Iterator[_Said]:
    words = [str(word) for word in error.validator_value]
    if len(words) == 1:
        yield _Said(f"has to be '{words[0]}'", _allowed(error.schema))
    elif quote and isinstance(error.instance, str):
        yield _Said(f"unknown word '{error.instance[:60]}'", nearest(error.instance, words))
    else:
        yield _Said("is not one of the allowed values", f"known: {', '.join(words)}")


def _const(error: Any, _quote: bool) -> Iterator[_Said]:
    yield _Said(f"has to be {json.dumps(error.validator_value)}", _allowed(error.schema))


def _wrong_type(error: Any, _quote: bool) -> Iterator[_Said]:
    yield _Said(
        f"has to be {_kinds(error.validator_value)}, not {_kind_of(error.instance)}",
        _allowed(error.schema),
    )


def _form(error: Any, _quote: bool) -> Iterator[_Said]:
    limit = _LIMITS.get(error.validator)
    if error.validator in _ONE and error.validator_value == 1:
        yield _Said(_ONE[error.validator], _allowed(error.schema))
    elif limit:
        yield _Said(limit.format(error.validator_value), _allowed(error.schema))
    else:
        rule = (
            f"pattern {error.validator_value}"
            if error.validator == "pattern"
            else f"'{error.validator}'"
        )
        yield _Said(f"is not of the right form ({rule})", _allowed(error.schema))


_EXPLAIN: dict[str, Callable[[Any, bool], Iterator[_Said]]] = {
    "additionalProperties": _unknown_keys,
    "unevaluatedProperties": _unknown_keys,
    "required": _missing_key,
    "dependentRequired": _missing_dependent,
    "enum": _unknown_word,
    "const": _const,
    "type": _wrong_type,
}


def _kinds(types: Any) -> str:
    return " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))


def _kind_of(value: object) -> str:
    kinds = {bool: "boolean", str: "string", dict: "object", list: "array", int: "integer"}
    if isinstance(value, float):
        return "a number with a fraction"
    return _TYPES[kinds.get(type(value), "null")]


def _allowed(schema: Any) -> str:
    return (
        f"allowed: {schema['description']}"
        if isinstance(schema, dict) and "description" in schema
        else ""
    )
