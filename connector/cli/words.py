"""Words of a run that several commands say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.delivery.report import Counts, Failure

#: Said when `counts.events` is 0. No failure: an empty daily difference is ordinary.
NO_EVENT = "no event: the input holds none"


def blank_words(counts: Counts) -> str:
    """Return how many blank rows there were, as the end of a line; nothing if there were none."""
    return f", {counts.blank:,} blank" if counts.blank else ""


def place_of(failure: Failure) -> str:
    """Return which event, or which element of it, a failure is about: by its id, or by its line."""
    item = "" if failure.item is None else f", item {failure.item}"
    place = f"line {failure.line}"
    if failure.file is not None:
        place = f"{failure.file} {place}"
    if failure.event is None:
        return place + item
    # The position in the whole input is the line of the first file.
    if failure.line is None or failure.event == str(failure.line):
        return f"event {failure.event}{item}"
    return f"event {failure.event}{item} ({place})"
