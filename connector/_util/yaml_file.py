"""YAML without surprises.

Only true, false, null and plain numbers are not text; duplicate keys are errors. So `2026-01-15`,
`0777`, `1_000`, `1e9`, `on` and `no` stay the text that was written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from connector.errors import ConfigError, Problem

# What is not text: the tag, the pattern of the whole scalar, and the characters that it may start
# with.
_SCALARS = (
    ("bool", r"^(?:true|false|True|False)$", "tfTF"),
    ("null", r"^(?:null|Null|~|)$", ["n", "N", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", "-0123456789"),
    ("float", r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$", "-0123456789"),
)


class _Loader(yaml.SafeLoader):
    """The safe loader with JSON's scalars instead of YAML 1.1's."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """Return a mapping. Raise MarkedYAMLError for a key that is not text or is a duplicate."""
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        problem = ""
        if not isinstance(key, str):
            problem = "a key must be text"
        elif key in seen:
            problem = f"duplicate key '{key}'"
        if problem:
            mark = key_node.start_mark
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        seen.add(key)
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
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
        message = "is nested too deeply"
    except yaml.YAMLError as error:
        message = f"invalid YAML: {_explain(error)}"
    problem = Problem(f"{letter}101", str(path), "", message)
    raise ConfigError([problem])


def parse_yaml(text: str) -> Any:
    """Return the content of YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader


def _explain(error: yaml.YAMLError) -> str:
    """Return what is wrong, and where.

    Never show the name of an alias or a tag: it may be a secret that was meant as text.
    """
    problem = getattr(error, "problem", None) or "a character that YAML does not allow"
    if "alias" in problem:
        problem = "an alias (*…) has no anchor; quote text that starts with *"
    if "tag" in problem:
        problem = "tags (!…) are not allowed; quote text that starts with !"

    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return problem
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
