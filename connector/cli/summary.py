"""Summaries of a run and of a sandbox, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from connector.cli.output import on_one_line
from connector.cli.words import counted, fill_json, fill_lines, line_of, warning_lines
from connector.delivery.report import Counts, OutboxUse, Report, UndeliveredFile
from connector.pipeline.audiences import UsedAudience
from connector.pipeline.dropped import dropped_lines
from connector.sandbox.vendor import Holding

# So many reasons, and so many audiences, are printed.
_MAX_REASONS = 20
_MAX_AUDIENCES = 20


def summary_json(
    report: Report,
    warnings: Sequence[str],
    holdings: Sequence[Holding] | None,
    name: str = "",
) -> dict[str, Any]:
    """Return the counts, why records failed, which values were dropped, and which were found.

    What the sandbox holds is included if there is one, and the connection's name if it has one.
    """
    summary: dict[str, Any] = asdict(report.counts)
    summary["seconds"] = round(report.counts.seconds, 3)
    summary["interrupted"] = report.interrupted
    summary |= reasons_json(report)
    summary["audiences"] = audiences_json(report.audiences)
    summary["warnings"] = list(warnings)
    summary["run"] = report.run
    summary["restarts"] = report.restarts
    summary["resent"] = report.resent
    if report.report_error:
        summary["report_error"] = report.report_error
    if report.outbox is not None:
        use = report.outbox._asdict()
        del use["folder"]
        summary["outbox"] = use
    if report.undelivered_file is not None:
        summary["undelivered_file"] = _undelivered_json(report.undelivered_file)
        if report.stopped_after is not None:
            file, line = report.stopped_after
            summary["undelivered_file"]["stopped_after"] = {"file": file, "line": line}
    if name:
        summary["connection"] = name
    if holdings is not None:
        summary["sandbox"] = [holding._asdict() for holding in holdings]
    return summary


def reasons_json(report: Report) -> dict[str, Any]:
    """Return why records failed, which values were dropped, and which were found."""
    reasons = []
    for (outcome, code, reason), count in report.reasons.items():
        names = {"outcome": outcome, "code": code, "reason": reason}
        reasons.append({**names, "count": count})

    dropped = []
    for (parameter, reason), count in report.dropped.items():
        dropped.append({"parameter": parameter, "reason": reason, "count": count})
    return {"reasons": reasons, "dropped": dropped, "fill": fill_json(report.fill)}


def summary_text(
    report: Report,
    warnings: Sequence[str],
    holdings: Sequence[Holding] | None,
    name: str = "",
) -> str:
    """Return the same as text, with only the most frequent reasons."""
    counts = report.counts
    rows = [
        ("events", counts.events),
        ("skipped (no route)", counts.skipped),
        ("records", counts.records),
        ("  delivered", counts.delivered),
        ("  superseded", counts.superseded),
        ("  rejected", counts.rejected),
        ("  undelivered", counts.undelivered),
        ("identifiers dropped", counts.identifiers_dropped),
    ]
    if counts.blank:
        rows.insert(1, ("blank rows (no event)", counts.blank))
    lines = [on_one_line(name)] if name else []
    lines += [f"{row:<22}{count:>12,}" for row, count in rows]

    interrupted = ", interrupted" if report.interrupted else ""
    traffic = f"{counted(counts.requests, 'request')}, {counts.bytes:,} bytes"
    lines.append(f"{traffic}, {counts.seconds:.2f} s{interrupted}")
    if report.ended is not None:
        lines.append(_run_line(report))

    if report.outbox is not None:
        lines += map(on_one_line, _outbox_lines(report.outbox))
    if report.undelivered_file is not None:
        lines.append(on_one_line(_undelivered_line(report.undelivered_file, counts)))
        if report.stopped_after is not None:
            lines.append(on_one_line(_unread_line(*report.stopped_after)))

    lines += audience_lines(report.audiences)
    lines += report_lines(report)
    lines += dropped_lines(Counter(report.dropped))
    lines += fill_lines(report.fill)
    lines += warning_lines(warnings)
    if holdings is not None:
        lines += ["", holdings_text(holdings)]
    return "\n".join(lines)


def audiences_json(audiences: Sequence[UsedAudience]) -> list[dict[str, Any]]:
    """Return the audiences that a run found or created by name."""
    entries = []
    for audience in audiences:
        entry = audience._asdict()
        del entry["title"]
        entries.append(entry)
    return entries


def audience_lines(audiences: Sequence[UsedAudience]) -> list[str]:
    """Return a line for each audience that a run found or created by name, new ones first."""
    lines = []
    in_order = sorted(audiences, key=lambda one: one.status != "created")
    for audience in in_order[:_MAX_AUDIENCES]:
        line = f"{audience.title} {audience.id} {audience.status}"
        if audience.gone is not None and audience.gone != audience.id:
            line += f" in the place of {audience.gone}, which is gone"
        if audience.name is not None:
            line += f": {audience.name}"
        lines.append(on_one_line(line))

    further = len(in_order) - _MAX_AUDIENCES
    if further > 0:
        lines.append(f"… and {further} more audiences; --format json lists all")
    return lines


def _run_line(report: Report) -> str:
    """Return what there is to know of a run that has a state."""
    if report.nothing_new:
        return (
            f"run {report.run} was finished before: nothing was sent now; "
            "--restart sends everything again"
        )

    end = "finished" if report.ended else "unfinished; the same command goes on with it"
    line = f"run {report.run} {end}"
    if not report.restarts:
        return line
    times = "once" if report.restarts == 1 else f"{report.restarts} times"
    line += f"; restarted {times}, the values found are those since then"
    if report.resent:
        line += f"; up to {report.resent:,} records may have been sent twice"
    return line


def _outbox_lines(use: OutboxUse) -> list[str]:
    """Return what there is to know of a run that has an outbox."""
    lines = []
    if use.earlier_input_lost:
        lines.append(
            "an earlier run was killed: what it had not read of its input is lost, "
            "what it had read went first"
        )
    if use.leftovers:
        records = f"{counted(use.leftovers, 'record')} that an earlier run left went first"
        lines.append(f"{records}: {use.leftovers_delivered:,} delivered")
    if use.input_lost:
        lines.append("what was not read of the input is lost; what was read of it is accounted for")
    if use.pending:
        again = f"the next 'connector send CONNECTION - --state {use.folder}' sends them first"
        lines.append(f"{_kept(use.pending)} in {use.folder}: {again}")
    if use.dead:
        where = f"'connector dead list --state {use.folder}' shows them"
        lines.append(f"{counted(use.dead, 'new dead letter')}: {where}")
    return lines


def _kept(records: int) -> str:
    verb = "is" if records == 1 else "are"
    return f"{counted(records, 'undelivered record')} {verb} kept"


def _undelivered_json(file: UndeliveredFile) -> dict[str, Any]:
    """Return what is in the file of undelivered records; its path is null if there is none."""
    entry: dict[str, Any] = {"path": file.path if file.records else None, "records": file.records}
    if file.error:
        entry["error"] = file.error
    return entry


def _undelivered_line(file: UndeliveredFile, counts: Counts) -> str:
    """Return what is in the file of undelivered records."""
    again = "send their events again"
    if file.error:
        return f"{file.path} could not be written: {file.error}; {again}"
    if not counts.undelivered:
        return f"nothing is left undelivered: {file.path} was not written"
    records = counted(file.records, "undelivered record")
    line = f"{file.path} has {records}; send it in the place of events"
    if not file.records:
        line = f"{file.path} was not written"
    without = counts.undelivered - file.records
    return f"{line}; {without:,} became no record: {again}" if without else line


def _unread_line(file: str | None, line: int) -> str:
    """Return what there is to do about the events that were not read: they are in no file."""
    if not line:
        return "nothing of the input was read: send all of it"
    return (
        f"the input was read up to {line_of(file, line)}, and not to its end: "
        "what comes after it is in no file; send it from the input, after what is undelivered"
    )


def report_lines(report: Report) -> list[str]:
    """Return why records failed, the most frequent reasons first, and what the report lacks."""
    lines = []
    if report.report_error:
        lines.append(f"the report is incomplete: {report.report_error}")
    return lines + _reason_lines(report.reasons)


def _reason_lines(reasons: Mapping[tuple[str, str, str], int]) -> list[str]:
    lines = []
    for (outcome, code, reason), count in list(reasons.items())[:_MAX_REASONS]:
        lines.append(f"{outcome} {count:,} x {code}: {on_one_line(reason)}")

    further = len(reasons) - _MAX_REASONS
    if further > 0:
        lines.append(f"… and {further} more reasons; --report FILE lists every event")
    return lines


def holdings_text(holdings: Sequence[Holding]) -> str:
    """Return a line for each audience that a sandbox holds."""
    lines = ["the sandbox holds:"]
    for holding in holdings:
        path = on_one_line(holding.path)
        people = f"{holding.people:,} people"
        identifiers = f"{holding.identifiers:,} identifiers"
        lines.append(f"  {path}  {people}, {identifiers}")
    if not holdings:
        lines.append("  nothing")
    return "\n".join(lines)


def sandbox_text(
    destination: str, members: Mapping[str, str], credentials: Mapping[str, str]
) -> str:
    """Return where a sandbox listens, and the members and credentials of a connection to it."""
    base_url = members["base_url"]
    lines = [
        f"sandbox of {destination} at {base_url}; press Ctrl-C to stop it and show what it holds",
        "",
    ]
    for name, value in members.items():
        if value:
            lines.append(f"{name}: {value}")

    if credentials:
        lines.append("credentials it accepts:")
        for name, value in credentials.items():
            lines.append(f"  {name}: {value}")
    return "\n".join(lines)
