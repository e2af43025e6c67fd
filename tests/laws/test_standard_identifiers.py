"""The standard identifiers on any text: nothing raises, one address or number is one digest, one digest is one text."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from functools import cache
from typing import Any
from unicodedata import category, normalize

import pytest

from connector.definitions.model import Identifier
from connector.pipeline.columns import column
from connector.pipeline.dropped import REASONS, Dropped, DroppedError
from connector.pipeline.identifiers import identify
from connector.pipeline.normalise import normaliser
from tests.kit import ROOT
from tests.kit.junk import wide
from tests.kit.records import EXAMPLES

TEXTS = round(10_000 * EXAMPLES)
CHUNK = 100

STANDARD = json.loads((ROOT / "schemas" / "standard" / "identifiers.json").read_text("utf-8"))


def steps_of(name: str) -> list[Any]:
    definition = STANDARD["$defs"][name]
    own = definition.get("identifier", {}).get("normalize")
    if own is not None:
        return list(own)
    [base] = definition["extends"]
    return steps_of(base.rpartition("/")[2])


def standard(name: str, hashed: str = "sha256", prehashed: bool | str = "auto") -> Identifier:
    pairs = []
    for step in steps_of(name):
        pairs.append((step, "") if isinstance(step, str) else next(iter(step.items())))
    return Identifier(
        name,
        name,
        tuple(pairs),
        hashed,
        prehashed=prehashed if hashed != "none" else False,
        flag=None,
        source=None,
    )


NAMES = [
    name
    for name, definition in STANDARD["$defs"].items()
    if "identifier" in definition or "extends" in definition
]


# Texts
# ---------------------------------------------------------------------------------------------

INVISIBLE = ["\u200b", "\u200d", "\u00ad", "\u202a", "\u202c", "\u2060", "\ufeff", "\u061c", "\U000e0041"]  # fmt: skip
PARTS = [
    "ann", "Ann", "o'neil", "ann.b", "é", "e\u0301", "İ", "ß", "ΑΣ", wide("e"), "정", "정",
    "@", "@", "@", "@@", wide("@"), ".", "..", "+", "+tag", "-", "_", "'", '"', "“", "”", "<", ">", ",", ";", " ", "\t", "\n",
    "example.com", "Example.COM", "gmail.com", "example", "münchen.de", "xn--mnchen-3ya.de", "co.uk", "com", "mailto:", "MAILTO:",
    "+1", "+49", "0049", "00", "0", "(0)", "202", "555", "0123", "30901820", "٣", wide("7"), "x5", "ext.",
    "4b61639e-47cc-4056-a16a-c8217e029462", "00000000-0000-0000-0000-000000000000", "4B61639E", "-47cc-4056-a16a-c8217e029462",
    "us", "U.S.", "USA", "de", "female", "M", "5", "05", "31", "1985", "94043", "94043-1234", "California", "New York", "ca",
    "null", "NULL", r"\N", "#N/A", "NaT", "<NA>", "(not set)", "\x00", "\x07", "\ud800", "\u0301", "\u0338", "=", "\u115f", "\ufe0f",
    "ᄀ", "ᅡ", "K", "Å", "ﬁ", "👩\u200d💻",
    *INVISIBLE,
]  # fmt: skip


def any_text(chance: random.Random) -> str:
    """Return any text, mostly one that resembles what people have."""
    kind = chance.random()
    if kind < 0.15:
        return "".join(
            chr(chance.randrange(sys.maxunicode + 1)) for _ in range(chance.randrange(1, 12))
        )
    if kind < 0.3:
        return "".join(chr(chance.randrange(0x250)) for _ in range(chance.randrange(1, 12)))
    if kind < 0.4:
        return address(chance)
    if kind < 0.45:
        return spelled(chance, address(chance))
    if kind < 0.5:
        return spelled_number(chance, chance.choice(NUMBERS))
    return "".join(chance.choice(PARTS) for _ in range(chance.randrange(1, 7)))


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def address(chance: random.Random) -> str:
    """Return an address in its normal form."""
    local = "".join(chance.choice(LETTERS + "éßü정_-") for _ in range(chance.randrange(1, 8)))
    tag = chance.choice(["", "", "+x", ".b", "'s"])
    domain = chance.choice(["example.com", "gmail.com", "mail.example.co.uk", "münchen.de", "xn--p1ai.example"])  # fmt: skip
    return f"{local}{tag}@{domain}"


def spelled(chance: random.Random, text: str) -> str:
    """Return an address in some other spelling of the same address."""
    if chance.random() < 0.5:
        text = "".join(c.upper() if c.isascii() and chance.random() < 0.5 else c for c in text)
    if chance.random() < 0.3:
        text = normalize("NFD", text)
    if chance.random() < 0.2:
        text = "".join(wide(c) if chance.random() < 0.3 else c for c in text)
    if chance.random() < 0.3:
        text = chance.choice(["mailto:", "MailTo:"]) + text
    if chance.random() < 0.3:
        text = chance.choice([f"'{text}'", f'"{text}"', f"“{text}”", f' "{text}" ', f"«{text}»"])
    for _ in range(chance.choice([0, 0, 1, 3])):
        place = chance.randrange(len(text) + 1)
        text = text[:place] + chance.choice(INVISIBLE) + text[place:]
    return (
        chance.choice(["", " ", "\t", "\u00a0"]) + text + chance.choice(["", " ", "\n", "\u3000"])
    )


NUMBERS = [
    "+12025550123", "+4930901820", "+442079460123", "+390669812345", "+5491123456789", "+81312345678", "+6834000", "+4915123456789",
]  # fmt: skip


def spelled_number(chance: random.Random, number: str) -> str:
    """Return a phone number in some other spelling of the same number."""
    prefix = chance.choice(["+", "+", "00", wide("+"), "(+", "\u202a+"])
    text = prefix
    for position, digit in enumerate(number[1:]):
        text += (
            chance.choice(["", "", "", " ", "-", ".", "/", "\u00a0", "\u200b", " - "])
            if position
            else ""
        )
        text += wide(digit) if chance.random() < 0.1 else digit
        if prefix == "(+" and position == 1:
            text += ")"
    return text + chance.choice(["", " ", "\u202c", "\n"])


@cache
def texts() -> tuple[str, ...]:
    chance = random.Random(10)
    return tuple(any_text(chance) for _ in range(TEXTS))


# Laws
# ---------------------------------------------------------------------------------------------


def attempt(function: Callable[[str], str], text: str) -> str | Dropped:
    try:
        return function(text)
    except DroppedError as error:
        return Dropped(error.reason)


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_a_digest_or_dropped_and_one_digest_is_one_text(name: str) -> None:
    identifier = standard(name, prehashed=False)
    one, many, normalise = identify(identifier, prehashed=False), column(identifier, prehashed=False), normaliser(identifier)  # fmt: skip
    text_of: dict[str, str] = {}
    kept = 0
    for start in range(0, len(texts()), CHUNK):
        chunk = list(texts()[start : start + CHUNK])
        cells = [attempt(one, text) for text in chunk]
        assert list(many(chunk)) == cells
        for text, cell in zip(chunk, cells, strict=True):
            if isinstance(cell, Dropped):
                assert cell.reason in REASONS
                continue
            normal = normalise(text)
            assert normal
            assert attempt(normalise, normal) == normal, ascii(text)
            assert text_of.setdefault(cell, normal) == normal
            kept += 1
    assert kept > 5
    assert len(set(text_of.values())) == len(text_of)  # equal texts are equal digests


@pytest.mark.parametrize("name", NAMES)
def test_what_is_sent_unhashed_is_kept_and_dropped_alike(name: str) -> None:
    hashed = identify(standard(name), prehashed=False)
    plain = standard(name, "none")
    sent = column(plain, prehashed=False)(list(texts()))
    normalise = normaliser(plain)
    for text, cell in zip(texts(), sent, strict=True):
        assert isinstance(cell, Dropped) == isinstance(attempt(hashed, text), Dropped), ascii(text)
        assert isinstance(cell, Dropped) or cell == normalise(text)


def test_two_spellings_of_one_address_are_one_digest() -> None:
    chance = random.Random(11)
    identifier = standard("email")
    many, digest = column(identifier, prehashed=False), identify(identifier, prehashed=False)
    found = 0
    for _ in range(TEXTS // CHUNK):
        addresses = [address(chance) for _ in range(CHUNK)]
        written = [spelled(chance, one) for one in addresses]
        for one, spelling, cell in zip(addresses, written, many(written), strict=True):
            expected = attempt(digest, one)
            assert cell in (expected, Dropped("not_of_the_form")), ascii(spelling)
            found += cell == expected
    assert found > 0.9 * TEXTS


def test_two_spellings_of_one_number_are_one_digest() -> None:
    chance = random.Random(12)
    identifier = standard("phone")
    many, digest = column(identifier, prehashed=False), identify(identifier, prehashed=False)
    for _ in range(TEXTS // CHUNK):
        numbers = [chance.choice(NUMBERS) for _ in range(CHUNK)]
        written = [spelled_number(chance, one) for one in numbers]
        for number, spelling, cell in zip(numbers, written, many(written), strict=True):
            assert cell == digest(number), ascii(spelling)


def test_what_is_kept_as_an_address_has_one_at_and_no_sign_of_two() -> None:
    normalise = normaliser(standard("email"))
    for text in texts():
        kept = attempt(normalise, text)
        if isinstance(kept, str) and kept:
            assert kept.count("@") == 1
            assert not set(kept) & set(' \t\n,;<>()[]":\\\x00')
            assert "." in kept.partition("@")[2]
            assert not any(category(char) in ("Cf", "Cc", "Zs", "Cs") for char in kept)
            assert kept == normalize("NFC", kept) == kept.lower()
