"""Mapping: from an event to the raw values of an action's parameters.

A path such as `traits.emails[0]` or `handles[*].name` and an expression each become one function of
the event's data; None means absent. On a route with `each` it is a function of an `Element`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from connector._util.words import any_placeholder, is_placeholder
from connector.connection.audience_names import AudienceName
from connector.connection.model import (
    AfterNow,
    AllPaths,
    Constant,
    FieldMapping,
    FromExpression,
    FromPaths,
    NamedAudience,
    OfOptOut,
)
from connector.definitions.model import FromNow
from connector.templating.data import ABSENT, AbsentError, ExpressionError, text
from connector.templating.expressions import compile_condition, compile_expression


class Element(NamedTuple):
    """An element of the list at a route's `each`, and the event that holds it."""

    event: dict[str, Any]
    item: Any


#: What one record is made of: an event's data, or an element of it.
Row = dict[str, Any] | Element

Get = Callable[[Any], Any]
GetAll = Callable[[Sequence[Any]], list[Any]]

_Compiled = TypeVar("_Compiled")

_TEXT_OR_NONE = {str, type(None)}

#: The names an `expr` or a `when` can use, without and with `each`.
EVENT_NAMES: Collection[str] = ("event", "settings")
ELEMENT_NAMES: Collection[str] = ("event", "item", "settings")

#: How a path is written, for messages.
PATH_FORM = (
    "names joined by dots, with [0], [*], [type=work] or "
    """["odd.name"] after them, such as traits.emails[0]"""
)

_NO_EACH = (
    "'item' is an element of the list at 'each', and there is no 'each' here; "
    """add it to the route, or write ["item"] for the field of the event"""
)

_PART = re.compile(
    r"""
    \.?(?P<name>[^.\[\]"']+)
    | \[(?P<index>\d{1,9}|\*)\]
    | \[(?P<quote>["'])(?P<quoted>.+?)(?P=quote)\]
    | \[(?P<member>[^.\[\]"'=\s][^.\[\]"'=]*)=
      (?: (?P<plain>[^\[\]"'=\s](?:[^\[\]"'=]*[^\[\]"'=\s])?)
        | (?P<value_quote>["'])(?P<value>.*?)(?P=value_quote) )\]
    """,
    re.VERBOSE,
)


class Having(NamedTuple):
    """A path's part `[type=work]`: the elements of a list whose member is this text."""

    member: str
    value: str


# A name, an index, None for every element, or those with a member.
_Part = str | int | None | Having


def parse_path(path: str) -> list[_Part]:
    """Return a path's parts.

    A part is a name, an index, None for every element, or what elements have to have. Raise
    ValueError for an invalid path.
    """
    if not path:
        raise ValueError(f"the path is empty; allowed: {PATH_FORM}")
    if path.startswith("$"):
        raise ValueError(
            f"invalid path '{path}': expected a path into the event, without $; "
            f"allowed: {PATH_FORM}"
        )

    parts: list[_Part] = []
    end = 0
    while end < len(path):
        match = _PART.match(path, end)
        if match is None or not _is_joined(match, path, end):
            raise ValueError(f"invalid path '{path}'; allowed: {PATH_FORM}")
        if match["name"] == "*":
            raise ValueError(
                f"invalid path '{path}': * stands for no name; "
                """write [*] for every element of a list, or ["*"] for a field called *"""
            )
        parts.append(_part(match))
        end = match.end()
    return parts


def _is_joined(match: re.Match[str], path: str, start: int) -> bool:
    """Return whether a part begins correctly: a name with a dot, unless it is the first."""
    has_dot = path[start] == "."
    if start == 0:
        return not has_dot
    return has_dot or not match["name"]


def _part(match: re.Match[str]) -> _Part:
    index = match["index"]
    if index == "*":
        return None
    if index:
        return int(index)
    if match["member"]:
        return Having(match["member"], match["plain"] or match["value"] or "")
    return match["name"] or match["quoted"]


def starts_in_item(path: str) -> bool:
    """Return whether a path starts in the element; `["item"]` is a field of the event."""
    return path == "item" or path.startswith(("item.", "item["))


def compile_path(path: str, *, each: bool = False) -> Get:
    """Return the function that follows a path in an event, or with `each` in an `Element`.

    The function returns None for what is absent. Raise ValueError for an invalid path.
    """
    parts = parse_path(path)
    if starts_in_item(path):
        if not each:
            raise ValueError(_NO_EACH)
        inner = parts[1:]
        return lambda row: _follow(row.item, inner)

    get = _compile_parts(parts)
    return (lambda row: get(row.event)) if each else get


def compile_event_id(path: str) -> Get:
    """Return the function that finds an event's id. Raise ValueError for an invalid path."""
    having = [part for part in parse_path(path) if isinstance(part, Having)]
    if having:
        raise ValueError(
            f"[{having[0].member}=…] is not allowed here: several elements may have it; "
            "name one field of the event"
        )
    return compile_path(path)


def compile_field(field: Sequence[str], *, each: bool) -> GetAll:
    """Return the function that finds a field, `event` or `item` and names below it, in many rows.

    It gives one value for each row, None for what is absent.
    """
    root, *names = field
    if not each:
        get = _compile_parts(names)
        return lambda rows: list(map(get, rows))
    if root == "item":
        return lambda rows: [_follow(row.item, names) for row in rows]
    return lambda rows: [_follow(row.event, names) for row in rows]


def _compile_parts(parts: Sequence[_Part]) -> Get:
    match parts:
        case [str(name)]:
            return lambda data: data.get(name)
        case [str(first), str(second)]:
            return _two_names(first, second)
    return lambda data: _follow(data, parts)


def _two_names(first: str, second: str) -> Get:
    def get(data: dict[str, Any]) -> Any:
        inner = data.get(first)
        return inner.get(second) if inner.__class__ is dict else None

    return get


def _follow(value: Any, parts: Sequence[_Part]) -> Any:
    for position, part in enumerate(parts):
        if isinstance(part, str):
            value = value.get(part) if isinstance(value, dict) else None
        elif isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
        elif part is None:
            return _follow_all(value, parts[position + 1 :])
        else:
            found = _elements_having(value, part)
            if len(found) != 1:
                return _follow_all(found, parts[position + 1 :])
            [value] = found
        if value is None:
            return None
    return value


def _follow_all(values: Any, parts: Sequence[_Part]) -> list[Any] | None:
    """Return what is at the end of a path in each element of a list.

    The value is None where there is nothing.
    """
    if not isinstance(values, list):
        return None

    results: list[Any] = []
    for element in values:
        result = _follow(element, parts)
        if isinstance(result, list):
            results.extend(result)
        elif result is not None:
            results.append(result)
    return results or None


def _elements_having(values: Any, having: Having) -> list[Any]:
    """Return the elements of a list whose member, as text, equals a value exactly."""
    if not isinstance(values, list):
        return []

    found = []
    for element in values:
        if isinstance(element, dict) and _as_text(element.get(having.member)) == having.value:
            found.append(element)
    return found


def _as_text(value: Any) -> str | None:
    try:
        return text(value)
    except ExpressionError:
        return None  # an object, a list, a fraction, or nothing


def _first_present(getters: Sequence[Get], words: Collection[Any]) -> Get:
    """Return the function that returns the first value that is present.

    A word for no value, unless it is one of `words`, is returned only where no other is present.
    """
    if len(getters) == 1:
        return getters[0]

    def get(row: Any) -> Any:
        first = None
        for getter in getters:
            value = getter(row)
            if is_absent(value):
                continue
            if not _stands_for_nothing(value, words):
                return value
            if first is None:
                first = value
        return first

    return get


def _stands_for_nothing(value: Any, words: Collection[Any]) -> bool:
    """Return whether a value that is there is a word for no value, or a list of nothing else."""
    if isinstance(value, str):
        return is_placeholder(value) and value not in words
    if isinstance(value, list):
        return all(is_absent(one) or _stands_for_nothing(one, words) for one in value)
    return False


def _all_present(getters: Sequence[Get]) -> Get:
    """Return the function that returns every value that is present, each once.

    One value is returned as it is, several as a list.
    """

    def get(row: Any) -> Any:
        found: list[Any] = []
        seen: set[tuple[type, Any]] = set()
        for value in _values(getters, row):
            if not isinstance(value, dict | list):
                if (type(value), value) in seen:
                    continue
                seen.add((type(value), value))
            found.append(value)
        return found[0] if len(found) == 1 else found or None

    return get


def _values(getters: Sequence[Get], row: Any) -> Iterator[Any]:
    for getter in getters:
        value = getter(row)
        for one in value if isinstance(value, list) else (value,):
            if not is_absent(one):
                yield one


def is_absent(value: Any) -> bool:
    """Return whether a value counts as absent: missing, null, "" or an empty list."""
    return value is None or value in ("", []) or value is ABSENT


def compile_source(
    source: FieldMapping,
    settings: Mapping[str, Any],
    *,
    each: bool = False,
    words: Collection[Any] = (),
) -> Get:
    """Compile one entry of a route's `map`.

    `words` stand for no value elsewhere, and are values of this parameter.

    Raise ValueError (a path) or ExpressionError. The function of an `expr` raises ExpressionError.
    """
    match source:
        case Constant(value):
            return lambda row: value
        case AfterNow(duration):
            moment = FromNow(duration)
            return lambda row: moment
        case FromPaths(paths):
            return _first_present([compile_path(path, each=each) for path in paths], words)
        case AllPaths(paths):
            return _all_present([compile_path(path, each=each) for path in paths])
        case FromExpression(expression):
            return _compile_event_expression(expression, settings, each=each)
        case NamedAudience():
            return compile_audience_name("", source, settings, each=each).key
        case OfOptOut():
            return lambda row: row.item
    raise TypeError(f"{type(source).__name__} cannot be compiled")


def compile_audience_name(
    parameter: str, source: NamedAudience, settings: Mapping[str, Any], *, each: bool = False
) -> AudienceName:
    """Compile the name of the audience whose id a parameter takes. Raise ExpressionError."""
    return AudienceName(
        parameter,
        source,
        settings,
        lambda expression: _compile_event_expression(expression, settings, each=each),
    )


def _compile_event_expression(expression: str, settings: Mapping[str, Any], *, each: bool) -> Get:
    evaluate = _compile(expression, compile_expression, each=each)
    scope_of = _scope(settings, each=each)

    def get(row: Any) -> Any:
        try:
            value = evaluate(scope_of(row))
        except AbsentError:
            return None
        return None if value is ABSENT else value

    return get


def _compile(
    source: str, compiler: Callable[[str, Collection[str]], _Compiled], *, each: bool
) -> _Compiled:
    if each:
        return compiler(source, ELEMENT_NAMES)
    try:
        return compiler(source, EVENT_NAMES)
    except ExpressionError as error:
        if _is_valid(source, ELEMENT_NAMES):
            raise ExpressionError(_NO_EACH) from None
        raise error from None


def _is_valid(source: str, names: Collection[str]) -> bool:
    try:
        compile_expression(source, names)
    except ExpressionError:
        return False
    return True


def _scope(settings: Mapping[str, Any], *, each: bool) -> Callable[[Any], dict[str, Any]]:
    """Return the function that gives the names of an expression their values."""
    if each:
        return lambda row: {"event": row.event, "item": row.item, "settings": settings}
    return lambda row: {"event": row, "settings": settings}


def compile_column(
    source: FieldMapping,
    settings: Mapping[str, Any],
    *,
    each: bool = False,
    words: Collection[Any] = (),
) -> GetAll:
    """Compile one entry of a route's `map` for many rows at a time: one value for each.

    Where an `expr` fails, its ExpressionError takes the value's place. Raise as `compile_source`
    does.
    """
    get = compile_source(source, settings, each=each, words=words)
    match source:
        case Constant() | AfterNow():
            return lambda rows: [get(None)] * len(rows)
        case FromExpression() | NamedAudience():
            return lambda rows: [_value_or_error(get, row) for row in rows]
        case FromPaths((path,)):
            match parse_path(path):
                case [str(first), str(second)] if not each:
                    return _column_of_two_names(first, second)
                case ["item", str(name)] if starts_in_item(path):
                    return _column_of_items(name)
        case FromPaths(paths):
            columns = []
            for path in paths:
                columns.append(compile_column(FromPaths((path,)), settings, each=each))
            return _column_of_first(columns, words)
    return lambda rows: list(map(get, rows))


def _column_of_two_names(first: str, second: str) -> GetAll:
    # The usual path; without a call for each event it takes two thirds of the time.
    return lambda events: [
        inner.get(second) if (inner := event.get(first)).__class__ is dict else None
        for event in events
    ]


def _column_of_items(name: str) -> GetAll:
    # The usual path with `each`.
    return lambda rows: [
        item.get(name) if item.__class__ is dict else None for _event, item in rows
    ]


def _column_of_first(columns: Sequence[GetAll], words: Collection[Any]) -> GetAll:
    """Return what `_first_present` returns, for many rows at a time."""

    def get_all(rows: Sequence[Any]) -> list[Any]:
        values = columns[0](rows)
        for column in columns[1:]:
            missing = _positions_without(values, words)
            if not missing:
                break
            others = column([rows[position] for position in missing])
            no_better = set(_positions_without(others, words))
            for index, position in enumerate(missing):
                if index not in no_better or is_absent(values[position]):
                    values[position] = others[index]
        return values

    return get_all


def _positions_without(values: Sequence[Any], words: Collection[Any]) -> list[int]:
    """Return the positions of what is absent, or stands for no value."""
    if _TEXT_OR_NONE.issuperset(map(type, values)) and not any_placeholder(filter(None, values)):
        return [position for position, value in enumerate(values) if not value]

    positions = []
    for position, value in enumerate(values):
        if is_absent(value) or _stands_for_nothing(value, words):
            positions.append(position)
    return positions


def _value_or_error(get: Get, row: Row) -> Any:
    try:
        return get(row)
    except ExpressionError as error:
        return error


def compile_when(
    source: str | None, settings: Mapping[str, Any], *, each: bool = False
) -> Callable[[Any], bool] | None:
    """Compile a route's `when`; return None when everything matches.

    Raise ExpressionError; so does the function that is returned.
    """
    if source is None:
        return None
    evaluate = _compile(source, compile_condition, each=each)
    scope_of = _scope(settings, each=each)

    def when(row: Any) -> bool:
        try:
            return evaluate(scope_of(row))
        except AbsentError:
            return False

    return when
