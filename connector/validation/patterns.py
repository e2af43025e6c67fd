"""Regular expressions of definitions, on the data of events.

Python's own engine tries every way to match: one short text may take it years. That of
`jsonschema_rs` takes time in proportion to the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import jsonschema_rs

#: An expression that looks around or back is tried in so many ways; then it counts as not found.
MOST_STEPS = 100_000


@lru_cache(maxsize=1_000)
def compile_pattern(pattern: str, *, whole: bool = False) -> Callable[[str], bool]:
    """Return the function that says whether a regular expression is found in a text.

    whole: whether it has to be the whole text. The time that this takes is linear in the text; for
    what a linear engine cannot say, such as looking ahead, it is bounded. Nothing is found in text
    that is not Unicode. Raise ValueError for an invalid expression.
    """
    return _compile({"pattern": f"^(?:{pattern})$" if whole else pattern})


@lru_cache(maxsize=1_000)
def compile_for_all(pattern: str) -> Callable[[list[str]], bool]:
    """Return the function that says whether an expression is the whole of each of many texts.

    As `compile_pattern`; a column is looked at in one call.
    """
    return _compile({"items": {"pattern": f"^(?:{pattern})$"}})


def _compile(schema: dict[str, Any]) -> Callable[[Any], bool]:
    try:
        is_valid = _validator(schema, jsonschema_rs.RegexOptions())
    except ValueError:
        is_valid = _validator(schema, jsonschema_rs.FancyRegexOptions(backtrack_limit=MOST_STEPS))

    def found_in(value: Any) -> bool:
        try:
            return bool(is_valid(value))
        except ValueError:
            return False  # half of a surrogate pair

    return found_in


def _validator(schema: Any, options: Any) -> Callable[[str], bool]:
    return jsonschema_rs.Draft202012Validator(schema, pattern_options=options).is_valid


# Keywords of `jsonschema`, which uses Python's engine
# ---------------------------------------------------------------------------------------------


def _check_pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not compile_pattern(pattern)(instance):
        yield _failure()


def _check_pattern_properties(
    validator: Any, schemas: Any, instance: Any, _schema: Any
) -> Iterator[Any]:
    for pattern, schema in schemas.items():
        for key in filter(compile_pattern(pattern), _keys(instance)):
            yield from validator.descend(instance[key], schema, path=key, schema_path=pattern)


def _check_other_properties(
    validator: Any, allowed: Any, instance: Any, schema: Any
) -> Iterator[Any]:
    known = schema.get("properties", ())
    patterns = list(map(compile_pattern, schema.get("patternProperties", ())))
    for key in _keys(instance):
        if key in known or any(found_in(key) for found_in in patterns):
            continue
        if allowed is False:
            yield _failure()
            return
        yield from validator.descend(instance[key], allowed, path=key)


def _keys(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _failure() -> Exception:
    from jsonschema.exceptions import ValidationError

    return ValidationError("")


#: What `jsonschema` does for the keywords that have regular expressions.
PATTERN_KEYWORDS = {
    "pattern": _check_pattern,
    "patternProperties": _check_pattern_properties,
    "additionalProperties": _check_other_properties,
}
