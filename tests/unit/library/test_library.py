"""The library: its names, previews, runs with a sandbox and with transports of one's own, and what it leaves alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import gc
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.definitions.catalog import Catalog
from connector.guide.example_connection import example_connection, example_events
from tests.kit import ROOT

EXAMPLES = ROOT / "examples"
AUDIENCE = "/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
DOCUMENT: dict[str, Any] = {
    "destination": "x_custom_audiences",
    "settings": {"account_id": "18ce54d4x5t"},
    "event_id": "id",
    "routes": [
        {
            "name": "in",
            "action": "add_user_multi",
            "when": "event.do == 'add'",
            "map": {"custom_audience_id": {"from": "audience"}, "email": {"from": "email"}},
        },
        {
            "name": "out",
            "action": "remove_user_multi",
            "when": "event.do == 'remove'",
            "map": {"custom_audience_id": {"from": "audience"}, "email": {"from": "email"}},
        },
    ],
}


def connection(**changes: Any) -> connector.Connection:
    return connector.make_connection({**DOCUMENT, **changes})


def person(number: int, do: str = "add", **changes: Any) -> dict[str, Any]:
    email = f"person{number}@example.com"
    return {"id": f"e{number}", "do": do, "audience": "1nmth", "email": email, **changes}


def people(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield person(number)


class Clock(connector.SystemClock):
    """A clock that does not wait."""

    def sleep(self, seconds: float) -> bool:
        return not self.ending


# The names ------------------------------------------------------------------------------------------------------------


def test_the_public_names() -> None:
    assert connector.__all__ == [
        *(
            "CallError",
            "Check",
            "Clock",
            "ConfigError",
            "Connection",
            "ConnectorError",
            "Counts",
            "DefectError",
            "DefinitionError",
        ),
        *("Failure", "Preview", "PreviewedRequest", "Problem", "Report", "Request", "Response"),
        *("Sandbox", "Seal", "SendError", "SourceError", "SystemClock", "UnauthorizedError"),
        *("UnreachableError", "call", "check", "export", "http_transport", "lint"),
        *("load_connection", "make_connection", "open_audiences", "preview", "send"),
    ]
    assert connector.__all__ == sorted(connector.__all__)
    for name in connector.__all__:
        assert getattr(connector, name).__name__ == name
        assert getattr(connector, name).__doc__
    assert set(connector.__all__) <= set(dir(connector))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(connector, "sends")
    with pytest.raises(AttributeError, match="module 'connector' has no attribute 'sends'"):
        connector.sends  # noqa: B018 - the access is what is tested


def test_the_public_names_have_types(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import connector\n"
        "connection = connector.load_connection('connection.yaml')\n"
        "reveal_type(connector.send(connection, [], transport=connector.Sandbox(connection)))\n"
        "reveal_type(next(iter(connector.preview(connection, 'events.ndjson'))).body)\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "connector.delivery.report.Report"' in done.stdout
    assert '"bytes"' in done.stdout


# Connections and lint -------------------------------------------------------------------------------------------------


def test_a_file_and_a_dictionary_make_the_same_connection() -> None:
    loaded = connector.load_connection(str(EXAMPLES / "connection.yaml"))
    assert [route.name for route in loaded.routes] == ["loyal-in", "loyal-out", "objections"]
    changed = connector.load_connection(
        EXAMPLES / "connection.yaml", overrides=["settings.account_id=abc1"]
    )
    assert changed.settings["account_id"] == "abc1"
    assert [route.name for route in connection().routes] == ["in", "out"]


def test_a_dictionary_is_checked_as_a_file_is() -> None:
    with pytest.raises(connector.ConfigError) as wrong_form:
        connector.make_connection({**DOCUMENT, "sttings": {}}, name="editor")
    assert [(one.file, one.pointer) for one in wrong_form.value.problems] == [
        ("editor", "/sttings")
    ]
    with pytest.raises(connector.ConfigError) as wrong_names:
        connection(settings={}, credentials={"key": {"env": "KEY"}})
    assert {problem.code for problem in wrong_names.value.problems} >= {"C202", "C204"}
    with pytest.raises(connector.ConfigError):
        connector.make_connection([])  # type: ignore[arg-type] - what a document may hold


def test_lint_takes_paths(tmp_path: Path) -> None:
    assert connector.lint(str(EXAMPLES / "connection.yaml"), EXAMPLES) == []
    bad = tmp_path / "connection.yaml"
    bad.write_text(json.dumps({**DOCUMENT, "settings": {}}), "utf-8")
    [problem] = connector.lint(bad)
    assert (problem.code, problem.pointer) == ("C202", "/settings")


# Preview --------------------------------------------------------------------------------------------------------------


def test_a_preview_yields_requests() -> None:
    events = [person(1), person(2, "remove"), person(3, "nothing"), {"id": "e4", "do": "add"}]
    preview = connector.preview(connection(), events)
    [request] = preview
    assert (request.method, request.url) == ("POST", f"https://ads-api.x.com{AUDIENCE}")
    assert request.headers["content-type"] == "application/json"
    assert [one["operation_type"] for one in request.json()] == ["Update", "Delete"]
    assert json.loads(request.body) == request.json()
    assert (request.records, request.event_ids, request.routes) == (2, ("e1", "e2"), ("in", "out"))
    assert [(one.event, one.outcome, one.code) for one in preview.failures] == [
        ("e4", "rejected", "missing_parameter")
    ]
    counts = preview.counts
    assert (counts.events, counts.records, counts.skipped, counts.rejected) == (4, 3, 1, 1)
    assert (counts.requests, counts.bytes) == (1, len(request.body))
    assert "e1" not in repr(request)


@pytest.mark.parametrize(
    ("changes", "events", "reasons"),
    [
        ({"limits": {"records": 2}}, [person(i) for i in range(5)], ["records", "records", "end"]),
        ({"limits": {"bytes": 400}}, [person(i) for i in range(9)], ["bytes", "bytes", "end"]),
        (
            {"limits": {"groups": 1}},
            [person(1), person(2, "remove"), person(3)],
            ["groups", "groups", "end"],
        ),
        ({}, [person(1), person(1, "remove"), person(1)], ["conflict", "end"]),
        ({}, [person(1)], ["end"]),
    ],
)  # fmt: skip
def test_a_request_says_why_it_was_closed(
    changes: dict[str, Any], events: list[dict[str, Any]], reasons: list[str]
) -> None:
    made = connection(**changes)
    assert [request.closed_by for request in connector.preview(made, events)] == reasons


def test_old_requests_are_closed_by_age() -> None:
    class Ticking(connector.SystemClock):
        time = 1_800_000_000.0

        def now(self) -> float:
            self.time += 100
            return self.time

    made = connection(limits={"age": "1m", "records": 2_500})
    requests = connector.preview(made, (person(i) for i in range(2_400)), clock=Ticking())
    assert [(one.records, one.closed_by) for one in requests] == [(2_000, "age"), (400, "end")]


def test_a_change_of_the_operation_closes_a_request_where_it_cannot_hold_both() -> None:
    made = connector.make_connection(example_connection(Catalog().load("meta_custom_audiences")))
    events = []
    for number in range(4):
        email = f"person{number}@example.com"
        events.append({"type": ("entered", "left")[number % 2], "traits": {"email": email}})
    reasons = [request.closed_by for request in connector.preview(made, events)]
    assert reasons[-1] == "end"
    assert set(reasons[:-1]) == {"order"}


def test_a_preview_reads_files_and_only_as_much_as_asked() -> None:
    made = connector.load_connection(EXAMPLES / "connection.yaml")
    preview = connector.preview(made, EXAMPLES / "events.ndjson", limit=1)
    assert [request.records for request in preview] == [1]
    assert preview.counts.events == 1
    with pytest.raises(connector.SourceError, match=r"nowhere\.ndjson"):
        list(connector.preview(made, "nowhere.ndjson"))


# Send -----------------------------------------------------------------------------------------------------------------


def test_a_sandbox_is_a_transport() -> None:
    made = connector.load_connection(EXAMPLES / "connection.yaml")
    sandbox = connector.Sandbox(made)
    report = connector.send(made, EXAMPLES / "events.ndjson", transport=sandbox)
    assert report.complete
    assert (report.counts.delivered, report.counts.superseded, report.counts.requests) == (5, 1, 2)
    assert report.dropped == {("phone_number", "not_e164"): 1}
    assert sandbox.holdings()[0] == (AUDIENCE, 3, 5)


def test_a_sandbox_stands_for_a_connection_with_an_address_of_its_own() -> None:
    made = connection(base_url="http://127.0.0.1:1/below")
    sandbox = connector.Sandbox(made)
    assert connector.send(made, people(3), transport=sandbox).complete
    assert sandbox.holdings() == [(AUDIENCE, 3, 3)]


@pytest.mark.parametrize("name", Catalog().ids())
def test_a_sandbox_takes_what_every_destination_sends(name: str) -> None:
    destination = Catalog().load(name)
    made = connector.make_connection(example_connection(destination))
    sandbox = connector.Sandbox(made)
    assert all(secret.startswith("sandbox-") for secret in sandbox.secrets.values())
    report = connector.send(made, example_events(destination), transport=sandbox, clock=Clock())
    assert report.complete, report
    assert report.counts.delivered
    assert sum(holding.people for holding in sandbox.holdings()) == 1


def test_a_sandbox_fails_as_it_is_told() -> None:
    made = connection()
    sandbox = connector.Sandbox(made, faults=["timeout", "drop", "503"])
    report = connector.send(made, people(2), transport=sandbox, clock=Clock())
    assert (report.counts.delivered, report.counts.requests) == (2, 4)
    with pytest.raises(ValueError, match="unknown fault '430x'"):
        connector.Sandbox(made, faults=["430x"])


def test_failures_are_values() -> None:
    made = connection()
    sandbox = connector.Sandbox(made, faults=["403"])
    events: list[Any] = [
        person(1),
        {"id": "e2", "do": "add", "audience": "1nmth"},
        "text",
        person(3),
    ]
    report = connector.send(made, events, transport=sandbox)
    failures = {one.event: (one.route, one.outcome, one.code) for one in report.failures}
    assert failures == {
        "e1": ("in", "undelivered", "forbidden"),
        "e2": ("in", "rejected", "no_identifier"),
        None: (None, "rejected", "unreadable"),
        "e3": ("in", "undelivered", "forbidden"),
    }
    assert [one.line for one in report.failures if one.event is None] == [3]
    assert not report.complete
    assert sum(report.reasons.values()) == report.counts.rejected + report.counts.undelivered == 4
    kept = connector.send(made, events, transport=sandbox, keep_failures=False)
    assert kept.failures == ()
    assert kept.counts.rejected == 2


def test_a_report_is_written_to_a_path_or_a_file(tmp_path: Path) -> None:
    made, bad = connection(), {"id": "e1", "do": "add"}
    path, file = tmp_path / "failed.ndjson", io.BytesIO()
    for report in (path, file):
        connector.send(made, [bad], transport=connector.Sandbox(made), report=report)
    written, given = json.loads(path.read_bytes()), json.loads(file.getvalue())
    assert written.pop("run") != given.pop("run")
    assert written == given
    assert json.loads(path.read_bytes())["code"] == "missing_parameter"
    assert not file.closed
    with pytest.raises(connector.ConfigError, match=r"C013 .*nowhere.*cannot write"):
        connector.send(
            made, [bad], transport=connector.Sandbox(made), report=tmp_path / "nowhere" / "f"
        )
    path.write_text(json.dumps(bad), "utf-8")
    with pytest.raises(connector.ConfigError, match=r"C013 .*would overwrite an input file"):
        connector.send(made, path, transport=connector.Sandbox(made), report=path)
    assert path.stat().st_size


def test_a_transport_of_ones_own_gets_requests_without_credentials() -> None:
    seen: list[connector.Request] = []

    def transport(request: connector.Request) -> connector.Response:
        seen.append(request)
        if len(seen) == 1:
            raise connector.SendError("the proxy is away")
        return connector.Response(200, {}, {"data": {"success_count": 3, "total_count": 3}})

    waits: list[str] = []
    report = connector.send(
        connection(), people(3), transport=transport, clock=Clock(), notify=waits.append
    )
    assert (report.counts.delivered, report.counts.requests) == (3, 2)
    assert "authorization" not in seen[0].headers


def test_progress_is_called_with_counts_and_last_when_all_is_done() -> None:
    made = connection()
    seen: list[connector.Counts] = []
    connector.send(made, people(2_500), transport=connector.Sandbox(made), progress=seen.append)
    assert [counts.events for counts in seen] == [1_000, 2_000, 2_500, 2_500]
    assert seen[-1].delivered == 2_500


def test_a_clock_ends_a_run() -> None:
    made, clock = connection(), Clock()

    def events() -> Iterator[dict[str, Any]]:
        for number in range(5_000):
            if number == 1_500:
                clock.end()
            yield person(number)

    report = connector.send(made, events(), transport=connector.Sandbox(made), clock=clock)
    assert report.interrupted
    assert not report.complete
    assert report.counts.events == 2_000
    assert report.counts.undelivered + report.counts.delivered == 2_000
    assert {failure.code for failure in report.failures} == {"interrupted"}


def test_secrets_can_be_handed_over(tmp_path: Path) -> None:
    made = connection()
    sandbox = connector.Sandbox(made)
    with sandbox.serve() as server:
        local = connection(base_url=server.base_url)
        with connector.http_transport(local, secrets=sandbox.secrets, timeout=5) as transport:
            for run in range(2):
                events = [person(run)]
                assert connector.send(local, events, transport=transport).complete
    assert sandbox.holdings() == [(AUDIENCE, 2, 2)]
    with pytest.raises(connector.ConfigError, match=r"C204 .*missing credential 'access_token'"):
        connector.http_transport(made, secrets={"consumer_key": "a"})


def test_without_secrets_nothing_is_sent_and_no_report_is_begun(tmp_path: Path) -> None:
    with pytest.raises(connector.ConfigError, match="C204"):
        connector.send(connection(), people(1), report=tmp_path / "report")
    assert not (tmp_path / "report").exists()


# Events of a program --------------------------------------------------------------------------------------------------


def of(*values: Any) -> tuple[connector.Report, list[Any]]:
    """Send people with these e-mails; return the report and what was in the requests."""
    made = connection()
    events = [person(i, email=value) for i, value in enumerate(values)]
    requests = list(connector.preview(made, events))
    report = connector.send(made, events, transport=connector.Sandbox(made))
    return report, [user for one in requests for group in one.json() for user in group["params"]["users"]]  # fmt: skip


def test_values_mean_what_they_mean_in_a_file() -> None:
    class Text(str):
        __slots__ = ()

    same, users = of("ann@example.com", Text("ann@example.com"))
    assert same.counts.superseded == 1
    assert len(users) == 1
    nothing, _ = of(float("nan"), None, "")
    assert nothing.counts.rejected == 3
    numbers = [12345678901234567890123, decimal.Decimal("1.50"), dt.date(2026, 1, 2), 7]
    mapped = {"custom_audience_id": {"value": "1nmth"}, "partner_user_id": {"from": "number"}}
    made = connection(routes=[{"action": "add_user_multi", "map": mapped}])
    [request] = connector.preview(made, [{"number": number} for number in numbers])
    sent = [user["partner_user_id"][0] for user in request.json()[0]["params"]["users"]]
    assert sent == ["12345678901234567890123", "1.50", "2026-01-02", "7"]


def test_what_has_no_json_form_is_one_rejected_event() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    report, _ = of(b"bytes", object(), cycle, {("a",): 1}, float("inf"), "ann@example.com")
    assert report.counts.delivered == 1
    assert report.counts.rejected == 5
    codes = [failure.code for failure in report.failures]
    assert codes.count("unreadable") == 4
    long, _ = of("a" * 5_000_000)
    assert "longer than" in long.failures[0].reason


@pytest.mark.parametrize("events", [person(1), b"{}", 7])
def test_what_cannot_be_events_is_a_type_error(events: Any) -> None:
    with pytest.raises(TypeError):
        list(connector.preview(connection(), events))


def test_a_slow_iterator_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from connector.sources import objects

    now = iter(range(100))
    monkeypatch.setattr(objects.time, "monotonic", lambda: float(next(now)))
    chunks = list(objects.object_chunks(people(5)))
    assert [len(chunk) for chunk in chunks] == [1] * 5


def test_an_error_of_the_iterator_is_passed_on() -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield person(1)
        raise LookupError("the database went away")

    made = connection()
    with pytest.raises(LookupError, match="database"):
        connector.send(made, events(), transport=connector.Sandbox(made))


# The process around it ------------------------------------------------------------------------------------------------


def run_once() -> connector.Report:
    made = connection()
    return connector.send(made, people(50), transport=connector.Sandbox(made))


def test_nothing_of_the_process_changes(capfd: pytest.CaptureFixture[str]) -> None:
    def state() -> list[Any]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        root = logging.getLogger()
        threads = threading.active_count()
        return [gc.get_threshold(), gc.get_freeze_count(), handlers, root.level, *root.filters, dict(os.environ), threads]  # fmt: skip

    before = state()
    assert run_once().complete
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_in_a_thread() -> None:
    reports: list[connector.Report] = []
    threads = [threading.Thread(target=lambda: reports.append(run_once())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.counts.delivered for report in reports] == [50] * 3


def over_http() -> connector.Report:
    made = connection()
    sandbox = connector.Sandbox(made)
    with sandbox.serve() as server:
        local = connection(base_url=server.base_url)
        with connector.http_transport(local, secrets=sandbox.secrets) as transport:
            return connector.send(local, people(50), transport=transport)


@pytest.mark.parametrize("run", [run_once, over_http])
def test_beside_and_inside_a_running_event_loop(run: Callable[[], connector.Report]) -> None:
    async def beside() -> tuple[connector.Report, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        report = await asyncio.to_thread(run)
        ticking.cancel()
        return report, ticks

    async def inside() -> connector.Report:
        return run()

    report, ticks = asyncio.run(beside())
    assert report.counts.delivered == 50
    assert ticks > 1
    assert asyncio.run(inside()).counts.delivered == 50


def test_wrong_arguments_say_what_is_expected() -> None:
    connection = connector.load_connection(ROOT / "examples" / "connection.yaml")
    with pytest.raises(TypeError, match=r"expected a Connection, got str; load_connection\(path\)"):
        connector.send("connection.yaml", [])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a Connection, got dict"):
        connector.preview({}, [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="retries must be 0 or more, got -1"):
        connector.send(connection, [], retries=-1)
    with pytest.raises(ValueError, match="limit must be 1 or more, got 0"):
        list(connector.preview(connection, [], limit=0))


def test_one_fault_needs_no_list() -> None:
    connection = connector.load_connection(ROOT / "examples" / "connection.yaml")
    sandbox = connector.Sandbox(connection, faults="403")
    events = ROOT / "examples" / "events.ndjson"
    assert connector.send(connection, events, transport=sandbox).counts.undelivered


def test_a_connection_has_a_short_repr_without_settings() -> None:
    connection = connector.load_connection(ROOT / "examples" / "connection.yaml")
    assert len(repr(connection)) < 120
    assert not [
        str(value) for value in connection.settings.values() if str(value) in repr(connection)
    ]
