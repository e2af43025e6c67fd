"""Data as expressions and templates read it: members of JSON, and what is absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What Python raises when an expression or a template does not fit its data.
FAILURES = (
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    MemoryError,
)


class ExpressionError(ValueError):
    """An expression does not compile, or fails on its data; the text never quotes data."""

    #: What a report calls an event by that is rejected for it.
    code = "expression_failed"


class AbsentError(ExpressionError):
    """An absent value is used where a value is needed."""


class NotBooleanError(ExpressionError):
    """Text is tested for truth that stands for neither true nor false."""

    code = "not_a_boolean"


class Absent:
    """The value of a member that is missing or null."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or other is self

    def __hash__(self) -> int:
        return hash(None)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "absent"

    def _refuse(self, *_: object) -> Any:
        raise AbsentError("an absent value is used")

    __add__ = __radd__ = __sub__ = __rsub__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __str__ = _refuse


ABSENT: Any = Absent()


class Shown(str):
    """What is shown in the place of a value that is not known yet; it has not that value's form."""

    __slots__ = ()


def member(value: Any, key: Any) -> Any:
    """Return a member of an object, list or text, `ABSENT` when there is none."""
    result = None
    if isinstance(value, Mapping):
        result = value.get(key)
    elif isinstance(value, list | tuple | str) and isinstance(key, int):
        try:
            result = value[key]
        except IndexError:
            return ABSENT
    return ABSENT if result is None else result


def text(value: Any) -> str:
    """Return a scalar as text: whole numbers exactly, booleans as true and false.

    Raise ExpressionError for any other value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is ABSENT or value is None:
        raise AbsentError("an absent value is used as text")
    raise ExpressionError("only text, whole numbers and booleans can be used as text")


def kind(value: Any) -> str:
    """Return what a value is, in words that do not quote it."""
    match value:
        case str():
            return "text"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
    return "no value"
