"""What the answer to a call says: its rows, and where the next page is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.definitions.model import Call
from connector.definitions.pages import (
    CursorPages,
    LinkedPages,
    NumberedPages,
    StartPages,
)
from connector.model import Response
from connector.templating.data import ABSENT, ExpressionError
from connector.templating.expressions import Evaluate, compile_expression

#: The names that `result` and `pages` see, and those that `fields` see.
RESULT_NAMES = ("body", "headers", "params")
FIELD_NAMES = ("row", *RESULT_NAMES)

#: One row of a call's result.
Row = dict[str, Any]

# Whole numbers that every reader of JSON keeps.
_LARGEST = 2**53


class AnswerError(ValueError):
    """An answer does not hold what was asked for; the text says which expression failed."""


class Reader:
    """Reads the answers to one call."""

    def __init__(self, call: Call, params: Mapping[str, Any]) -> None:
        """Raise ExpressionError for a definition that lint refuses."""
        self._params = params
        self._result = compile_expression(call.result or "body", RESULT_NAMES)
        self._has_result = bool(call.result)
        self._fields: dict[str, Evaluate] = {}
        for name, source in call.fields.items():
            self._fields[name] = compile_expression(source, FIELD_NAMES)

    def rows(self, response: Response) -> tuple[list[Row], bool]:
        """Return the rows of an answer, and whether they are a list. Raise AnswerError."""
        scope = self.scope(response)
        try:
            result = self._result(scope)
        except ExpressionError as error:
            raise AnswerError(f"'result' cannot be read: {error}") from None

        if result is None:
            result = ABSENT
        if result is ABSENT and self._has_result:
            raise AnswerError("the answer does not hold what was asked for")
        if isinstance(result, list):
            return [self._row(row, scope) for row in result], True
        return [self._row({} if result is ABSENT else result, scope)], False

    def scope(self, response: Response) -> dict[str, Any]:
        """Return what expressions on an answer see."""
        return {"body": response.body, "headers": response.headers, "params": self._params}

    def _row(self, written: Any, scope: Mapping[str, Any]) -> Row:
        if not self._fields:
            members = written if isinstance(written, dict) else {"value": written}
            return {name: _exact(name, value) for name, value in members.items()}

        row = {}
        for name, field in self._fields.items():
            try:
                value = field({**scope, "row": written})
            except ExpressionError as error:
                raise AnswerError(f"'fields/{name}' cannot be read: {error}") from None
            row[name] = _exact(name, value)
        return row


def _exact(name: str, value: Any) -> Any:
    """Return a member of a row: ids are text, and so are numbers that would lose digits."""
    if value is ABSENT:
        return None
    if type(value) is int and (_is_id(name) or abs(value) > _LARGEST):
        return str(value)
    if isinstance(value, list):
        return [_exact(name, one) for one in value]
    if isinstance(value, dict):
        return {key: _exact(key, one) for key, one in value.items()}
    return value


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith(("_id", "_ids"))


class NextPage:
    """Where the next page of a call is: members of the query, or a link; neither at the end."""

    def __init__(self, call: Call, params: Mapping[str, Any]) -> None:
        """Raise ExpressionError for a definition that lint refuses."""
        self._pages = call.pages
        self._size = call.pages.size if call.pages else None
        self._rows = 0
        self._number = 0
        self._where: Evaluate = lambda scope: ABSENT
        match call.pages:
            case CursorPages(cursor):
                self._where = compile_expression(cursor, RESULT_NAMES)
            case LinkedPages(link):
                self._where = compile_expression(link, RESULT_NAMES)
            case NumberedPages(_, first, last):
                self._number = first
                self._where = compile_expression(last, RESULT_NAMES)
            case StartPages(_, _, total):
                self._where = compile_expression(total, RESULT_NAMES)

    def first(self) -> dict[str, str]:
        """Return the members of the query for the first page."""
        members = {}
        if self._size is not None and self._size.value is not None:
            members[self._size.parameter] = str(self._size.value)
        if isinstance(self._pages, NumberedPages):
            members[self._pages.parameter] = str(self._number)
        if isinstance(self._pages, StartPages):
            members[self._pages.parameter] = "0"
        return members

    def after(self, scope: Mapping[str, Any], rows: int) -> dict[str, str] | str | None:
        """Return the members for the page after this one, or its link; None at the end.

        Raise AnswerError when the answer says nothing that can be read.
        """
        try:
            found = self._where(scope)
        except ExpressionError as error:
            raise AnswerError(f"'pages' cannot be read: {error}") from None
        if found is ABSENT or found == "":
            return None

        match self._pages:
            case CursorPages(_, parameter):
                return {**self.first(), parameter: _text(found)}
            case LinkedPages():
                return _text(found)
            case NumberedPages(parameter, _, _):
                self._number += 1
                members = {**self.first(), parameter: str(self._number)}
                return members if rows and self._number <= _number(found) else None
            case StartPages(parameter, _, _):
                self._rows += rows
                members = {**self.first(), parameter: str(self._rows)}
                return members if rows and self._rows < _number(found) else None
        return None


def _text(found: Any) -> str:
    if isinstance(found, str):
        return found
    if type(found) is int:
        return str(found)
    raise AnswerError("'pages' is neither text nor a whole number")


def _number(found: Any) -> int:
    try:
        return int(_text(found))
    except ValueError:
        raise AnswerError("'pages' is not a whole number") from None
