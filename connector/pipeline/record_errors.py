"""Entries: the list of errors in an answer, of which each may name one record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from connector.definitions.model import ResponseRule
from connector.model import NamedRecords
from connector.templating.expressions import ABSENT, Evaluate, ExpressionError, compile_expression

#: What the expressions of a response rule see, and those about one entry of `each`.
NAMES = ("status", "headers", "body", "sent")
ENTRY_NAMES = (*NAMES, "entry")

_SAFE_WORD = re.compile(r"(?![0-9a-fA-F]{32,}$)(?=.*[A-Za-z])[A-Za-z0-9_.-]{1,48}")
_MEMBER_OF_ENTRY = re.compile(r"\bentry\s*\.")


class NobodyError(Exception):
    """An answer names somebody who cannot be told; `words`: what the vendor says of it, or ""."""

    def __init__(self, words: str = "") -> None:
        super().__init__(words)
        self.words = words


def vendor_words(detail: Evaluate | None, scope: Mapping[str, Any]) -> str:
    """Return the vendor's own code, when it is a word: free text of the vendor may quote an identifier."""
    try:
        found = detail(scope) if detail else None
    except ExpressionError:
        return ""
    words = [
        word for word in (found if isinstance(found, list) else [found]) if isinstance(word, str)
    ]
    safe = dict.fromkeys(word for word in words if _SAFE_WORD.fullmatch(word))
    return f" ({', '.join(safe)})" if safe else ""


class _Error(NamedTuple):
    """An entry that is an error: the position or value that it names, and whether that may be sent again later."""

    key: int | str
    later: bool
    words: str


class Entries:
    """The `each` of a response rule, compiled."""

    def __init__(self, rule: ResponseRule) -> None:
        """Raises ExpressionError for what is no expression."""
        self._each = compile_expression(rule.each, NAMES)
        self._by = rule.by
        self._rest_delivered = rule.then == "delivered"
        self._error, self._position, self._later, self._detail = (
            compile_expression(getattr(rule, name), ENTRY_NAMES) if getattr(rule, name) else None
            for name in ("error", "position", "later", "detail")
        )
        self._of_members = any(
            _MEMBER_OF_ENTRY.search(getattr(rule, name)) for name in ("error", "position", "later")
        )

    def find(self, scope: Mapping[str, Any]) -> NamedRecords:
        """Return whom an answer names. Raises NobodyError when that cannot be told, and so nobody is safe."""
        try:
            errors = list(self._errors(scope))
        except ExpressionError:  # an entry of another shape than the rule speaks of
            raise NobodyError from None
        refused = [error for error in errors if not error.later]
        later = tuple(error.key for error in errors if error.later)
        words = tuple(error.words for error in refused) if self._detail else ()
        return NamedRecords(
            self._by, tuple(error.key for error in refused), later, self._rest_delivered, words
        )

    def _errors(self, scope: Mapping[str, Any]) -> Iterator[_Error]:
        entries = self._each(scope)
        if entries is ABSENT:
            return
        if not isinstance(entries, list):
            raise NobodyError
        for index, entry in enumerate(entries):
            if self._of_members and entry and isinstance(entry, str | int | float | list):
                raise NobodyError
            about = {**scope, "entry": entry}
            if self._error(about) if self._error else entry:
                later = bool(self._later and self._later(about))
                yield _Error(self._key(index, about), later, vendor_words(self._detail, about))

    def _key(self, index: int, about: Mapping[str, Any]) -> int | str:
        by_value = self._by == "value"
        found = self._position(about) if self._position else (about["entry"] if by_value else index)
        if not isinstance(found, (str, int) if by_value else int) or isinstance(found, bool):
            raise NobodyError(vendor_words(self._detail, about))
        return str(found) if by_value else found
