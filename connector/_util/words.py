"""Words that people and programs write for no value, for true and for false."""

from __future__ import annotations

#: What programs write when there is no value; nobody's identifier.
PLACEHOLDERS = (
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

#: Words for true and for false, folded.
TRUE_WORDS = ("true", "yes", "y", "on", "t", "1")
FALSE_WORDS = ("false", "no", "n", "off", "f", "0")

_TRUTH = {
    **dict.fromkeys(PLACEHOLDERS, False),
    **dict.fromkeys(FALSE_WORDS, False),
    **dict.fromkeys(TRUE_WORDS, True),
}


def truth(text: str) -> bool | None:
    """Return what a word stands for, None when it stands for neither true nor false."""
    return _TRUTH.get(text.strip().casefold())
