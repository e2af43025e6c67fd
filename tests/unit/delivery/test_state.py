"""A run that goes on: what changes with the time between its processes."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import connector
from connector.delivery.report_file import report_file
from connector.delivery.state.progress import Progress
from connector.delivery.state.resume import OpenRun
from connector.delivery.state.runs import Saved
from connector.model import Request, Response
from tests.kit.cli import connection
from tests.kit.clock import NOW, FakeClock

FULL = Path("/dev/full")


def refuse(request: Request) -> Response:
    return Response(401, {}, {})


def accept(request: Request) -> Response:
    people = sum(len(one["params"]["users"]) for one in json.loads(request.body))
    return Response(200, {}, {"data": {"success_count": people, "total_count": people}})


def test_what_can_no_longer_be_sent_is_rejected_once(tmp_path: Path) -> None:
    """An event that was open is rejected when it is prepared again; it is counted and reported."""
    events = [
        {
            "id": "e1",
            "audience": "1nmth",
            "email": "ann@example.com",
            "end": "2026-01-16T00:00:00Z",
        },
        {"id": "e2", "audience": "1nmth", "email": "nobody"},
        {"id": "e3", "audience": "1nmth", "email": "cy@example.com"},
    ]
    file = tmp_path / "events.ndjson"
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events), "utf-8")
    made = connector.load_connection(connection(tmp_path, base_url="http://127.0.0.1:1"))
    report = tmp_path / "report.ndjson"
    clock = FakeClock()

    def send(transport: Callable[[Request], Response]) -> connector.Report:
        return connector.send(
            made, file, transport=transport, clock=clock, report=report, state=tmp_path / "state"
        )

    first = send(refuse).counts
    assert (first.records, first.undelivered, first.rejected) == (3, 2, 1)

    clock.set(NOW + 3 * 24 * 3600)
    for _ in range(2):
        counts = send(accept).counts
        assert (counts.records, counts.delivered, counts.rejected) == (3, 1, 2)
        lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
        kept = [(line["event"], line["code"]) for line in lines if line["outcome"] == "rejected"]
        assert kept == [("e2", "no_identifier"), ("e1", "expires_before_effective")]


@pytest.mark.parametrize(
    ("now", "length"), [(b"one\ntwo\n", 4), (b"one\n", 4), (b"o", 2), (b"", 0)]
)
def test_a_report_is_as_long_as_what_was_committed_of_it(
    tmp_path: Path, now: bytes, length: int
) -> None:
    report = tmp_path / "report.ndjson"
    report.write_bytes(now)
    made = connector.load_connection(connection(tmp_path, base_url="http://127.0.0.1:1"))
    saved = Saved(report=str(report), report_bytes=4)
    nothing = cast(Any, None)
    run = OpenRun(nothing, "c", nothing, None, saved, Progress())
    with report_file(report, made, iter(()), run) as file:
        assert file is not None
        # The first commit keeps the position, whether anything was written or not.
        assert file.tell() == length
        file.write(b"three\n")
    kept = now[:length] if now != b"o" else b"o\n"
    assert report.read_bytes() == kept + b"three\n"


def test_a_report_to_a_stream_is_no_part_of_the_file_before(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(
        '{"id": "e1", "audience": "1nmth", "email": "ann@example.com"}\n'
        '{"id": "e2", "audience": "1nmth", "email": "nobody"}\n',
        "utf-8",
    )
    made = connector.load_connection(connection(tmp_path, base_url="http://127.0.0.1:1"))
    report = tmp_path / "report.ndjson"
    for to in (report, io.BytesIO(), report):
        connector.send(
            made, file, transport=refuse, clock=FakeClock(), report=to, state=tmp_path / "state"
        )
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    said = [(line["event"], line["outcome"]) for line in lines]
    left = ("e1", "undelivered")
    assert said == [("e2", "rejected"), ("e2", "dropped"), left, left]


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_without_room_for_temporary_files_the_report_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: FULL.open("w+b"))
    file = tmp_path / "events.ndjson"
    file.write_text('{"id": "e1", "audience": "1nmth", "email": "ann@example.com"}\n', "utf-8")
    made = connector.load_connection(connection(tmp_path, base_url="http://127.0.0.1:1"))
    report = connector.send(
        made,
        file,
        transport=refuse,
        clock=FakeClock(),
        report=tmp_path / "report.ndjson",
        state=tmp_path / "state",
    )
    assert (report.counts.undelivered, report.report_error) == (1, "No space left on device")
