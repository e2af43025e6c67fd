"""Errors of single records: the list in a response of which each entry may name one record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from connector.definitions.model import ResponseRule
from connector.model import NamedRecords
from connector.templating.data import ABSENT, ExpressionError
from connector.templating.expressions import Evaluate, compile_expression

#: What the expressions of a response rule see, and those about one entry of `each`.
NAMES = ("status", "headers", "body", "sent")
ENTRY_NAMES = (*NAMES, "entry")

Scope = Mapping[str, Any]

# A vendor's code, such as INVALID_EMAIL: short, with a letter, and no digest in hex.
_CODE = re.compile(r"(?![0-9a-fA-F]{32,}$)(?=.*[A-Za-z])[A-Za-z0-9_.-]{1,48}")

_MEMBER_OF_ENTRY = re.compile(r"\bentry\s*\.")


class UnattributableError(Exception):
    """A response reports an error and does not say of which record, so any record may be affected.

    `words`: the vendor's own code for it, as `vendor_words` returns it.
    """

    def __init__(self, words: str = "") -> None:
        super().__init__(words)
        self.words = words


def vendor_words(detail: Evaluate | None, scope: Scope) -> str:
    """Return the vendor's own codes as " (CODE)", or "" when there are none.

    Only what looks like a code is repeated: a vendor's free text may quote an identifier.
    """
    if detail is None:
        return ""
    try:
        value = detail(scope)
    except ExpressionError:
        return ""

    codes: dict[str, None] = {}
    for candidate in value if isinstance(value, list) else [value]:
        if isinstance(candidate, str) and _CODE.fullmatch(candidate):
            codes[candidate] = None
    return f" ({', '.join(codes)})" if codes else ""


class _RecordError(NamedTuple):
    """One entry that is an error."""

    #: The position or the value that it names.
    key: int | str
    #: Whether that may be sent again later.
    later: bool
    words: str


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

    def find(self, scope: Scope) -> NamedRecords:
        """Return whom a response names.

        Raise UnattributableError when an entry cannot be understood.
        """
        refused: list[int | str] = []
        words: list[str] = []
        later: list[int | str] = []
        try:
            for error in self._errors(scope):
                if error.later:
                    later.append(error.key)
                else:
                    refused.append(error.key)
                    words.append(error.words)
        except ExpressionError:
            # An entry has another shape than the rule speaks of.
            raise UnattributableError from None

        return NamedRecords(
            by=self._by,
            refused=tuple(refused),
            later=tuple(later),
            rest_delivered=self._rest_delivered,
            words=tuple(words) if self._detail else (),
        )

    def _errors(self, scope: Scope) -> Iterator[_RecordError]:
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
                key = self._key(index, entry_scope)
                yield _RecordError(key, later, vendor_words(self._detail, entry_scope))

    def _key(self, index: int, entry_scope: Scope) -> int | str:
        """Return the position or the value that an entry names."""
        by_value = self._by == "value"
        if self._position is not None:
            key = self._position(entry_scope)
        elif by_value:
            key = entry_scope["entry"]
        else:
            key = index

        allowed = str | int if by_value else int
        if isinstance(key, bool) or not isinstance(key, allowed):
            raise UnattributableError(vendor_words(self._detail, entry_scope))
        return str(key) if by_value else key


def _of_entry(expression: str) -> Evaluate | None:
    return compile_expression(expression, ENTRY_NAMES) if expression else None
