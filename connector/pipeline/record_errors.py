"""Errors of single records: the list in a response of which each entry may name one record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from connector.definitions.model import ResponseRule
from connector.model import NamedRecords
from connector.pipeline.vendor_words import NOTHING, Answer, Said
from connector.templating.data import ABSENT, ExpressionError
from connector.templating.expressions import Evaluate, compile_expression

#: What the expressions of a response rule see, and those about one entry of `each`.
NAMES = ("status", "headers", "body", "sent")
ENTRY_NAMES = (*NAMES, "entry")

Scope = Mapping[str, Any]

_MEMBER_OF_ENTRY = re.compile(r"\bentry\s*\.")


class UnattributableError(Exception):
    """A response reports an error and does not say of which record, so any record may be affected.

    `said`: the vendor's own code for it.
    """

    def __init__(self, said: Said = NOTHING) -> None:
        super().__init__(said.text)
        self.said = said


class _RecordError(NamedTuple):
    """One entry that is an error."""

    #: The position or the value that it names.
    key: int | str
    #: Whether that may be sent again later.
    later: bool
    said: Said


class RecordErrors:
    """The `each` of a response rule, compiled."""

    def __init__(self, rule: ResponseRule) -> None:
        """Raise ExpressionError for an invalid expression."""
        self._each = compile_expression(rule.each, NAMES)
        self._by = rule.by
        self._rest_delivered = rule.then == "delivered"

        self._is_error = _of_entry(rule.error)
        self._position = _of_entry(rule.position)
        self._is_later = _of_entry(rule.later)
        self._detail = _of_entry(rule.detail)

        expressions = f"{rule.error} {rule.position} {rule.later}"
        self._expects_objects = bool(_MEMBER_OF_ENTRY.search(expressions))

    def find(self, scope: Scope, answer: Answer) -> NamedRecords:
        """Return whom a response names.

        Raise UnattributableError when an entry cannot be understood.
        """
        refused: list[int | str] = []
        words: list[str] = []
        said: list[str] = []
        later: list[int | str] = []
        try:
            for error in self._errors(scope, answer):
                if error.later:
                    later.append(error.key)
                else:
                    refused.append(error.key)
                    words.append(error.said.text)
                    said.append(error.said.codes)
        except ExpressionError:
            # An entry has another shape than the rule speaks of.
            raise UnattributableError from None

        return NamedRecords(
            by=self._by,
            refused=tuple(refused),
            later=tuple(later),
            rest_delivered=self._rest_delivered,
            words=tuple(words) if self._detail else (),
            said="".join(dict.fromkeys(said)),
        )

    def _errors(self, scope: Scope, answer: Answer) -> Iterator[_RecordError]:
        entries = self._each(scope)
        if entries is ABSENT:
            return
        if not isinstance(entries, list):
            raise UnattributableError

        for index, entry in enumerate(entries):
            # Members of anything but an object are absent, which must not read as "no error".
            if self._expects_objects and entry and isinstance(entry, str | int | float | list):
                raise UnattributableError

            entry_scope = {**scope, "entry": entry}
            is_error = self._is_error(entry_scope) if self._is_error else entry
            if is_error:
                later = bool(self._is_later and self._is_later(entry_scope))
                said = answer.said(self._detail, entry_scope)
                key = self._key(index, entry_scope)
                if key is None:
                    raise UnattributableError(said)
                yield _RecordError(key, later, said)

    def _key(self, index: int, entry_scope: Scope) -> int | str | None:
        """Return the position or the value that an entry names, None when it names none."""
        by_value = self._by == "value"
        if self._position is not None:
            key = self._position(entry_scope)
        elif by_value:
            key = entry_scope["entry"]
        else:
            key = index

        allowed = str | int if by_value else int
        if isinstance(key, bool) or not isinstance(key, allowed):
            return None
        return str(key) if by_value else key


def _of_entry(expression: str) -> Evaluate | None:
    return compile_expression(expression, ENTRY_NAMES) if expression else None
