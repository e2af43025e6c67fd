"""`send --state DIR`: a run of files goes on after it ended early, and only while nothing else changed."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.auth.base import Message
from tests.kit.cli import (
    Done,
    call,
    connection,
    environment,
    ndjson,
    person,
    report_lines,
    run,
    start,
)
from tests.kit.http_vendor import Reply, Vendor, people, reply, success


class Place:
    """A folder with a connection to a vendor that can be told what to answer."""

    def __init__(self, folder: Path, vendor: Vendor) -> None:
        self.folder = folder
        self.vendor = vendor
        self.state = folder / "state"
        self.report = folder / "report.ndjson"
        changes = "limits: {records: 10}"
        self.connection = connection(folder, base_url=vendor.base_url, changes=changes)
        self.events = ndjson(folder, map(person, range(30)))

    def send(self, *options: str | Path, events: Path | None = None) -> Done:
        path = events or self.events
        return run(
            "send", self.connection, path, "--state", self.state, *options, "--format", "json"
        )

    def refuse_after(self, requests: int) -> None:
        """Let the vendor take so many requests, and then refuse the credentials."""

        def answer(seen: Message) -> Reply:
            return success(seen) if len(self.vendor.seen) <= requests else reply(401)

        self.vendor.answer = answer

    def take_all(self) -> None:
        self.vendor.answer = success
        self.vendor.seen.clear()

    @property
    def taken(self) -> int:
        return sum(map(people, self.vendor.seen))

    def append(self, *events: dict[str, Any]) -> None:
        with self.events.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(event)}\n" for event in events)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Vendor() as vendor:
        yield Place(tmp_path, vendor)


def outcome(done: Done) -> tuple[int, int, int, int]:
    """The status, and how much was delivered, left, and sent again."""
    summary = done.json
    return done.status, summary["delivered"], summary["undelivered"], summary["resent"]


def test_what_was_left_undelivered_is_sent_by_the_next_process(place: Place) -> None:
    place.refuse_after(1)
    first = place.send("--report", place.report)
    assert outcome(first) == (1, 10, 20, 0)
    assert len(report_lines(place.report)) == 20

    place.take_all()
    second = place.send("--report", place.report)
    assert (outcome(second), place.taken) == ((0, 30, 0, 0), 20)
    assert second.json["run"] == first.json["run"]
    assert (second.json["restarts"], second.json["events"]) == (1, 30)
    assert not place.report.read_bytes()

    place.take_all()
    third = place.send()
    assert (third.status, third.json["delivered"], place.taken) == (0, 30, 0)


def test_the_summary_says_what_becomes_of_the_run(place: Place) -> None:
    place.refuse_after(1)
    options = ("send", place.connection, place.events, "--state", place.state)
    first = run(*options)
    assert "unfinished; the same command goes on with it" in first.out
    place.take_all()
    second = run(*options)
    assert "finished; restarted once, the values found are those since then\n" in second.out
    third = run(*options)
    assert "was finished before: nothing was sent now; --restart sends" in third.out


def test_an_interrupted_run_goes_on(place: Place) -> None:
    go_on = threading.Event()

    def wait(seen: Message) -> Reply:
        go_on.wait(30)
        return success(seen)

    place.vendor.answer = wait
    process = start(
        *("send", place.connection, place.events, "--state", place.state, "--format", "json")
    )
    assert place.vendor.arrived.wait(10)
    second = place.send()
    assert second.status == 2
    message = f"{place.state}: another process delivers from this folder; wait for its end"
    assert second.err.startswith(message)

    process.send_signal(signal.SIGINT)
    assert process.stderr
    process.stderr.readline()
    go_on.set()
    out, _ = process.communicate(timeout=20)
    delivered = json.loads(out)["delivered"]
    assert 0 < delivered < 30

    place.take_all()
    assert outcome(place.send()) == (0, 30, 0, 0)
    assert place.taken == 30 - delivered


def test_what_had_no_answer_may_be_sent_twice(place: Place) -> None:
    place.vendor.answer = lambda _: Reply(cut=True)
    first = run(
        *("send", place.connection, place.events, "--state", place.state),
        *("--retries", "0", "--format", "json"),
    )
    assert (first.json["undelivered"], len(place.vendor.seen)) == (30, 1)
    place.take_all()
    assert outcome(place.send()) == (0, 30, 0, 10)


def test_a_state_that_is_no_folder_says_so(place: Place) -> None:
    done = run("send", place.connection, place.events, "--state", place.events)
    assert done.status == 2
    assert done.err == f"{place.events} is no folder; name a folder, or one to be made\n"


def test_a_file_may_grow(place: Place) -> None:
    place.refuse_after(1)
    place.send()
    place.append(person(30), person(31))
    place.take_all()
    assert (outcome(place.send())[:2], place.taken) == ((0, 32), 22)

    # also when the run was finished
    place.append(person(32))
    place.take_all()
    assert (outcome(place.send())[:2], place.taken) == ((0, 33), 1)


def test_after_a_finished_run_another_file_is_another_run(place: Place) -> None:
    first = place.send()
    place.take_all()
    other = ndjson(place.folder, [person(1)], "other.ndjson")
    second = place.send(events=other)
    assert (second.json["delivered"], place.taken) == (1, 1)
    assert second.json["run"] != first.json["run"]


def changed_file(place: Place) -> Path | None:
    text = place.events.read_text("utf-8")
    place.events.write_text(text.replace("person1@", "personX@", 1), "utf-8")
    return None


def smaller_file(place: Place) -> Path | None:
    place.events.write_text("".join(place.events.read_text("utf-8").splitlines(True)[:5]), "utf-8")
    return None


def other_file(place: Place) -> Path | None:
    return ndjson(place.folder, map(person, range(30)), "other.ndjson")


def other_mapping(place: Place) -> Path | None:
    text = place.connection.read_text("utf-8")
    place.connection.write_text(text.replace("event_id: id", "event_id: audience"), "utf-8")
    return None


CHANGES = {
    changed_file: "the input is another: {events} holds something else than before",
    smaller_file: "the input is another: {events} is smaller than it was",
    other_file: "the input is another: it was {events}, and is {folder}/other.ndjson now",
    other_mapping: "the connection changed in what it sends",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_unfinished_run_has_its_own_input(place: Place, change: Any) -> None:
    place.refuse_after(1)
    place.send()
    events = change(place)
    place.take_all()
    refused = place.send(events=events)
    assert (refused.status, place.taken) == (2, 0)
    [line, *_] = refused.err.splitlines()
    reason = CHANGES[change].format(events=place.events, folder=place.folder)
    assert f"is unfinished, and {reason}; undo the change" in line
    assert "--restart" in line

    again = place.send("--restart", events=events)
    assert (again.status, again.json["restarts"]) == (0, 0)
    assert place.taken == again.json["delivered"]


def test_credentials_limits_and_names_may_change(place: Place) -> None:
    place.refuse_after(1)
    place.send()
    text = place.connection.read_text("utf-8")
    place.connection.write_text(text.replace("records: 10", "records: 7") + "name: Mine\n", "utf-8")
    place.take_all()
    assert (outcome(place.send())[:2], place.taken) == ((0, 30), 20)


def test_another_limit_is_another_input(place: Place) -> None:
    place.refuse_after(1)
    place.send("--limit", "20")
    refused = place.send()
    assert refused.status == 2
    assert "it has another --limit" in refused.err


def test_what_is_not_sent_is_counted_and_reported_once(place: Place) -> None:
    place.append({**person(40), "email": "nobody"}, {**person(41), "audience": "not valid"})
    place.refuse_after(1)
    first = place.send("--report", place.report)
    assert first.json["rejected"] == 2
    place.take_all()
    second = place.send("--report", place.report)
    assert (second.json["rejected"], second.json["records"]) == (2, 32)
    assert second.json["identifiers_dropped"] == 1
    lines = report_lines(place.report)
    assert [line["event"] for line in lines] == ["e40", "e41"]


def test_the_folder_is_its_owners_and_holds_nobody(place: Place) -> None:
    place.refuse_after(1)
    place.send()
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700
    files = [file for file in place.state.iterdir() if file.is_file()]
    assert files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        content = file.read_bytes()
        assert b"example.com" not in content
        assert b"person" not in content


def test_restart_needs_a_state(place: Place) -> None:
    done = run("send", place.connection, place.events, "--restart")
    assert (done.status, done.err) == (2, "C012 --restart: requires --state; add --state DIR\n")


def test_a_state_of_a_newer_version_is_an_error(place: Place) -> None:
    import sqlite3

    place.send()
    with sqlite3.connect(place.state / "runs.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    done = place.send()
    assert done.status == 2
    assert "is of a newer version of the connector" in done.err


def test_a_state_that_is_no_database_is_an_error(place: Place) -> None:
    place.state.mkdir(mode=0o700)
    (place.state / "runs.sqlite3").write_bytes(b"no database" * 100)
    done = place.send()
    assert done.status == 2
    assert done.err.startswith(f"C247 {place.state / 'runs.sqlite3'}: cannot be used: ")


# The second commit finds no room: SQLite itself says so.
FULL = """
from dataclasses import replace
from itertools import count
from connector.cli.app import main
from connector.delivery.state.runs import Runs

commit, commits = Runs.commit, count(1)

def full(runs, run, saved, *others):
    if next(commits) > 1:
        [(pages,)] = runs._execute("PRAGMA page_count")
        list(runs._execute(f"PRAGMA max_page_count = {pages}"))
        saved = replace(saved, report="x" * 100_000)
    commit(runs, run, saved, *others)

Runs.commit = full
main()
"""


def test_a_disk_that_is_full_ends_the_run_and_says_what_is_kept(place: Place) -> None:
    place.take_all()
    options = [*("--set", "limits.concurrency=1", "--report", place.report, "--format", "json")]
    command = ["send", place.connection, place.events, "--state", place.state, *options]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *map(str, command)],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    first = json.loads(done.stdout)
    assert (done.returncode, first["delivered"], first["undelivered"]) == (2, 20, 10)
    assert place.taken == 20
    assert [line["code"] for line in report_lines(place.report)] == ["state_not_kept"] * 10
    assert done.stderr.decode() == (
        f"C247 {place.state / 'runs.sqlite3'}: cannot be used: database or disk is full; "
        "make room, then give the same command again: what was kept of the run before is there, "
        "and what was delivered since is sent again\n"
    )

    place.take_all()
    second = run(*command)
    assert (second.status, second.json["delivered"], place.taken) == (0, 30, 20)
    assert second.json["run"] == first["run"]


def test_standard_input_keeps_no_run(place: Place) -> None:
    content = place.events.read_bytes()
    done = run("send", place.connection, "-", "--state", place.state, stdin=content)
    assert done.status == 0
    assert not (place.state / "runs.sqlite3").exists()


def test_the_status_in_detail(place: Place) -> None:
    place.refuse_after(1)
    options = ("send", place.connection, place.events, "--state", place.state)
    assert call(*options).status == 1
    assert call(*options, "--exit-detail").status == 4
    place.append({**person(40), "email": "nobody"})
    place.take_all()
    assert call(*options, "--exit-detail").status == 3
