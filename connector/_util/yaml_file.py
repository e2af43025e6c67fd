"""YAML as people mean it: only true, false, null and plain numbers are not text; a key stands once.

So `2026-01-15`, `0777`, `1_000`, `1e9`, `on` and `no` stay the text that was written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from connector.errors import ConfigError, Problem


class _Loader(yaml.SafeLoader):
    """The safe loader with JSON's scalars instead of YAML 1.1's."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _form, _first in (
    ("bool", r"^(?:true|false|True|False)$", "tfTF"),
    ("null", r"^(?:null|Null|~|)$", ["n", "N", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", "-0123456789"),
    ("float", r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_form), list(_first))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.MarkedYAMLError(
                problem="a key has to be text", problem_mark=key_node.start_mark
            )
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the key '{key}' stands twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(path: Path, letter: str) -> Any:
    """Return the content of a YAML file. Raises ConfigError (`letter`101) when it cannot be read."""
    try:
        return parse_yaml(path.read_text("utf-8"))
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        message = "is not UTF-8 text"
    except RecursionError:
        message = "is nested too deeply"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = getattr(error, "problem", None) or "a character is not allowed"
        if "alias" in problem:  # the name may be a secret that was meant as text
            problem = "an alias (*…) stands for nothing; put text that starts with * in quotes"
        if "tag" in problem:  # so may a tag
            problem = "tags (!…) are not allowed; put text that starts with ! in quotes"
        message = f"is not YAML: {problem}{place}"
    raise ConfigError([Problem(f"{letter}101", str(path), "", message)])


def parse_yaml(text: str) -> Any:
    """Return the content of YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
