"""What a run reports.

It reports its counts, why records failed, and one value or NDJSON line for each failure and each
dropped value.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from connector._util import times
from connector.pipeline.audiences import UsedAudience
from connector.pipeline.fill import Filled


def new_run_id(now: float) -> str:
    """Return what a run is called: the moment of its beginning, and what nothing else has."""
    moment = times.from_epoch(now).replace("-", "").replace(":", "")
    return f"{moment}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class Counts:
    """The counts of a run. `records == delivered + superseded + rejected + undelivered`.

    `blank`: rows and lines of the input that are no events. `bytes` are those of request bodies,
    `seconds` of wall clock time.
    """

    events: int = 0
    records: int = 0
    delivered: int = 0
    superseded: int = 0
    rejected: int = 0
    undelivered: int = 0
    skipped: int = 0
    blank: int = 0
    identifiers_dropped: int = 0
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing was rejected or left undelivered."""
        return not self.rejected and not self.undelivered


@dataclass(frozen=True, slots=True)
class Failure:
    """An event, or an element, that a route took and did not deliver, or a dropped value.

    `event` is its id. `line` and `file` say where it stands when it has no id of its own (in a JSON
    array `line` is the element, in Parquet the row); `event` is then its position in the whole
    input, or None when it could not be read or when other events have ids. `item` is the position
    of the element in the list of the route's `each`, from 0; None where the event is the record.
    `route` is None when the event could not be read. `outcome`: "rejected" (final), "undelivered"
    (can be sent again), "superseded" by a later event that failed, "skipped" (there is nothing to
    do for it), or "dropped": only the value of `parameter` is lost, and what else names the person
    is still sent.
    """

    event: str | None
    route: str | None
    outcome: str
    code: str
    reason: str
    item: int | None = None
    file: str | None = None
    line: int | None = None
    parameter: str | None = None

    def ndjson(self, run: str = "") -> bytes:
        """Return the failure as a line of NDJSON, with what the run is called, if anything."""
        line: dict[str, Any] = {"event": self.event}
        if self.item is not None:
            line["item"] = self.item
        line["route"] = self.route
        line["outcome"] = self.outcome
        if self.parameter is not None:
            line["parameter"] = self.parameter
        line["code"] = self.code
        line["reason"] = self.reason
        line["file"] = self.file
        line["line"] = self.line
        if run:
            line["run"] = run
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


class UndeliveredFile(NamedTuple):
    """What became of the records that a run left undelivered: how many are in the file.

    Without any there is no file. `error`: why it could not be written, or "".
    """

    path: str
    records: int
    error: str = ""


class OutboxUse(NamedTuple):
    """What a run that reads a pipe did with the outbox in `folder`.

    `leftovers`: how many records earlier runs had left there, of which `leftovers_delivered` are
    delivered now. `pending`: how many records are left there. `dead`: how many became dead letters.
    `input_lost`: the run ended before its input did, and what was not read is lost.
    `earlier_input_lost`: so it was with an earlier run, which was killed.
    """

    folder: str
    leftovers: int
    leftovers_delivered: int
    pending: int
    dead: int
    input_lost: bool
    earlier_input_lost: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a run.

    `reasons` counts failed records, and people for whom there was nothing to do ("skipped"), by
    (outcome, code, reason), `dropped` identifier values by
    (parameter, reason), the most frequent first. `failures` holds every failure if the run was
    asked to keep them; otherwise it is empty. `interrupted`: the run was ended before its input
    was. `report_error`: why the report file is cut short, or "". `fill`: how many of the rows that
    a route took had a value of each mapped parameter. `doubts`: what the events make look like a
    mistake, though nothing failed, a line for each. `audiences`: those that the run found or
    created by name. `run`: what the run is called. With a state the counts are those of all
    processes that worked at the run, `ended` says whether nothing of it is left, `restarts` how
    many of them went on with it, and `resent` how many records at most this one sent that an
    earlier one may have sent. `nothing_new`: it had ended before, and nothing was sent now.
    `undelivered_file`: what is in the file of undelivered records, None if the run was not asked
    for one. `outbox`: what a run that reads a pipe and has a state did with its outbox.
    `stopped_after`: the file and the line of the last event that was read when the input was not
    read to its end (line 0: none was), else None.
    """

    counts: Counts
    reasons: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    interrupted: bool = False
    report_error: str = ""
    fill: tuple[Filled, ...] = ()
    doubts: tuple[str, ...] = ()
    audiences: tuple[UsedAudience, ...] = ()
    run: str = ""
    ended: bool | None = None
    restarts: int = 0
    resent: int = 0
    nothing_new: bool = False
    undelivered_file: UndeliveredFile | None = None
    outbox: OutboxUse | None = None
    stopped_after: tuple[str | None, int] | None = None

    @property
    def complete(self) -> bool:
        """Whether everything was delivered: nothing rejected, left undelivered or interrupted."""
        return self.counts.complete and not self.interrupted

    @property
    def succeeded(self) -> bool:
        """Whether everything was delivered, and the report file is as long as it should be."""
        return self.complete and not self.report_error


class DefectError(Exception):
    """The connector itself failed: a defect, which is the cause of this error.

    A cause that is a ConnectorError is none: the folder of `state` failed, by a full disk, say.
    `report` says what became of the records.
    """

    def __init__(self, report: Report) -> None:
        super().__init__("the connector itself failed; the report says what became of the records")
        self.report = report
