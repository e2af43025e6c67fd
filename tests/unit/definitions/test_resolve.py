"""`extends`: what is laid over what, what contradicts, and where every value was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.catalog import Catalog
from connector.definitions.documents import folder_of, names_of
from connector.definitions.metaschema import own_folder, standard_identifiers
from connector.definitions.resolve import BrokenContractError, Document, Folder, Location, merged
from connector.errors import DefinitionError
from connector.validation.explain import lookup
from connector.validation.explain import pointer as json_pointer


def folder(path: Path, **files: Any) -> Folder:
    """Return a folder of these files; a name is that of a file without its ending."""
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return Folder(path, standard_identifiers())


def places(node: Any, pointer: str = "") -> Iterator[str]:
    """Yield the pointers of all values below a node."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for key, part in members:
        below = pointer + json_pointer([key])
        yield below
        if isinstance(part, dict | list):
            yield from places(part, below)


# --- what is laid over what ---

TREES = st.recursive(
    st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


@given(OBJECTS, OBJECTS)
def test_own_keys_win_member_by_member_and_nothing_else_is_lost(base: Any, own: Any) -> None:
    both = merged(base, own)
    for pointer in places(own):
        value = lookup(own, pointer)
        if not isinstance(value, dict):
            assert lookup(both, pointer) == value
    for pointer in places(base):
        if not _is_replaced(base, own, pointer.split("/")[1:]):
            lookup(both, pointer)
    assert merged(both, own) == both


def _is_replaced(base: Any, own: Any, parts: list[str]) -> bool:
    """Return whether own keys replace something on the way to a value of the base."""
    for part in parts:
        if not isinstance(own, dict):
            return True
        if part not in own:
            return False
        base, own = base[part], own[part]
        if not isinstance(base, dict):
            return True
    return not isinstance(own, dict)


def test_what_is_extended_is_itself_expanded_first(tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        one={"extends": ["_two.json"], "action": {"path": "/own"}},
        _two={"extends": ["_three.json"], "action": {"method": "PUT", "query": {"a": "2"}}},
        _three={"title": "Three", "action": {"method": "POST", "query": {"b": "3"}}},
    )
    assert files.document("one.json").content == {
        "title": "Three",
        "action": {"method": "PUT", "query": {"b": "3", "a": "2"}, "path": "/own"},
    }


def test_a_place_in_a_file_in_the_same_file_and_a_standard_identifier(tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        one={
            "$defs": {"x": {"title": "X"}},
            "properties": {
                "x": {"extends": ["#/$defs/x"], "description": "Own."},
                "y": {"extends": ["_two.json#/$defs/y"]},
                "email": {"extends": ["standard#email"], "title": "Own title"},
            },
        },
        # in the file that has it, '#' leads to that file
        _two={"$defs": {"y": {"extends": ["#/$defs/z"]}, "z": {"title": "Z"}}},
    )
    found = files.document("one.json").content["properties"]
    assert found["x"] == {"title": "X", "description": "Own."}
    assert found["y"] == {"title": "Z"}
    standard = json.loads(standard_identifiers().read_text("utf-8"))["$defs"]["email"]
    assert found["email"] == {**standard, "title": "Own title"}
    assert "extends" not in json.dumps(found)


def test_an_operation_is_laid_over_the_file(tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        both={
            "extends": ["_shared.json"],
            "title": "Both",
            "action": {"path": "/a", "method": "POST"},
            "operations": {
                "add": {"title": "Add", "action": {"operation": "add"}},
                "remove": {"action": {"operation": "remove", "method": "DELETE"}},
            },
        },
        _shared={"title": "Shared", "action": {"envelope": "e.json.j2"}},
    )
    assert [*names_of(files, "action")] == [("both.json", "add"), ("both.json", "remove")]
    assert files.document("both.json", "add").content == {
        "title": "Add",
        "action": {
            "envelope": "e.json.j2", "path": "/a", "method": "POST", "operation": "add"
        },
    }  # fmt: skip
    removing = files.document("both.json", "remove")
    assert removing.content["title"] == "Both"
    assert removing.content["action"]["method"] == "DELETE"
    assert removing.origin("/action/method").pointer == "/operations/remove/action/method"
    assert removing.origin("/action/path").pointer == "/action/path"


def test_a_parameter_may_be_called_extends(tmp_path: Path) -> None:
    files = folder(tmp_path, one={"properties": {"extends": {"title": "E"}}})
    assert files.document("one.json").content == {"properties": {"extends": {"title": "E"}}}


# --- what cannot be extended ---


def refused(files: Folder, name: str = "one.json") -> list[tuple[str, str]]:
    """Return pointer and message of each problem of a file."""
    with pytest.raises(DefinitionError) as raised:
        files.document(name)
    assert {problem.code for problem in raised.value.problems} == {"D108"}
    return [(problem.pointer, problem.message) for problem in raised.value.problems]


def test_two_contradict_where_neither_is_laid_over_the_other(tmp_path: Path) -> None:
    two = {"title": "2", "action": {"method": "PUT", "query": {"a": "1"}}, "required": ["x"]}
    three = {"title": "3", "action": {"method": "POST", "query": {"a": "1"}}, "required": ["x"]}
    files = folder(
        tmp_path,
        one={"extends": ["_two.json", "_three.json"], "title": "1"},
        _two=two,
        _three=three,
    )
    message = "'_three.json' contradicts what is extended before it: /action/method"
    assert refused(files) == [("/extends/1", message)]

    said = folder(
        tmp_path,
        one={
            "extends": ["_two.json", "_three.json"],
            "title": "1",
            "action": {"method": "PATCH"},
        },
    )
    assert said.document("one.json").content["action"] == {"method": "PATCH", "query": {"a": "1"}}


def test_an_object_and_something_else_contradict(tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        one={"extends": ["_two.json", "_three.json"]},
        _two={"action": {"split": {"values": 1}}},
        _three={"action": {"split": "none"}},
    )
    [(_, message)] = refused(files)
    assert message.endswith(": /action/split")


@pytest.mark.parametrize("cycle", [["one"], ["one", "_two"], ["one", "_two", "_three"]])
def test_a_cycle_is_found_wherever_it_is_entered(tmp_path: Path, cycle: list[str]) -> None:
    following = [*cycle[1:], cycle[0]]
    contents = {
        name: {"extends": [f"{other}.json"]} for name, other in zip(cycle, following, strict=True)
    }
    files = folder(tmp_path, **contents, start={"extends": ["one.json"]})
    for name in ("start.json", "one.json"):
        [(pointer, message)] = refused(files, name)
        assert pointer == "/extends/0"
        assert message.endswith("extends itself")


def test_all_wrong_references_of_a_file_are_found_at_once(tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        one={
            "extends": ["_nobody.json"],
            "properties": {
                "a": {"extends": ["standard#nothing"]},
                "b": {"extends": ["_two.json#/title"]},
            },
        },
        _two={"title": "Two"},
    )
    assert sorted(refused(files)) == [
        ("/extends/0", "'_nobody.json' does not exist"),
        ("/properties/a/extends/0", "'standard#nothing' does not exist"),
        ("/properties/b/extends/0", "'_two.json#/title' is not an object"),
    ]


# --- where everything was written ---


def test_origin_and_base_of_what_is_laid_over(tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        one={"extends": ["_two.json"], "properties": {"a": {"title": "Own"}}},
        _two={"properties": {"a": {"title": "Two", "examples": [{"b": 1}]}}},
    )
    document = files.document("one.json")

    def at(found: Location) -> tuple[str, str]:
        return Path(found.file).name, found.pointer

    assert at(document.origin("/properties/a/title")) == ("one.json", "/properties/a/title")
    assert at(document.origin("/properties/a/examples/0/b")) == (
        "_two.json",
        "/properties/a/examples/0/b",
    )
    assert at(document.origin("/properties/a")) == ("one.json", "/properties/a")
    assert at(document.base("/properties/a")) == ("_two.json", "/properties/a")
    # what nobody wrote is where it would be written
    assert at(document.origin("/properties/a/source")) == ("one.json", "/properties/a/source")
    assert at(document.base("/properties/a/source")) == ("_two.json", "/properties/a/source")
    assert document.is_laid_over(Location(str(tmp_path / "_two.json"), "/properties"))
    assert not document.is_laid_over(Location(str(tmp_path / "_two.json"), "/action"))


def test_no_problem_is_one_of_the_standard(tmp_path: Path) -> None:
    files = folder(tmp_path, one={"properties": {"email": {"extends": ["standard#email"]}}})
    document = files.document("one.json")
    for find in (document.origin, document.base):
        place = find("/properties/email/identifier/normalize/0")
        assert place.file == str(tmp_path / "one.json")
        assert place.pointer == "/properties/email/identifier/normalize/0"


SHIPPED = Catalog().ids()


def documents(name: str) -> Iterator[tuple[Folder, Document]]:
    """Yield every document of a destination with its folder."""
    files = folder_of(own_folder() / "schemas" / name)
    yield files, files.document("destination.json")
    for file, operation in names_of(files, "action"):
        yield files, files.document(file, operation)


@pytest.mark.parametrize("name", SHIPPED)
def test_an_expansion_that_notes_locations_comes_to_the_same(name: str) -> None:
    for files, document in documents(name):
        again = document._expansion  # notes them
        assert not again.problems
        assert _written(files, document) == document.content


def _written(files: Folder, document: Document) -> Any:
    from connector.definitions.resolve import _Expansion

    tracked = _Expansion(files, track=True)
    return tracked.document(document._name, document._operation)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_value_stands_where_its_origin_says(name: str) -> None:
    for files, document in documents(name):
        for pointer in places(document.content):
            value = lookup(document.content, pointer)
            if isinstance(value, dict | list):
                continue
            place = document.origin(pointer)
            written = json.loads(Path(place.file).read_text("utf-8"))
            if place.file == str(files.path / Path(place.file).name):
                try:
                    found = lookup(written, place.pointer)
                except LookupError:
                    # only what the standard says has a place here where it is not written
                    assert _is_standard(files, document, pointer)
                else:
                    assert found == value


def _is_standard(files: Folder, document: Document, pointer: str) -> bool:
    place = document._expansion.origins[pointer]
    return place.file == str(files.standard)


# --- contracts ---


def test_a_contract_has_what_its_references_lead_to_as_json_schema_means_it(tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        **{
            "a.accepts": {
                "$defs": {"ids": {"type": "array", "minItems": 1}},
                "properties": {
                    "plain": {"$ref": "#/$defs/ids"},
                    "more": {"$ref": "#/$defs/ids", "maxItems": 9},
                    "both": {"$ref": "b.accepts.json#/$defs/text", "minLength": 3},
                },
            },
            "b.accepts": {"$defs": {"text": {"type": "string", "minLength": 1}}},
        },
    )
    text = {"type": "string", "minLength": 1}
    assert files.contract("a.accepts.json") == {
        "properties": {
            "plain": {"type": "array", "minItems": 1},
            "more": {"type": "array", "minItems": 1, "maxItems": 9},
            # of one keyword that both have, both hold
            "both": {"allOf": [text, {"minLength": 3}]},
        }
    }
    assert files.contract("b.accepts.json#/$defs/text") == text


@pytest.mark.parametrize(
    ("ref", "message"),
    [("#/$defs/b", "'#/$defs/b' does not exist"), ("#/$defs/a", "'#/$defs/a' refers to itself")],
)
def test_a_broken_contract_says_where(tmp_path: Path, ref: str, message: str) -> None:
    contract = {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"items": {"$ref": ref}}}}
    files = folder(tmp_path, **{"a.accepts": contract})
    with pytest.raises(BrokenContractError, match=r"does not exist|refers to itself"):
        files.contract("a.accepts.json")
    error = files.broken_contract("a.accepts.json")
    assert error is not None
    assert str(error) == message
    assert error.place == Location(str(tmp_path / "a.accepts.json"), "/$defs/a/items/$ref")


def test_a_contract_that_is_not_there_is_the_fault_of_accepts(tmp_path: Path) -> None:
    error = folder(tmp_path).broken_contract("a.accepts.json")
    assert error is not None
    assert (str(error), error.place) == ("'a.accepts.json' does not exist", None)
