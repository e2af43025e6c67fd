"""JSON Schema failures in our own words.

`jsonschema`'s message quotes the value, which may be an identifier; these texts are made of
keyword, path and schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from connector.errors import nearest
from connector.validation.patterns import compile_pattern

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
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} entries",
    "maxItems": "must have at most {} entries",
    "minProperties": "must have at least {} members",
    "maxProperties": "must have at most {} members",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
}
# What reads better when the limit is 1.
_LIMITS_OF_ONE = {
    "minLength": "is empty",
    "minItems": "is empty",
    "minProperties": "is empty",
    "maxLength": "has more than one character",
    "maxItems": "has more than one entry",
    "maxProperties": "has more than one member",
}
# So much of an unknown word is repeated.
_LONGEST_WORD = 60


class Failure(NamedTuple):
    """One failure: the keyword, a JSON pointer into the document, what is wrong, and the fix.

    `missing` is the key that is not there.
    """

    keyword: str
    pointer: str
    message: str
    hint: str = ""
    missing: str = ""


def pointer(parts: Iterable[Any]) -> str:
    """Return a JSON pointer (RFC 6901) of keys and indexes."""
    text = ""
    for part in parts:
        text += "/" + str(part).replace("~", "~0").replace("/", "~1")
    return text


def lookup(document: Any, path: str) -> Any:
    """Return what a JSON pointer leads to. Raise LookupError or ValueError."""
    for part in path.split("/")[1:]:
        if isinstance(document, list):
            document = document[int(part)]
        else:
            document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def failures(validator: Any, document: object, *, quote: bool) -> list[Failure]:
    """Return every failure that a validator of `jsonschema` finds, in the order of the document.

    `quote` allows single words of the document in the texts.
    """
    unique: dict[Failure, None] = {}
    for error in validator.iter_errors(document):
        unique.update(dict.fromkeys(_explain(error, quote=quote)))
    return sorted(unique, key=lambda failure: failure.pointer)


class _Explanation(NamedTuple):
    """What one keyword reports, at the place `below` the failing value."""

    message: str
    hint: str = ""
    below: tuple[Any, ...] = ()
    missing: str = ""


def _explain(error: Any, *, quote: bool) -> Iterator[Failure]:
    # The schema `false` has no keyword.
    keyword = error.validator or "not"
    if keyword in ("anyOf", "oneOf") and error.context:
        yield from _no_branch(error, quote=quote)
    elif keyword == "oneOf":
        yield _several_branches(error)
    elif "propertyNames" in error.relative_schema_path:
        yield _invalid_key(error)
    else:
        explain = _EXPLAIN.get(keyword, _other)
        for item in explain(error, quote):
            path = pointer([*error.absolute_path, *item.below])
            yield Failure(keyword, path, item.message, item.hint, item.missing)


def _invalid_key(error: Any) -> Failure:
    """Explain an invalid key: the instance is the key, not a value."""
    key = error.instance
    path = pointer([*error.absolute_path, key])
    message = f"the key '{key}' has an invalid format"
    return Failure("propertyNames", path, message, _allowed(error.schema))


def _no_branch(error: Any, *, quote: bool) -> Iterator[Failure]:
    """Explain the branch that got furthest; when none did, which types all of them expect."""
    path = pointer(error.absolute_path)
    if all(inner.validator == "required" for inner in error.context):
        keys: set[str] = set()
        for inner in error.context:
            keys.update(inner.validator_value)
        message = f"at least one of these is required: {', '.join(sorted(keys))}"
        yield Failure("required", path, message)
        return

    branches: dict[int, list[Any]] = {}
    for inner in error.context:
        # a branch that is false has no path of its own
        branch = next(iter(inner.schema_path), id(inner))
        branches.setdefault(branch, []).append(inner)

    if all(map(_is_other_type, branches.values())):
        types: dict[str, None] = {}
        for inner in error.context:
            if inner.validator == "type":
                types[_type_names(inner.validator_value)] = None
        message = f"must be {' or '.join(types)}, got {_type_of(error.instance)}"
        yield Failure("type", path, message, _allowed(error.schema))
        return

    nearest_branch = min(
        branches.values(), key=lambda branch: (_is_other_type(branch), len(branch))
    )
    for inner in nearest_branch:
        yield from _explain(inner, quote=quote)


def _is_other_type(branch: list[Any]) -> bool:
    """Return whether the value has another type than this branch expects.

    That is the type of the value itself, not of a part of it.
    """
    return any(inner.validator == "type" and not inner.path for inner in branch)


def _several_branches(error: Any) -> Failure:
    """Explain an object that satisfies several branches where it may satisfy one."""
    keys: set[str] = set()
    for branch in error.validator_value:
        keys.update(branch.get("required", ()))

    message = "matches several alternatives where exactly one is allowed"
    if keys:
        message = f"exactly one of these is required: {', '.join(sorted(keys))}"
    return Failure("oneOf", pointer(error.absolute_path), message)


def _unknown_keys(error: Any, _quote: bool) -> Iterator[_Explanation]:
    known = _properties(error.schema)
    patterns = list(map(compile_pattern, error.schema.get("patternProperties", ())))
    for key in error.instance:
        if key not in known and not any(found_in(key) for found_in in patterns):
            yield _Explanation(f"unknown key '{key}'", nearest(key, known), (key,))


def _properties(schema: Any) -> set[str]:
    """Return the keys that a schema knows, in its alternatives too."""
    known = set(schema.get("properties", ()))
    for part in (*schema.get("allOf", ()), schema.get("then"), schema.get("else")):
        if isinstance(part, dict):
            known |= _properties(part)
    return known


def _missing_key(error: Any, _quote: bool) -> Iterator[_Explanation]:
    properties = error.schema.get("properties", {})
    for key in error.validator_value:
        if key in error.instance:
            continue
        schema = properties.get(key)
        hint = schema.get("description", "") if isinstance(schema, dict) else ""
        yield _Explanation(f"missing key '{key}'", hint, missing=key)


def _missing_dependent(error: Any, _quote: bool) -> Iterator[_Explanation]:
    for key, dependents in error.validator_value.items():
        if key not in error.instance:
            continue
        for other in dependents:
            if other not in error.instance:
                yield _Explanation(f"missing key '{other}'", f"'{key}' requires it", missing=other)


def _not_enumerated(error: Any, quote: bool) -> Iterator[_Explanation]:
    words = []
    for word in error.validator_value:
        words.append(word if isinstance(word, str) else json.dumps(word))
    value = error.instance
    if len(words) == 1:
        yield _Explanation(f"must be '{words[0]}'", _allowed(error.schema))
    elif quote and isinstance(value, str):
        yield _Explanation(f"unknown value '{value[:_LONGEST_WORD]}'", nearest(value, words))
    else:
        yield _Explanation("is not one of the allowed values", f"allowed: {', '.join(words)}")


def _not_constant(error: Any, _quote: bool) -> Iterator[_Explanation]:
    yield _Explanation(f"must be {json.dumps(error.validator_value)}", _allowed(error.schema))


def _wrong_type(error: Any, _quote: bool) -> Iterator[_Explanation]:
    expected = _type_names(error.validator_value)
    message = f"must be {expected}, got {_type_of(error.instance)}"
    yield _Explanation(message, _allowed(error.schema))


def _never(error: Any, _quote: bool) -> Iterator[_Explanation]:
    yield _Explanation("is not allowed here", _allowed(error.schema))


def _not_ascending(error: Any, _quote: bool) -> Iterator[_Explanation]:
    *earlier, last = [name for name in error.validator_value if name in error.instance]
    message = f"has to be later or more than {' and '.join(earlier)}"
    yield _Explanation(message, below=(last,))


def _other(error: Any, _quote: bool) -> Iterator[_Explanation]:
    keyword = error.validator
    limit = error.validator_value
    if keyword in _LIMITS_OF_ONE and limit == 1:
        message = _LIMITS_OF_ONE[keyword]
    elif keyword in _LIMITS:
        message = _LIMITS[keyword].format(limit)
    elif keyword == "pattern":
        message = f"has an invalid format (pattern {limit})"
    else:
        message = f"has an invalid format ('{keyword}')"
    yield _Explanation(message, _allowed(error.schema))


_EXPLAIN: dict[str, Callable[[Any, bool], Iterator[_Explanation]]] = {
    "additionalProperties": _unknown_keys,
    "unevaluatedProperties": _unknown_keys,
    "required": _missing_key,
    "dependentRequired": _missing_dependent,
    "enum": _not_enumerated,
    "const": _not_constant,
    "type": _wrong_type,
    "not": _never,
    "ascending": _not_ascending,
}


def _type_names(types: str | list[str]) -> str:
    names = [types] if isinstance(types, str) else types
    return " or ".join(map(_TYPES.__getitem__, names))


def _type_of(value: object) -> str:
    match value:
        case bool():
            return _TYPES["boolean"]
        case float():
            return "a number with a fraction"
        case int():
            return _TYPES["integer"]
        case str():
            return _TYPES["string"]
        case dict():
            return _TYPES["object"]
        case list():
            return _TYPES["array"]
    return _TYPES["null"]


def _allowed(schema: Any) -> str:
    """Return the description of a schema's values, as a hint."""
    if isinstance(schema, dict) and "description" in schema:
        return f"allowed: {schema['description']}"
    return ""
