"""Texts: what holds for the text of every identifier, whatever it identifies.

The same text can be written in several ways: with marks that nobody sees, with an accent as a
letter's part or as a sign of its own. Whoever hashes them as they are makes several people of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from unicodedata import category, normalize

from connector._util.words import is_placeholder
from connector.pipeline.dropped import DroppedError

# Letters and marks that are never seen, beside those of Unicode's class Cf.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def visible(text: str) -> str:
    """Return a text without invisible marks, its letters and accents composed (NFC)."""
    if text.isascii():
        return text
    seen = "".join(char for char in text if category(char) != "Cf")
    return normalize("NFC", _UNSEEN.sub("", seen))


def compose(text: str) -> str:
    """Return a text with its letters and accents composed (NFC)."""
    return normalize("NFC", text)


def clean(value: str) -> str:
    """Return a visible text without white space around it.

    Raise DroppedError (not_of_the_form) for control characters, such as the NUL that fills up
    fields of some databases.
    """
    value = value.strip()
    if value.isascii() and value.isprintable():
        return value

    value = visible(value).strip()
    for char in value:
        if category(char) == "Cc" and not char.isspace():
            raise DroppedError("not_of_the_form")
    return value


def clean_many(values: list[str]) -> list[str]:
    """Return `clean` of each value; "" for one that is refused."""
    stripped = list(map(str.strip, values))
    text = "".join(stripped)
    if text.isascii() and text.isprintable():
        return stripped
    return list(map(or_empty(clean), values))


def of_the_form(value: str, has_form: Callable[[str], object]) -> str:
    """Return a value that has a form. Raise DroppedError (placeholder, not_of_the_form)."""
    if not value or has_form(value):
        return value
    encode(value)  # half of a surrogate pair is a reason of its own
    raise DroppedError("placeholder" if is_placeholder(value) else "not_of_the_form")


def or_empty(function: Callable[[str], str]) -> Callable[[str], str]:
    """Return the function that returns "" where this one raises DroppedError."""

    def value_or_empty(value: str) -> str:
        try:
            return function(value)
        except DroppedError:
            return ""

    return value_or_empty


def encode(text: str) -> bytes:
    """Return a text's UTF-8. Raise DroppedError (not_unicode)."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise DroppedError("not_unicode") from None
