"""Bad events: each is rejected with its own code and reason, the rest goes through, and the counts add up."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli import (
    AUDIENCE,
    COMMAND,
    COUNTS,
    MEMBERS,
    SECRETS,
    assert_adds_up,
    at_once,
    connection,
    environment,
    ndjson,
    person,
    report_lines,
    run,
)
from tests.kit.http_vendor import Vendor

DIGEST = hashlib.sha256(b"someone@example.com").hexdigest()
NOTHING = hashlib.sha256(b"").hexdigest()


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "audience": AUDIENCE, **fields}


# (name, event or line, code, what its reason says)
REJECTED: list[tuple[str, dict[str, Any] | str, str, str]] = [
    ("cut off", '{"id": "cut off", "email": "plain-cut@example.com"', "unreadable", "invalid JSON: .* at character"),
    ("a list", '["plain-listed@example.com"]', "unreadable", "expected a JSON object, got an array"),
    ("a text", '"plain-text@example.com"', "unreadable", "expected a JSON object, got text"),
    ("null", "null", "unreadable", "expected a JSON object, got null"),
    ("two on a line", '{"id": 1} {"id": 2}', "unreadable", "invalid JSON"),
    ("NaN", '{"id": "NaN", "twitter_id": NaN}', "unreadable", "invalid JSON"),
    ("half a pair", '{"id": "h", "email": "\\ud800plain-half@example.com"}', "unreadable", "invalid JSON"),
    ("bottomless", '{"id": "b", "x": ' + "[" * 5_000 + "]" * 5_000 + "}", "unreadable", "depth"),
    ("deep audience", '{"id": "d", "audience": ' + "[" * 990 + "]" * 990 + "}",
     "unreadable", "nested more than 128 levels deep"),
    ("object", event("object", email={"value": "plain-object@example.com"}), "no_identifier", "email not_text"),
    ("boolean", event("boolean", email=True), "no_identifier", "email not_text"),
    ("objects", event("objects", email=[{"v": "plain-objects@example.com"}]), "no_identifier", "email not_text"),
    ("nested list", event("nested list", email=[["plain-nested@example.com"]]), "no_identifier", "email not_text"),
    ("fraction", event("fraction", twitter_id=1.5), "no_identifier", "twitter_id not_exact"),
    ("1e9", f'{{"id": "1e9", "audience": "{AUDIENCE}", "twitter_id": 1e9}}', "no_identifier", "twitter_id not_exact"),
    ("1e9 as text", event("1e9 as text", twitter_id="1e9"), "no_identifier", "twitter_id not_integer"),
    ("1e9 as audience", '{"id": "1e9 as audience", "audience": 1e9, "email": "plain-a@example.com"}',
     "invalid_parameter", "custom_audience_id must be text"),
    ("no audience", {"id": "no audience", "email": "plain-none@example.com"},
     "missing_parameter", "custom_audience_id is required"),
    ("empty audience", event("empty audience", audience="", email="plain-empty@example.com"),
     "missing_parameter", "custom_audience_id is required"),
    ("path as audience", event("path as audience", audience="../../x", email="plain-path@example.com"),
     "invalid_parameter", "custom_audience_id has an invalid format"),
    ("nobody", event("nobody"), "no_identifier", "none is present"),
    ("nulls", event("nulls", email=None, handle="", phone=[]), "no_identifier", "none is present"),
    ("empty", event("empty", email="  ", handle=" @ "), "no_identifier", "email empty, handle empty"),
    ("placeholder", event("placeholder", email="NULL"), "no_identifier", "email placeholder"),
    ("digest", event("digest", email=DIGEST), "no_identifier", "email already_hashed"),
    ("no digest", event("no digest", email_sha256="plain-sha@example.com"),
     "no_identifier", "email_sha256 not_a_digest"),
    ("digest of nothing", event("digest of nothing", email_sha256=NOTHING),
     "no_identifier", "email_sha256 placeholder"),
    ("phone", event("phone", phone="555-0199"), "no_identifier", "phone_number not_e164"),
    ("too early", event("too early", email="plain-o@example.com", start="2097-02-01T00:00:00Z",
                        end="2097-01-01T00:00:00Z"),
     "expires_before_effective", "expires_at has to be later than effective_at"),
    ("at once", event("at once", email="plain-o@example.com", start="2097-02-01T00:00:00Z",
                      end="2097-02-01T01:00:00+01:00"),
     "expires_before_effective", "expires_at has to be later than effective_at"),
    ("over already", event("over already", email="plain-o@example.com", end="2001-01-01T00:00:00Z"),
     "expires_before_effective", "than now"),
    ("naive", event("naive", email="plain-naive@example.com", end="2099-01-01T00:00:00"),
     "invalid_parameter", "expires_at has no UTC offset"),
    ("no time", event("no time", email="plain-time@example.com", end="tomorrow"), "invalid_parameter", "expires_at"),
    ("no such day", event("no such day", email="plain-day@example.com", end="2099-02-30T00:00:00Z"),
     "invalid_parameter", "expires_at"),
    ("a moment as number", event("a moment as number", email="plain-no@example.com", end=4_070_908_800),
     "invalid_parameter", "expires_at"),
]  # fmt: skip

# Odd, yet they go through: (event or line, identifiers dropped)
TAKEN: list[tuple[dict[str, Any] | str, int]] = [
    (person(1), 0),
    ("", 0),  # a blank line is no event
    ("  \t", 0),
    (event("deep", email="plain-deep@example.com", x=json.loads("[" * 70 + "]" * 70)), 0),
    (event("partly", email=["plain-partly@example.com", {"x": 1}, None, "", True]), 2),
    (event("unknown field", email="plain-field@example.com", emial="plain-field@example.com"), 0),
    ({"id": {"not": "an id"}, "audience": AUDIENCE, "email": "plain-id@example.com"}, 0),
    (event("big number", twitter_id=2**63 + 1), 0),
    (person(2), 0),
]


@dataclass
class Sent:
    """What a run with all of them left behind."""

    summary: dict[str, Any]
    lines: dict[int, dict[str, Any]]
    everything: str
    bodies: bytes


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    folder = tmp_path_factory.mktemp("bad")
    events = ndjson(folder, [given for _, given, _, _ in REJECTED] + [given for given, _ in TAKEN])
    with Vendor() as vendor:
        made = connection(folder, base_url=vendor.base_url)
        done = run("send", made, events, "--format", "json", "--report", folder / "report")
        bodies = b"".join(seen.body for seen in vendor.seen)
    assert done.status == 1
    everything = done.text + (folder / "report").read_text("utf-8")
    return Sent(done.json, dict(enumerate(report_lines(folder / "report"))), everything, bodies)


@pytest.mark.parametrize(("at", "row"), list(enumerate(REJECTED)), ids=[row[0] for row in REJECTED])
def test_a_bad_event_has_a_code_and_a_reason(
    sent: Sent, at: int, row: tuple[str, Any, str, str]
) -> None:
    name, _, code, reason = row
    line = sent.lines[at]
    unreadable = code == "unreadable"
    assert (line["event"], line["route"]) == (
        (None, None) if unreadable else (name, "add_user_multi")
    )
    if unreadable:
        assert (Path(line["file"]).name, line["line"]) == ("events.ndjson", at + 1)
    else:
        assert (line["file"], line["line"]) == (None, None)
    assert (line["outcome"], line["code"]) == ("rejected", code)
    assert re.search(reason, line["reason"])


def test_the_rest_goes_through_and_the_counts_add_up(sent: Sent) -> None:
    assert tuple(sent.summary) == MEMBERS
    assert sum(reason["count"] for reason in sent.summary["reasons"]) == sent.summary["rejected"]
    assert_adds_up(sent.summary)
    taken = [given for given, _ in TAKEN if not isinstance(given, str)]
    assert len(sent.lines) == sent.summary["rejected"] == len(REJECTED)
    assert sent.summary["delivered"] == len(taken)
    assert sent.summary["events"] == len(REJECTED) + len(taken)
    assert sent.summary["undelivered"] == sent.summary["skipped"] == sent.summary["superseded"] == 0
    in_rejected = sum(
        row[3].count(",") + 1
        for row in REJECTED
        if re.search("not_|empty$|placeholder|already", row[3])
    )
    assert sent.summary["identifiers_dropped"] == in_rejected + sum(dropped for _, dropped in TAKEN)
    assert hashlib.sha256(str(2**63 + 1).encode()).hexdigest().encode() in sent.bodies


def test_no_identifier_and_no_secret_is_printed(sent: Sent) -> None:
    assert "example.com" not in sent.everything
    assert "plain-" not in sent.everything
    assert "555-0199" not in sent.everything
    assert DIGEST not in sent.everything
    assert not any(secret in sent.everything for secret in SECRETS.values())
    assert b"example.com" not in sent.bodies
    assert NOTHING.encode() not in sent.bodies


def test_the_text_summary_says_why_and_names_nobody(tmp_path: Path) -> None:
    given = [given for _, given, _, _ in REJECTED[:12]]
    events = ndjson(tmp_path, [*given, person(1)])
    done = run("send", "--sandbox", connection(tmp_path), events)
    assert done.status == 1
    assert re.search(r"^  delivered +1$", done.out, re.MULTILINE)
    assert re.search(r"^  rejected +12$", done.out, re.MULTILINE)
    assert "rejected 1 x unreadable: expected a JSON object, got an array" in done.out
    assert re.search(r"^dropped \d+ x email: not_text \(.+\)$", done.out, re.MULTILINE)
    assert "1 people, 1 identifiers" in done.out
    assert not done.err
    assert "example.com" not in done.out


def test_a_digest_under_the_flag_of_plain_text_and_the_reverse(tmp_path: Path) -> None:
    made = connection(tmp_path)
    text = (
        made.read_text("utf-8")
        .replace("add_user_multi", "add_user")
        .replace("email_sha256", "already_hashed")
    )
    made.write_text(text.replace("{from: already_hashed}", "{from: hashed}"), "utf-8")
    given = [event("a", email=DIGEST), event("b", email="plain-b@example.com", hashed=True),
             event("c", email=DIGEST, hashed="true"), event("d", email="plain-d@example.com", hashed=False),
             event("e", email="plain-e@example.com", hashed="maybe")]  # fmt: skip
    done = run(
        "send",
        "--sandbox",
        made,
        ndjson(tmp_path, given),
        "--format",
        "json",
        "--report",
        tmp_path / "report",
    )
    assert [(line["event"], line["code"]) for line in report_lines(tmp_path / "report")] == [
        ("a", "no_identifier"),
        ("b", "no_identifier"),
        ("e", "invalid_parameter"),
    ]
    assert done.json["delivered"] == 2


def test_a_line_of_100_mb_is_one_bad_event_and_memory_stays_flat(tmp_path: Path) -> None:
    made, events = connection(tmp_path), tmp_path / "events.ndjson"
    with events.open("wb") as file:
        file.write(json.dumps(person(1)).encode() + b'\n{"id": "big", "email": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + json.dumps(person(2)).encode() + b"\n")
    command = [*COMMAND, "send", "--sandbox", str(made), str(events), "--format", "json"]
    command += ["--report", str(tmp_path / "report")]
    script = "import resource, subprocess, sys\n"
    script += "status = subprocess.run(sys.argv[1:]).returncode\n"
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, status)"
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        capture_output=True,
        check=True,
        env=environment(),
        timeout=60,
    )
    summary, measured = done.stdout.splitlines()
    kilobytes, status = map(int, measured.split())
    assert (status, json.loads(summary)["delivered"]) == (1, 2)
    assert [(line["line"], line["code"]) for line in report_lines(tmp_path / "report")] == [
        (2, "unreadable")
    ]
    assert kilobytes < 150_000
    assert not done.stderr


def test_an_empty_file_is_a_run_without_events(tmp_path: Path) -> None:
    made = connection(tmp_path)
    files = [tmp_path / name for name in ("events.ndjson", "events.json", "events.csv")]
    for file in files:
        file.write_bytes(b"")
    for done in at_once(
        [partial(run, "send", "--sandbox", made, file, "--format", "json") for file in files]
    ):
        assert done.status == 0
        assert {done.json[count] for count in COUNTS[:-1]} == {0}
        assert done.json["sandbox"] == []
