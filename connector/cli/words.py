"""Words of a run that several commands say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from connector.cli.output import on_one_line
from connector.sources.opening import STANDARD_INPUT

if TYPE_CHECKING:
    from connector.delivery.report import Counts, Failure, Report
    from connector.errors import Problem
    from connector.library import Preview
    from connector.pipeline.fill import Filled

#: Said when `counts.events` is 0. No failure: an empty daily difference is ordinary.
NO_EVENT = "no event: the input holds none"

_NO_MATCH = {
    "route": "no event matched a route; check each route's 'when' and 'each'",
    "export": "no event matched the export; check its 'when' and 'each'",
}


def warnings_of(
    run: Report | Preview, about: Iterable[Problem], taking: str = "route"
) -> list[str]:
    """Return what a run that did not fail warns of, a line for each.

    `about`: the warnings about its connection. `taking`: what took the events, route or export.
    """
    counts, fill = run.counts, run.fill
    lines = [str(problem._replace(severity="error")) for problem in about]
    if not counts.events:
        lines.append(NO_EVENT)
    elif counts.skipped == counts.events and not _are_skipped_with_reason(run):
        lines.append(_NO_MATCH[taking])
    # What is found on another route is written rightly.
    right = {filled.source for filled in fill if filled.found}
    for filled in fill:
        if filled.of and not filled.found and filled.source not in right:
            lines.append(_never_found(filled, taking))
    return [*lines, *run.doubts]


def _are_skipped_with_reason(run: Report | Preview) -> bool:
    """Return whether a route took an event for which there was nothing to do."""
    return any(outcome == "skipped" for outcome, _code, _reason in run.reasons)


def _never_found(filled: Filled, taking: str) -> str:
    from connector.pipeline.fill import where

    count = f"{filled.parameter} was found in 0 of {filled.of:,}"
    looked_in = f"looked in {where(filled.parameter, filled.source)}"
    hint = f"; did you mean '{filled.nearest}'?" if filled.nearest else ""
    if filled.route is None:
        return f"{count} events ({looked_in}); reports name file and line instead{hint}"
    return f"{taking} {filled.route}: {count} ({looked_in}){hint}"


def warning_lines(warnings: Iterable[str]) -> list[str]:
    """Return the lines that are printed for warnings."""
    return [f"warning: {on_one_line(warning)}" for warning in warnings]


def fill_lines(fill: Iterable[Filled]) -> list[str]:
    """Return a line for each route: how many of the rows it took had a value, by parameter.

    Routes that took nothing, beside others, share one.
    """
    by_place: dict[str, list[str]] = {}
    idle: dict[str, None] = {}
    for filled in fill:
        if filled.of:
            rows = "events" if filled.route is None else f"taken by {filled.route}"
            counts = by_place.setdefault(f"values found, of {filled.of:,} {rows}", [])
            counts.append(f"{filled.parameter} {filled.found:,}")
        elif filled.route is not None:
            idle[filled.route] = None

    lines = [f"{place}: {', '.join(counts)}" for place, counts in by_place.items()]
    if lines and idle:
        lines.append(f"nothing taken by {', '.join(idle)}")
    return list(map(on_one_line, lines))


def fill_json(fill: Iterable[Filled]) -> list[dict[str, Any]]:
    """Return the same for JSON."""
    entries = []
    for filled in fill:
        entry = filled._asdict()
        del entry["source"]
        if not filled.nearest:
            del entry["nearest"]
        entries.append(entry)
    return entries


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: 1 request, 2 requests."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def exit_status(*, succeeded: bool, warnings: Sequence[str], strict: bool) -> int:
    """Return the exit status of a run; `strict`: a warning is a failure."""
    return 0 if succeeded and not (strict and warnings) else 1


def detailed_status(report: Report, status: int) -> int:
    """Return what a status of 1 is in detail: 3, 4 or 5; 1 where only an output or a warning is."""
    if status != 1:
        return status
    if report.interrupted:
        return 5
    if report.counts.undelivered:
        return 4
    return 3 if report.counts.rejected else 1


def blank_words(counts: Counts) -> str:
    """Return how many blank rows there were, as the end of a line; nothing if there were none."""
    return f", {counts.blank:,} blank" if counts.blank else ""


def place_of(failure: Failure) -> str:
    """Return which event, or which element of it, a failure is about: by its id, or by its line."""
    item = "" if failure.item is None else f", item {failure.item}"
    if failure.line is None:
        return f"event {failure.event}{item}"
    # Without an id of its own; what is called its event is no more than a number.
    return f"{line_of(failure.file, failure.line)}{item}"


def line_of(file: str | None, line: int) -> str:
    """Return the words for a line of an input; events of a program are in no file."""
    if file is None:
        return f"event {line:,}"
    return f"{'standard input' if file == STANDARD_INPUT else file} line {line}"
