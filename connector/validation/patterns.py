"""Regular expressions of definitions, on the data of events.

Python's own engine tries every way to match: one short text may take it years. That of
`jsonschema_rs` takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from math import prod
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


# What a group of an expression holds, which `jsonschema_rs` cannot say
# ---------------------------------------------------------------------------------------------

#: What an expression may consist of, for Python's engine to take time in proportion to the text.
PART_SYNTAX = (
    r"letters, digits, signs such as \., classes such as [0-9], and ., repeated by ?, {3} or {2,5} "
    "in at most 100 ways; + or * at most once, and outside the group; ++ and *+, which give "
    "nothing back, outside it or in a group that comes first"
)

_SIGN = r"\\(?:[^A-Za-z0-9]|[dsw])"
_CLASS = rf"\[\^?(?:{_SIGN}|[^\\\[\]])+\]"
_ATOM = rf"(?:{_SIGN}|{_CLASS}|[^\\\[\](){{}}?*+|^$])"
_TIMES = r"(?:[*+]\+|[?*+]|\{[0-9]{1,3}(?:,[0-9]{1,3})?\})?+"
_ATOMS = rf"(?:{_ATOM}{_TIMES})*+"
_has_one_group = re.compile(rf"{_ATOMS}\((?P<group>{_ATOMS})\)(?P<times>\??){_ATOMS}").fullmatch
_times_of_atoms = re.compile(rf"{_ATOM}({_TIMES})").findall
_MOST_WAYS = 100


def compile_part(pattern: str) -> Callable[[str], str | None]:
    """Return the function that returns what an expression's group holds of a text that fits it.

    None for any other text, "" where the group is not needed. It takes time in proportion to the
    text. Raise ValueError unless the expression has one group, and no more than PART_SYNTAX.
    """
    found = _has_one_group(pattern)
    if found is None:
        raise ValueError(PART_SYNTAX)

    times = [*_times_of_atoms(pattern), found["times"]]
    endless = [text for text in times if text in ("+", "*")]
    # A group behind something else would lose it once for each time that it stands there.
    forbidden_inside = {"+", "*"} if found.start("group") == 1 else {"+", "*", "++", "*+"}
    is_endless_inside = not forbidden_inside.isdisjoint(_times_of_atoms(found["group"]))
    if len(endless) > 1 or is_endless_inside or prod(map(_ways, times)) > _MOST_WAYS:
        raise ValueError(PART_SYNTAX)

    try:
        fits = re.compile(pattern).fullmatch
    except re.error:
        raise ValueError(PART_SYNTAX) from None

    def part(value: str) -> str | None:
        fitting = fits(value)
        return None if fitting is None else fitting[1] or ""

    return part


def _ways(times: str) -> int:
    """Return in how many ways a piece of an expression may be repeated, + and * aside."""
    if times == "?":
        return 2
    if times in ("++", "*+"):
        return 1
    least, comma, most = times.strip("{}").partition(",")
    return int(most) - int(least) + 1 if comma else 1


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
