"""docs/x-parity.md is true: its commands are run, its tests are there, and no rule is left out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib import import_module
from typing import Any

import pytest
import yaml

from tests.kit import ROOT
from tests.parity.commands import FILES, Place, commands
from tests.parity.rules import STATES, Document, Rule, documents
from tests.parity.table import page

#: How many rules each document has, by its number.
COUNTS = {0: 83, 1: 88, 2: 24, 3: 18}
#: What is not done, and what is done differently: a change here is a decision.
NOT_YET = {"003-09"}
DIFFERENT = {
    *("000-21", "000-51", "000-53"),
    *("000-46", "000-60", "000-71", "000-75"),  # phone numbers
    *("000-73", "000-80"),  # the times of removals
    *("001-77", "001-86"),
}
RULES = [rule for document in documents() for rule in document.rules()]
each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.ids[0] for rule in RULES])


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.title)
def test_every_rule_stands_there_once(document: Document) -> None:
    found = []
    for rule in document.rules():
        found += rule.ids
    expected = []
    for number in range(1, COUNTS[document.number] + 1):
        expected.append(f"{document.number:03}-{number:02}")
    assert sorted(found) == expected


def test_what_is_not_done_or_different_is_named() -> None:
    found: dict[str, set[str]] = {state: set() for state in STATES}
    for rule in RULES:
        found[rule.state].update(rule.ids)
    assert found["later"] == NOT_YET
    assert found["different"] == DIFFERENT


@each_rule
def test_a_rule_says_what_its_state_needs(rule: Rule) -> None:
    is_shown = bool(rule.command and rule.shows and rule.tests)
    is_not_done = rule.state in ("later", "host")
    assert is_shown != is_not_done
    assert bool(rule.replaced) == (rule.state == "withdrawn")
    if rule.state in ("different", "later", "host"):
        assert rule.note


# --- the commands ---


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Yield where the commands are run."""
    made = Place(tmp_path_factory.mktemp("parity"))
    with made.server, closing(made):
        yield made


@pytest.mark.parametrize("own", commands())
def test_a_command_prints_what_the_rules_say(place: Place, own: str) -> None:
    done = place.run(own)
    assert done.status == commands()[own].status, done.text
    printed = even(done.out + "\n" + done.err)
    for rule in RULES:
        if rule.command != own:
            continue
        for text in rule.shows:
            assert even(text) in printed, (rule.ids, text, printed)


def even(text: str) -> str:
    """Return a text with one blank wherever it has some."""
    return " ".join(text.split())


def test_every_command_shows_a_rule_or_leads_to_one() -> None:
    named = {rule.command for rule in RULES if rule.command}
    assert named <= commands().keys()
    # they make what later commands need
    assert commands().keys() - named == {
        "new tealium",
        "new lytics",
        "new adobe",
        "create many",
        "send loyal",
    }


def test_every_file_is_used() -> None:
    lines = " ".join(command.run for command in commands().values())
    for path in FILES.iterdir():
        assert f" {path.name}" in lines, path.name


# --- the tests ---


@each_rule
def test_the_tests_of_a_rule_are_there(rule: Rule) -> None:
    for node in rule.tests:
        path, _, name = node.partition("::")
        assert path.startswith(("tests/", "schemas/")), path
        if path.endswith(".case.yaml"):
            assert name in cases_of(path), node
        else:
            function, _, parameter = name.partition("[")
            assert function in functions_of(path), node
            assert not parameter or parameter.removesuffix("]") in parameters_of(path, function)


@cache
def cases_of(path: str) -> set[str]:
    """Return the names of the cases of a file."""
    return {case["name"] for case in yaml.safe_load((ROOT / path).read_text("utf-8"))["cases"]}


@cache
def functions_of(path: str) -> set[str]:
    """Return the tests of a module that pytest collects."""
    assert path.rpartition("/")[2].startswith("test_")
    found = set()
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
    return found


def parameters_of(path: str, function: str) -> list[str]:
    """Return the ids of a test with one parametrisation."""
    module: Any = import_module(path.removesuffix(".py").replace("/", "."))
    [mark] = getattr(module, function).pytestmark
    assert mark.name == "parametrize"
    return mark.kwargs.get("ids") or [str(value) for value in mark.args[1]]


# --- the page ---


def test_the_page_is_that_of_the_rules() -> None:
    assert (ROOT / "docs" / "x-parity.md").read_text("utf-8") == page(), "make parity"
