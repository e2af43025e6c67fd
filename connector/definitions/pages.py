"""How the pages of a list are asked for, and what the sandbox does for a call, as typed values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageSize:
    """The member of the query that says how many rows a page has.

    `value` is None when the call's own query says it.
    """

    parameter: str
    value: int | None = None


@dataclass(frozen=True, slots=True)
class CursorPages:
    """The answer has a cursor, an expression, that the next request gives as `parameter`."""

    cursor: str
    parameter: str
    size: PageSize | None = None


@dataclass(frozen=True, slots=True)
class LinkedPages:
    """The answer has the whole URL of the next page, an expression."""

    next: str
    size: PageSize | None = None


@dataclass(frozen=True, slots=True)
class NumberedPages:
    """Pages have numbers from `first` on; `last` is an expression for that of the last one."""

    parameter: str
    first: int
    last: str
    size: PageSize | None = None


@dataclass(frozen=True, slots=True)
class StartPages:
    """A page begins after so many rows; `total` is an expression for the number of all."""

    parameter: str
    size: PageSize
    total: str


Pages = CursorPages | LinkedPages | NumberedPages | StartPages


@dataclass(frozen=True, slots=True)
class CallSandbox:
    """What the sandbox does for a call; what it does not need is "".

    `does`: list, get, create, update, delete or answer; "" for a call that it does not know.
    `where` and `given` are expressions, `at_most` is 0 for any number; `id` names the parameter of
    actions that is an object's id, where no path does.
    """

    does: str = ""
    collection: str = ""
    where: str = ""
    given: str = ""
    unique: str = ""
    at_most: int = 0
    ids: str = "letters"
    id: str = ""
