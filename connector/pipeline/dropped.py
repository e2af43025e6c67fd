"""Dropped values: why an identifier value cannot be used, and how reports count it.

A dropped value does not end the record: what else names the person is still sent.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from connector.model import EventId

#: Why a value is dropped: the code that reports use → the reason in words.
REASONS = {
    "empty": "empty after normalising",
    "not_text": "expected text or a whole number",
    "not_exact": "a number with a fraction or an exponent is not an exact id; send ids as text",
    "not_unicode": "invalid Unicode: unpaired surrogate",
    "not_e164": (
        "not a possible phone number: a letter, too few or too many digits, no area code, or a "
        "date; or, where no 'country' is mapped, no + and country code"
    ),
    "no_country": (
        "phone number without a country code, and its country is missing or there is none of it; "
        "two letters such as DE are read"
    ),
    "not_of_the_form": (
        "not of the required form; 'connector docs DESTINATION' says what is read, and what is not"
    ),
    "not_integer": "expected a whole number in decimal digits",
    "not_a_digest": (
        "expected a SHA-256 digest; map plain text to the parameter that is hashed here"
    ),
    "already_hashed": "expected plain text, got a digest, which would be hashed twice",
    "placeholder": "placeholder value such as 'null' or 'undefined'",
    "not_allowed": "not allowed by the parameter's schema",
    "not_a_cell": (
        "holds the delimiter, a line break, a control character or, in a file with commas, a "
        "double quote, and nothing is quoted"
    ),
    "expression_failed": (
        "the mapping's expression failed on the event; 'connector preview' and --report say why"
    ),
}

_MOST_LINES = 20


class DroppedError(ValueError):
    """A value cannot be used. `reason` is a key of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Dropped(NamedTuple):
    """Takes the place of an unusable value in a column.

    `reason` is a key of `REASONS`. `detail` says more, where the words of `REASONS` do not say all.
    """

    reason: str
    detail: str = ""


class DroppedValue(NamedTuple):
    """A value that was dropped: of which event, on which route, and why.

    `code` is a key of `REASONS`; `detail` is that of `Dropped`.
    """

    event_id: EventId
    route: str
    parameter: str
    code: str
    detail: str

    @property
    def reason(self) -> str:
        """Why, in words. No value is quoted."""
        return self.detail or REASONS[self.code]


def dropped_lines(dropped: Counter[tuple[str, str]]) -> list[str]:
    """Return a line for each reason that values were dropped for.

    There is one for each pair of parameter and reason, most frequent first.
    """
    lines = []
    for (parameter, reason), count in dropped.most_common(_MOST_LINES):
        lines.append(f"dropped {count:,} x {parameter}: {reason} ({REASONS[reason]})")
    return lines
