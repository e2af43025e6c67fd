"""`send --undelivered FILE`, and `send CONNECTION FILE` of such a file: later, in order, and only by its own connection."""

from __future__ import annotations

import gzip
import json
import random
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.auth.base import Message
from connector.errors import SourceError
from connector.model import Request
from tests.kit.cli import (
    Done,
    assert_adds_up,
    connection,
    ndjson,
    person,
    report_lines,
    run,
    start,
)
from tests.kit.clock import FakeClock
from tests.kit.exports import MATCH, exporting
from tests.kit.http_vendor import Reply, Vendor, people, reply, success
from tests.kit.memory_vendor import Vendor as Memory

ADD, REMOVE = "add_user_multi", "remove_user_multi"


class Place:
    """A folder with a connection to a vendor that can be told what to answer."""

    def __init__(self, folder: Path, vendor: Vendor) -> None:
        self.folder = folder
        self.vendor = vendor
        self.left = folder / "left.ndjson"
        self.connection = self.connected("limits: {records: 10, concurrency: 1}")
        self.events = ndjson(folder, map(person, range(30)))

    def connected(self, changes: str, *actions: str) -> Path:
        return connection(
            self.folder, base_url=self.vendor.base_url, changes=changes, actions=actions
        )

    def send(self, source: Path, *options: str | Path) -> Done:
        return run("send", self.connection, source, *options, "--format", "json")

    def leave(self, requests: int = 1, *options: str | Path) -> Done:
        """Send, with a vendor that takes so many requests and then refuses the credentials."""

        def answer(seen: Message) -> Reply:
            return success(seen) if len(self.vendor.seen) <= requests else reply(401)

        self.vendor.answer = answer
        done = self.send(self.events, "--undelivered", self.left, *options)
        self.take_all()
        return done

    def take_all(self) -> None:
        self.vendor.answer = success
        self.vendor.seen.clear()

    @property
    def taken(self) -> int:
        return sum(map(people, self.vendor.seen))

    def lines(self, path: Path | None = None) -> list[dict[str, Any]]:
        content = (path or self.left).read_text("utf-8")
        return [json.loads(line) for line in content.splitlines()]

    def change(self, change: Callable[[list[dict[str, Any]]], object]) -> None:
        """Change the file of what is left."""
        lines = self.lines()
        change(lines)
        texts = [json.dumps(line, separators=(",", ":")) for line in lines]
        self.left.write_text("\n".join(texts) + "\n", "utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Vendor() as vendor:
        yield Place(tmp_path, vendor)


def test_what_is_left_is_sent_later(place: Place) -> None:
    first = place.leave()
    assert (first.status, first.json["undelivered"]) == (1, 20)
    assert first.json["undelivered_file"] == {"path": str(place.left), "records": 20}
    assert stat.S_IMODE(place.left.stat().st_mode) == 0o600
    header, *records = place.lines()
    assert (header["prepared_records"], header["run"]) == (1, first.json["run"])
    assert [one["event"][1] for one in records] == [f"e{number}" for number in range(10, 30)]
    assert "example.com" not in place.left.read_text("utf-8")

    again = place.folder / "again"
    second = place.send(place.left, "--undelivered", again)
    assert (second.status, place.taken) == (0, 20)
    assert_adds_up(second.json)
    assert (second.json["events"], second.json["delivered"]) == (20, 20)
    assert second.json["undelivered_file"] == {"path": None, "records": 0}
    assert not again.exists()
    assert not second.json["warnings"]
    assert second.json["fill"] == []


def test_an_outage_leads_to_what_the_events_lead_to(place: Place) -> None:
    """A vendor is down for some time, for one audience and then for all; people come and go."""
    place.connection = place.connected("limits: {records: 4}", ADD, REMOVE)
    dice = random.Random(7)
    events = []
    for number in range(300):
        who = dice.randrange(40)
        do = dice.choice([ADD, ADD, REMOVE])
        audience = dice.choice(["aaa", "bbb", "ccc"])
        end = f"20{dice.randrange(27, 40)}-01-01T00:00:00Z" if do == ADD else None
        events.append(person(who, id=f"e{number}", do=do, audience=audience, end=end))
    file = ndjson(place.folder, events)

    expected = Memory(FakeClock(), {})
    assert deliver(place, file, expected, down=lambda request: False, number=0) == 0
    members = Memory(FakeClock(), {})
    left = deliver(place, file, members, lambda request: request > 20, 1)
    assert left > 100
    before = left
    left = deliver(place, place.folder / "left1", members, lambda request: request % 9 == 8, 2)
    assert 0 < left < before
    assert deliver(place, place.folder / "left2", members, lambda request: False, 3) == 0
    assert members.people == expected.people
    assert sum(map(len, members.people.values())) > 30


def deliver(
    place: Place, source: Path, members: Memory, down: Callable[[int], bool], number: int
) -> int:
    """Send to a vendor that is down for some requests; return how many records are left."""
    lock = threading.Lock()
    requests = 0

    def answer(seen: Message) -> Reply:
        nonlocal requests
        with lock:
            requests += 1
            if down(requests):
                return reply(503)
        response = members(Request("POST", seen.url, {}, seen.body))
        return reply(response.status, response.body)

    place.vendor.answer = answer
    left = place.folder / f"left{number}"
    done = place.send(source, "--undelivered", left, "--retries", "0")
    assert_adds_up(done.json)
    assert done.json["rejected"] == 0
    assert done.json["undelivered_file"]["records"] == done.json["undelivered"]
    return int(done.json["undelivered"])


def test_an_interrupted_run_leaves_the_rest(place: Place) -> None:
    go_on = threading.Event()

    def wait(seen: Message) -> Reply:
        go_on.wait(30)
        return success(seen)

    place.vendor.answer = wait
    options = ("--undelivered", place.left, "--format", "json")
    process = start("send", place.connection, place.events, *options)
    assert place.vendor.arrived.wait(10)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    process.stderr.readline()
    go_on.set()
    out, _ = process.communicate(timeout=20)
    summary = json.loads(out)
    assert summary["interrupted"]
    assert summary["undelivered_file"]["records"] == summary["undelivered"] > 0
    assert "stopped_after" not in summary["undelivered_file"]  # all of the input was read

    place.take_all()
    second = place.send(place.left)
    assert (second.status, second.json["delivered"]) == (0, 30 - summary["delivered"])
    names = [one["event"][1] for one in place.lines()[1:]]
    assert names == [f"e{number}" for number in range(summary["delivered"], 30)]


def test_the_summary_says_where_the_rest_is(place: Place) -> None:
    place.vendor.answer = lambda seen: reply(401)
    options = ("send", place.connection, place.events, "--undelivered")
    first = run(*options, place.left)
    line = f"{place.left} has 30 undelivered records; send it in the place of events"
    assert line in first.out.splitlines()
    place.take_all()
    other = place.folder / "other"
    second = run("send", place.connection, place.left, "--undelivered", other)
    line = f"nothing is left undelivered: {other} was not written"
    assert line in second.out.splitlines()


def test_an_ended_run_says_from_where_on_its_input_was_not_read(place: Place) -> None:
    events = ndjson(place.folder, map(person, range(2_500)))
    arrived, go_on = threading.Event(), threading.Event()

    def wait(seen: Message) -> Reply:
        arrived.set()
        go_on.wait(20)
        return success(seen)

    place.vendor.answer = wait
    process = start("send", place.connection, events, "--undelivered", place.left)
    assert arrived.wait(20)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    process.stderr.readline()
    go_on.set()
    out, _ = process.communicate(timeout=20)
    [line] = [line for line in out.decode().splitlines() if line.startswith("the input")]
    words, last = line.split(", and not")[0].rsplit(" ", 1)
    assert words == f"the input was read up to {events} line"
    assert int(last) in (1_000, 2_000)

    place.take_all()
    rest = events.read_text("utf-8").splitlines()[int(last) :]
    place.send(place.left)
    place.send(ndjson(place.folder, rest, "rest.ndjson"))
    delivered = next(row for row in out.decode().splitlines() if row.startswith("  delivered"))
    assert place.taken + int(delivered.split()[1]) == 2_500


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pipe_takes_no_prepared_records(place: Place, pack: Callable[[bytes], bytes]) -> None:
    place.leave()
    content = pack(place.left.read_bytes())
    state = ("--state", place.folder / "state")
    for options in ((), state, ("--input-format", "csv")):
        done = run("send", place.connection, "-", *options, stdin=content)
        assert (done.status, place.vendor.seen) == (2, [])
        words = "standard input: this is a file of prepared records, which cannot be read from"
        assert done.err.startswith(words)
        assert "name it as a file" in done.err


@pytest.mark.parametrize("name", ["odd.csv", "no-ending", "left.ndjson.gz", "packed.json"])
def test_its_first_line_says_what_it_is(place: Place, name: str) -> None:
    place.leave()
    file = place.folder / name
    content = place.left.read_bytes()
    is_packed = name in ("left.ndjson.gz", "packed.json")
    file.write_bytes(gzip.compress(content) if is_packed else content)
    # how events are written says nothing about it
    text = place.connection.read_text("utf-8")
    place.connection.write_text(f"{text}input: {{format: csv, encoding: utf-16}}\n", "utf-8")
    refused = place.send(file)
    assert (refused.status, place.taken) == (2, 0)
    assert "its records were prepared by a connection that sends something else" in refused.err
    place.connection.write_text(text, "utf-8")
    assert (place.send(file).status, place.taken) == (0, 20)


def test_a_preview_shows_its_requests(place: Place) -> None:
    place.leave()
    text = run("preview", place.connection, place.left)
    assert text.status == 0
    assert "20 events, 20 records, 2 requests" in text.out
    *requests, last = run("preview", place.connection, place.left, "--format", "json").out.split(
        "\n"
    )[:-1]
    place.send(place.left)
    bodies = [json.loads(seen.body) for seen in place.vendor.seen]
    assert [json.loads(request)["body"] for request in requests] == bodies
    assert json.loads(last) == {"fill": [], "warnings": []}


def test_it_can_be_tried_in_a_sandbox(place: Place) -> None:
    place.leave()
    left = place.folder / "left-in-sandbox"
    done = place.send(place.left, "--sandbox", "--fail", "5xx", "--undelivered", left)
    assert (done.status, place.taken) == (0, 0)
    assert done.json["sandbox"][0]["people"] == 20


def test_a_limit_counts_its_records(place: Place) -> None:
    place.leave()
    done = place.send(place.left, "--limit", "3")
    assert (done.status, done.json["events"], place.taken) == (0, 3, 3)


def test_with_a_state_it_goes_on(place: Place) -> None:
    place.leave()
    state = place.folder / "state"
    place.vendor.answer = lambda seen: success(seen) if len(place.vendor.seen) <= 1 else reply(401)
    first = place.send(place.left, "--state", state)
    assert (first.status, first.json["delivered"], first.json["undelivered"]) == (1, 10, 10)
    place.take_all()
    second = place.send(place.left, "--state", state)
    assert (second.status, second.json["delivered"], place.taken) == (0, 20, 10)
    assert (second.json["events"], second.json["resent"]) == (20, 0)
    place.take_all()
    assert (place.send(place.left, "--state", state).status, place.taken) == (0, 0)

    more = place.folder / "more"
    refused = place.send(place.left, "--state", state, "--undelivered", more)
    assert refused.status == 2
    why = f"C012 {more}: with a state, what is left undelivered stays in its run; leave it out"
    assert refused.err.startswith(why)


def test_reports_name_its_events_and_lines(place: Place) -> None:
    place.events = ndjson(place.folder, [person(1), {**person(2), "id": None}])
    place.leave(0)
    place.vendor.answer = lambda seen: reply(401)
    report = place.folder / "report.ndjson"
    assert place.send(place.left, "--report", report).status == 1
    first, second = report_lines(report)
    assert (first["event"], first["line"]) == ("e1", None)
    assert (second["event"], second["file"], second["line"]) == (None, str(place.left), 3)


def damage(lines: list[dict[str, Any]]) -> None:
    lines[2]["wires"] = ["canary"]
    lines[3]["target"]["route"] = "canary"
    lines[4]["definition"] = "canary"
    lines.insert(6, {"canary": True})
    lines.insert(8, lines[0])


def test_what_is_damaged_is_rejected_alone(place: Place) -> None:
    place.leave()
    place.change(damage)
    with place.left.open("ab") as file:
        file.write(b"canary\n\n")
    report = place.folder / "report.ndjson"
    done = place.send(place.left, "--report", report)
    assert (done.status, done.json["delivered"], done.json["rejected"]) == (1, 17, 6)
    assert "canary" not in done.text + report.read_text("utf-8")
    lines = report_lines(report)
    assert [line["line"] for line in lines] == [3, 4, 5, 7, 9, 24]
    assert {line["code"] for line in lines} == {"unreadable"}
    assert lines[0]["reason"] == "the record is no prepared record of this connection's routes"


def other_version(header: dict[str, Any]) -> None:
    header["prepared_records"] = 2


def other_destination(header: dict[str, Any]) -> None:
    header["destination"] = "webhook"


def other_definition(header: dict[str, Any]) -> None:
    header["definition"] = "0" * 64


def other_connection(header: dict[str, Any]) -> None:
    header["connection"] = "0" * 64


def nothing_else(header: dict[str, Any]) -> None:
    header.clear()
    header["prepared_records"] = 1


AGAIN = "send the events again instead"
REFUSED = {
    other_version: "is not what this version of the connector writes (1); send it with the "
    "version that wrote it",
    other_destination: "its records are not for the destination 'x_custom_audiences'; name the "
    "connection that they were prepared by",
    other_definition: "its records were prepared by other definition files of the destination; "
    + AGAIN,
    other_connection: "its records were prepared by a connection that sends something else; "
    "name that connection, undo the change of it, or " + AGAIN,
    nothing_else: "its records are not for the destination 'x_custom_audiences'; name the "
    "connection that they were prepared by",
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_a_file_of_something_else_is_refused(place: Place, change: Any) -> None:
    place.leave()
    place.change(lambda lines: change(lines[0]))
    for command in ("send", "preview"):
        done = run(command, place.connection, place.left)
        assert (done.status, place.taken) == (2, 0)
        assert done.err == f"C251 {place.left}: {REFUSED[change]}\n"


def test_what_a_sandbox_left_is_not_for_the_vendor(place: Place) -> None:
    text = place.connection.read_text("utf-8")
    text = "".join(line for line in text.splitlines(True) if not line.startswith("base_url"))
    place.connection.write_text(text, "utf-8")
    options = ("--sandbox", "--fail", "5xx", "--retries", "0", "--undelivered", place.left)
    first = place.send(place.events, *options)
    assert (first.status, first.json["undelivered_file"]["records"]) == (1, 30)
    refused = place.send(place.left)
    assert refused.status == 2
    assert refused.err.startswith(
        f"C251 {place.left}: its records are for a server on this machine, such as a sandbox"
    )
    assert place.send(place.left, "--sandbox").json["delivered"] == 30


def test_credentials_limits_and_names_may_change(place: Place) -> None:
    place.leave()
    moved = place.send(place.left, "--set", f"base_url={place.vendor.base_url}/other")
    assert (moved.status, moved.err[:4], place.taken) == (2, "C251", 0)
    text = place.connection.read_text("utf-8")
    place.connection.write_text(text.replace("records: 10", "records: 7") + "name: Mine\n", "utf-8")
    assert (place.send(place.left).status, place.taken) == (0, 20)
    assert len(place.vendor.seen) == 3


def test_several_files_come_one_after_the_other(place: Place) -> None:
    place.leave(2)
    other = place.folder / "other"
    place.vendor.answer = lambda seen: reply(401)
    place.send(place.events, "--undelivered", other)
    place.take_all()
    report = run("send", place.connection, other, place.left, "--format", "json").json
    assert (report["events"], report["delivered"], place.taken) == (40, 40, 40)


def test_it_is_no_file_of_events(place: Place) -> None:
    place.leave()
    mixed = run("send", place.connection, place.left, place.events)
    assert (mixed.status, place.taken) == (2, 0)
    why = "holds no prepared records, as other files of this input do; send them apart"
    assert mixed.err == f"{place.events}: {why}\n"

    flags = ("--delimiter", ";", "--input-format", "csv", "--encoding", "utf-8", "--quote", "'")
    done = run("send", place.connection, place.left, *flags)
    assert (done.status, place.taken) == (2, 0)
    effect = "has no effect: the input is prepared records; leave it out"
    for flag in flags[::2]:
        assert f"C025 {flag}: {effect}" in done.err

    content = place.left.read_bytes().replace(b'"destination"', b"'destination'", 1)
    place.left.write_bytes(content)
    damaged = place.send(place.left)
    assert damaged.status == 2
    assert "begins as prepared records do, but its first line is damaged" in damaged.err


def test_an_export_takes_events(place: Place) -> None:
    place.leave()
    here = exporting(place.folder, full_data_match={"map": MATCH})
    why = "left.ndjson: holds prepared records, which only 'connector send' and 'preview' take"
    with pytest.raises(SourceError, match=why):
        connector.export(here, "full_data_match", place.left, into=place.folder / "out")
