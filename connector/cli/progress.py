"""Progress of a run on standard error: a bar on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from connector.cli.output import visible
from connector.delivery.report import Counts
from connector.sources.files import Source

# Seconds between two lines.
_EVERY = 5.0

#: What `library.send` takes as `progress` and as `notify`.
Watchers = tuple[Callable[[Counts], None] | None, Callable[[str], None] | None]


def watching(
    source: Source, progress: bool | None, *, done: str = "delivered"
) -> AbstractContextManager[Watchers]:
    """Return what shows progress: if it is asked for, else on a terminal.

    `done`: what happens to the events that do not fail.
    """
    wants_progress = sys.stderr.isatty() if progress is None else progress
    return show_progress(source, done) if wants_progress else no_progress()


@contextmanager
def no_progress() -> Iterator[Watchers]:
    """Show nothing."""
    yield None, None


@contextmanager
def show_progress(source: Source, done: str) -> Iterator[Watchers]:
    """Show how far a source was read and what became of its events.

    `done`: what happens to those that do not fail. Long waits are announced through the watchers
    that it yields.
    """
    show = _bar if sys.stderr.isatty() else _lines
    with show(source, done) as watchers:
        yield watchers


@contextmanager
def _lines(source: Source, done: str) -> Iterator[Watchers]:
    """Print a line every few seconds, and one at the end."""
    latest = Counts()
    next_line = time.monotonic() + _EVERY

    def update(counts: Counts) -> None:
        nonlocal latest, next_line
        latest = counts
        if time.monotonic() >= next_line:
            next_line += _EVERY
            _print_line(_read_text(source) + _counts_text(counts, done))

    yield update, _print_line
    _print_line(_counts_text(latest, done))


def _read_text(source: Source) -> str:
    return f"{source.bytes_read / source.size:.0%} read, " if source.size else ""


def _print_line(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)


@contextmanager
def _bar(source: Source, done: str) -> Iterator[Watchers]:
    """Draw a bar, and remove it at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("run", total=source.size, counts="")

        def update(counts: Counts) -> None:
            bar.update(task, completed=source.bytes_read, counts=_counts_text(counts, done))

        def announce(text: str) -> None:
            bar.console.print(visible(text), markup=False, highlight=False)

        yield update, announce


#: Takes the number of a page and how many rows there are so far; takes a line about a wait.
PageWatchers = tuple[Callable[[int, int], None], Callable[[str], None] | None]


@contextmanager
def show_pages(*, wanted: bool) -> Iterator[PageWatchers]:
    """Show how many pages of a call were read, if that is wanted: in place on a terminal."""
    if not wanted:
        yield lambda page, rows: None, None
    elif sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("page 1") as status:
            yield lambda page, rows: status.update(_page_text(page, rows)), _print_line
    else:
        yield lambda page, rows: _print_line(_page_text(page, rows)), _print_line


def _page_text(page: int, rows: int) -> str:
    return f"page {page:,}, {rows:,} rows"


def _counts_text(counts: Counts, done: str) -> str:
    text = f"{counts.events:,} events, {counts.delivered:,} {done}, {counts.rejected:,} rejected"
    # Nothing is wrong with these, and they can be sent again.
    return f"{text}, {counts.undelivered:,} kept" if counts.undelivered else text
