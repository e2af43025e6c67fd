"""A run with a state that is killed again and again ends as one that never was."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from connector.auth.base import Message
from tests.kit.cli import Done, assert_adds_up, connection, ndjson, report_lines, start
from tests.kit.http_vendor import Reply, Vendor, reply, success

EVENTS = 20_000
KILLS = 25
AUDIENCES = ["aa", "bb", "cc", "dd", "ee"]

Members = dict[str, set[str]]


class Chaos(Vendor):
    """Applies what it takes, answers badly now and then, and kills the process at some requests."""

    def __init__(self, kills: dict[int, str], chance: random.Random) -> None:
        super().__init__(self._answer_to)
        self.kills = kills
        self.chance = chance
        self.members: Members = defaultdict(set)
        self.process: subprocess.Popen[bytes] | None = None
        self.count = 0
        # A second retry of a request would wait for a minute.
        self.troubled: set[bytes] = set()

    def _answer_to(self, seen: Message) -> Reply:
        if len(seen.body) < int(seen.headers["content-length"]):
            return Reply(cut=True)  # the process was killed while it sent this
        self.count += 1
        kill = self.kills.get(self.count)
        if kill == "before":
            return self._kill()
        bad = kill is None and seen.body not in self.troubled and self.chance.random() < 0.1
        self.troubled.add(seen.body)
        if bad and self.chance.random() < 0.5:
            return self.chance.choice(
                [reply(503, {}), reply(500), Reply(200, b"<html>"), Reply(cut=True)]
            )
        self._apply(seen)
        if kill == "after":
            return self._kill()
        return Reply(cut=True) if bad else success(seen)

    def _kill(self) -> Reply:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        return Reply(cut=True)

    def _apply(self, seen: Message) -> None:
        audience = seen.url.split("/")[-2]
        for operation in json.loads(seen.body):
            for user in operation["params"]["users"]:
                [person] = user["email"]
                if operation["operation_type"] == "Update":
                    self.members[audience].add(person)
                else:
                    self.members[audience].discard(person)


def events_of(chance: random.Random) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for number in range(EVENTS):
        event = {
            "id": f"e{number}",
            "do": chance.choice(["add_user_multi", "add_user_multi", "remove_user_multi"]),
            "audience": chance.choice(AUDIENCES),
            "email": f"person{chance.randrange(4_000)}@example.com",
        }
        kind = chance.random()
        if kind < 0.01:
            event["do"] = "nothing"
        elif kind < 0.02:
            event["email"] = "not-an-address"
        events.append(event)
    return events


def applied(events: list[dict[str, Any]]) -> Members:
    members: Members = defaultdict(set)
    for event in events:
        if event["do"] == "nothing" or "@" not in event["email"]:
            continue
        person = hashlib.sha256(event["email"].encode()).hexdigest()
        audience = members[event["audience"]]
        if event["do"] == "add_user_multi":
            audience.add(person)
        else:
            audience.discard(person)
    return members


def finished(process: subprocess.Popen[bytes]) -> Done:
    out, err = process.communicate(timeout=60)
    return Done(process.returncode, out.decode(), err.decode())


@pytest.mark.timeout(600)  # some 30 seconds of CPU
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    chance = random.Random(20261127)
    events = events_of(chance)
    kills = {}
    for number in chance.sample(range(2, 220), KILLS):
        kills[number] = chance.choice(["before", "after"])
    report = tmp_path / "report.ndjson"

    with Chaos(kills, chance) as vendor:
        made = connection(
            tmp_path,
            base_url=vendor.base_url,
            actions=["add_user_multi", "remove_user_multi"],
            changes="limits: {records: 100}",
        )
        file = ndjson(tmp_path, events)
        runs = 0
        while True:
            runs += 1
            assert runs <= KILLS + 1
            vendor.process = start(
                *("send", made, file, "--state", tmp_path / "state"),
                *("--report", report, "--format", "json"),
            )
            done = finished(vendor.process)
            if done.status != -signal.SIGKILL:
                break

    assert runs > KILLS // 2, done.text
    summary = done.json
    refused = [event["id"] for event in events if "@" not in event["email"]]
    assert_adds_up(summary)
    assert (done.status, summary["undelivered"], summary["rejected"]) == (1, 0, len(refused))
    assert (summary["events"], summary["restarts"]) == (EVENTS, runs - 1)
    assert summary["skipped"] == sum(event["do"] == "nothing" for event in events)
    assert summary["records"] == EVENTS - summary["skipped"]
    assert vendor.members == applied(events)
    lines = report_lines(report)
    assert sorted(line["event"] for line in lines) == sorted(refused)
    assert {line["run"] for line in lines} == {summary["run"]}


def test_a_report_has_each_line_once_though_nothing_was_committed(tmp_path: Path) -> None:
    report = tmp_path / "report.ndjson"
    report.write_text("what another run said\n", "utf-8")
    events: list[dict[str, Any]] = [{"id": "good", "audience": "a", "email": "a@example.com"}]
    events += [{"id": f"e{number}", "audience": "a"} for number in range(200)]
    with Chaos({1: "before"}, random.Random(1)) as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        file = ndjson(tmp_path, events)
        statuses = []
        for _ in range(2):
            vendor.process = start(
                *("send", made, file, "--state", tmp_path / "state", "--report", report)
            )
            statuses.append(finished(vendor.process).status)
    assert statuses == [-signal.SIGKILL, 1]
    first, *others = report.read_text("utf-8").splitlines()
    assert first == "what another run said"
    assert sorted(json.loads(line)["event"] for line in others) == sorted(
        event["id"] for event in events[1:]
    )
