"""What a run and a sandbox tell a person, and the progress bar."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from connector.delivery.ledger import Ledger
from connector.delivery.report import Report
from connector.delivery.run import Run
from connector.pipeline.dropped import dropped_lines
from connector.sandbox.vendor import Sandbox


def summary_json(report: Report, sandbox: Sandbox | None) -> dict[str, Any]:
    """Return the counts, why records failed, which values were dropped, and with a sandbox what it holds."""
    counts: dict[str, Any] = {**asdict(report.counts), "seconds": round(report.counts.seconds, 3)}
    counts["interrupted"] = report.interrupted
    counts["reasons"] = [
        {"outcome": outcome, "code": code, "reason": reason, "count": count}
        for (outcome, code, reason), count in report.reasons.items()
    ]
    counts["dropped"] = [
        {"parameter": parameter, "reason": reason, "count": count}
        for (parameter, reason), count in report.dropped.items()
    ]
    if sandbox is not None:
        counts["sandbox"] = [holding._asdict() for holding in sandbox.holdings()]
    return counts


def summary_text(report: Report, sandbox: Sandbox | None) -> str:
    """Return the counts, why records failed, which values were dropped, and with a sandbox what it holds."""
    s = report.counts
    rows = [
        ("events", s.events),
        ("skipped (no route)", s.skipped),
        ("records", s.records),
        ("  delivered", s.delivered),
    ]
    rows += [
        ("  superseded", s.superseded),
        ("  rejected", s.rejected),
        ("  undelivered", s.undelivered),
    ]
    rows += [("identifiers dropped", s.identifiers_dropped)]
    lines = [f"{name:<22}{count:>12,}" for name, count in rows]
    lines.append(
        f"{s.requests:,} requests, {s.bytes:,} bytes, {s.seconds:.2f} s"
        + (", interrupted" if report.interrupted else "")
    )
    if s.events and s.skipped == s.events:
        lines.append("no event matched a route; look at each route's 'when'")
    if report.report_error:
        lines.append(f"the report broke off: {report.report_error}")
    for (outcome, code, reason), count in islice(report.reasons.items(), _SHOWN):
        lines.append(f"{outcome} {count:,} x {code}: {reason}")
    if len(report.reasons) > _SHOWN:
        lines.append(
            f"… and {len(report.reasons) - _SHOWN} further reasons; --report FILE lists every event"
        )
    lines += dropped_lines(Counter(report.dropped))
    if sandbox is not None:
        lines += ["", holdings_text(sandbox)]
    return "\n".join(lines)


_SHOWN = 20


def holdings_text(sandbox: Sandbox) -> str:
    """Return a line for each audience that the sandbox holds."""
    rows = [
        f"  {h.path}  {h.people:,} people, {h.identifiers:,} identifiers"
        for h in sandbox.holdings()
    ]
    return "\n".join(["the sandbox holds:", *(rows or ["  nothing"])])


def sandbox_text(
    destination: str, members: Mapping[str, str], credentials: Mapping[str, str]
) -> str:
    """Return where a sandbox listens, and the members and credentials of a connection to it."""
    lines = [
        f"sandbox of {destination} at {members['base_url']}; Ctrl-C ends it and shows what it holds",
        "",
        *(f"{name}: {value}" for name, value in members.items() if value),
    ]
    if credentials:
        lines += [
            "it takes these credentials:",
            *(f"  {name}: {value}" for name, value in credentials.items()),
        ]
    return "\n".join(lines)


@contextmanager
def progress(source: Any, run: Run) -> Iterator[Run]:
    """Show on stderr how far a run is: a bar on a terminal, else a line every few seconds and one at the end."""
    if not sys.stderr.isatty():
        lines = _Lines(run.ledger)
        run.ledger.notify = lambda text: print(text, file=sys.stderr, flush=True)
        yield replace(run, progress=lines.update)
        lines.show()
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    percentage, counts = TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[counts]}")
    columns = (BarColumn(), percentage, counts, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        run.ledger.notify = bar.console.print
        task = bar.add_task("send", total=source.size, counts="")

        def update() -> None:
            bar.update(task, completed=source.bytes_read, counts=_counts(run.ledger))

        yield replace(run, progress=update)
        update()


def _counts(ledger: Ledger) -> str:
    s = ledger.counts
    return f"{s.events:,} events, {s.delivered:,} delivered, {s.rejected + s.undelivered:,} failed"


class _Lines:
    """Progress as lines, one every five seconds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._next = time.monotonic() + _EVERY

    def update(self) -> None:
        if time.monotonic() >= self._next:
            self._next += _EVERY
            self.show()

    def show(self) -> None:
        print(_counts(self._ledger), file=sys.stderr, flush=True)


_EVERY = 5.0
