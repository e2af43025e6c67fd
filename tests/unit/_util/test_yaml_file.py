"""YAML: what `<<` merges, and which keys are refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from connector._util.yaml_file import parse_yaml

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
