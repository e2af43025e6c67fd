"""Identifiers: from what an event holds to what the vendor is sent.

Normalise, then hash; never the other way round, and never the empty text. A value that cannot be used is dropped with
a reason (`REASONS`) and counted; it does not end the record.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from hashlib import sha256
from operator import methodcaller
from typing import Any, NamedTuple
from unicodedata import category

from connector.definitions.model import Identifier
from connector.templating.expressions import ABSENT, ExpressionError

Identify = Callable[[Any], str]
Step = Callable[[str], str]

#: Why a value is dropped, by the word used in reports.
REASONS = {
    "empty": "nothing is left after normalising",
    "not_text": "it is neither text nor a whole number",
    "not_exact": "a number with a fraction or an exponent is not an exact id; send ids as text",
    "not_unicode": "it holds half of a surrogate pair",
    "not_e164": "it cannot become an E.164 phone number; write it with + and the country code",
    "not_of_the_form": "it has not the form that the vendor asks for",
    "not_integer": "it is not a whole number in decimal digits",
    "not_a_digest": "a digest is due here and it is not one; was it meant for the parameter that is hashed here?",
    "already_hashed": "plain text is due here and it is a digest already; it would be hashed twice",
    "placeholder": "it stands for no person, like 'null' or 'undefined'",
    "not_allowed": "the parameter's schema does not allow it",
    "expression_failed": "the mapping's expression fails on the event",
}


def dropped_lines(dropped: Counter[tuple[str, str]]) -> list[str]:
    """Return a line for each (parameter, reason) for which identifier values were dropped, the most frequent first."""
    return [
        f"dropped {count:,} x {name}: {reason} ({REASONS[reason]})"
        for (name, reason), count in dropped.most_common(20)
    ]


class DroppedError(ValueError):
    """A value cannot be used; the text is a word of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# What programs write when there is no value; nobody's identifier.
_PLACEHOLDERS = (
    "",
    "null",
    "none",
    "nil",
    "undefined",
    "nan",
    "n/a",
    "(null)",
    "<null>",
    "[object object]",
)
_SPELLINGS = {form(word) for word in _PLACEHOLDERS for form in (str, str.upper, str.title)} | {
    "NaN",
    "[object Object]",
}

#: Name → (function of bytes, digits of its hexadecimal digest).
HASHES: dict[str, tuple[Callable[[bytes], Any], int]] = {"sha256": (sha256, 64)}

_SEPARATORS = str.maketrans("", "", " \u00a0-.()/")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_INTEGER = re.compile(r"[0-9]{1,40}").fullmatch
_HEX = re.compile(r"[0-9a-fA-F]+").fullmatch
_NOT_DIGITS = re.compile(r"[^0-9]+")


def e164(value: str) -> str:
    """Return a phone number as `+` and digits. Raises DroppedError (not_e164)."""
    return value if _E164(value) else _parse_phone(value)


def _parse_phone(value: str) -> str:
    """Bring a number in another spelling into E.164 form; a plainly spaced one without the whole parser."""
    tidy = value.translate(_SEPARATORS)
    if _E164(tidy) and _international(tidy):
        return tidy

    import phonenumbers

    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        raise DroppedError("not_e164") from None
    if number.extension or not phonenumbers.is_possible_number(number):
        raise DroppedError("not_e164")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _international(number: str) -> bool:
    """Say whether a country code is followed by as many digits as its numbers have, and by no trunk zero."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    for end in (2, 3, 4):
        code = int(number[1:end])
        if code in COUNTRY_CODE_TO_REGION_CODE:
            return number[end : end + 1] != "0" and _possible(code, len(number) - end)
    return False


@cache
def _possible(code: int, digits: int) -> bool:
    from phonenumbers import PhoneNumber, is_possible_number

    return digits > 0 and bool(
        is_possible_number(PhoneNumber(country_code=code, national_number=10 ** (digits - 1)))
    )


def integer(value: str) -> str:
    """Return a whole number's decimal text without leading zeros. Raises DroppedError (not_integer)."""
    if not _INTEGER(value):
        raise DroppedError("not_integer")
    return value.lstrip("0") or "0"


def _strip_prefix(prefix: str) -> Step:
    """Return the removal of a prefix, as often as it stands there, with white space before and after it."""
    if len(prefix) == 1:
        return methodcaller("lstrip", prefix + _WHITE_SPACE)

    def strip(value: str) -> str:
        value = value.lstrip()
        while value.startswith(prefix):
            value = value[len(prefix) :].lstrip()
        return value

    return strip


_WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())


def _digits(value: str) -> str:
    return _NOT_DIGITS.sub("", value)


def _strip_leading_zeros(value: str) -> str:
    return value.lstrip("0")


def _remove_whitespace(value: str) -> str:
    return "".join(value.split())


def _remove_punctuation(value: str) -> str:
    return "".join(char for char in value if category(char)[0] not in "PS")


def _matches(pattern: str) -> Step:
    fits = re.compile(pattern).fullmatch

    def step(value: str) -> str:
        if value and not fits(value):
            raise DroppedError(
                "placeholder" if value.lower() in _PLACEHOLDERS else "not_of_the_form"
            )
        return value

    return step


def _local_part(change: Step) -> Callable[[Any], Step]:
    """Return the step that changes an address before its @, for every domain (True) or the listed ones."""

    def make(domains: Any) -> Step:
        def step(value: str) -> str:
            local, at, domain = value.rpartition("@")
            if not at or (domains is not True and domain.lower() not in domains):
                return value
            local = change(local)
            return f"{local}@{domain}" if local else ""

        return step

    return make


#: The normaliser steps, each made from its argument.
STEPS: dict[str, Callable[[Any], Step]] = {
    "trim": lambda _: str.strip,
    "lowercase": lambda _: str.lower,
    "uppercase": lambda _: str.upper,
    "remove_whitespace": lambda _: _remove_whitespace,
    "digits": lambda _: _digits,
    "strip_leading_zeros": lambda _: _strip_leading_zeros,
    "strip_prefix": _strip_prefix,
    "remove_punctuation": lambda _: _remove_punctuation,
    "matches": _matches,
    "drop_email_tag": _local_part(lambda local: local.partition("+")[0]),
    "drop_email_dots": _local_part(lambda local: local.replace(".", "")),
    "e164": lambda _: e164,
    "integer": lambda _: integer,
}


def normaliser(identifier: Identifier) -> Step:
    """Return the identifier's steps as one function of text. It raises DroppedError."""
    steps = _steps(identifier)

    def normalise(value: str) -> str:
        for step in steps:
            value = step(value)
        return value

    return normalise


def _steps(identifier: Identifier) -> list[Step]:
    return [STEPS[name](argument) for name, argument in identifier.normalize]


def identify(identifier: Identifier, *, prehashed: bool | str) -> Identify:
    """Return the function from one raw value to the wire value. It raises DroppedError; it never returns ""."""
    if identifier.hash == "none":
        return _plain(normaliser(identifier))
    if prehashed is True:
        return _digest(identifier.hash)
    hashed = _hashed(identifier)
    if prehashed != "auto":
        return hashed
    digest = _digest(identifier.hash)
    digits = HASHES[identifier.hash][1]

    def either(value: Any) -> str:
        return digest(value) if _is_digest(value, digits) else hashed(value)

    return either


def _is_digest(value: Any, digits: int) -> bool:
    if not isinstance(value, str):
        return False
    value = value.strip()
    return len(value) == digits and _HEX(value) is not None


def _hashed(identifier: Identifier) -> Identify:
    normalise = normaliser(identifier)
    function, digits = HASHES[identifier.hash]
    bad = _bad_digests(function)

    def hashed(value: Any) -> str:
        value = as_text(value)
        if _is_digest(value, digits):
            raise DroppedError("already_hashed")
        value = normalise(value)
        if not value:
            raise DroppedError("empty")
        digest: str = function(value.encode()).hexdigest()
        if digest in bad:
            raise DroppedError("placeholder")
        return digest

    return hashed


def _digest(name: str) -> Identify:
    function, digits = HASHES[name]
    bad = _bad_digests(function)

    def digest(value: Any) -> str:
        if not _is_digest(value, digits):
            raise DroppedError("not_a_digest")
        text: str = value.strip().lower()
        if text in bad:
            raise DroppedError("placeholder")
        return text

    return digest


def _plain(normalise: Step) -> Identify:
    def plain(value: Any) -> str:
        value = normalise(as_text(value))
        if not value:
            raise DroppedError("empty")
        if value.lower() in _PLACEHOLDERS:
            raise DroppedError("placeholder")
        value.encode()
        return str(value)

    return plain


def _bad_digests(function: Callable[[bytes], Any]) -> frozenset[str]:
    return frozenset(function(word.encode()).hexdigest() for word in _SPELLINGS)


def as_text(value: Any) -> str:
    """Return an id as exact decimal text. Raises DroppedError for what is neither text nor a whole number."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        raise DroppedError("not_exact")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DroppedError("not_text")


class Dropped(NamedTuple):
    """A cell whose value cannot be used; `reason` is a word of `REASONS`."""

    reason: str


#: What one raw value became: a wire value, a drop, nothing, or one of these for each value of a list.
Cell = str | Dropped | None | list[Any]

#: From the raw values of one parameter, one for each event, to their cells.
Column = Callable[[list[Any]], Sequence[Cell]]

_Bulk = Callable[[list[str]], list[str] | None]


def column(
    identifier: Identifier, *, prehashed: bool | str, single: Identify | None = None
) -> Column:
    """Return the function that identifies a parameter for many events at a time.

    `single`, when given, replaces `identify` for every value, and nothing is done in bulk.
    """
    one = single or identify(identifier, prehashed=prehashed)
    bulk = None if single else _bulk(identifier, prehashed)

    def cells(raws: list[Any]) -> Sequence[Cell]:
        kinds = set(map(type, raws))
        if bulk is not None and kinds <= _TEXT_OR_NONE:
            present = raws if all(raws) else [raw for raw in raws if raw]
            found = bulk(present) if present else present
            if found is not None:
                return found if present is raws else _scatter(raws, found)
        return [_cell(one, raw) for raw in raws]

    return cells


_TEXT = {str}
_TEXT_OR_NONE = {str, type(None)}


def _scatter(raws: list[Any], found: list[str]) -> list[Cell]:
    rest = iter(found)
    return [next(rest) if raw else None for raw in raws]


def _cell(one: Identify, raw: Any) -> Cell:
    if isinstance(raw, list | tuple):
        flat = [
            Dropped("not_text") if isinstance(value, list | tuple) else _cell(one, value)
            for value in raw
        ]
        return [cell for cell in flat if cell is not None] or None
    if raw is None or raw is ABSENT or raw == "":
        return None
    if isinstance(raw, ExpressionError):
        return Dropped("expression_failed")
    try:
        return one(raw)
    except DroppedError as error:
        return Dropped(error.reason)
    except UnicodeEncodeError:
        return Dropped("not_unicode")


def _bulk(identifier: Identifier, prehashed: bool | str) -> _Bulk | None:
    """Return the hashing of many texts at a time, in loops that run in C; it returns None when a value is special."""
    if identifier.hash == "none" or prehashed not in (False, "auto"):
        return None
    steps = [_AT_ONCE.get(step, partial(_one_by_one, step)) for step in _steps(identifier)]
    function, digits = HASHES[identifier.hash]
    bad = _bad_digests(function)

    def bulk(values: list[str]) -> list[str] | None:
        if max(map(len, values)) >= digits:
            return None
        try:
            for step in steps:
                values = step(values)
            if not all(values):
                return None
            digests: list[str] = [function(value.encode()).hexdigest() for value in values]
        except (DroppedError, UnicodeEncodeError):
            return None
        return digests if bad.isdisjoint(digests) else None

    return bulk


def _one_by_one(step: Step, values: list[str]) -> list[str]:
    return list(map(step, values))


def _e164_at_once(values: list[str]) -> list[str]:
    return values if all(map(_E164, values)) else list(map(e164, values))


# Steps that are faster for many values than one value at a time.
_AT_ONCE: dict[Step, Callable[[list[str]], list[str]]] = {e164: _e164_at_once}
