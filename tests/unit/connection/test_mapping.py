"""Mapping: paths, the first value that is there, and what counts as absent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.connection.mapping import (
    Element,
    compile_column,
    compile_event_id,
    compile_path,
    compile_source,
    compile_when,
    is_absent,
    parse_path,
    starts_in_item,
)
from connector.connection.model import field_mapping
from connector.definitions.model import FromNow
from connector.templating.data import ExpressionError, NotBooleanError

EVENT: dict[str, Any] = {
    "a": 1, "b": {"c": {"d": "deep"}, "l": [1, 2], "n": None}, "l": ["x", "y"], "odd.name": 5, "[0]": 6, "sp ace": 7,
    "rows": [{"v": 1, "w": [3, 4]}, {"v": None}, {"v": 2, "w": [5]}, "no"], "nested": [[1, 2], [3]], "empty": "",
    "ids": [{"type": "IDFA", "value": "i1"}, {"type": "GAID", "value": "g1"}, {"type": "idfa", "value": "i2"}, "IDFA", None,
            {"type": "n", "value": ["a", "b"]}, {"type": 5, "value": "five"}, {"type": True, "value": "yes"}, {"type": 1.5, "value": "half"},
            {"type": "GAID", "value": "g2"}, {"type": "a]b", "value": "odd"}, {"type": "", "value": "nothing"}, {"type": "x y", "value": "xy"}],
    "*": "star", "item": {"a": "of the event"}, "none": [], "null": None, "zero": 0, "false": False, "b.c": "flat", "é": "accent", "items": "I", "0": "zero",
    "E-Mail": "dash", "Gültig bis": "blank",
}  # fmt: skip

PATHS: list[tuple[str, Any]] = [
    ("a", 1),
    ("b.c.d", "deep"),
    ("b.c", {"d": "deep"}),
    ("b.l", [1, 2]),
    ("b.l[1]", 2),
    ("l[0]", "x"),
    ("l[2]", None),
    ("l[*]", ["x", "y"]),
    ("rows[*].v", [1, 2]),
    ("rows[*].w", [3, 4, 5]),
    ("rows[*].w[*]", [3, 4, 5]),
    ("rows[*].w[0]", [3, 5]),
    ("rows[0].v", 1),
    ("rows[1].v", None),
    ("rows[3].v", None),
    ("rows[*].missing", None),
    ("nested[*]", [1, 2, 3]),
    ("nested[0][1]", 2),
    ("nested[*][0]", [1, 3]),
    ('["odd.name"]', 5),
    ("['odd.name']", 5),
    ('["[0]"]', 6),
    ("sp ace", 7),
    ("é", "accent"),
    ("E-Mail", "dash"),
    ("Gültig bis", "blank"),
    ('["Gültig bis"]', "blank"),
    ('["b.c"]', "flat"),
    ('b["c"].d', "deep"),
    ('b["c"]["d"]', "deep"),
    ("items", "I"),
    ("0", "zero"),
    ("zero", 0),
    ("false", False),
    ("empty", ""),
    ("missing", None),
    ("missing.deeper", None),
    ("missing[0]", None),
    ("missing[*]", None),
    ("a.b", None),
    ("a[0]", None),
    ("a[*]", None),
    ("l.x", None),
    ("b[0]", None),
    ("b[*]", None),
    ("b.n.x", None),
    ("none[*]", None),
    # elements with a member: one gives its value, several a list, none nothing
    ("ids[type=IDFA].value", "i1"),
    ("ids[type=GAID].value", ["g1", "g2"]),
    ("ids[type=gaid].value", None),
    ("ids[type=idfa].value", "i2"),
    ("ids[type=IDFA]", {"type": "IDFA", "value": "i1"}),
    ("ids[type=IDFA].missing", None),
    ("ids[type=n].value", ["a", "b"]),
    ("ids[type=n].value[1]", "b"),
    ("ids[type=5].value", "five"),
    ("ids[type=true].value", "yes"),
    ("ids[type=1.5].value", None),
    ("ids[type='a]b'].value", "odd"),
    ('ids[type="a]b"].value', "odd"),
    ("ids[type=''].value", "nothing"),
    ("ids[type=x y].value", "xy"),
    ("ids[missing=x].value", None),
    ("b[type=x]", None),
    ("a[type=x]", None),
    ("missing[type=x]", None),
    ("none[type=x]", None),
    ('["*"]', "star"),
    ('["item"].a', "of the event"),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_a_path(path: str, expected: Any) -> None:
    found = compile_path(path)(EVENT)
    assert (found, type(found)) == (expected, type(expected))
    assert compile_column(field_mapping({"from": path}), {})([EVENT, {}]) == [expected, None]
    assert compile_source(field_mapping({"from": [path, "missing"]}), {})(EVENT) == (
        None if expected == "" else expected
    )


NO_PATHS = [
    "",
    ".a",
    "a.",
    "a..b",
    "a[",
    "a]",
    "a[x]",
    "a[-1]",
    "a[1.5]",
    "[*",
    "a[0]b",
    'a["x]',
    "a[]",
    'a[""]',
    "a.[0]x",
    "*",
    "a.*",
    "a.*.b",
    "a[=b]",
    "a[b=]",
    "a[b= c]",
    "a[b=c ]",
    "a[ b=c]",
    "a[b.c=d]",
    "a[b=c=d]",
    "a[b='c]",
    "a[b=c]d",
]


@pytest.mark.parametrize("path", NO_PATHS)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


KEYS = st.text(st.characters(exclude_characters="\"'\n", codec="utf-8"), min_size=1, max_size=5)


@given(st.lists(st.tuples(KEYS, st.integers(0, 2)), min_size=1, max_size=4), st.sampled_from("\"'"))
def test_a_quoted_path_finds_what_was_put_there(parts: list[tuple[str, int]], quote: str) -> None:
    data: Any = "found"
    for key, index in reversed(parts):
        data = {key: [None] * index + [data]}
    path = "".join(f"[{quote}{key}{quote}][{index}]" for key, index in parts)
    assert parse_path(path) == [part for pair in parts for part in pair]
    assert compile_path(path)(data) == "found"


PLAIN_KEYS = st.text(
    st.characters(exclude_characters="$.[]\"'*", codec="utf-8"), min_size=1, max_size=5
)


@given(st.lists(PLAIN_KEYS, min_size=1, max_size=4))
def test_a_dotted_path_finds_what_was_put_there(keys: list[str]) -> None:
    data: Any = "found"
    for key in reversed(keys):
        data = {key: data}
    assert compile_path(".".join(keys))(data) == "found"
    assert compile_column(field_mapping({"from": ".".join(keys)}), {})([data, {}, {keys[0]: 5}])[
        :2
    ] == [
        "found",
        None,
    ]


FIRST: list[tuple[list[str], Any]] = [
    (["missing", "a"], 1),
    (["null", "empty", "none", "a"], 1),
    (["zero", "a"], 0),
    (["false", "a"], False),
    (["rows[*].missing", "l[*]", "a"], ["x", "y"]),
    (["missing", "null"], None),
    (["a"], 1),
]


@pytest.mark.parametrize(("paths", "expected"), FIRST)
def test_the_first_that_is_present(paths: list[str], expected: Any) -> None:
    assert compile_source(field_mapping({"from": paths}), {})(EVENT) == expected
    assert compile_column(field_mapping({"from": paths}), {})([EVENT, {}]) == [expected, None]


#: Rows with the members a, b and c, and what is the first of them.
FIRST_BUT_FOR_WORDS: list[tuple[list[Any], Any]] = [
    (["NULL", "good", "other"], "good"),
    ([" n/a ", None, "good"], "good"),
    (["-", "#REF!", 5], 5),
    (["NaT", False, "other"], False),
    ([" ", {}, "other"], {}),
    # a list of nothing but such words
    ([["-", None, ""], ["good", "-"], "other"], ["good", "-"]),
    # where nothing is better, the first word is kept, and its drop is reported
    ([None, "n/a", "NULL"], "n/a"),
    (["", None, []], []),
    (["NULL", "", None], "NULL"),
    # a value of the parameter
    (["none", "good", "other"], "none"),
    (["NONE", "none", "other"], "none"),
    (["Nat", "good", "other"], "Nat"),
]


def test_a_word_for_no_value_makes_way_for_a_value() -> None:
    entry = field_mapping({"from": ["a", "b", "c"]})
    rows = [dict(zip("abc", row, strict=True)) for row, _ in FIRST_BUT_FOR_WORDS]
    expected = [value for _, value in FIRST_BUT_FOR_WORDS]
    get, get_all = compile_source(entry, {}, words=["none"]), compile_column(entry, {}, words=["none"])  # fmt: skip
    # an empty list is as absent as null
    assert [one or None for one in map(get, rows)] == [one or None for one in expected]
    assert [one or None for one in get_all(rows)] == [one or None for one in expected]
    elements = [Element({}, row) for row in rows]
    in_item = compile_column(field_mapping({"from": ["item.a", "item.b", "item.c"]}), {}, each=True)
    assert in_item([elements[0], elements[2]]) == ["good", 5]


VALUES = st.sampled_from([None, "", [], "-", "NULL", "x", "y", 0, ["-"], ["-", "z"], {"a": 1}])


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=8))
def test_many_rows_are_mapped_as_each_one_is(values: list[tuple[Any, ...]]) -> None:
    rows = [dict(zip("abc", row, strict=True)) for row in values]
    entry = field_mapping({"from": ["a", "b", "c"]})
    one_by_one = map(compile_source(entry, {}), rows)
    at_once = compile_column(entry, {})(rows)
    for one, other in zip(one_by_one, at_once, strict=True):
        assert one == other or (is_absent(one) and is_absent(other))


@pytest.mark.parametrize(
    ("value", "absent"),
    [
        (None, True),
        ("", True),
        ([], True),
        (0, False),
        (False, False),
        (" ", False),
        ({}, False),
        ([None], False),
    ],
)
def test_what_counts_as_absent(value: Any, absent: bool) -> None:
    assert is_absent(value) is absent


def test_a_value_and_an_expression() -> None:
    assert compile_column(field_mapping({"value": 5}), {})([EVENT, {}]) == [5, 5]
    assert compile_source(field_mapping({"value": "v"}), {})({}) == "v"
    assert compile_column(field_mapping({"expr": "event.b.c.d ~ settings.s"}), {"s": "!"})(
        [EVENT, {}]
    ) == [
        "deep!",
        None,
    ]
    good, bad = compile_column(field_mapping({"expr": "event.a + 1"}), {})([EVENT, {"a": "x"}])
    assert good == 2
    assert isinstance(bad, ExpressionError)


WHEN: list[tuple[str | None, dict[str, Any], bool]] = [
    ("event.a == 1", EVENT, True),
    ("event.a == 1", {}, False),
    ("event.missing > 5", EVENT, False),
    ("not event.missing", EVENT, True),
    ("event.empty", EVENT, False),
    ("event.l", EVENT, True),
]


@pytest.mark.parametrize(("source", "data", "expected"), WHEN)
def test_when(source: str, data: dict[str, Any], expected: bool) -> None:
    when = compile_when(source, {})
    assert when is not None
    assert when(data) is expected


def test_without_when_every_event_matches() -> None:
    assert compile_when(None, {}) is None


def test_a_when_that_does_not_fit_says_so() -> None:
    when = compile_when("event.a > 'x'", {})
    assert when is not None
    with pytest.raises(ExpressionError):
        when({"a": 5})


ALL: list[tuple[list[str], Any]] = [
    (["a"], 1),
    (["a", "zero", "missing", "empty"], [1, 0]),
    (["l[*]", "a", "l"], ["x", "y", 1]),
    (["ids[type=IDFA].value", "ids[type=GAID].value"], ["i1", "g1", "g2"]),
    (["missing", "null", "none"], None),
    (["a", "rows[0].v", "rows[*].v"], [1, 2]),
    (["zero", "false"], [0, False]),
    (["b.c", "b.c"], [{"d": "deep"}, {"d": "deep"}]),
]


@pytest.mark.parametrize(("paths", "expected"), ALL)
def test_all_that_are_present(paths: list[str], expected: Any) -> None:
    mapping = field_mapping({"all": paths})
    assert compile_source(mapping, {})(EVENT) == expected
    assert compile_column(mapping, {})([EVENT, {}]) == [expected, None]


def test_all_of_one_path() -> None:
    assert compile_source(field_mapping({"all": "l[*]"}), {})(EVENT) == ["x", "y"]


ELEMENTS: list[tuple[dict[str, Any], Any, Any]] = [
    ({"from": "item"}, "ann", "ann"),
    ({"from": "item.v"}, {"v": 1}, 1),
    ({"from": "item.v"}, "ann", None),
    ({"from": "item.v"}, 5, None),
    ({"from": "item.v.w[0]"}, {"v": {"w": [7]}}, 7),
    ({"from": "item[type=x]"}, {}, None),
    ({"from": "item.ids[type=x].v"}, {"ids": [{"type": "x", "v": 2}]}, 2),
    ({"from": "a"}, {"a": "of the item"}, 1),
    ({"from": "b.c.d"}, {"b": {}}, "deep"),
    ({"from": '["item"].a'}, {"a": "of the item"}, "of the event"),
    ({"from": ["item.v", "a"]}, {}, 1),
    ({"all": ["item.v", "a"]}, {"v": 2}, [2, 1]),
    ({"expr": "item.v ~ event.a ~ event.item.a"}, {"v": "x"}, "x1of the event"),
    ({"expr": "item | upper"}, "ann", "ANN"),
    ({"value": 5}, {}, 5),
    ({"now": "P30D"}, {}, FromNow("P30D")),
]


@pytest.mark.parametrize(("document", "item", "expected"), ELEMENTS)
def test_a_path_that_starts_in_an_element(
    document: dict[str, Any], item: Any, expected: Any
) -> None:
    rows = [Element(EVENT, item), Element({}, None)]
    mapping = field_mapping(document)
    assert compile_source(mapping, {}, each=True)(rows[0]) == expected
    assert compile_column(mapping, {}, each=True)(rows)[0] == expected


@pytest.mark.parametrize(
    "path", ["item", "item.a", "item[0]", "item[*].a", "item[a=b]", 'item["a"]']
)
def test_no_path_starts_in_an_element_that_there_is_not(path: str) -> None:
    assert starts_in_item(path)
    with pytest.raises(ValueError, match="there is no 'each' here"):
        compile_path(path)


@pytest.mark.parametrize("path", ["items", "items.a", '["item"]', "a.item", "item_a"])
def test_these_do_not_start_in_an_element(path: str) -> None:
    assert not starts_in_item(path)
    compile_path(path)


def test_an_expression_about_an_element_that_there_is_not() -> None:
    for source in ("item.a", "event.a ~ item"):
        with pytest.raises(ExpressionError, match="there is no 'each' here"):
            compile_source(field_mapping({"expr": source}), {})
    with pytest.raises(ExpressionError, match="unknown name 'itm'; known: event, settings"):
        compile_source(field_mapping({"expr": "itm.a ~ item.a"}), {})


def test_an_events_id_is_no_selection() -> None:
    assert compile_event_id("b.c.d")(EVENT) == "deep"
    with pytest.raises(ValueError, match="is not allowed here"):
        compile_event_id("ids[type=IDFA].value")


def test_when_reads_words() -> None:
    when = compile_when("event.optin", {})
    assert when is not None
    assert [when({"optin": word}) for word in ("yes", "no", " TRUE ", "", None, 1)] == [
        True, False, True, False, False, True,
    ]  # fmt: skip
    with pytest.raises(NotBooleanError):
        when({"optin": "perhaps"})
