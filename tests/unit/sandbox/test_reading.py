"""What the sandbox reads from a body by the annotations of a contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.reading import Group, Reader

TEXT = {"type": "string"}
WIRES = ("email", "phone", "device")


class Case(NamedTuple):
    """A contract, a body, and who is in it: operation, parameters, identifiers of each person."""

    name: str
    contract: Any
    body: Any
    read: list[tuple[str, dict[str, Any], list[set[tuple[str, str]]]]]


def items(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def members(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas}


def person(**more: Any) -> dict[str, Any]:
    return {
        "person": True,
        **members(email={"identifier": True}, phone={"identifier": True}, **more),
    }


DO = {"operation": {"Update": "add", "Delete": "remove", "Swap": "replace"}}
OPERATIONS = items(members(do=DO, params=members(users=items(person()))))
ROWS = members(
    columns={"wire": {"E-MAIL": "email", "PHONE": "phone"}},
    rows=items({"person": True, "items": {"identifier": True}}),
)
PAIRS = items(
    {
        "person": True,
        **members(
            do=DO, ids=items(members(kind={"wire": {"MAIL": "email"}}, value={"identifier": True}))
        ),
    }
)
LISTS = members(
    lists=items(members(id={"parameter": "list_id"})),
    people=items(person()),
)
CELLS = members(
    columns={"wire": True},
    rows=items(
        {
            "person": True,
            "items": members(id={"identifier": True}, lists=items({"parameter": "list_id"})),
        }
    ),
)
FLAGS = items(
    {
        **person(),
        "additionalProperties": {
            "if": {"type": "boolean"},
            "then": {"key": "flag", "operation": {"true": "add", "false": "remove"}},
        },
    }
)
SCALARS = members(
    change=members(
        kind={"wire": {"Email": "email", "Phone": "phone"}},
        do=DO,
        items=items({"person": True, "identifier": True}),
    )
)
BY_NAME = members(
    lists={"additionalProperties": {"key": "list_id", **items(person())}},
)
TWO_SIDES = members(
    add={"operation": "add", **items(person())},
    remove={"operation": "remove", **items(person())},
)
KINDS = items(
    {
        "person": True,
        "anyOf": [
            {"properties": {"type": {"const": "mail"}, "value": {"identifier": "email"}}},
            {"properties": {"type": {"const": "phone"}, "value": {"identifier": "phone"}}},
        ],
    }
)
OR_ELSE = {
    "if": {"required": ["all"]},
    "then": members(all=items(person())),
    "else": members(one=person()),
}
PARTS = {
    "$defs": {"mail": {"identifier": "email"}},
    **items({"allOf": [{"person": True}, members(m={"$ref": "#/$defs/mail"})]}),
}
TUPLE = items(
    {
        "person": True,
        "prefixItems": [{"identifier": "email"}, {}, {"identifier": "phone"}],
        "items": {"identifier": "device"},
    }
)

ANN, BOB = {("email", "ann")}, {("email", "bob")}
A = {"email": ["ann"]}
B = {"email": "bob"}

CASES = [
    Case(
        "a list of operations with users",
        OPERATIONS,
        [
            {"do": "Update", "params": {"users": [{"email": ["ann", "a2"], "phone": 5}, B]}},
            {"do": "Delete", "params": {"users": [B]}},
            {"do": "Delete", "params": {"users": [A]}},
        ],
        [
            ("add", {}, [{("email", "ann"), ("email", "a2"), ("phone", "5")}, BOB]),
            ("remove", {}, [BOB]),
            ("remove", {}, [ANN]),
        ],
    ),
    Case("an unknown word is no operation", OPERATIONS, [{"do": "Upsert", "params": {"users": [A]}}], [("", {}, [ANN])]),
    Case("replace", OPERATIONS, [{"do": "Swap", "params": {"users": [A]}}], [("replace", {}, [ANN])]),
    Case("no operation is named", items(person()), [A, B], [("", {}, [ANN, BOB])]),
    Case(
        "rows with columns, an unknown column and a short row",
        ROWS,
        {"columns": ["NAME", "E-MAIL", "PHONE"], "rows": [["Ann", "ann", "5"], ["Bob", "bob"], ["", "", "6"]]},
        [("", {}, [{("email", "ann"), ("phone", "5")}, BOB, {("phone", "6")}])],
    ),
    Case(
        "pairs of kind and value, the operation in each person",
        PAIRS,
        [
            {"do": "Update", "ids": [{"kind": "MAIL", "value": "ann"}, {"kind": "OTHER", "value": "x"}]},
            {"do": "Delete", "ids": [{"kind": "MAIL", "value": "bob"}]},
            {"do": "Delete", "ids": [{"kind": "OTHER", "value": "x"}]},
        ],
        [("add", {}, [ANN]), ("remove", {}, [BOB]), ("remove", {}, [set()])],
    ),
    Case("the audience in the body", LISTS, {"lists": [{"id": 7}], "people": [A, B]}, [("", {"list_id": 7}, [ANN, BOB])]),
    Case(
        "two audiences for everybody are one group",
        LISTS,
        {"lists": [{"id": 7}, {"id": "8"}], "people": [A]},
        [("", {"list_id": 7}, [ANN]), ("", {"list_id": "8"}, [ANN])],
    ),
    Case("no audience is named", LISTS, {"lists": [{}], "people": [A]}, [("", {}, [ANN])]),
    Case(
        "each row's and each cell's own audiences",
        CELLS,
        {
            "columns": ["email", "phone"],
            "rows": [
                [{"id": "ann", "lists": ["1"]}, {"id": "5", "lists": ["1"]}],
                [{"id": "bob", "lists": ["2", "3"]}, {}],
                [{}, {"id": "6", "lists": ["1"]}],
                [{"id": "ann", "lists": ["1"]}, {"id": "6", "lists": ["2"]}],
            ],
        },
        [
            ("", {"list_id": "1"}, [{("email", "ann"), ("phone", "5")}, {("phone", "6")}, ANN]),
            ("", {"list_id": "2"}, [BOB, {("phone", "6")}]),
            ("", {"list_id": "3"}, [BOB]),
        ],
    ),
    Case(
        "the audience is a member's name, and its value the operation",
        FLAGS,
        [{"loyal": True, "email": "ann"}, {"email": "bob", "new": False, "city": "Oslo", "loyal": True}, {"email": "ann"}],
        [
            ("add", {"flag": "loyal"}, [ANN]),
            ("add", {"flag": "loyal"}, [BOB]),
            ("remove", {"flag": "new"}, [BOB]),
            ("", {}, [ANN]),
        ],
    ),
    Case(
        "people that are texts",
        SCALARS,
        {"change": {"items": ["ann", "bob"], "do": "Delete", "kind": "Email"}},
        [("remove", {}, [ANN, BOB])],
    ),
    Case(
        "people below the name of their audience",
        BY_NAME,
        {"lists": {"7": [A], "8": [B]}},
        [("", {"list_id": "7"}, [ANN]), ("", {"list_id": "8"}, [BOB])],
    ),
    Case("a list for each operation", TWO_SIDES, {"remove": [B], "add": [A]}, [("add", {}, [ANN]), ("remove", {}, [BOB])]),
    Case(
        "branches that hold",
        KINDS,
        [{"type": "phone", "value": "5"}, {"type": "mail", "value": "ann"}],
        [("", {}, [{("phone", "5")}, ANN])],
    ),
    Case("if", OR_ELSE, {"all": [A, B]}, [("", {}, [ANN, BOB])]),
    Case("else", OR_ELSE, {"one": A}, [("", {}, [ANN])]),
    Case("a reference and allOf", PARTS, [{"m": "ann"}], [("", {}, [ANN])]),
    Case(
        "cells with schemas of their own",
        TUPLE,
        [["ann", "5", "5", "d", "e"]],
        [("", {}, [{("email", "ann"), ("phone", "5"), ("device", "d"), ("device", "e")}])],
    ),
    Case("values that are none", items(person()), [{"email": [True, None, "", "ann"], "phone": False}], [("", {}, [ANN])]),
    Case("nobody", items(person()), [], []),
    Case("something else", OPERATIONS, {"do": 5}, []),
    Case("no contract", True, [A], []),
]  # fmt: skip


def seen(groups: list[Group]) -> list[tuple[str, dict[str, Any], list[set[tuple[str, str]]]]]:
    changes = []
    for group in groups:
        for params, people in group.changes.items():
            changes.append((group.operation, dict(params), people))
    return changes


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_read(case: Case) -> None:
    assert seen(Reader(case.contract, WIRES).read(case.body).groups) == case.read


def test_people_are_counted_once_and_the_nameless_among_them() -> None:
    body: Any = {"lists": [{"id": 7}, {"id": 8}], "people": [A, {}, {"email": ""}]}
    reading = Reader(LISTS, WIRES).read(body)
    [group] = reading.groups
    assert (reading.people, group.people, group.nameless) == (3, 3, 2)
    reading = Reader(OPERATIONS, WIRES).read(
        [
            {"do": "Update", "params": {"users": [A, {}]}},
            {"do": "Delete", "params": {"users": [{}]}},
        ]
    )
    assert [(group.people, group.nameless) for group in reading.groups] == [(2, 1), (1, 1)]


def test_an_identifier_that_names_nobody_alone_is_no_identifier_of_a_holding() -> None:
    reading = Reader(items(person()), ("email",)).read(
        [{"phone": "5", "email": "ann"}, {"phone": "5"}]
    )
    [group] = reading.groups
    assert (group.people, group.nameless, group.changes) == (2, 0, {(): [ANN, set()]})


def permuted(value: Any, random: Any) -> Any:
    if isinstance(value, list):
        return [permuted(one, random) for one in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    random.shuffle(names)
    return {name: permuted(value[name], random) for name in names}


@given(st.sampled_from(CASES), st.randoms())
def test_the_order_of_members_changes_nothing(case: Case, random: Any) -> None:
    assert seen(Reader(case.contract, WIRES).read(permuted(case.body, random)).groups) == case.read


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["Update", "ann", "7"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["do", "params", "users", "people", "rows", "columns", "lists", "id"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(CASES), ANYTHING)
def test_every_body_can_be_read(case: Case, body: Any) -> None:
    Reader(case.contract, WIRES).read(body)


def test_a_person_of_two_groups_is_one_person() -> None:
    reading = Reader(FLAGS, WIRES).read([{"email": "ann", "loyal": True, "new": False}])
    assert (reading.people, [group.people for group in reading.groups]) == (1, [1, 1])
