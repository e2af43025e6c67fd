"""Countries: their letters, and which one a name means."""

from __future__ import annotations

import pytest

from connector._util.countries import UNKNOWN, letters_of, region


@pytest.mark.parametrize("written", ["DE", "de", " De "])
def test_letters_in_any_case(written: str) -> None:
    assert region(written) == "DE"


@pytest.mark.parametrize("written", ["UK", "Germany", "DEU", "", None, 49, False])
def test_what_is_no_country(written: object) -> None:
    assert region(written) == UNKNOWN


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Germany", "DE"),
        (" deutschland ", "DE"),
        ("United States", "US"),
        ("España", "ES"),
        ("日本", "JP"),
        # no name that the table knows, and what is none
        ("USA", ""),
        ("*de", ""),
        ("", ""),
        (49, ""),
    ],
)
def test_a_name_in_any_language_has_letters(name: object, letters: str) -> None:
    assert letters_of(name) == letters
