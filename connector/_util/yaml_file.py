"""YAML without surprises.

Only true, false, null and plain numbers are not text; duplicate keys are errors; `<<` merges. So
`2026-01-15`, `0777`, `1_000`, `1e9`, `on` and `no` stay the text that was written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from connector._util.depth import MAX_DEPTH_OF_FILES, is_deeper
from connector.errors import ConfigError, Problem

# What is not text: the tag, the pattern of the whole scalar, and the characters that it may start
# with.
_SCALARS = (
    ("bool", r"^(?:true|false|True|False)$", "tfTF"),
    ("null", r"^(?:null|Null|~|)$", ["n", "N", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", "-0123456789"),
    ("float", r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$", "-0123456789"),
)

# Characters. Numbers of so few are finite.
_LONGEST_NUMBER = 300
# Values, those that aliases repeat counted as often as they are repeated.
_MOST_VALUES = 1_000_000


class _Loader(yaml.SafeLoader):
    """The safe loader with JSON's scalars instead of YAML 1.1's."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """Return a mapping: what `<<` merges, and over it the mapping's own keys.

    Raise MarkedYAMLError for a key that is not text or is a duplicate.
    """
    merged: dict[str, Any] = {}
    own: dict[str, Any] = {}
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _marked("a key must be text", key_node)
        if key in seen:
            raise _marked(f"duplicate key '{key}'", key_node)
        seen.add(key)

        value = loader.construct_object(value_node, deep=True)
        if key == "<<" and key_node.style is None:
            merged = _merged(value, key_node)
        else:
            own[key] = value
    return {**merged, **own}


def _merged(value: Any, key_node: yaml.Node) -> dict[str, Any]:
    """Return what `<<` merges: one mapping, or several of which earlier ones go first."""
    merged: dict[str, Any] = {}
    for one in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(one, dict):
            problem = "'<<' takes a mapping (*name of an anchor &name), or a list of mappings"
            raise _marked(problem, key_node)
        merged |= one
    return merged


def _marked(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    """Return a number. Raise MarkedYAMLError for one that is too long."""
    written = loader.construct_scalar(node)
    if len(written) > _LONGEST_NUMBER:
        raise _marked("a number is too long; quote text that consists of digits", node)
    return float(written) if "." in written else int(written)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _SCALARS:
    _tag = f"tag:yaml.org,2002:{_name}"
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def read_yaml(path: Path, letter: str) -> Any:
    """Return the content of a YAML file. Raise ConfigError (`letter`101) when it cannot be read."""
    try:
        return parse_yaml(path.read_text("utf-8"))
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        message = "is not UTF-8 text"
    except RecursionError:
        message = f"is nested more than {MAX_DEPTH_OF_FILES} levels deep"
    except yaml.YAMLError as error:
        message = f"invalid YAML: {_explain(error)}"
    problem = Problem(f"{letter}101", str(path), "", message)
    raise ConfigError([problem])


def parse_yaml(text: str) -> Any:
    """Return the content of YAML text. Raise yaml.YAMLError, or RecursionError."""
    loader = _Loader(text)
    try:
        content = loader.get_single_data()
        if _count_values(content, {}) > _MOST_VALUES:
            problem = "aliases (*…) repeat too many values"
            raise yaml.MarkedYAMLError(problem=problem)
    finally:
        loader.dispose()
    if is_deeper(content, MAX_DEPTH_OF_FILES):
        raise RecursionError
    return content


def _count_values(value: Any, known: dict[int, int]) -> int:
    """Return how many values there are, those that aliases repeat as often as they are repeated."""
    if not isinstance(value, dict | list):
        return 1
    count = known.get(id(value))
    if count is None:
        count = 1
        for part in value.values() if isinstance(value, dict) else value:
            count += _count_values(part, known)
        known[id(value)] = count
    return count


def _explain(error: yaml.YAMLError) -> str:
    """Return what is wrong, and where.

    Never show the name of an alias or a tag: it may be a secret that was meant as text.
    """
    problem = getattr(error, "problem", None) or "a character that YAML does not allow"
    if "undefined alias" in problem:
        problem = "an alias (*…) has no anchor; quote text that starts with *"
    if "tag" in problem:
        problem = "tags (!…) are not allowed; quote text that starts with !"

    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return problem
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
