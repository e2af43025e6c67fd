"""The filters and tests of expressions and templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jinja2 import Undefined, nodes

from connector._util import times
from connector._util.words import is_placeholder
from connector.errors import nearest
from connector.templating.data import (
    ABSENT,
    FAILURES,
    AbsentError,
    ExpressionError,
    Shown,
    kind,
    member,
    text,
)

# From here on a number of the epoch counts milliseconds; as seconds it is the year 5138.
_MILLISECONDS = 10**11
_EPOCH_DIGITS = 16
# Characters. No event is longer; filters that follow each other could make any length.
_LONGEST_TEXT = 10_000_000

_is_number = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch
_DIRECTIVE = re.compile("%.?")
_DATE_PARTS = (["%Y", "%d", "%m"], ["%d", "%m", "%y"])
# Where the parts of a time stand in its canonical text, 2026-01-15T00:00:00Z.
_TIME_PARTS: dict[str, slice | str] = {
    "%Y": slice(0, 4),
    "%y": slice(2, 4),
    "%m": slice(5, 7),
    "%d": slice(8, 10),
    "%H": slice(11, 13),
    "%M": slice(14, 16),
    "%S": slice(17, 19),
    "%%": "%",
}


class Filter(NamedTuple):
    """A filter.

    arguments: the names of what it takes besides the value, all of them texts unless `any_kind`.
    required: how many of them have to be given. check: raises ValueError for a first argument that
    can never be right.
    """

    function: Callable[..., Any]
    arguments: tuple[str, ...] = ()
    required: int = 0
    any_kind: bool = False
    check: Callable[[str], object] | None = None


def _default(value: Any, fallback: Any = "") -> Any:
    if value is None or value is ABSENT or isinstance(value, Undefined):
        return fallback
    if isinstance(value, list) and not value:
        return fallback
    return value


def _first(values: Any) -> Any:
    return values[0] if values else None


def _last(values: Any) -> Any:
    return values[-1] if values else None


def _sum(values: Iterable[Any], attribute: str | None = None) -> Any:
    if attribute is None:
        return sum(values)
    return sum(member(value, attribute) for value in values)


def _compact(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: part for key, part in value.items() if part is not None and part is not ABSENT}


def _join(values: Iterable[Any], separator: str = "") -> str:
    parts = list(map(text, values))
    _check_length("join", sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _split(value: Any, separator: str) -> list[str]:
    stripped = map(str.strip, text(value).split(separator))
    return list(filter(None, stripped))


def _int(value: Any) -> int | Shown:
    if isinstance(value, Shown):
        return value
    try:
        return int(text(value))
    except ValueError as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError("the filter 'int' takes digits, and this is other text") from None


def _plus(value: Any, duration: Any) -> str:
    """Add an ISO 8601 duration to a timestamp."""
    try:
        start = times.canonical(text(value))
    except ValueError as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"the filter 'plus': the value {error}") from None
    try:
        return times.plus(start, text(duration))
    except ValueError as error:
        if isinstance(error, ExpressionError):
            raise
        # the error quotes the duration, which may be data
        reason = "the argument is no ISO 8601 duration such as P30D, or leads out of the calendar"
        raise ExpressionError(f"the filter 'plus': {reason}") from None


def _from_epoch(value: Any) -> str:
    """Return seconds or milliseconds since the epoch as canonical UTC text."""
    number = value
    if isinstance(value, str):
        digits = value.strip()
        _check_is_value("from_epoch", digits)
        if not _is_number(digits) or len(digits) > 2 * _EPOCH_DIGITS:
            raise ExpressionError("the filter 'from_epoch' takes a number, and this is other text")
        number = float(digits) if "." in digits else int(digits)
    if isinstance(number, bool) or not isinstance(number, int | float):
        text(value)  # what is absent says so itself
        raise ExpressionError(f"the filter 'from_epoch' takes a number, not {kind(value)}")

    if abs(number) >= _MILLISECONDS:
        number /= 1000
    try:
        return times.from_epoch(number)
    except (ValueError, OverflowError, OSError):
        message = "the filter 'from_epoch': the number leads outside the years 1 to 9999"
        raise ExpressionError(message) from None


def _date(value: Any, form: Any) -> str:
    """Return the midnight, in UTC, at which a written date begins."""
    written = text(value).strip()
    _check_is_value("date", written)
    form = text(form)
    try:
        _check_date_form(form)
        moment = datetime.strptime(written, form)  # noqa: DTZ007 - a date has no offset
    except ValueError:
        raise ExpressionError("the filter 'date': the text is no date of this form") from None
    return times.canonical(moment.date().isoformat() + "T00:00:00Z")


def _check_is_value(name: str, written: str) -> None:
    """Raise AbsentError for a word that stands for no value: what is made of it is absent, too."""
    if is_placeholder(written):
        raise AbsentError(f"the filter '{name}' is given a word for no value")


def _format(value: Any, form: Any) -> str:
    """Return a time, in UTC, in a form."""
    try:
        moment = times.canonical(text(value))
    except ValueError as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"the filter 'format': the value {error}") from None
    form = text(form)
    try:
        _check_format(form)
    except ValueError:
        # the error quotes the form, which may be data
        message = "the filter 'format': the argument is no form such as %Y%m%d_%H%M%S"
        raise ExpressionError(message) from None

    def part(match: re.Match[str]) -> str:
        place = _TIME_PARTS[match[0]]
        return moment[place] if isinstance(place, slice) else place

    return _DIRECTIVE.sub(part, form)


def _check_format(form: str) -> None:
    unknown = sorted(set(_DIRECTIVE.findall(form)) - _TIME_PARTS.keys())
    if unknown:
        raise ValueError(f"'{unknown[0]}' is unknown; known: {', '.join(_TIME_PARTS)}")


def _check_date_form(form: str) -> None:
    directives = sorted(_DIRECTIVE.findall(form))
    if directives not in _DATE_PARTS:
        raise ValueError(
            "this is not the form of a date; write %d, %m and %Y (or %y), each once, "
            "with what stands between them, such as %d.%m.%Y"
        )


def _check_separator(separator: str) -> None:
    if not separator:
        raise ValueError("the separator is empty")


def _check_duration(duration: str) -> None:
    times.plus("2026-01-15T00:00:00Z", duration)


def _replace(value: Any, old: Any, new: Any) -> str:
    before, old, new = text(value), text(old), text(new)
    more = before.count(old) * (len(new) - len(old))
    _check_length("replace", len(before) + more)
    return before.replace(old, new)


def _check_length(name: str, characters: int) -> None:
    if characters > _LONGEST_TEXT:
        raise ExpressionError(
            f"the filter '{name}' would make a text of more than {_LONGEST_TEXT:,} characters"
        )


_FILTERS: dict[str, Filter] = {
    "compact": Filter(_compact),
    "date": Filter(_date, ("form",), required=1, check=_check_date_form),
    "default": Filter(_default, ("fallback",), any_kind=True),
    "first": Filter(_first),
    "format": Filter(_format, ("form",), required=1, check=_check_format),
    "from_epoch": Filter(_from_epoch),
    "int": Filter(_int),
    "join": Filter(_join, ("separator",)),
    "last": Filter(_last),
    "length": Filter(len),
    "list": Filter(list),
    "lower": Filter(lambda value: text(value).lower()),
    "plus": Filter(_plus, ("duration",), required=1, check=_check_duration),
    "replace": Filter(_replace, ("old", "new"), required=2),
    "split": Filter(_split, ("separator",), required=1, check=_check_separator),
    "string": Filter(text),
    "sum": Filter(_sum, ("member",)),
    "trim": Filter(lambda value: text(value).strip()),
    "upper": Filter(lambda value: text(value).upper()),
}

#: The functions of the filters, by name.
FILTERS: dict[str, Callable[..., Any]] = {name: one.function for name, one in _FILTERS.items()}

#: The tests of expressions and templates, by name.
TESTS: dict[str, Callable[[Any], bool]] = {
    "defined": lambda value: value is not ABSENT and not isinstance(value, Undefined),
    "none": lambda value: value is None or value is ABSENT,
    "undefined": lambda value: value is ABSENT or isinstance(value, Undefined),
}


def filter_problem(name: str, arguments: Sequence[nodes.Expr]) -> str:
    """Return what is wrong with the use of a filter, whatever the data; "" when nothing is."""
    found = _FILTERS.get(name)
    if found is None:
        return f"unknown filter '{name}'; {nearest(name, FILTERS)}"

    if not found.required <= len(arguments) <= len(found.arguments):
        takes = (
            f"the arguments ({', '.join(found.arguments)})" if found.arguments else "no arguments"
        )
        return f"filter '{name}' takes {takes}, not {len(arguments)}"

    constants = [one for one in arguments if isinstance(one, nodes.Const)]
    for argument in constants:
        if not isinstance(argument.value, str) and not found.any_kind:
            return f"filter '{name}': its arguments are texts; got {kind(argument.value)}"
    try:
        if constants and found.check is not None:
            found.check(constants[0].value)
    except ValueError as error:
        return f"filter '{name}': {error}"
    return ""


def call_filter(name: str, values: Sequence[Any]) -> Any:
    """Return what a filter makes of a value and its arguments. Raise ExpressionError."""
    try:
        return FILTERS[name](*values)
    except ExpressionError:
        raise
    except FAILURES:
        # the error's own text may quote data
        message = f"the filter '{name}' cannot be used on {kind(values[0])} like this"
        raise ExpressionError(message) from None
