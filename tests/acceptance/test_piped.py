"""`send CONNECTION - --state DIR`: what is read of a pipe is in the outbox until it has its outcome."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.auth.base import Message
from connector.delivery.outbox.model import ConnectionStatus, OutboxError, Post
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.library import piped
from tests.kit.cli import (
    Done,
    assert_adds_up,
    call,
    connection,
    dropped_lines,
    ndjson,
    person,
    report_lines,
    run,
    start,
)
from tests.kit.http_vendor import Reply, Vendor, people, reply, success
from tests.kit.service import Served, lines

ADD, REMOVE = "add_user_multi", "remove_user_multi"


class Audience(Vendor):
    """Holds who was added and not removed, and can be told what else to answer."""

    def __init__(self) -> None:
        super().__init__(self._answer_to)
        self.members: set[str] = set()
        self.otherwise: Callable[[Message], Reply | None] = lambda _: None

    def _answer_to(self, seen: Message) -> Reply:
        refused = self.otherwise(seen)
        if refused is not None:
            return refused
        for operation in json.loads(seen.body):
            for user in operation["params"]["users"]:
                names = {f"{seen.url.split('/')[-2]} {email}" for email in user["email"]}
                adds = operation["operation_type"] == "Update"
                self.members = self.members | names if adds else self.members - names
        return success(seen)


class Place:
    """A connection to a vendor, and the folder of its state."""

    def __init__(self, folder: Path, vendor: Audience) -> None:
        self.folder = folder
        self.vendor = vendor
        self.state = folder / "state"
        self.report = folder / "report.ndjson"
        self.limit("{records: 10, age: 1h}")

    def limit(self, limits: str) -> None:
        changes = f"limits: {limits}"
        self.connection = connection(
            self.folder, base_url=self.vendor.base_url, changes=changes, actions=[ADD, REMOVE]
        )

    @property
    def command(self) -> tuple[str | Path, ...]:
        return ("send", self.connection, "-", "--state", self.state)

    def send(self, *events: dict[str, Any], options: tuple[str | Path, ...] = ()) -> Done:
        return call(*self.command, "--format", "json", *options, stdin=lines(events))

    def start(self, *events: dict[str, Any], options: tuple[str | Path, ...] = ()) -> Piped:
        return Piped(
            start(*self.command, "--format", "json", *options, stdin=subprocess.PIPE), events
        )

    def status(self) -> ConnectionStatus:
        with closing(SqliteOutbox(self.state, None)) as outbox:
            return outbox.status().connections.get("connection", ConnectionStatus(0, 0, {}, ()))


class Piped:
    """A run that reads a pipe, which stays open."""

    def __init__(
        self, process: subprocess.Popen[bytes], events: tuple[dict[str, Any], ...]
    ) -> None:
        self.process = process
        self.write(*events)

    def write(self, *events: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(lines(events))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, number: signal.Signals | None = None) -> tuple[int, dict[str, Any], str]:
        """End the input, or the run by a signal; return its status, its summary, and stderr."""
        if number is None:
            out, err = self.process.communicate(timeout=20)
        else:
            self.process.send_signal(number)
            self.process.wait(20)
            out, err = self.process.communicate()
        assert b"Traceback" not in err, err.decode()
        summary = json.loads(out)
        assert_adds_up(summary)
        return self.process.returncode, summary, err.decode()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Audience() as vendor:
        yield Place(tmp_path, vendor)


def added(number: int, **more: Any) -> dict[str, Any]:
    return person(number, do=ADD, **more)


def wait_until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def committed(place: Place, records: int) -> None:
    """Wait until so many records are committed."""
    wait_until((place.state / "outbox.db").exists)
    wait_until(lambda: place.status().counts.get("records", 0) == records)


# What an earlier run left ---------------------------------------------------------------------------------------------


def test_what_a_killed_run_had_read_goes_first(place: Place) -> None:
    report = ("--report", place.report)
    piped = place.start(*map(added, range(25)), options=report)
    committed(place, 25)
    wait_until(lambda: len(place.vendor.seen) == 2)
    wait_until(lambda: place.status().pending == 5)
    piped.kill()
    for file in place.state.iterdir():
        assert b"example.com" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0

    place.vendor.otherwise = lambda _: reply(401)
    text = run(*place.command).out
    assert "an earlier run was killed: what it had not read of its input is lost" in text
    assert "5 records that an earlier run left went first: 0 delivered\n" in text
    assert f"5 undelivered records are kept in {place.state}: the next 'connector send" in text
    assert "undelivered 5 x unauthorized: " in text

    place.vendor.otherwise = lambda _: None
    # What comes now undoes what is left: only in this order nobody else is in the audience.
    last = [person(number, do=REMOVE) for number in (20, 24)]
    done = place.send(*last, added(30), {"id": "none"}, options=report)
    summary = done.json
    assert_adds_up(summary)
    assert (done.status, summary["events"], summary["skipped"]) == (0, 4, 1)
    assert (summary["records"], summary["undelivered"]) == (8, 0)
    assert summary["outbox"] == {
        "leftovers": 5,
        "leftovers_delivered": 5 - summary["superseded"],
        "pending": 0,
        "dead": 0,
        "input_lost": False,
        "earlier_input_lost": False,
    }
    assert len(place.vendor.members) == 24
    counts = place.status().counts
    assert counts["records"] == counts["delivered"] + counts["superseded"] == 28
    assert not place.report.read_bytes()


def test_a_service_of_the_same_folder_sends_what_is_left(place: Place) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra 'serve'")
    piped = place.start(*map(added, range(3)))
    committed(place, 3)
    second = run(*place.command)
    assert second.status == 2
    assert second.err.startswith(f"{place.state}: another process delivers from this folder; wait")
    piped.kill()
    with Served(place.connection, "--state", place.state) as served:
        served.drain()
    assert len(place.vendor.members) == 3


def test_a_stopped_audience_keeps_its_records_for_the_next_run(place: Place) -> None:
    place.vendor.otherwise = lambda seen: reply(403) if "/closed/" in seen.url else None
    events = [added(1), added(2, audience="closed"), added(3, audience="closed")]
    first = place.send(*events, options=("--exit-detail", "--report", place.report))
    summary = first.json
    assert_adds_up(summary)
    assert (first.status, summary["delivered"], summary["undelivered"]) == (4, 1, 2)
    assert (summary["outbox"]["pending"], summary["interrupted"]) == (2, False)
    [reason] = summary["reasons"]
    assert (reason["outcome"], reason["code"], reason["count"]) == ("undelivered", "forbidden", 2)
    # They have a line once they have their outcome.
    assert not place.report.read_bytes()

    place.vendor.otherwise = lambda _: None
    second = place.send()
    assert (second.status, second.json["delivered"], second.json["events"]) == (0, 2, 0)
    assert second.json["outbox"]["leftovers_delivered"] == 2
    assert not second.json["outbox"]["earlier_input_lost"]
    assert len(place.vendor.members) == 3


def test_a_run_of_a_file_does_not_go_past_what_a_pipe_left(place: Place) -> None:
    place.vendor.otherwise = lambda _: reply(401)
    assert place.send(added(1), added(2)).status == 1
    newer = ndjson(place.folder, [person(1, do=REMOVE)])
    command = ("send", place.connection, newer, "--state", place.state)
    place.vendor.otherwise = lambda _: None
    for options in ((), ("--restart",)):
        done = run(*command, *options)
        assert (done.status, place.vendor.members) == (2, set())
        assert done.err.startswith(
            f"C252 {place.state}: 2 records of 'connection' from a pipe or a service wait here"
        )
        assert f"'connector send CONNECTION - --state {place.state} < /dev/null'" in done.err

    assert place.send().json["outbox"]["leftovers_delivered"] == 2
    assert run(*command).status == 0
    assert len(place.vendor.members) == 1


def test_neither_a_pipe_nor_a_service_goes_past_an_unfinished_run(place: Place) -> None:
    place.vendor.otherwise = lambda _: reply(401)
    older = ndjson(place.folder, [added(1)])
    command = ("send", place.connection, older, "--state", place.state)
    assert run(*command).status == 1
    place.vendor.otherwise = lambda _: None
    refused = [place.send(person(1, do=REMOVE))]
    if find_spec("uvicorn"):
        refused.append(run("serve", place.connection, "--state", place.state, "--port", "0"))
    for done in refused:
        assert (done.status, place.vendor.members) == (2, set())
        assert done.err.startswith(f"C252 {place.state}: run ")
        assert f"'connector send CONNECTION {older} --state {place.state}'" in done.err

    assert run(*command).status == 0
    assert place.send(person(1, do=REMOVE)).status == 0
    assert not place.vendor.members


# While the input is open ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")
def test_a_signal_sends_what_was_read_without_a_state(place: Place) -> None:
    piped = Piped(start(*place.command[:3], "--format", "json", stdin=subprocess.PIPE), ())
    piped.write(*map(added, range(12)))
    wait_until(lambda: len(place.vendor.members) == 10)
    piped.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: len(place.vendor.members) == 12)
    piped.write(added(12))
    assert piped.process.poll() is None
    status, summary, err = piped.end()
    assert (status, summary["delivered"], err) == (0, 13, "")
    assert list(map(people, place.vendor.seen)) == [10, 2, 1]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")
def test_signals_send_what_was_read_and_give_up_what_is_in_flight(place: Place) -> None:
    piped = place.start(*map(added, range(12)))
    wait_until(lambda: len(place.vendor.members) == 10)
    piped.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: len(place.vendor.members) == 12)

    go_on = threading.Event()

    def wait(_: Message) -> None:
        go_on.wait(20)

    place.vendor.otherwise = wait
    piped.write(*map(added, range(12, 22)))
    wait_until(lambda: len(place.vendor.seen) == 3)
    assert piped.process.stderr
    piped.process.send_signal(signal.SIGINT)
    piped.process.stderr.readline()
    began = time.monotonic()
    status, summary, _ = piped.end(signal.SIGINT)
    go_on.set()
    assert time.monotonic() - began < 5
    assert (status, summary["delivered"], summary["undelivered"]) == (1, 12, 10)
    assert place.send().json["delivered"] == 10


def test_what_is_old_is_sent_and_what_is_not_is_kept_by_an_interrupted_run(place: Place) -> None:
    place.limit("{age: 1s}")
    piped = place.start(added(1), options=("--exit-detail",))
    assert place.vendor.arrived.wait(10)
    piped.write(added(2))
    committed(place, 2)
    status, summary, err = piped.end(signal.SIGTERM)
    assert err.startswith(
        "stopping after the requests in flight; what was not read of the input yet is lost, what "
        "was read is kept; press Ctrl-C again"
    )
    assert (status, summary["delivered"], summary["undelivered"]) == (5, 1, 1)
    assert [reason["code"] for reason in summary["reasons"]] == ["interrupted"]
    assert (summary["interrupted"], summary["outbox"]["input_lost"]) == (True, True)

    done = place.send()
    assert (done.status, len(place.vendor.members)) == (0, 2)
    assert not done.json["outbox"]["earlier_input_lost"]


# Outcomes and options -------------------------------------------------------------------------------------------------


def test_what_is_rejected_is_in_the_report_and_a_dead_letter(place: Place) -> None:
    place.limit("{records: 1}")

    def refuse(seen: Message) -> Reply | None:
        if "/bad/" not in seen.url:
            return None
        errors = [[{"code": "INVALID", "message": "no such person"}]]
        return reply(400, {"operation_errors": errors})

    place.vendor.otherwise = refuse
    events = [
        added(1, audience="bad"),
        added(2, email="nobody"),
        added(3, phone="12"),
        added(4),
    ]
    options = ("--report", place.report, "--exit-detail", "--progress", "--retries", "1")
    done = place.send(*events, options=options)
    assert_adds_up(done.json)
    assert (done.status, done.json["delivered"], done.json["rejected"]) == (3, 2, 2)
    assert (done.json["outbox"]["dead"], done.json["identifiers_dropped"]) == (1, 2)
    assert "4 events, 2 delivered, 2 rejected" in done.err
    found = {line["event"]: line["code"] for line in report_lines(place.report)}
    assert found == {"e1": "operation_refused", "e2": "no_identifier"}
    assert {line["event"] for line in dropped_lines(place.report)} == {"e2", "e3"}
    [letter] = run("dead", "list", "--state", place.state, "--format", "json").json
    assert (letter["connection"], letter["code"]) == ("connection", "operation_refused")


def test_what_makes_no_sense_is_refused(place: Place) -> None:
    left = place.folder / "left"
    done = place.send(options=("--restart",))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("C012 --restart: a pipe has nothing to begin again: what is left")
    done = place.send(options=("--undelivered", left))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"C012 {left}: with a state, what is left undelivered of a pipe")
    assert not place.state.exists()


# The library ----------------------------------------------------------------------------------------------------------


def fifo(folder: Path, content: bytes) -> Path:
    """A named pipe into which something is written, once it is read."""
    path = folder / "pipe.ndjson"
    os.mkfifo(path)
    threading.Thread(target=lambda: path.write_bytes(content), daemon=True).start()
    return path


def send(place: Place, events: list[dict[str, Any]], **more: Any) -> connector.Report:
    made = connector.load_connection(place.connection)
    pipe = fifo(place.folder, lines(events))
    return connector.send(made, pipe, state=place.state, transport=connector.Sandbox(made), **more)


def test_a_full_outbox_lets_the_pipe_wait(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.limit("{records: 100}")
    monkeypatch.setattr(piped, "SqliteOutbox", partial(SqliteOutbox, max_pending=1_000))
    events = [added(number) for number in range(2_500)]
    report = send(place, events)
    assert (report.counts.delivered, report.succeeded) == (2_500, True)


def test_an_outbox_that_fails_ends_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    accept = SqliteOutbox.accept

    def fail(outbox: SqliteOutbox, posts: list[Post]) -> Any:
        if any(post.bundles for post in posts):
            raise OutboxError("the disk is full")
        return accept(outbox, posts)

    monkeypatch.setattr(SqliteOutbox, "accept", fail)
    with pytest.raises(OutboxError, match="what was not read yet is lost") as caught:
        send(place, [added(1)])
    assert str(caught.value).startswith("the disk is full; what is in the outbox goes first")


def test_a_defect_is_told_with_the_report(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("connector.delivery.worker.mapping.Mapper.map_one", fail)
    with pytest.raises(connector.DefectError) as caught:
        send(place, [added(1)])
    assert isinstance(caught.value.__cause__, RuntimeError)
    report = caught.value.report
    assert report.interrupted
    assert report.outbox is not None
    assert report.outbox.input_lost
