"""Phone numbers in E.164 form: `+`, country code and number, at most 15 digits.

One rule holds for every spelling: what `phonenumbers` reads, if it is possible with its country
code (not only within its town) and holds no letter. A date is no number, whatever can be read.
Numbers with `+` that its parser would leave as they are, nearly all, are told by one expression; to
parse takes fifty times as long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import groupby, repeat
from typing import Any
from unicodedata import category, decimal

from connector._util.countries import UNKNOWN
from connector._util.words import why_no_value
from connector.pipeline.dropped import DroppedError

_SEPARATORS = str.maketrans("", "", " \u00a0-.()/")

#: In place of a country: what has no + begins with the country code all the same.
HAS_COUNTRY_CODE = "+"

# A number begins with one of these, or with a digit.
_PLUS = "+\uff0b"
_starts_at = re.compile(f"[{_PLUS}0-9]").search
_begins_with_two_zeros = re.compile("0[^0-9]*0").match

# What digits and separators are, too: a date, with or without a time, and a number with decimals.
# A date whose year has two digits may be a number of six, as they are written in New Caledonia.
_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
_MONTH = "(?:0?[1-9]|1[0-2])"
_YEAR = "(?:19|20)[0-9]{2}"
_TIME = r"(?:[ ]+[0-9]{1,2}[:.][0-9]{2}(?:[:.][0-9]{2})?)?"
_is_date = re.compile(
    rf"(?:{_DAY}([./-]){_MONTH}\1{_YEAR}|{_MONTH}([./-]){_DAY}\2{_YEAR}"
    rf"|{_YEAR}([./-]){_MONTH}\3{_DAY}){_TIME}"
).fullmatch
_may_be_date = re.compile(
    rf"(?:{_DAY}([./-]){_MONTH}\1[0-9]{{2}}|{_MONTH}([./-]){_DAY}\2[0-9]{{2}}){_TIME}"
).fullmatch
_is_decimal = re.compile(r"[0-9]+[.,]0+").fullmatch

_MOST_DIGITS = 15

# Behind `+` and the longest country code.
_BEGINNING = slice(0, 4)

# What the parser strips may stand in front of more that it would strip.
_MOST_PARSES = 5


def e164(value: str, country: str = "") -> str:
    """Return a phone number as `+` and digits.

    country: that of a number without a country code; "" when none is mapped, "+" when such a
    number is read as one whose + is missing. Raise DroppedError (not_e164, no_country,
    placeholder).
    """
    compact = value.translate(_SEPARATORS)
    _FORMS.learn([compact])
    if _FORMS.is_settled(compact):
        return compact
    return _parse(value, country)


def e164_many(values: list[str], country: str = "") -> list[str]:
    """Return `e164` of each value; "" for an invalid number.

    One search and one `translate` through all of them take half the time that a loop takes.
    """
    text = "\n".join(values) + "\n"
    holds_line_feeds = text.count("\n") != len(values)
    if not holds_line_feeds and _FORMS.are_settled(text):
        return values

    text = text.translate(_SEPARATORS)
    compact = text.split("\n")[:-1]
    if holds_line_feeds:
        compact = list(map(str.translate, values, repeat(_SEPARATORS)))
    _FORMS.learn(compact)
    if not holds_line_feeds and _FORMS.are_settled(text):
        return compact

    numbers = []
    for value, number in zip(values, compact, strict=True):
        is_settled = _FORMS.is_settled(number)
        numbers.append(number if is_settled else _parse_or_empty(value, country))
    return numbers


class _Forms:
    """The forms of numbers that the parser leaves as they are, of the countries met so far.

    is_settled: whether a number has such a form. are_settled: whether each line of a text has.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._compile()

    def learn(self, numbers: Iterable[str]) -> None:
        """Learn the countries of these numbers."""
        codes = set(map(_country_code, {number[_BEGINNING] for number in numbers}))
        new = codes - self._known.keys() - {""}
        if new:
            self._known |= {code: _form(code) for code in new}
            self._compile()

    def _compile(self) -> None:
        # without a country nothing matches
        forms = "|".join(code + form for code, form in self._known.items()) or "(?!)"
        self.is_settled = re.compile(rf"\+(?:{forms})").fullmatch
        self.are_settled = re.compile(rf"(?:\+(?:{forms})\n)*+").fullmatch


@lru_cache(maxsize=10_000)
def _country_code(beginning: str) -> str:
    """Return the country code at the beginning of a number, "" when there is none."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    digits = beginning[1:]
    if not beginning.startswith("+") or not (digits.isascii() and digits.isdigit()):
        return ""
    for end in (1, 2, 3):
        if int(digits[:end]) in COUNTRY_CODE_TO_REGION_CODE:
            return digits[:end]
    return ""


def _form(code: str) -> str:
    """Return the expression of what stands behind a country code, if the parser leaves it.

    It has a possible length, and does not begin with what the parser might strip: a trunk zero, or
    what stands for it in that country.
    """
    from phonenumbers import PhoneMetadata, region_code_for_country_code

    region = region_code_for_country_code(int(code))
    metadata: Any = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    general = metadata.general_desc
    lengths = sorted(general.possible_length)
    fitting = [length for length in lengths if len(code) + length <= _MOST_DIGITS]

    digits = "|".join(f"[0-9]{{{first},{last}}}" for first, last in _spans(fitting))
    stripped = metadata.national_prefix_for_parsing
    return f"(?!{stripped})(?:{digits})" if stripped else f"(?:{digits})"


def _spans(numbers: list[int]) -> list[tuple[int, int]]:
    """Return the first and last number of each stretch without gaps."""
    spans = []
    for _, stretch in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in stretch]
        spans.append((members[0], members[-1]))
    return spans


_FORMS = _Forms()


def _parse_or_empty(value: str, country: str) -> str:
    try:
        return _parse(value, country)
    except DroppedError:
        return ""


def _parse(value: str, country: str) -> str:
    _check_is_number(value.strip())
    number = _with_plus(value, country)
    for _ in range(_MOST_PARSES):
        is_international = number[0] in _PLUS
        parsed = _parse_once(number, None if is_international else country)
        if not is_international and _has_lost_its_plus(number, parsed):
            parsed = "+" + number
        _FORMS.learn([parsed])
        if parsed == number or _FORMS.is_settled(parsed):
            if len(parsed) > 1 + _MOST_DIGITS:
                break
            if not value.isdigit() and _may_be_date(value.strip()):
                _check_is_valid(parsed)
            return parsed
        number = parsed
    raise DroppedError("not_e164")


def _with_plus(value: str, country: str) -> str:
    """Return a number from its first digit on, with a + where it has its country code."""
    plain = "".join(map(_plain, value.translate(_SEPARATORS)))
    start = _starts_at(plain)
    if start is None or any(map(str.isalpha, plain)):
        raise DroppedError("not_e164")

    number = plain[start.start() :]
    if number[0] in _PLUS:
        return number
    zeros = _begins_with_two_zeros(number)
    if zeros:
        return "+" + number[zeros.end() :]
    if country == HAS_COUNTRY_CODE:
        _check_is_valid("+" + number)
        return "+" + number
    if country in ("", UNKNOWN):
        raise DroppedError("no_country" if country else "not_e164")
    return number


def _check_is_number(text: str) -> None:
    """Raise DroppedError for a text that looks like a number, and is something else."""
    if text.isdigit():
        return
    reason = why_no_value(text) if text else ""
    if _is_decimal(text):
        reason = "not_exact"
    if reason:
        raise DroppedError(reason)
    if _is_date(text):
        raise DroppedError("not_e164")


def _has_lost_its_plus(number: str, national: str) -> bool:
    """Return whether a number is that of a mobile with a + alone. `national`: as it was read.

    Spreadsheets take the + away. Of other numbers nobody can tell: what begins with 4922 may begin
    with the code of the country or with that of a town.
    """
    code = national[1 : -len(number)] if national.endswith(number) else ""
    if not code or not number.startswith(code):
        return False
    return _is_mobile("+" + number) and not _is_mobile(national)


def _is_mobile(number: str) -> bool:
    import phonenumbers

    try:
        kind = phonenumbers.number_type(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return False
    return bool(kind == phonenumbers.PhoneNumberType.MOBILE)


def _check_is_valid(number: str) -> None:
    """Raise DroppedError (not_e164) for a number that is possible, but valid nowhere.

    What has no +, a national number or a date, may look like one of another country.
    """
    import phonenumbers

    try:
        is_valid = phonenumbers.is_valid_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        is_valid = False
    if not is_valid:
        raise DroppedError("not_e164")


def _plain(char: str) -> str:
    """Return a digit of any script as 0 to 9, and nothing for white space and invisible marks."""
    if char.isdecimal():
        return str(decimal(char))
    return "" if char.isspace() or category(char) == "Cf" else char


def _parse_once(value: str, region: str | None) -> str:
    import phonenumbers

    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        raise DroppedError("not_e164") from None

    possible = phonenumbers.is_possible_number_with_reason(number)
    if number.extension or possible != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise DroppedError("not_e164")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def e164_of(country: str) -> Callable[[str], str]:
    """Return `e164` for numbers of this country."""
    return lambda value: e164(value, country)


def e164_many_of(country: str) -> Callable[[list[str]], list[str]]:
    """Return `e164_many` for numbers of this country."""
    return lambda values: e164_many(values, country)
