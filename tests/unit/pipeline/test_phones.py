"""Phone numbers: one rule for every spelling, that of `phonenumbers`; the country; what is no number."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector._util.countries import UNKNOWN, region
from connector.pipeline.dropped import DroppedError
from connector.pipeline.phones import e164, e164_many
from tests.kit.records import tries

NUMBERS: list[tuple[str, str, str]] = [
    # one rule, whatever the spacing
    ("+49 30 901820", "", "+4930901820"),
    ("+4930901820", "", "+4930901820"),
    ("+49 (0)30 901820", "", "+4930901820"),
    ("+49030901820", "", "+4930901820"),
    ("+49 0 30 90 18 20", "", "+4930901820"),
    ("+44 020 7946 0123", "", "+442079460123"),
    ("+4402079460123", "", "+442079460123"),
    ("+1 1 202 555 0123", "", "+12025550123"),
    ("+112025550123", "", "+12025550123"),
    # in Italy the zero belongs to the number
    ("+39 06 698 12345", "", "+390669812345"),
    ("+390669812345", "", "+390669812345"),
    ("06 698 12345", "IT", "+390669812345"),
    # in Argentina the parser writes a mobile number in another order
    ("+54 11 15 2345 6789", "", "+5491123456789"),
    ("+54111523456789", "", "+5491123456789"),
    # 00 is +, whatever the country and the spacing
    ("0049 30 901820", "", "+4930901820"),
    ("004930901820", "US", "+4930901820"),
    ("(00) 49 30 901820", "GB", "+4930901820"),
    ("0 0 49 30 901820", "DE", "+4930901820"),
    ("00 44 20 7946 0123", "DE", "+442079460123"),
    # national numbers
    ("030 901820", "DE", "+4930901820"),
    ("030/90 18 20", "DE", "+4930901820"),
    ("0151-23456789", "DE", "+4915123456789"),
    ("07700 900106", "GB", "+447700900106"),
    ("(202) 555-0123", "US", "+12025550123"),
    ("1 202 555 0123", "CA", "+12025550123"),
    ("8 (912) 345-67-89", "RU", "+79123456789"),
    ("49 30 901820", "DE", "+4930901820"),
    # the + that a spreadsheet has taken; what may as well be national is
    ("4915123456789", "DE", "+4915123456789"),
    ("447700900106", "GB", "+447700900106"),
    ("436641234567", "AT", "+436641234567"),
    ("4922112345", "DE", "+494922112345"),
    ("3931234567", "IT", "+393931234567"),
    ("9181234567", "IN", "+919181234567"),
    # the 0 that it has taken
    ("15123456789", "DE", "+4915123456789"),
    # not a date
    ("20.12.34", "NC", "+687201234"),
    ("01.02.20.27.11", "FR", "+33102202711"),
    # a country is ignored where the number has its own
    ("+1 202 555 0123", "DE", "+12025550123"),
    ("+1 202 555 0123", UNKNOWN, "+12025550123"),
    ("0049 30 901820", UNKNOWN, "+4930901820"),
    # possible, not necessarily valid
    ("+12345678901", "", "+12345678901"),
    ("+683 4000", "", "+6834000"),
    # other scripts, marks around it
    ("\uff0b\uff14\uff19 30 901820", "", "+4930901820"),
    ("\uff10\uff10\uff14\uff19 30 901820", "", "+4930901820"),
    ("\u0664\u0669 30 901820", "DE", "+4930901820"),
    ("\u202a+49 30 901820\u202c", "", "+4930901820"),
    ("+49\u00a030\u2009901820", "", "+4930901820"),
    ("+4\u200b9\u00ad30901820\u2060", "", "+4930901820"),
    ("+49\u201130\u2011901820", "", "+4930901820"),
]  # fmt: skip

DROPPED: list[tuple[str, str, str]] = [
    # any letter
    ("+1 202 555 XXXX", "", "not_e164"),
    ("+1 2O2 555 0123", "", "not_e164"),
    ("+1 202 555 0123 home", "", "not_e164"),
    ("Tel: +1 202 555 0123", "", "not_e164"),
    ("+1 202 555 0123 ext. 5", "", "not_e164"),
    ("+1 202 555 0123x5", "", "not_e164"),
    ("+1 202 555 0123 #5", "", "not_e164"),
    ("1-800-FLOWERS", "US", "not_e164"),
    ("202 555 012\u0430", "US", "not_e164"),
    # impossible
    ("+1 202 555", "", "not_e164"),
    ("+1202555012345", "", "not_e164"),
    ("+1 202 555 0123 45", "", "not_e164"),
    ("+999 12345678", "", "not_e164"),
    ("+0049 30 901820", "", "not_e164"),
    ("+49 30 901820 901820 9018", "", "not_e164"),
    ("+", "", "not_e164"),
    ("", "", "not_e164"),
    ("NULL", "", "placeholder"),
    ("n/a", "DE", "placeholder"),
    ("(null)", UNKNOWN, "placeholder"),
    ("-", "DE", "placeholder"),
    (" ", "DE", "not_e164"),
    ("(", "", "not_e164"),
    ("+49 30 901820; +49 30 901821", "", "not_e164"),
    ("+49 30 901820 +49 30 901821", "", "not_e164"),
    ("9" * 300, "US", "not_e164"),
    # possible within a town only
    ("10", "DE", "not_e164"),
    ("030", "DE", "not_e164"),
    ("49", "DE", "not_e164"),
    ("555 0123", "US", "not_e164"),
    ("+1 555 0123", "", "not_e164"),
    ("+49 49", "", "not_e164"),
    # dates, and what a spreadsheet has made of a number
    ("01.02.2027", "DE", "not_e164"),
    ("1.2.2027", "DE", "not_e164"),
    ("01.02.27", "DE", "not_e164"),
    ("1/31/2027", "US", "not_e164"),
    ("20.12.1999", "DK", "not_e164"),
    ("2027-02-01", "DE", "not_e164"),
    ("2027-02-01 00:00:00", "DE", "not_e164"),
    (" 01.02.2027 10:15 ", "DE", "not_e164"),
    ("01.02.2027", "", "not_e164"),
    ("4915123456789.0", "DE", "not_exact"),
    ("4,91512E+12", "DE", "not_exact"),
    ("#WERT!", "DE", "placeholder"),
    ("k.A.", "DE", "placeholder"),
    # no country
    ("030 901820", "", "not_e164"),
    ("030 901820", UNKNOWN, "no_country"),
    ("4930901820", UNKNOWN, "no_country"),
    ("1-800-FLOWERS", UNKNOWN, "not_e164"),
    ("", UNKNOWN, "not_e164"),
]


@pytest.mark.parametrize(("written", "country", "expected"), NUMBERS)
def test_a_number(written: str, country: str, expected: str) -> None:
    assert e164(written, country) == expected
    assert e164_many([written, "+12025550123", written], country) == [
        expected,
        "+12025550123",
        expected,
    ]
    assert e164(expected) == expected


@pytest.mark.parametrize(("written", "country", "reason"), DROPPED)
def test_what_is_no_number(written: str, country: str, reason: str) -> None:
    with pytest.raises(DroppedError) as caught:
        e164(written, country)
    assert caught.value.reason == reason
    assert e164_many([written, "+1 202 555 0123"], country) == ["", "+12025550123"]


CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
SPACES = st.sampled_from(["", "", "", " ", "-", ".", "/", "\u00a0", " (", ") "])
DIGITS = st.text(st.sampled_from("0123456789"), min_size=1, max_size=16)


def by_the_parser(written: str) -> str:
    """Return what the parser makes of a number with `+`, read again until it stays; "" for none."""
    for _ in range(5):
        try:
            number = phonenumbers.parse(written, None)
        except phonenumbers.NumberParseException:
            return ""
        reason = phonenumbers.is_possible_number_with_reason(number)
        if reason != phonenumbers.ValidationResult.IS_POSSIBLE:
            return ""
        found = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if found == written:
            return found if len(found) <= 16 else ""
        written = found
    return ""


@given(st.sampled_from(CODES), st.lists(st.tuples(DIGITS, SPACES), min_size=1, max_size=4))
@example(49, [("030901820", "")])
@example(49, [("00", ""), ("001000000", ""), ("00", ""), ("00", "")])
@example(49, [("00301820", "")])
@example(54, [("1115", ""), ("23456789", "")])
@tries(400)
def test_every_spelling_is_what_the_parser_reads(code: int, parts: list[tuple[str, str]]) -> None:
    plain = f"+{code}" + "".join(digits for digits, _ in parts)
    spaced = f"+{code}" + "".join(space + digits for digits, space in parts)
    expected = by_the_parser(plain)
    zeros = plain.replace("+", "00", 1)
    assert e164_many([plain, spaced, zeros]) == [expected] * 3
    assert e164_many([plain]) == e164_many([spaced]) == [expected]
    if expected:
        assert e164_many([expected]) == [expected]
        assert e164(plain) == e164(spaced) == expected


def outcome(written: str, country: str) -> str:
    try:
        return e164(written, country)
    except DroppedError:
        return "dropped"


@given(st.text(max_size=20), st.sampled_from(["", UNKNOWN, "DE", "US", "IT", "AR"]))
@tries(400)
def test_any_text_is_a_number_or_none(written: str, country: str) -> None:
    [found] = e164_many([written], country)
    assert found == outcome(written, country).removeprefix("dropped")
    if found:
        assert e164(found) == found
        assert len(found) <= 16
        assert not any(map(str.isalpha, written))


def test_the_national_numbers_of_all_countries() -> None:
    form = phonenumbers.PhoneNumberFormat
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number(country)
        assert number is not None
        expected = phonenumbers.format_number(number, form.E164)
        national = phonenumbers.format_number(number, form.NATIONAL)
        if not any(map(str.isalpha, national)):
            assert e164_many([national, expected], country) == [expected, expected], national


REGIONS: list[tuple[object, str]] = [
    ("DE", "DE"), ("de", "DE"), (" De ", "DE"), ("GB", "GB"),
    ("UK", UNKNOWN), ("ZZ", UNKNOWN), ("Germany", UNKNOWN), ("", UNKNOWN), (None, UNKNOWN), (49, UNKNOWN),
    (["DE"], UNKNOWN), ({}, UNKNOWN), ("001", UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("country", "expected"), REGIONS)
def test_a_country_is_two_letters(country: object, expected: str) -> None:
    assert region(country) == expected
