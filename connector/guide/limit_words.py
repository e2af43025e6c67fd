"""Limits and rates in words."""

from __future__ import annotations

from connector.definitions.model import Limits, Rate, RetrySchedule
from connector.guide.markdown import Markdown, code, table

_UNITS_OF_TIME = ((86_400, "day"), (3600, "hour"), (60, "minute"))
_UNITS_OF_SIZE = ((10**6, "MB"), (10**3, "kB"))

_LIMITS = {
    "records": "Records",
    "groups": "Groups of records",
    "bytes": "Size of the body",
    "age": "Age of the oldest record",
}


def span_words(seconds: float) -> str:
    """Return a time in its largest whole unit."""
    size, unit = 1, "second"
    for larger_size, larger_unit in _UNITS_OF_TIME:
        if seconds % larger_size == 0:
            size, unit = larger_size, larger_unit
            break

    count = f"{seconds / size:g}"
    plural = "" if count == "1" else "s"
    return f"{count} {unit}{plural}"


def size_words(size: int) -> str:
    """Return a number of bytes in its largest whole unit."""
    for unit_size, unit in _UNITS_OF_SIZE:
        if size % unit_size == 0:
            return f"{size // unit_size:,} {unit}"
    return f"{size:,} bytes"


def limit_table(defaults: Limits, caps: Limits, *, groups: bool) -> Markdown:
    """Return a row for each limit: its name, the default and, if there is any, the vendor's cap.

    `groups` says whether records are grouped in some request.
    """
    has_caps = caps != Limits()
    rows: list[list[object]] = []
    for name, words in _LIMITS.items():
        if name == "groups" and not groups:
            continue
        row: list[object] = [Markdown(f"{words} ({code(name)})"), _amount(name, defaults)]
        if has_caps:
            row.append(_amount(name, caps))
        rows.append(row)

    if has_caps:
        return table(rows, "Limit", "Default", "The vendor's cap")
    return table(rows, "Limit", "Default")


def _amount(name: str, limits: Limits) -> str:
    value = getattr(limits, name)
    if value is None:
        return "none"
    if name == "bytes":
        return size_words(value)
    if name == "age":
        return span_words(value)
    return f"{value:,}"


def rate_words(rate: Rate) -> str:
    """Return a rate limit as a sentence."""
    counted = "counted over all requests of a connection"
    return f"At most {rate.requests:,} requests in {span_words(rate.per)}, {counted}."


def concurrency_words(requests: int) -> Markdown:
    """Return how many requests there may be side by side, as sentences."""
    if requests == 1:
        return Markdown("Requests for one audience are sent one after the other.")
    lower = f"a connection may set a lower {code('concurrency')} under {code('limits')}"
    return Markdown(
        f"Up to {requests} requests for one audience are on their way side by side; {lower}."
    )


def retry_words(retry: RetrySchedule | None) -> str:
    """Return when a request is sent again."""
    text = "If a response asks to wait, the connector waits."
    if retry is None or not retry.waits:
        text += " Otherwise each retry waits longer than the one before."
    else:
        text += _schedule_words(retry)
    if retry is not None and not retry.is_repeatable:
        text += (
            " A request that gets no answer is not sent again, as a change must not be made twice:"
            " its audience is stopped."
        )
    return text


def _schedule_words(retry: RetrySchedule) -> str:
    waits = []
    for wait in retry.waits:
        waits.append(f"after {span_words(wait)}" if wait else "at once")
    *others, last = waits
    joined = f"{', '.join(others)}, then {last} each time" if others else f"{last} each time"
    text = f" Otherwise it sends a request again {joined}"
    return f"{text}, for {span_words(retry.deadline)}." if retry.deadline else f"{text}."
