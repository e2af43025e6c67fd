"""YAML: what `<<` merges, and which keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from connector._util.json_file import read_json
from connector._util.yaml_file import parse_yaml, read_yaml
from connector.errors import ConfigError, DefinitionError

MERGED: list[tuple[str, Any]] = [
    ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", {"x": 1, "y": 3}),
    ("a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a}", {"x": 1, "y": 3}),
    ("a: &a {x: 1}\nc: &c {x: 2, z: 3}\nb: {<<: [*a, *c]}", {"x": 1, "z": 3}),
    ("a: &a {x: 1}\nc: &c {<<: *a, z: 3}\nb: {<<: *c}", {"x": 1, "z": 3}),
    ("b: {<<: {x: 1}}", {"x": 1}),
    ("b: {<<: []}", {}),
    ("a: &a {x: {p: 1, q: 2}}\nb: {<<: *a, x: {p: 3}}", {"x": {"p": 3}}),
    ('b: {"<<": 1}', {"<<": 1}),
    ("a: &a {x: no}\nb: *a", {"x": "no"}),
]


@pytest.mark.parametrize(("text", "expected"), MERGED)
def test_what_is_merged(text: str, expected: Any) -> None:
    assert parse_yaml(text)["b"] == expected


REFUSED: list[tuple[str, str]] = [
    ("b: {<<: x}", "'<<' takes a mapping"),
    ("b: {<<: [x]}", "'<<' takes a mapping"),
    ("b: {<<: null}", "'<<' takes a mapping"),
    ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "duplicate key '<<'"),
    ("b: {x: 1, x: 2}", "duplicate key 'x'"),
    ("a: &a {<<: *a}", "unconstructable recursive"),
    ("b: {1: x}", "a key must be text"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        parse_yaml(text)
    assert message in str(caught.value.problem)


def test_merging_again_and_again_takes_no_longer() -> None:
    levels = ["a0: &a0 {x: 1}"]
    for level in range(1, 40):
        levels.append(f"a{level}: &a{level} {{<<: [*a{level - 1}, *a{level - 1}]}}")
    assert parse_yaml("\n".join(levels))["a39"] == {"x": 1}


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ALIASES, "aliases (*…) repeat too many values"),
        ("a: &a [*a]", "recursive"),
        ("a: &a {<<: *a}", "recursive"),
        ("a: " + "1" * 5_000, "a number is too long"),
        ("a: " + "1" * 5_000 + ".5", "a number is too long"),
        ("a: " + "[" * 65 + "]" * 65, "nested more than 64 levels deep"),
        ("a: " + "[" * 900 + "]" * 900, "nested more than 64 levels deep"),
    ],
)
def test_a_file_of_any_content_is_one_problem(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as raised:
        read_yaml(path, "C")
    [found] = raised.value.problems
    assert found.code == "C101"
    assert problem in found.message


def test_aliases_may_repeat_what_they_name(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: &a {b: [1, 2.5, -3]}\nc: [*a, *a]\nd: {<<: *a}\n", "utf-8")
    inner = {"b": [1, 2.5, -3]}
    assert read_yaml(path, "C") == {"a": inner, "c": [inner, inner], "d": inner}


def test_json_that_is_nested_deeply_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a":' * 900 + "1" + "}" * 900, "utf-8")
    with pytest.raises(DefinitionError) as raised:
        read_json(path)
    assert "nested more than 64 levels deep" in raised.value.problems[0].message
