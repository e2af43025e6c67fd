"""Normalising: the steps that bring an identifier into the spelling that is hashed.

A step is one entry of `STEPS` (and one name in the meta-schema). Each is idempotent: twice is the
same as once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import Any, Literal
from unicodedata import category

from connector._util.words import PLACEHOLDERS
from connector.definitions.model import PHONE_STEP, Identifier
from connector.pipeline.dropped import DroppedError
from connector.pipeline.phones import e164_many_of, e164_of

#: From a text to its normal form. It may raise DroppedError; it may return "".
Normalise = Callable[[str], str]

#: The same for many texts at a time; "" for a text that is refused.
NormaliseMany = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Step:
    """A normalising step.

    words: what it does, for people. make: returns its function for an argument. argument: what it
    takes in a definition: a text, a regular expression, or domains (a list, or True for every
    domain). many: returns its function for many texts at a time, where that is faster than one
    text after the other.
    """

    words: str
    make: Callable[[Any], Normalise]
    argument: Literal["text", "pattern", "domains"] | None = None
    many: Callable[[Any], NormaliseMany] | None = None


def normaliser(identifier: Identifier) -> Normalise:
    """Return the identifier's steps as one function of a text."""
    steps = [STEPS[name].make(argument) for name, argument in identifier.normalize]

    def normalise(value: str) -> str:
        for step in steps:
            value = step(value)
        return value

    return normalise


def many_normaliser(identifier: Identifier) -> NormaliseMany:
    """Return the identifier's steps as one function of many texts."""
    steps = [_many(STEPS[name], argument) for name, argument in identifier.normalize]

    def normalise(values: list[str]) -> list[str]:
        for step in steps:
            values = step(values)
        return values

    return normalise


def _many(step: Step, argument: Any) -> NormaliseMany:
    if step.many is not None:
        return step.many(argument)

    function = step.make(argument)

    def each_or_empty(value: str) -> str:
        try:
            return function(value)
        except DroppedError:
            return ""

    def many(values: list[str]) -> list[str]:
        try:
            return list(map(function, values))
        except DroppedError:
            return list(map(each_or_empty, values))

    return many


# Functions of the steps
# ---------------------------------------------------------------------------------------------


def _always(function: Normalise) -> Callable[[Any], Normalise]:
    """Return the `make` of a step without an argument."""
    return lambda _argument: function


_WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())


def _strip_prefix(prefix: str) -> Normalise:
    if len(prefix) == 1:
        return methodcaller("lstrip", prefix + _WHITE_SPACE)

    def strip_prefix(value: str) -> str:
        value = value.lstrip()
        while value.startswith(prefix):
            value = value.removeprefix(prefix).lstrip()
        return value

    return strip_prefix


_not_digits = re.compile(r"[^0-9]+")


def _digits(value: str) -> str:
    return _not_digits.sub("", value)


def _remove_whitespace(value: str) -> str:
    return "".join(value.split())


def _remove_punctuation(value: str) -> str:
    # Unicode's classes P (punctuation) and S (symbols)
    return "".join(char for char in value if category(char)[0] not in "PS")


_is_integer = re.compile(r"[0-9]{1,40}").fullmatch


def _integer(value: str) -> str:
    if not _is_integer(value):
        raise DroppedError("not_integer")
    return value.lstrip("0") or "0"


def _matches(pattern: str) -> Normalise:
    has_form = re.compile(pattern).fullmatch

    def matches(value: str) -> str:
        if not value or has_form(value):
            return value
        if value.lower() in PLACEHOLDERS:
            raise DroppedError("placeholder")
        raise DroppedError("not_of_the_form")

    return matches


def _local_part(change: Normalise) -> Callable[[Any], Normalise]:
    """Return the `make` of a step that changes the part of an address before the @."""

    def make(domains: list[str] | Literal[True]) -> Normalise:
        def change_local_part(value: str) -> str:
            local, at, domain = value.rpartition("@")
            if not at:
                return value
            if domains is not True and domain.lower() not in domains:
                return value

            local = change(local)
            return f"{local}@{domain}" if local else ""

        return change_local_part

    return make


def _without_tag(local: str) -> str:
    return local.partition("+")[0]


def _without_dots(local: str) -> str:
    return local.replace(".", "")


def of_country(identifier: Identifier, country: str) -> Identifier:
    """Return the identifier for phone numbers that are of this country when they name none.

    The country is the argument of the step that reads them.
    """
    steps = []
    for name, argument in identifier.normalize:
        steps.append((name, country if name == PHONE_STEP else argument))
    return replace(identifier, normalize=tuple(steps))


#: The steps that `normalize` can name.
STEPS: dict[str, Step] = {
    "trim": Step("removes leading and trailing white space", _always(str.strip)),
    "lowercase": Step("converts letters to lower case", _always(str.lower)),
    "uppercase": Step("converts letters to upper case", _always(str.upper)),
    "remove_whitespace": Step("removes all white space", _always(_remove_whitespace)),
    "digits": Step("keeps digits only", _always(_digits)),
    "strip_prefix": Step(
        "removes this prefix, repeated ones too",
        _strip_prefix,
        argument="text",
    ),
    "remove_punctuation": Step("removes punctuation and symbols", _always(_remove_punctuation)),
    "matches": Step(
        "changes nothing; drops a value that this regular expression does not match",
        _matches,
        argument="pattern",
    ),
    "drop_email_tag": Step(
        "removes a plus sign and everything between it and the @, "
        "for every domain or only for these",
        _local_part(_without_tag),
        argument="domains",
    ),
    "drop_email_dots": Step(
        "removes the dots before the @, for every domain or only for these",
        _local_part(_without_dots),
        argument="domains",
    ),
    PHONE_STEP: Step(
        "converts a phone number to E.164 (+ and digits); drops one without a country code",
        e164_of,
        many=e164_many_of,
    ),
    "integer": Step(
        "removes leading zeros of a whole number; drops anything else",
        _always(_integer),
    ),
}
