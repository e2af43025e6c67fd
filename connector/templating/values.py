"""Values that represent JSON in a template, and how the value of a hole is written."""

from __future__ import annotations

import re
from typing import Any

import orjson

from connector.templating.data import Shown

#: A mark that no JSON text can hold: symbol number n in a hole.
MARK = re.compile("\x02(\\d+)\x03")


class UnwritableError(ValueError):
    """A value cannot be written as JSON."""


class UnliftableError(Exception):
    """A template reads inside a symbol."""


class Symbol:
    """A placeholder for the text of one identifier while a template is lifted.

    Reading inside it raises UnliftableError.
    """

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def _look(self, *_: Any) -> Any:
        raise UnliftableError

    __str__ = __eq__ = __ne__ = __hash__ = __len__ = __iter__ = __getitem__ = __contains__ = _look
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = _look
    __neg__ = __html__ = _look


class Items(list[bytes]):
    """Items that are JSON already. As a hole they are one list; a loop yields them one by one."""


def dumps(value: Any) -> bytes:
    """Return the value of a hole as compact JSON. Raise UnwritableError."""
    if type(value) is int:
        # orjson refuses integers of more than 64 bits
        return b"%d" % value
    try:
        return orjson.dumps(value, default=_fragment, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:
        raise UnwritableError from None


def _fragment(value: Any) -> Any:
    """Return what orjson can write instead of our own types and the subclasses of dict."""
    if isinstance(value, Items):
        return orjson.Fragment(b"[" + b",".join(value) + b"]")
    if isinstance(value, bytes):
        return orjson.Fragment(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, Shown):
        return str(value)
    if isinstance(value, Symbol):
        return orjson.Fragment(f"\x02{value.index}\x03")
    raise TypeError
