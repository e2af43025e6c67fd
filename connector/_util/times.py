"""Moments as canonical UTC text (`2026-01-15T00:00:00Z`), spans of time, and sizes in bytes.

Canonical texts compare in the order of time, so one instant in two notations is one value.
"""

from __future__ import annotations

import calendar
import re
from datetime import MAXYEAR, UTC, datetime, timedelta

_TIMESTAMP = re.compile(
    r"""
    \d{4}-\d\d-\d\d
    [Tt ]
    \d\d:\d\d (:\d\d (\.\d+)?)?
    ([Zz] | [+-]\d\d (:?\d\d)?)
    """,
    re.VERBOSE,
)
_TIMESTAMP_WITHOUT_OFFSET = re.compile(
    r"""
    \d{4}-\d\d-\d\d
    ([Tt ] \d\d:\d\d (:\d\d (\.\d+)?)?)?
    """,
    re.VERBOSE,
)
_DURATION = re.compile(
    r"""
    P (?=.)
    (?: (\d{1,4}) Y)?
    (?: (\d{1,5}) M)?
    (?: (\d{1,4}) W)?
    (?: (\d{1,6}) D)?
    (?: T
        (?: (\d{1,6}) H)?
        (?: (\d{1,7}) M)?
        (?: (\d{1,9}) S)?
    )?
    """,
    re.VERBOSE,
)
_SPAN = re.compile(r"(\d{1,9})\s*(s|m|h|d)")
_SPAN_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d{1,12})\s*(B|kB|KB|MB|GB)?")
_SIZE_BYTES = {None: 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 10**6, "GB": 10**9}


def canonical(text: str) -> str:
    """Return an RFC 3339 timestamp as canonical UTC text; fractions of a second are cut off.

    Offsets are read in ISO 8601's other forms, too: `+0200` and `+02`.

    Raise ValueError, with a message that does not hold the text, for anything else.
    """
    text = text.strip()
    if not _TIMESTAMP.fullmatch(text):
        if _TIMESTAMP_WITHOUT_OFFSET.fullmatch(text):
            raise ValueError("has no UTC offset; add Z or an offset such as +02:00")
        raise ValueError("is not an RFC 3339 timestamp; write it like 2026-01-15T00:00:00Z")

    try:
        moment = datetime.fromisoformat(text.upper())
        return _text(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError("is not a valid date and time") from None


def from_epoch(seconds: float) -> str:
    """Return seconds since the epoch as canonical UTC text."""
    return _text(datetime.fromtimestamp(seconds, UTC))


def to_epoch(text: str) -> float:
    """Return a timestamp as seconds since the epoch. Raise ValueError as `canonical` does."""
    return datetime.fromisoformat(canonical(text)).timestamp()


def plus(text: str, duration: str) -> str:
    """Add an ISO 8601 duration (`P12M`, `P30D`, `PT6H`) to a timestamp.

    A day past a month's end is its last day.

    Raise ValueError when either has an invalid format or the result leaves the calendar.
    """
    match = _DURATION.fullmatch(duration)
    if not match or duration.endswith("T"):
        raise ValueError(f"'{duration}' is not an ISO 8601 duration such as P12M or P30D")

    parts = [int(part or 0) for part in match.groups()]
    years, months, weeks, days, hours, minutes, seconds = parts
    start = datetime.fromisoformat(canonical(text))
    try:
        moved = _add_months(start, years * 12 + months)
        moved += timedelta(days, seconds, minutes=minutes, hours=hours, weeks=weeks)
    except OverflowError:
        raise ValueError(f"'{duration}' leads to a date outside the years 1 to 9999") from None
    return _text(moved)


def _add_months(start: datetime, months: int) -> datetime:
    year, month_index = divmod(start.year * 12 + start.month - 1 + months, 12)
    if year > MAXYEAR:
        raise OverflowError

    month = month_index + 1
    _, last_day = calendar.monthrange(year, month)
    return start.replace(year=year, month=month, day=min(start.day, last_day))


def _text(moment: datetime) -> str:
    # Not strftime: it does not pad years below 1000 on every platform.
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def span(value: int | str) -> float:
    """Return a span in seconds.

    A span is such as `90s`, `60m`, `8h`, `1d`, or a number of seconds. Raise ValueError for others.
    """
    if isinstance(value, int) and value > 0:
        return float(value)

    match = _SPAN.fullmatch(str(value).strip())
    if not match or not int(match[1]):
        raise ValueError("is not a duration; write it like 90s, 60m, 8h or 1d")
    return float(int(match[1]) * _SPAN_SECONDS[match[2]])


def size(value: int | str) -> int:
    """Return a size such as `2MB` (decimal), or a number of bytes, in bytes. Raise ValueError."""
    if isinstance(value, int) and value > 0:
        return value

    match = _SIZE.fullmatch(str(value).strip())
    if not match or not int(match[1]):
        raise ValueError("is not a size; write a number of bytes, or a size like 500kB or 2MB")
    return int(match[1]) * _SIZE_BYTES[match[2]]
