"""What a definition need not say: types, twins, what is required, what is enough, examples."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from connector.definitions.catalog import Catalog
from connector.definitions.derive import values_schema
from connector.definitions.read import Reader
from connector.pipeline.identifiers import identify
from connector.validation.schema import Schema


def person(**more: Any) -> dict[str, Any]:
    """Return a parameter that names a person."""
    identifier = {"normalize": ["trim", "lowercase"], "hash": "sha256", **more}
    return {"title": "Email", "description": "The address.", "identifier": identifier}


def text(**more: Any) -> dict[str, Any]:
    return {"title": "Text", "description": "A text.", **more}


def schema(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return values_schema({"properties": properties, **more})


# --- types ---


@pytest.mark.parametrize("value", ["a", 1, ["a", 1], []])
def test_an_identifier_is_text_a_whole_number_or_a_list_of_these(value: Any) -> None:
    assert Schema(schema({"email": person()})).failures({"email": value}) == []


@pytest.mark.parametrize("value", [1.5, True, None, {}, [1.5], [["a"]]])
def test_an_identifier_is_nothing_else(value: Any) -> None:
    assert Schema(schema({"email": person()})).failures({"email": value})


def test_a_value_without_a_type_is_text_and_nothing_unknown_is_allowed() -> None:
    found = Schema(schema({"a": text(), "b": text(type="boolean")}))
    assert found.failures({"a": "x", "b": True}) == []
    assert [failure.pointer for failure in found.failures({"a": 1, "c": 1})] == ["/a", "/c"]


# --- twins ---


def test_a_twin_is_a_second_parameter_right_after_the_first() -> None:
    parameters = {"a": text(), "email": person(prehashed={"twin": "digest"}), "b": text()}
    found = schema(parameters)["properties"]
    assert list(found) == ["a", "email", "digest", "b"]
    assert found["email"]["title"] == "Email (apply SHA256 hash)"
    assert found["digest"]["title"] == "Email (already SHA256 hashed)"
    assert found["email"]["description"].startswith("The address. ")
    assert found["digest"]["description"].startswith("The address. ")
    assert found["email"]["description"] != found["digest"]["description"]
    # nothing of what is written changes
    assert parameters["email"] == person(prehashed={"twin": "digest"})


@pytest.mark.parametrize("wire", [{}, {"wire": "mail"}])
def test_both_twins_come_to_one_value_of_one_wire_key(wire: dict[str, str]) -> None:
    found = schema({"email": person(prehashed={"twin": "digest"}, **wire)})
    fields = Reader({}).fields(found)
    plain, digest = fields["email"].identifier, fields["digest"].identifier
    assert plain
    assert digest
    assert plain.wire == digest.wire == wire.get("wire", "email")
    expected = hashlib.sha256(b"ann@example.com").hexdigest()
    assert identify(plain, prehashed=plain.prehashed)(" Ann@Example.com") == expected
    assert identify(digest, prehashed=digest.prehashed)(f" {expected.upper()} ") == expected
    # and the example of the one is what the other one takes
    [example] = found["properties"]["digest"]["examples"]
    assert identify(digest, prehashed=digest.prehashed)(example) == example


def test_a_twin_is_only_for_digests() -> None:
    found = schema({"email": person(prehashed={"twin": "digest"}, alone=False)})["properties"]
    assert found["digest"]["identifier"]["normalize"] == ["trim", "lowercase"]
    assert found["digest"]["identifier"]["prehashed"] is True
    assert found["email"]["identifier"]["prehashed"] is False
    assert found["digest"]["identifier"]["alone"] is False


# --- what is required, and what is enough ---


def alternatives(found: dict[str, Any]) -> list[str]:
    return [name for part in found.get("anyOf", ()) for name in part["required"]]


def test_any_identifier_that_names_somebody_alone_is_enough() -> None:
    parameters = {
        "list_id": text(),
        "email": person(prehashed={"twin": "digest"}),
        "first_name": person(alone=False),
        "phone": person(),
    }
    assert alternatives(schema(parameters)) == ["email", "digest", "phone"]
    only = schema(parameters, oneOf=[{"required": ["email"]}, {"required": ["phone"]}])
    assert "anyOf" not in only
    assert "anyOf" not in schema({"list_id": text()})


def test_what_the_url_and_the_audience_are_made_of_is_required() -> None:
    parameters = {name: text() for name in "abcdef"} | {"d": text(default="x"), "p": person()}
    action = {
        "path": "/{setting}/{a}",
        "query": {"q": "{b}-{d}"},
        "audience": "{c}",
        "headers": {"x": "{f}"},
    }
    assert schema(parameters, action=action)["required"] == ["a", "c", "b"]
    listed = schema(parameters, required=["e", "a"], action=action)
    assert listed["required"] == ["e", "a", "c", "b"]


# --- examples ---


def test_examples_are_the_least_and_the_most_that_a_route_gives() -> None:
    parameters = {
        "list_id": text(examples=["42", "43"]),
        "kind": text(enum=["x", "y"]),
        "email": {**person(), "examples": ["ann@example.com"]},
        "note": text(),
    }
    found = schema(parameters, required=["list_id"])
    assert found["examples"] == [
        {"list_id": "42", "email": "ann@example.com"},
        {"list_id": "42", "kind": "x", "email": "ann@example.com"},
    ]
    assert schema(parameters, examples=[{"a": 1}])["examples"] == [{"a": 1}]


def test_of_identifiers_that_exclude_each_other_an_example_has_one() -> None:
    parameters = {name: {**person(), "examples": [name]} for name in ("email", "phone")}
    both = [{"required": ["phone"]}, {"required": ["email"]}]
    assert schema(parameters, oneOf=both)["examples"] == [{"phone": "phone"}]


def test_without_an_example_of_what_is_required_there_is_none() -> None:
    parameters = {"list_id": text(), "email": {**person(), "examples": ["a@b.example"]}}
    assert "examples" not in schema(parameters, required=["list_id"])


@pytest.mark.parametrize("name", Catalog().ids())
def test_every_example_of_what_ships_satisfies_its_schema(name: str) -> None:
    for action in Catalog().load(name).actions.values():
        found = Schema(action.schema)
        assert action.schema["examples"]
        for example in action.schema["examples"]:
            assert found.failures(example) == []
