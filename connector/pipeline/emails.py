"""E-mail addresses, read as people write them.

What is no part of an address goes: white space, quotes and `mailto:` around it, invisible marks.
What is left has to be one address, or it is refused: whatever is hashed counts as somebody.
"""

from __future__ import annotations

import re
from unicodedata import category, east_asian_width, normalize

from connector.pipeline.dropped import DroppedError
from connector.pipeline.texts import compose, of_the_form, or_empty, visible

# The form of nearly all addresses. It has 253 characters at most.
_COMMON = (
    r"[a-z0-9][a-z0-9_+.-]{0,63}+"
    r"@[a-z0-9]{1,40}+(?:[.-][a-z0-9]{1,40}+){0,3}?\.[a-z]{2,24}+"
)
_is_common = re.compile(_COMMON).fullmatch
_are_common = re.compile(rf"(?:{_COMMON}\n)*+").fullmatch

# The form of all, in small letters: what RFC 5321 and 6531 take without quotes. Dots may stand side
# by side, or last before the @, as Japanese providers have allowed. The domain has a dot, as those
# of people have, and does not end in a number.
_LOCAL = r"""(?![.'`])[^\x00-\x20"(),:;<>@\[\\\]\x7f]{1,64}"""
_LETTER = r"[^\x00-/:-`{-\x7f]"
_LABEL = rf"{_LETTER}(?:(?:{_LETTER}|-)*{_LETTER})?"
_form = re.compile(rf"{_LOCAL}@(?:{_LABEL}\.)+(?![0-9]+$)(?=..){_LABEL}").fullmatch
_LONGEST = 254

_QUOTES = frozenset(
    "\"'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a"
)


def email(value: str) -> str:
    """Return an address in small letters. Raise DroppedError (not_of_the_form, placeholder)."""
    plain = value.strip().lower()
    if _is_common(plain):
        return plain
    return of_the_form(_unwrapped(value), _is_address)


def email_many(values: list[str]) -> list[str]:
    """Return `email` of each value; "" for one that is refused."""
    text = "\n".join(map(str.strip, values)).lower() + "\n"
    if text.count("\n") == len(values) and _are_common(text):
        addresses = text.split("\n")
        addresses.pop()
        return addresses
    return list(map(_email_or_empty, values))


_email_or_empty = or_empty(email)


def _unwrapped(value: str) -> str:
    """Return a value in small letters without what is around the address."""
    text = visible("".join(map(_narrow, value)))
    text = compose(text.lower()).strip()
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()

    if text.startswith("mailto:"):
        text = text.removeprefix("mailto:")
        if "%" in text:  # the address is encoded as in a URL
            raise DroppedError("not_of_the_form")
    return text


def _narrow(char: str) -> str:
    """Return a letter of East Asian full or half width in its usual width."""
    if char.isascii() or east_asian_width(char) not in "FH":
        return char
    return normalize("NFKC", char)


def _is_address(text: str) -> bool:
    if len(text) > _LONGEST or _form(text) is None:
        return False
    return text.isascii() or _is_made_of_letters(text)


def _is_made_of_letters(text: str) -> bool:
    """Return whether all that is not ASCII is a letter, a digit, or a mark on one of these."""
    before = "@"
    for char in text:
        kind = category(char)[0]
        if not char.isascii() and kind not in "LMN":
            return False
        if kind == "M" and category(before)[0] not in "LMN":
            return False
        before = char
    return True
