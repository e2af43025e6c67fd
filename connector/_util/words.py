"""Words that people and programs write for no value, for true and for false."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

#: What programs and people write when there is no value, folded; nobody's identifier. "na" is not
#: among them: it is Namibia; nor are "n.d." and "n.v.", which are states.
PLACEHOLDERS = frozenset(
    {
        "",
        # programming languages
        "null",
        "(null)",
        "<null>",
        "none",
        "nil",
        "undefined",
        "[object object]",
        "nan",
        "<na>",
        # databases and their exports
        r"\n",
        "00000000-0000-0000-0000-000000000000",
        # analytics
        "(not set)",
        "(none)",
        # spreadsheets
        "n/a",
        "#n/a",
        "#ref!",
        "#value!",
        "#name?",
        "#null!",
        "#num!",
        "#div/0!",
        "(blank)",
        # errors in the words of some language, that have not the shape of all others
        "#nv",
        "#yok",
        "#hi\u00e1nyzik",
        "#nen\u00ed_k_dispozici",
        "#getting_data",
        # people
        "n/d",
        "n.a.",
        "n. a.",
        "n.a",
        "k.a.",
        "k. a.",
        "k.a",
        "k/a",
        "s.o.",
        "s. o.",
        "o.a.",
        "o. a.",
        "keine angabe",
        "keine angaben",
        "ohne angabe",
        "not available",
        "not applicable",
        "-",
        "--",
        "---",
        "\u2013",
        "\u2014",
        ".",
        "?",
    }
)

#: Placeholders that are one in this spelling only: Nat is a first name.
EXACT_PLACEHOLDERS = frozenset({"NaT"})


def _spellings() -> Iterator[str]:
    yield from EXACT_PLACEHOLDERS
    yield from ("NaN", "[object Object]")
    for word in PLACEHOLDERS:
        yield from (word, word.upper(), word.title(), word.capitalize())
        if word[-1:] == ".":
            yield word[:-2] + word[-2:].upper()


#: The usual spellings of the placeholders.
SPELLINGS = frozenset(_spellings())

# How spreadsheets write an error, whatever their language (#WERT!, #NOM?, #DEL/0!, #N/D), and a
# cell that is too narrow for its value.
_is_error = re.compile(
    r"#[\u00a1\u00bf]?[^\W\d_][\w/ -]{0,30}[!?]|#[^\W\d_]/[^\W\d_]!?|#{3,}"
).fullmatch

# How programs write a number of which they keep some digits only: 1.23E+15, 1,23E+15, 1e+21.
_is_rounded = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{1,3}").fullmatch

#: Words for true and for false, folded.
TRUE_WORDS = ("true", "yes", "y", "on", "t", "1")
FALSE_WORDS = ("false", "no", "n", "off", "f", "0")

_TRUTH = {
    **dict.fromkeys(PLACEHOLDERS, False),
    **dict.fromkeys(FALSE_WORDS, False),
    **dict.fromkeys(TRUE_WORDS, True),
}


def is_placeholder(text: str) -> bool:
    """Return whether a text stands for no value."""
    return why_no_value(text) == "placeholder"


def why_no_value(text: str) -> str:
    """Return why a text is no identifier, placeholder or not_exact, "" for any other."""
    text = text.strip()
    if text.casefold() in PLACEHOLDERS or text in EXACT_PLACEHOLDERS:
        return "placeholder"
    if text[:1] == "#" and _is_error(text):
        return "placeholder"
    if "+" in text and _is_rounded(text):
        return "not_exact"
    return ""


def any_placeholder(texts: Iterable[str]) -> bool:
    """Return whether one of many texts stands for no value."""
    stripped = list(map(str.strip, texts))
    if not EXACT_PLACEHOLDERS.isdisjoint(stripped):
        return True
    if not PLACEHOLDERS.isdisjoint(map(str.casefold, stripped)):
        return True
    return any(text[:1] == "#" and _is_error(text) for text in stripped)


def stand_for_values(texts: Sequence[str]) -> bool:
    """Return whether none of many texts is an error of a spreadsheet, or rounded.

    It costs a fiftieth of what their digests cost. The placeholders are known by their digests.
    """
    text = "\n".join(texts)
    if "#" in text and any(map(is_placeholder, texts)):
        return False
    return "+" not in text or not any(map(_is_rounded, map(str.strip, texts)))


def truth(text: str) -> bool | None:
    """Return what a word stands for, None when it stands for neither true nor false."""
    text = text.strip().casefold()
    if text[:1] == "#" and _is_error(text):
        return False
    return _TRUTH.get(text)
