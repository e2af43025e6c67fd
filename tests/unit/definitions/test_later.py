"""Calls and exports are read when they are asked for, with the same problems as by lint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.definitions.catalog import Catalog
from connector.definitions.read_calls import read_calls
from connector.definitions.read_exports import read_exports
from connector.errors import DefinitionError, Problem
from connector.linting.engine import lint, lint_destination
from tests.kit.cli import call as command
from tests.kit.destination import NO_AUTH, SOURCE, connect, define_people, events
from tests.kit.destination import call as call_document

GOOD = call_document(path="/lists")
EXPORT: dict[str, Any] = {
    "title": "Ids",
    "description": "Who is whom.",
    "properties": {
        "id": {"title": "Id", "description": "An id.", "identifier": {"hash": "none", "source": SOURCE}},
    },
    "export": {"columns": ["id"], "delimiter": "comma", "source": SOURCE},
}  # fmt: skip


def written(root: Path, folder: str, document: object, name: str = "lists") -> Catalog:
    """Write a destination with one file more in a folder of it, a text as it is."""
    catalog = define_people(root, NO_AUTH)
    path = root / "schemas" / "tiny" / folder / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return catalog


def changed(document: dict[str, Any], section: str, **members: Any) -> dict[str, Any]:
    return {**document, section: {**document[section], **members}}


BROKEN_CALLS = {
    "D101": "{",
    "D102": changed(GOOD, "action", verb="GET"),
    "D103": {key: value for key, value in GOOD.items() if key != "description"},
    "D108": {**GOOD, "extends": ["_none.json"]},
    "D110": changed(GOOD, "action", method="POST", accepts="none.accepts.json"),
    "D111": {**GOOD, "operations": {"add": {}}},
    "D112": changed(GOOD, "action", source="nowhere: A test."),
}
BROKEN_EXPORTS = {
    "D101": "{",
    "D102": changed(EXPORT, "export", comma=True),
    "D103": {key: value for key, value in EXPORT.items() if key != "title"},
    "D108": {**EXPORT, "properties": {"id": {"extends": ["_none.json"]}}},
    "D112": changed(EXPORT, "export", source="nowhere: A test."),
}
BROKEN = [
    *(("calls", code, document) for code, document in BROKEN_CALLS.items()),
    *(("exports", code, document) for code, document in BROKEN_EXPORTS.items()),
]


@pytest.mark.parametrize(("folder", "code", "document"), BROKEN)
def test_what_is_broken_is_found_by_lint_and_by_whoever_asks(
    tmp_path: Path, folder: str, code: str, document: object
) -> None:
    destination = written(tmp_path, folder, document).load("tiny")
    with pytest.raises(DefinitionError) as caught:
        getattr(destination, folder)
    problems = list(caught.value.problems)
    assert [problem.code for problem in problems] == [code]
    assert problems[0].file == str(tmp_path / "schemas" / "tiny" / folder / "lists.json")
    assert lint_destination(tmp_path / "schemas" / "tiny") == problems


@pytest.mark.parametrize("folder", ["calls", "exports"])
def test_sending_does_without_them(tmp_path: Path, folder: str) -> None:
    catalog = written(tmp_path, folder, "{")
    loaded = connector.load_connection(connect(tmp_path), definitions=[tmp_path])
    assert connector.preview(loaded, [{"email": "ann@example.com"}])
    assert {"calls", "exports"}.isdisjoint(vars(loaded.destination))
    assert {"calls", "exports"}.isdisjoint(vars(catalog.load("x_custom_audiences")))


def test_commands_say_what_is_broken_where_they_need_it(tmp_path: Path) -> None:
    written(tmp_path, "calls", BROKEN_CALLS["D102"])
    connection = connect(tmp_path)
    people = events(tmp_path)
    definitions = ("--definitions", tmp_path)
    for arguments in (("preview", connection, people), ("list",)):
        done = command(*arguments, *definitions, folder=tmp_path)
        assert (done.status, done.err) == (0, ""), done.text
    expected = "schemas/tiny/calls/lists.json#/action/verb: unknown key 'verb'; "
    for arguments in (("call", connection, "lists"), ("show", "tiny"), ("docs", "tiny")):
        done = command(*arguments, *definitions, folder=tmp_path)
        assert done.status == 2
        assert f"D102 {tmp_path}/{expected}" in done.err
    done = command("lint", tmp_path, folder=tmp_path)
    assert done.status == 1
    assert f"D102 {expected}" in done.out


def test_they_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "calls", GOOD)
    written(tmp_path, "exports", EXPORT, "ids")
    destination = Catalog([tmp_path]).load("tiny")
    assert destination.calls is destination.calls
    assert destination.exports is destination.exports
    assert list(destination.calls) == list(read_calls(destination)) == ["lists"]
    assert list(destination.exports) == list(read_exports(destination)) == ["ids"]


def test_lint_finds_what_is_broken_everywhere_at_once(tmp_path: Path) -> None:
    written(tmp_path, "calls", BROKEN_CALLS["D103"])
    written(tmp_path, "exports", BROKEN_EXPORTS["D103"], "ids")
    add = tmp_path / "schemas" / "tiny" / "add.json"
    action = json.loads(add.read_text("utf-8"))
    del action["title"]
    add.write_text(json.dumps(action), "utf-8")
    assert places(lint([tmp_path], Catalog())) == [
        ("D103", "add.json"),
        ("D103", "lists.json"),
        ("D103", "ids.json"),
    ]


def test_an_export_has_an_id_of_its_own(tmp_path: Path) -> None:
    destination = written(tmp_path, "exports", EXPORT, "add").load("tiny")
    with pytest.raises(DefinitionError) as caught:
        _ = destination.exports
    [problem] = caught.value.problems
    assert (problem.code, problem.message) == ("D111", "the action 'add' is also in add.json")


def places(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.code, Path(problem.file).name) for problem in problems]
