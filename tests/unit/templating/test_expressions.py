"""Expressions: what they give over events, where nothing is there, and what they may not hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.templating.expressions import (
    ABSENT,
    AbsentError,
    ExpressionError,
    compile_expression,
    member,
)

EVENT = {
    "type": "audience", "n": 7, "half": 1.5, "yes": True, "no": False, "null": None, "empty": "", "zero": 0,
    "tags": ["a", "b"], "none": [], "deep": {"x": {"y": "z"}, "list": [{"v": 1}, {"v": 2}, {}]}, "date": "2026-01-15T00:00:00Z",
    "items": "I", "get": "G", "keys": "K", "values": "V", "__class__": "C", "odd name": "O", "big": 2**60 + 1,
}  # fmt: skip
SCOPE = {"event": EVENT, "settings": {"account": "acc"}}
NAMES = ("event", "settings")


def value(source: str) -> Any:
    return compile_expression(source, NAMES)(SCOPE)


VALUES: list[tuple[str, Any]] = [
    ("event.type", "audience"),
    ("event['type']", "audience"),
    ("settings.account ~ '-' ~ event.n", "acc-7"),
    ("event.deep.x.y", "z"),
    ("event.deep['x'].y", "z"),
    ("event.tags[0]", "a"),
    ("event.tags[-1]", "b"),
    ("event.n + 1", 8),
    ("event.n - 1", 6),
    ("-event.n", -7),
    ("event.big", 2**60 + 1),
    ("event.big ~ ''", str(2**60 + 1)),
    ("event.n == 7 and event.type == 'audience'", True),
    ("event.n != 7", False),
    ("1 < event.n < 9", True),
    ("1 < event.n < 5", False),
    ("event.n >= 7 and event.n <= 7", True),
    ("event.type in ['audience', 'other']", True),
    ("event.type not in ['audience']", False),
    ("'a' in event.tags", True),
    ("'x' in event.deep", True),
    ("event.yes and not event.no", True),
    ("'in' if event.n > 5 else 'out'", "in"),
    ("'in' if event.n > 9 else 'out'", "out"),
    ("[event.n, event.type]", [7, "audience"]),
    ("{'k': event.n}", {"k": 7}),
    ("{'k': event.n}['k']", 7),
    ("event.date | plus('P1M')", "2026-02-15T00:00:00Z"),
    ("event.tags | join('-')", "a-b"),
    ("event.tags | join", "ab"),
    ("event.tags | length", 2),
    ("event.tags | first", "a"),
    ("event.tags | last", "b"),
    ("event.none | first is none", True),
    ("[1, 2] | sum", 3),
    ("event.type | upper", "AUDIENCE"),
    ("' A ' | trim | lower", "a"),
    ("event.type | replace('au', 'x')", "xdience"),
    ("'12' | int + 1", 13),
    ("event.yes | string", "true"),
    ("event.no ~ ''", "false"),
    ("{'a': 1, 'b': none} | compact", {"a": 1}),
    ("event.type is defined", True),
    # the fields of the event, never Python's
    ("event.items", "I"),
    ("event.get", "G"),
    ("event.keys", "K"),
    ("event['values']", "V"),
    ("event['__class__']", "C"),
    ("event.__class__", "C"),
    ("event['odd name']", "O"),
    ("event.type.upper is undefined", True),
    ("event.tags.append is undefined", True),
    ("event.n.real is undefined", True),
    ("event.type[0] is undefined", True),
    # what is missing or null
    ("event.missing is none", True),
    ("event.null is none", True),
    ("event.null is undefined", True),
    ("event.missing is defined", False),
    ("event.missing.member.deeper is none", True),
    ("event.missing[0] is none", True),
    ("event.tags[9] is none", True),
    ("event.missing == none", True),
    ("event.missing == event.null", True),
    ("event.missing == 'x'", False),
    ("event.missing != 'x'", True),
    ("event.missing == ''", False),
    ("event.missing == 0", False),
    ("not event.missing", True),
    ("event.missing or 'x'", "x"),
    ("event.missing | default('x')", "x"),
    ("event.null | default('x')", "x"),
    ("event.empty | default('x')", ""),
    ("event.zero | default('x')", 0),
    ("event.none | default('x')", "x"),
    ("event.missing in ['x']", False),
    ("none in ['x']", False),
    ("event.missing | length", 0),
    ("event.missing | list", []),
    ("event.missing | join('-')", ""),
    ("'x' in event.missing", False),
    ("event.missing and event.missing > 5", ABSENT),
    ("none", ABSENT),
    ("true", True),
    ("'x' if event.missing", ABSENT),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), VALUES)
def test_a_value(source: str, expected: Any) -> None:
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


ABSENT_USED = [
    "event.missing > 5", "event.null < 5", "5 < event.missing", "event.missing ~ 'x'", "event.missing + 1", "1 + event.missing",
    "1 - event.missing", "-event.missing", "event.missing | upper", "event.missing | int", "event.missing | string",
    "event.deep.list | sum('v')", "[event.missing] | join", "event.missing >= event.null",
]  # fmt: skip


@pytest.mark.parametrize("source", ABSENT_USED)
def test_what_is_absent_cannot_be_used(source: str) -> None:
    with pytest.raises(AbsentError):
        value(source)


SECRET = "ann@example.com"
MISFITS = [
    "event.s > 5", "event.s + 1", "event.s - 1", "-event.s", "event.s | int", "event.s | sum", "event.s | plus('P1M')",
    "event.d ~ 'x'", "event.d | upper", "event.l ~ 'x'", "event.l | join(5)", "event.d in event.s", "event.l in event.d",
    "event.f ~ ''", "{event.l: 1}", "'2026-01-15T00:00:00Z' | plus(event.s)", "5 | length", "5 | first", "event.s in 5",
    "event.s | replace(1, 2)", "event.s | compact", "event.l | sum", "event.d < event.d",
]  # fmt: skip


@pytest.mark.parametrize("source", MISFITS)
def test_an_error_never_quotes_data(source: str) -> None:
    data = {"s": SECRET, "d": {SECRET: [SECRET]}, "l": [SECRET, {SECRET: SECRET}], "f": 1.5}
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source, NAMES)({"event": data, "settings": {}})
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None or SECRET not in str(caught.value.__cause__)


COMPILE: list[tuple[str, str]] = [
    ("", "invalid expression"),
    ("event.", "invalid expression"),
    ("event.type ==", "invalid expression"),
    ("'open", "invalid expression"),
    ("event.type = 5", "invalid expression: unexpected '=' after its end"),
    ("event.type event", "unexpected"),
    ("event.type }} x", "unexpected"),
    ("evnt.type", "unknown name 'evnt'; known: event, settings; did you mean 'event'?"),
    ("params.x", "unknown name 'params'"),
    ("range(9)", "'Call' is not allowed"),
    ("event.type.upper()", "'Call' is not allowed"),
    ("event.tags[0:1]", "'Slice' is not allowed"),
    ("event.n * 9", "'Mul' is not allowed"),
    ("event.n ** 9", "'Pow' is not allowed"),
    ("event.n / 9", "'Div' is not allowed"),
    ("event.n // 9", "'FloorDiv' is not allowed"),
    ("event.n % 9", "'Mod' is not allowed"),
    ("event.n | upperr", "unknown filter 'upperr'"),
    ("event.n | tojson", "unknown filter 'tojson'"),
    ("event.n | attr('x')", "unknown filter 'attr'"),
    ("event.n is odd", "unknown test 'odd'"),
    ("event.n is callable", "unknown test 'callable'"),
    ("event.n | sum(attribute='x')", "positional arguments"),
    ("event.n | sum(*event.tags)", "positional arguments"),
]


@pytest.mark.parametrize(("source", "message"), COMPILE)
def test_what_an_expression_may_not_hold(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source, NAMES)
    assert message in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "items"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SOURCES = [compile_expression(row[0], NAMES) for row in VALUES] + [
    compile_expression(f"event.a {operator} event.b", NAMES)
    for operator in ("==", "<", "+", "-", "~", "in", "and", "or")
]


@given(JSON, JSON)
def test_every_expression_gives_a_value_or_says_that_the_data_does_not_fit(
    first: Any, second: Any
) -> None:
    data = {
        "a": first,
        "b": second,
        "tags": first,
        "type": second,
        "n": first,
        "deep": {"x": first, "list": second},
    }
    for evaluate in SOURCES:
        try:
            evaluate({"event": data, "settings": {"account": first}})
        except ExpressionError as error:
            assert str(error)  # noqa: PT017 - any text will do


@given(JSON, st.text(max_size=3) | st.integers())
def test_a_member_is_absent_or_what_json_holds(data: Any, key: Any) -> None:
    found = member(data, key)
    assert found is not None
    if found is not ABSENT:
        assert data[key] is found
