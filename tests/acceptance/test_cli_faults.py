"""Faults on request: with each of them the sandbox ends with what it holds without."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli import (
    Done,
    assert_adds_up,
    at_once,
    connection,
    environment,
    ndjson,
    person,
    report_lines,
    run,
)

FAULTS = {
    "none": [],
    "429:3": ["--fail", "429:3"],
    "5xx:2": ["--fail", "5xx:2"],
    "timeout:1": ["--fail", "timeout:1", "--timeout", "1"],
    "drop": ["--fail", "drop"],
    "applied-drop": ["--fail", "applied-drop"],
    "html": ["--fail", "html"],
    "counts": ["--fail", "counts"],
    "202": ["--fail", "202"],
    "204": ["--fail", "204"],
    "several": ["--fail", "drop", "--fail", "503", "--fail", "counts"],
}
HOLDINGS = {"people", "identifiers", "path"}


def events() -> list[dict[str, Any]]:
    """People who come, go and come again, in two audiences and on the list, some with several identifiers."""
    made = []
    for i in range(60):
        add = person(
            i, do="add_user_multi", handle=f"@handle{i}", audience=("1nmth", "2k7qz")[i % 2]
        )
        made.append(add)
        if i % 3 == 0:
            made.append({**add, "id": f"out{i}", "do": "remove_user_multi", "handle": None})
        if i % 6 == 0:
            made.append({**add, "id": f"again{i}", "email": None})
    return made


@pytest.fixture(scope="module")
def dones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    folder = tmp_path_factory.mktemp("faults")
    made = connection(
        folder, actions=["add_user_multi", "remove_user_multi"], changes="limits: {records: 20}"
    )
    send = ("send", "--sandbox", made, ndjson(folder, events()), "--format", "json")
    return dict(
        zip(
            FAULTS, at_once([partial(run, *send, *fault) for fault in FAULTS.values()]), strict=True
        )
    )


@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_sandbox_holds_the_same(dones: dict[str, Done], fault: str) -> None:
    done, undisturbed = dones[fault], dones["none"].json
    assert (done.status, done.err) == (0, "")
    assert_adds_up(done.json)
    assert {*done.json["sandbox"][0]} == HOLDINGS
    assert done.json["sandbox"] == undisturbed["sandbox"]
    held = [(holding["people"], holding["identifiers"]) for holding in undisturbed["sandbox"]]
    assert held == [(30, 20 * 2 + 10), (20, 20 * 2)]
    assert done.json["delivered"] == undisturbed["delivered"]
    failures = sum(
        int(part.rpartition(":")[2]) if ":" in part else 1
        for part in FAULTS[fault]
        if part[0] not in "-1"
    )
    assert done.json["requests"] == undisturbed["requests"] + failures


def test_a_fault_that_lasts_leaves_everything_undelivered(tmp_path: Path) -> None:
    send = (
        "send",
        "--sandbox",
        connection(tmp_path),
        ndjson(tmp_path, [person(1)]),
        "--retries",
        "1",
    )
    done = run(*send, "--fail", "5xx:2", "--format", "json")
    assert (done.status, done.json["undelivered"], done.json["sandbox"]) == (1, 1, [])


def test_a_429_is_waited_for_as_long_as_the_vendor_says(dones: dict[str, Done]) -> None:
    assert dones["429:3"].json["seconds"] > 1.5


def test_a_slow_answer_is_no_failure(tmp_path: Path) -> None:
    send = ("send", "--sandbox", connection(tmp_path), ndjson(tmp_path, [person(1)]))
    done = run(*send, "--fail", "slow=0.5", "--format", "json")
    assert (done.status, done.json["delivered"], done.json["requests"]) == (0, 1, 1)
    assert done.json["seconds"] > 0.5


def test_one_person_who_is_refused_is_found_and_the_others_are_delivered(tmp_path: Path) -> None:
    report = tmp_path / "report"
    made = connection(tmp_path)
    people = ndjson(tmp_path, [person(i) for i in range(20)])
    done = run(
        *("send", "--sandbox", made, people, "--fail", "person"),
        *("--report", report, "--format", "json"),
    )
    assert (done.status, done.json["rejected"], done.json["delivered"]) == (1, 1, 19)
    assert [line["event"] for line in report_lines(report)] == ["e0"]
    [held] = done.json["sandbox"]
    assert held["people"] == 19


def test_the_pace_is_the_one_that_the_vendor_counts(tmp_path: Path) -> None:
    """Ten requests a second, of several lanes at a time: the sandbox counts them when they arrive."""
    made = tmp_path / "connection.yaml"
    made.write_text(
        """
        destination: tiktok_audiences
        settings: {advertiser_id: "7123456789012345678"}
        limits: {records: 1}
        routes:
          - action: add_user
            map: {audience_id: {from: list}, email: {from: email}}
        """,
        "utf-8",
    )
    rows = [{"list": f"{n % 5 + 1}", "email": f"person{n}@example.com"} for n in range(34)]
    done = run("send", "--sandbox", made, ndjson(tmp_path, rows), "--format", "json")
    assert (done.status, done.json["delivered"], done.json["requests"]) == (0, 34, 34)


def test_a_defect_ends_with_the_summary_and_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report"
    arguments = [
        "send",
        "--sandbox",
        connection(tmp_path),
        ndjson(tmp_path, [person(1), person(2)]),
    ]
    arguments += ["--format", "json", "--report", report]
    script = (
        "from connector.delivery.courier import Courier\n"
        "from connector.cli.app import main\n"
        "Courier._attempt = lambda *_: 1 / 0\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=60, check=False)
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert (summary["records"], summary["undelivered"]) == (2, 2)
    assert [line["code"] for line in report_lines(report)] == ["internal", "internal"]
    assert b"ZeroDivisionError" in done.stderr
