"""Expressions: what they give over events, where nothing is there, and what they may not hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.templating.data import ABSENT, AbsentError, ExpressionError, NotBooleanError, member
from connector.templating.expressions import compile_condition, compile_expression

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
    ("event.type[0]", "a"),
    ("event.type[-1]", "e"),
    ("event.type[99] is undefined", True),
    ("event.missing[0] is undefined", True),
    ("event.type[:3]", "aud"),
    ("event.type[-3:]", "nce"),
    ("event.type[1:-1] ~ '!'", "udienc!"),
    ("event.type[:]", "audience"),
    ("event.type[99:]", ""),
    ("event.tags[1:]", ["b"]),
    ("event.tags[event.zero:1]", ["a"]),
    ("event.missing[1:]", ABSENT),
    ("1700000000 | from_epoch", "2023-11-14T22:13:20Z"),
    ("'2026-01-15T02:03:04+02:00' | format('%Y%m%d_%H%M%S')", "20260115_000304"),
    ("'2026-01-15T02:03:04Z' | format('%d.%m.%y, 100 %%')", "15.01.26, 100 %"),
    ("1700000000000 | from_epoch", "2023-11-14T22:13:20Z"),
    ("' 1700000000 ' | from_epoch", "2023-11-14T22:13:20Z"),
    ("'1700000000.9' | from_epoch", "2023-11-14T22:13:20Z"),
    ("99999999999 | from_epoch", "5138-11-16T09:46:39Z"),
    ("100000000000 | from_epoch", "1973-03-03T09:46:40Z"),
    ("0 | from_epoch", "1970-01-01T00:00:00Z"),
    ("-1 | from_epoch", "1969-12-31T23:59:59Z"),
    ("'31.12.2026' | date('%d.%m.%Y')", "2026-12-31T00:00:00Z"),
    ("' 1.2.2026 ' | date('%d.%m.%Y')", "2026-02-01T00:00:00Z"),
    ("'12/31/26' | date('%m/%d/%y')", "2026-12-31T00:00:00Z"),
    ("20261231 | date('%Y%m%d')", "2026-12-31T00:00:00Z"),
    ("'31.12.2026' | date('%d.%m.%Y') | plus('P1D')", "2027-01-01T00:00:00Z"),
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
    ("event.yes | string | trim | lower == 'true'", True),
    ("event.n - event.n", 0),
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
    "event.type[:event.missing]", "event.missing | from_epoch", "event.missing | date('%d.%m.%Y')", "event.missing | plus('P1D')",
    "'k.A.' | date('%d.%m.%Y')", "' NULL ' | date('%d.%m.%Y')", "'-' | date('%d.%m.%Y')", "'' | date('%d.%m.%Y')",
    "'n/a' | from_epoch", "' ' | from_epoch",
]  # fmt: skip


@pytest.mark.parametrize("source", ABSENT_USED)
def test_what_is_absent_cannot_be_used(source: str) -> None:
    with pytest.raises(AbsentError):
        value(source)


WHY: list[tuple[str, str]] = [
    ("event.type | int", "the filter 'int' takes digits, and this is other text"),
    ("event.type | plus('P1D')", "the filter 'plus': the value is not an RFC 3339 timestamp"),
    ("event.date | plus(event.type)", "the argument is no ISO 8601 duration such as P30D"),
    ("'9999-12-31T00:00:00Z' | plus('P1Y')", "or leads out of the calendar"),
    ("event.type | from_epoch", "the filter 'from_epoch' takes a number, and this is other text"),
    ("event.type | format('%Y')", "the filter 'format': the value is not an RFC 3339 timestamp"),
    (
        "'2026-01-15T02:03:04Z' | format('%' ~ event.type)",
        "the argument is no form such as %Y%m%d_%H%M%S",
    ),
    ("event.yes | from_epoch", "the filter 'from_epoch' takes a number, not true or false"),
    ("event.tags | from_epoch", "only text, whole numbers and booleans can be used as text"),
    ("-9e15 | from_epoch", "the number leads outside the years 1 to 9999"),
    ("event.type | date('%d.%m.%Y')", "the filter 'date': the text is no date of this form"),
    ("'31.02.2026' | date('%d.%m.%Y')", "the filter 'date': the text is no date of this form"),
    ("event.type > 5", "'>' cannot be used between text and a whole number"),
    ("event.type + 5", "'+' cannot be used between text and a whole number"),
    ("event.tags - event.half", "'-' cannot be used between a list and a number with a fraction"),
    ("event.type in event.n", "'in' cannot be used between text and a whole number"),
    ("event.tags | sum", "the filter 'sum' cannot be used on a list like this"),
    ("event.n | length", "the filter 'length' cannot be used on a whole number like this"),
    ("event.deep[1:]", "only text and lists have slices, not an object"),
    ("event.type[event.type:]", "a slice takes whole numbers, not text"),
    ("event.deep | upper", "only text, whole numbers and booleans can be used as text"),
]


@pytest.mark.parametrize(("source", "why"), WHY)
def test_a_failure_says_why(source: str, why: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(source)
    assert why in str(caught.value)


TRUTH: list[tuple[Any, bool | None]] = [
    *[(word, True) for word in ("true", "TRUE", " Yes ", "y", "on", "T", "1", "\tyes\n")],
    *[(word, False) for word in ("false", "False", "NO", "n", "off", "f", "0", "", "  ")],
    *[(word, False) for word in ("null", "None", "N/A", "undefined", "NaN", "<null>", "nil")],
    *[(word, None) for word in ("yes!", "ja", "2", "-1", "00", "1.0", "opted in", "@", "truefalse")],
    (True, True), (False, False), (1, True), (0, False), (2, True), (0.0, False), (None, False),
    ([], False), ([0], True), ({}, False), ({"a": 1}, True),
]  # fmt: skip
TESTED = [
    "event.x", "not not event.x", "event.x and true", "true and event.x", "event.x or false", "false or event.x",
    "true if event.x else false", "event.x if true", "(event.x and true) or false", "not (not event.x)",
]  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), TRUTH)
@pytest.mark.parametrize("source", TESTED)
def test_a_condition_reads_words(source: str, data: Any, expected: bool | None) -> None:
    condition = compile_condition(source, NAMES)
    scope = {"event": {"x": data}, "settings": {}}
    if expected is None:
        with pytest.raises(NotBooleanError) as caught:
            condition(scope)
        assert "says neither true" in str(caught.value)
        assert "as in event.a | trim | lower == 'x'" in str(caught.value)
        assert str(data) not in str(caught.value).partition(";")[0]
    else:
        assert condition(scope) is expected


UNCHANGED: list[tuple[str, bool]] = [
    ("event.x == 'no'", True),
    ("event.x in ['no']", True),
    ("event.x != 'yes'", True),
    ("event.x is defined", True),
    ("event.x | upper == 'NO'", True),
    ("event.x ~ 'x' == 'nox'", True),
    ("event.missing", False),
    ("event.missing is undefined", True),
]


@pytest.mark.parametrize(("source", "expected"), UNCHANGED)
def test_a_condition_compares_as_an_expression_does(source: str, expected: bool) -> None:
    scope = {"event": {"x": "no"}, "settings": {}}
    assert compile_condition(source, NAMES)(scope) is expected
    assert bool(compile_expression(source, NAMES)(scope)) is expected


def test_an_expression_reads_no_words() -> None:
    scope = {"event": {"x": "no"}, "settings": {}}
    assert compile_expression("event.x or 'x'", NAMES)(scope) == "no"
    assert compile_expression("'in' if event.x else 'out'", NAMES)(scope) == "in"
    assert compile_expression("not event.x", NAMES)(scope) is False


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
    ("event.ok == ja", "unknown name 'ja'; known: event, settings; text stands in quotes: 'ja'"),
    ("event.ok in ja", "text stands in quotes: 'ja'"),
    (
        "event.E-Mail == 'x'",
        "'-Mail' is read as minus Mail; a name with a dash stands in quotes: event['E-Mail']",
    ),
    ("event.a.opt-in-ads", "stands in quotes: event.a['opt-in-ads']"),
    ("event.items[0].E-Mail", "stands in quotes: \u2026['E-Mail']"),
    ("event.a - Mail - 1", "event['a-Mail']"),
    ("1 - Mail", "unknown name 'Mail'; known: event, settings"),
    ("range(9)", "'Call' is not allowed"),
    ("event.type.upper()", "'Call' is not allowed"),
    ("event.tags[0:1:1]", "a slice takes a start and an end, and no step"),
    ("event.tags['a':]", "a slice takes whole numbers, not text"),
    (
        "event.tags[1.5:]",
        "a slice takes whole numbers, not a number with a fraction",
    ),
    ("event.n | replace('00', '+', 1)", "filter 'replace' takes the arguments (old, new), not 3"),
    ("event.n | replace('00')", "filter 'replace' takes the arguments (old, new), not 1"),
    ("event.n | replace(1, 2)", "filter 'replace': its arguments are texts; got a whole number"),
    ("event.n | upper('x')", "filter 'upper' takes no arguments, not 1"),
    ("event.n | split", "filter 'split' takes the arguments (separator), not 0"),
    ("event.n | split('')", "filter 'split': the separator is empty"),
    ("event.n | plus('1 day')", "filter 'plus': '1 day' is not an ISO 8601 duration"),
    ("event.n | plus", "filter 'plus' takes the arguments (duration), not 0"),
    ("event.n | date", "filter 'date' takes the arguments (form), not 0"),
    ("event.n | date('dd.mm.yyyy')", "filter 'date': this is not the form of a date; write %d"),
    ("event.n | date('%d.%m')", "this is not the form of a date"),
    ("event.n | date('%d.%m.%Y %H')", "this is not the form of a date"),
    ("event.n | date('%d.%d.%Y')", "this is not the form of a date"),
    ("event.n | date('%d.%m.%Y%')", "this is not the form of a date"),
    ("event.n | date(5)", "filter 'date': its arguments are texts; got a whole number"),
    (
        "event.n | format('%Y-%j')",
        "filter 'format': '%j' is unknown; known: %Y, %y, %m, %d, %H, %M, %S, %%",
    ),
    ("event.n | from_epoch('ms')", "filter 'from_epoch' takes no arguments, not 1"),
    ("event.n | join(5)", "filter 'join': its arguments are texts; got a whole number"),
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
        assert data[key] == found or data[key] is found
