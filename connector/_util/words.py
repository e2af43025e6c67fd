"""Words that people and programs write for no value, for true and for false."""

from __future__ import annotations

from collections.abc import Iterable

#: What programs and people write when there is no value, folded; nobody's identifier. "na" is not
#: among them: it is Namibia.
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
        # people
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
    text = text.strip()
    return text.casefold() in PLACEHOLDERS or text in EXACT_PLACEHOLDERS


def any_placeholder(texts: Iterable[str]) -> bool:
    """Return whether one of many texts stands for no value."""
    stripped = list(map(str.strip, texts))
    if not EXACT_PLACEHOLDERS.isdisjoint(stripped):
        return True
    return not PLACEHOLDERS.isdisjoint(map(str.casefold, stripped))


def truth(text: str) -> bool | None:
    """Return what a word stands for, None when it stands for neither true nor false."""
    return _TRUTH.get(text.strip().casefold())
