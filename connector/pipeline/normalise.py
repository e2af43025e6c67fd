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

from connector.definitions.model import PHONE_STEP, Identifier
from connector.pipeline.dropped import DroppedError
from connector.pipeline.emails import email, email_many
from connector.pipeline.phones import e164_many_of, e164_of
from connector.pipeline.texts import clean, clean_many, compose, of_the_form, or_empty
from connector.validation.patterns import compile_for_all, compile_part, compile_pattern

#: From a text to its normal form. It may raise DroppedError; it may return "".
Normalise = Callable[[str], str]

#: The same for many texts at a time; "" for a text that is refused.
NormaliseMany = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Step:
    """A normalising step.

    words: what it does, for people. make: returns its function for an argument. argument: what it
    takes in a definition: a text, a regular expression, domains (a list, or True for every domain),
    words (an object, from a word to another), or a + that need not be there. many: returns its
    function for many texts at a time, where that is faster than one text after the other.
    """

    words: str
    make: Callable[[Any], Normalise]
    argument: Literal["text", "pattern", "domains", "words", "plus"] | None = None
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
    value_or_empty = or_empty(function)

    def many(values: list[str]) -> list[str]:
        try:
            return list(map(function, values))
        except DroppedError:
            return list(map(value_or_empty, values))

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

    # Never going back (`*+`), it takes time in proportion to the text.
    prefixes = re.compile(rf"\s*+(?:{re.escape(prefix)}\s*+)*+")
    return lambda value: prefixes.sub("", value, count=1)


_not_digits = re.compile(r"[^0-9]+")


def _digits(value: str) -> str:
    return _not_digits.sub("", value)


def _remove_whitespace(value: str) -> str:
    # what stood apart may be one letter now
    return compose("".join(value.split()))


def _remove_punctuation(value: str) -> str:
    # Unicode's classes P (punctuation) and S (symbols)
    return compose("".join(char for char in value if category(char)[0] not in "PS"))


_is_integer = re.compile(r"[0-9]{1,40}").fullmatch


def _integer(value: str) -> str:
    if not _is_integer(value):
        raise DroppedError("not_integer")
    return value.lstrip("0") or "0"


def _matches(pattern: str) -> Normalise:
    has_form = compile_pattern(pattern, whole=True)
    return lambda value: of_the_form(value, has_form)


def _matches_many(pattern: str) -> NormaliseMany:
    all_have_form = compile_for_all(pattern)
    value_or_empty = or_empty(_matches(pattern))

    def matches(values: list[str]) -> list[str]:
        if all_have_form(values):
            return values
        return list(map(value_or_empty, values))

    return matches


def _keep(pattern: str) -> Normalise:
    part_of = compile_part(pattern)

    def keep(value: str) -> str:
        part = part_of(value)
        while part is not None and part != value:
            value = part
            part = part_of(value)
        return value

    return keep


def _translate(words: dict[str, str]) -> Normalise:
    return lambda value: words.get(value, value)


def _local_part(change: Normalise) -> Callable[[Any], Normalise]:
    """Return the `make` of a step that changes the part of an address before the @."""

    def make(domains: list[str] | Literal[True]) -> Normalise:
        def change_local_part(value: str) -> str:
            local, at, domain = value.partition("@")
            if not at:
                return value
            if "@" in domain:  # whose address it is cannot be told
                raise DroppedError("not_of_the_form")
            if domains is not True and domain.lower() not in domains:
                return value

            local = compose(change(local))
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
    "clean": Step(
        "removes white space around it and invisible marks, and composes letters and accents "
        "(Unicode NFC); drops a value with control characters",
        _always(clean),
        many=lambda _argument: clean_many,
    ),
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
        many=_matches_many,
    ),
    "keep": Step(
        "of a value that this regular expression fits, keeps what its group holds",
        _keep,
        argument="pattern",
    ),
    "translate": Step("replaces a value that is one of these words", _translate, argument="words"),
    "email": Step(
        "reads an email address: lower case, without invisible marks, and without white space, "
        "quotes or mailto: around it; drops a value that is not one address",
        _always(email),
        many=lambda _argument: email_many,
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
        "converts a phone number to E.164 (+ and digits); drops one without a country code, "
        "with + as its argument one without + that is not valid with it either",
        e164_of,
        argument="plus",
        many=e164_many_of,
    ),
    "integer": Step(
        "removes leading zeros of a whole number; drops anything else",
        _always(_integer),
    ),
}
