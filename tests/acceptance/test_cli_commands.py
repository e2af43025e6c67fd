"""Every command and option of the contract: what it prints, and the status that it ends with."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from connector import __version__
from tests.kit import ROOT
from tests.kit.cli import (
    AUDIENCE,
    COMMAND,
    MEMBERS,
    assert_adds_up,
    at_once,
    connection,
    environment,
    ndjson,
    person,
    report_lines,
    run,
    start,
)
from tests.kit.http_vendor import Vendor, people

EXAMPLE = (ROOT / "examples" / "connection.yaml", ROOT / "examples" / "events.ndjson")
ACTIONS = {
    *("add_user", "add_user_multi", "add_to_do_not_reach_list"),
    *("remove_user", "remove_user_multi", "remove_from_do_not_reach_list"),
}
COMMANDS = (
    "list",
    "show",
    "docs",
    "new",
    "lint",
    "preview",
    "send",
    "call",
    "check",
    "sandbox",
    "test",
    "audiences",
)
USERS = f"/12/accounts/18ce54d4x5t/custom_audiences/{AUDIENCE}/users"


# What there is --------------------------------------------------------------------------------------------------------


def test_version() -> None:
    done = run("--version")
    assert (done.status, done.out, done.err) == (0, f"connector {__version__}\n", "")


def test_help_names_every_command_and_option() -> None:
    options = {
        "list": ["--format", "--definitions"],
        "show": ["--format", "--definitions"],
        "docs": ["--definitions"],
        "new": ["--base-url", "--auth", "--identifier", "--path", "--into", "--format"],
        "lint": ["--format", "--definitions"],
        "preview": ["--limit", "--set", "--format", "--definitions"],
        "send": [
            *(
                "--sandbox",
                "--report",
                "--limit",
                "--retries",
                "--timeout",
                "--fail",
                "--progress",
                "--no-progress",
            ),
            *("--set", "--format", "--definitions"),
        ],
        "call": ["--retries", "--timeout", "--progress", "--set", "--format", "--definitions"],
        "check": ["--timeout", "--set", "--format", "--definitions"],
        "sandbox": ["--port", "--connection", "--fail", "--holdings", "--definitions"],
        "test": ["--update", "--format", "--definitions"],
        "audiences": ["list", "show", "create", "rename", "delete"],
    }
    assert tuple(options) == COMMANDS
    first, *others = at_once(
        [partial(run, "--help"), *(partial(run, command, "--help") for command in COMMANDS)]
    )
    for command, done in zip(COMMANDS, others, strict=True):
        assert re.search(rf"^\W*{command} +\w", first.out, re.MULTILINE)
        assert done.status == 0
        assert all(
            re.search(rf"(?<![\w-]){option}(?![\w-])", done.out) for option in options[command]
        ), done.out
        assert "Example" in done.out
        assert not done.err
    # how long a slow input may wait
    send_help = " ".join(others[COMMANDS.index("send")].out.split())
    assert "until the oldest has the 'age' of the connection's 'limits'" in send_help
    for words in (
        "what was read of a pipe (-) and not delivered, which goes first in the next run",
        "an error for a pipe, which has none",
        "an error with --state, which keeps them",
        "Append to a file a line (NDJSON)",
    ):
        assert words in send_help


def test_help_names_the_options_for_audiences() -> None:
    options = {
        "list": ["--deleted"],
        "show": ["ID"],
        "create": ["--name", "NAME=VALUE"],
        "rename": ["ID", "--name"],
        "delete": ["ID", "--yes"],
    }
    shared = ["--kind", "--retries", "--timeout", "--set", "--definitions", "--format", "Example"]
    dones = at_once([partial(run, "audiences", command, "--help") for command in options])
    for command, done in zip(options, dones, strict=True):
        assert done.status == 0
        for option in [*options[command], *shared]:
            assert option in done.out, done.out


def test_usage_errors_are_one_message_and_status_2(tmp_path: Path) -> None:
    made, events = connection(tmp_path), ndjson(tmp_path, [person(1)])
    wrong: dict[tuple[str | Path, ...], str] = {
        ("lst",): "No such command 'lst'. Did you mean 'list'?",
        ("send", made, events, "--formt", "json"): "--format",
        ("send", made): "EVENTS",
        ("send", made, events, "--limit", "0"): "--limit",
        ("send", made, events, "--format", "xml"): "'xml' is not one of 'text', 'json'",
        (
            "send",
            made,
            events,
            "--fail",
            "429",
        ): "C012 --fail: requires --sandbox; add --sandbox",
        (
            "send",
            "--sandbox",
            made,
            events,
            "--fail",
            "430x",
        ): "C014 --fail: unknown fault '430x'; allowed: ",
        (
            "send",
            "--sandbox",
            made,
            events,
            "--set",
            "routes=1",
        ): "C011 --set: 'routes' cannot be set; allowed: settings.",
        ("show", "x_custom_audiences.ad_user"): "did you mean 'add_user'",
        ("docs", "x_custom_audience"): "did you mean 'x_custom_audiences'",
        ("sandbox", "x_custom_audience"): "did you mean 'x_custom_audiences'",
        ("lint", tmp_path / "nowhere"): "nowhere",
        ("list", "--definitions", tmp_path / "nowhere"): "nowhere",
    }
    for (arguments, says), done in zip(
        wrong.items(), at_once([partial(run, *given) for given in wrong]), strict=True
    ):
        assert done.status == 2, (arguments, done.text)
        assert says in re.sub(r"\s*│\s*", " ", done.err), (arguments, done.err)
        assert not done.out


def test_list_and_show() -> None:
    names = ["list", "show x_custom_audiences", "show x_custom_audiences.add_user_multi"]
    commands = [[*name.split(), "--format", form] for name in names for form in ("json", "text")]
    found, text, destination, shown, action, described = at_once(
        [partial(run, *command) for command in commands]
    )
    assert {done.status for done in (found, text, destination, shown, action, described)} == {0}
    [listed] = [one for one in found.json if one["destination"] == "x_custom_audiences"]
    assert set(listed) == {"destination", "title", "actions"}
    assert set(listed["actions"]) == set(destination.json["actions"]) == ACTIONS
    assert all(re.search(rf"^  {name} +\w", text.out, re.MULTILINE) for name in ACTIONS)
    assert destination.json["base_url"] == "https://ads-api.x.com"
    assert destination.json["auth"]["scheme"] == "oauth1"
    assert "rate       1500 requests in 1m" in shown.out
    parameters = {parameter["name"]: parameter for parameter in action.json["parameters"]}
    assert parameters["custom_audience_id"]["required"] is True
    assert parameters["email"]["identifier"]["normalize"] == ["email"]
    assert action.json["caps"]["bytes"] == 5_000_000
    assert all(name in described.out for name in parameters)
    assert "https://docs.x.com/" in described.out
    [email] = [rule for rule in action.json["identifiers"] if rule["parameter"] == "email"]
    digest = hashlib.sha256(b"ann@example.com").hexdigest()
    assert email["examples"] == [{"in": "ann@example.com", "out": digest}]
    assert re.search(
        rf"^  email +email +sha256 +email +ann@example\.(com|…) +{digest[:8]}…$",
        described.out,
        re.MULTILINE,
    )


def test_docs() -> None:
    done = run("docs", "x_custom_audiences")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("# X Custom Audiences: setup guide\n")
    assert done.out.endswith("|\n")
    assert all(f"### A route for `{name}`\n" in done.out for name in ACTIONS)


# lint and test --------------------------------------------------------------------------------------------------------


def test_lint(tmp_path: Path) -> None:
    bad = tmp_path / "connection.yaml"
    bad.write_text(
        "destination: x_custom_audiences\nsettings: {acount_id: a}\nroutes: [{action: ad_user, map: {}}]\n",
        "utf-8",
    )
    commands: list[list[str | Path]] = [
        ["lint", EXAMPLE[0]],  # that of everything stands in the README, and is run from there
        ["lint", EXAMPLE[0], "--format", "json"],
        ["lint", bad],
        ["lint", bad, "--format", "json"],
    ]
    clean, clean_json, text, found = at_once([partial(run, *command) for command in commands])
    assert (clean.status, clean.out, clean.err) == (0, "no problems\n", "")
    assert (clean_json.status, clean_json.json) == (0, [])
    assert (text.status, found.status, text.err, found.err) == (1, 1, "", "")
    assert {tuple(problem) for problem in found.json} == {
        ("code", "file", "pointer", "message", "hint", "severity")
    }
    assert {(problem["code"], problem["pointer"]) for problem in found.json} == {
        ("C202", "/settings"),
        ("C202", "/settings/acount_id"),
        ("C207", "/routes/0/action"),
    }
    assert len(text.out.splitlines()) == 3
    assert all(line.startswith(("C202 ", "C207 ")) for line in text.out.splitlines())


CASE = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
routes: [{action: add_user, map: {custom_audience_id: {value: 1nmth}, email: {from: email}}}]
cases:
  - name: one person
    events: [{email: " Ann@Example.com "}]
"""


def test_cases(tmp_path: Path) -> None:
    (tmp_path / "people.case.yaml").write_text(CASE, "utf-8")
    missing, made, same = (
        run("test", *options, folder=tmp_path)
        for options in ([], ["--update"], ["--format", "json"])
    )
    assert (missing.status, made.status, same.status) == (1, 0, 0)
    assert hashlib.sha256(b"ann@example.com").hexdigest() in next(
        tmp_path.rglob("*.txt")
    ).read_text("utf-8")
    assert "one person" in json.dumps(same.json)
    changed = CASE.replace("Ann@", "Bob@")
    (tmp_path / "people.case.yaml").write_text(changed, "utf-8")
    other, nothing = at_once(
        [partial(run, "test", tmp_path), partial(run, "test", tmp_path / "nowhere")]
    )
    assert (other.status, nothing.status) == (1, 2)


# preview --------------------------------------------------------------------------------------------------------------


def test_preview_is_what_is_sent(tmp_path: Path) -> None:
    events = ndjson(
        tmp_path, [*(person(i) for i in range(5)), {"id": "nobody", "audience": AUDIENCE}]
    )
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes="limits: {records: 2}")
        bare = environment(X_CONSUMER_KEY=None, X_ACCESS_TOKEN=None)
        shown = run("preview", made, events, "--format", "json", env=bare)
        assert not vendor.seen
        done = run("send", made, events, "--format", "json")
        sent = [
            (seen.method, vendor.base_url + seen.url, json.loads(seen.body)) for seen in vendor.seen
        ]
    assert (shown.status, done.status) == (1, 1)
    *printed, last = [json.loads(line) for line in shown.out.splitlines()]
    assert list(last) == ["fill", "warnings"]
    requests = [(one["method"], one["url"], one["body"]) for one in printed if "method" in one]
    # the requests of one phase arrive in any order
    assert sorted(requests, key=str) == sorted(sent, key=str)
    assert done.json["requests"] == len(requests) == 3
    assert done.json["bytes"] == sum(one["bytes"] for one in printed if "method" in one)
    assert [one["event"] for one in printed if "method" not in one] == ["nobody"]


def test_preview_for_people() -> None:
    done = run("preview", *EXAMPLE, "--limit", "2")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("# request 1: 2 records, ")
    assert f"POST https://ads-api.x.com{USERS}" in done.out
    assert "authorization" not in done.out.lower()
    assert "example.com" not in done.out


# send -----------------------------------------------------------------------------------------------------------------


def test_send_to_a_sandbox_of_its_own() -> None:
    text, done = at_once(
        [partial(run, "send", "--sandbox", *EXAMPLE, "--format", form) for form in ("text", "json")]
    )
    assert (text.status, done.status, text.err, done.err) == (0, 0, "", "")
    *names, holdings = done.json
    assert (tuple(names), holdings) == (MEMBERS, "sandbox")
    assert done.json["dropped"] == [{"parameter": "phone_number", "reason": "not_e164", "count": 1}]
    assert_adds_up(done.json)
    assert {name: done.json[name] for name in ("events", "delivered", "superseded", "skipped")} == {
        "events": 7,
        "delivered": 5,
        "superseded": 1,
        "skipped": 1,
    }
    assert done.json["sandbox"][0] == {"path": USERS, "people": 3, "identifiers": 5}
    for name in ("events", "records", "delivered", "superseded", "rejected", "undelivered"):
        assert re.search(rf"^ *{name} +{done.json[name]}$", text.out, re.MULTILINE)
    assert f"{USERS}  3 people, 5 identifiers" in text.out


def test_send_to_a_vendor_and_every_option(tmp_path: Path) -> None:
    events = ndjson(tmp_path, [person(i) for i in range(9)])
    with Vendor() as vendor:
        done = run(
            *(
                "send",
                connection(tmp_path),
                events,
                "--format",
                "json",
                "--limit",
                "5",
                "--retries",
                "0",
            ),
            *(
                "--timeout",
                "5",
                "--no-progress",
                "--report",
                tmp_path / "report",
                "--definitions",
                ROOT,
            ),
            *(
                "--set",
                f"base_url={vendor.base_url}",
                "--set",
                "limits.records=2",
                "--set",
                "settings.account_id=abc1",
            ),
        )
        assert {seen.url for seen in vendor.seen} == {USERS.replace("18ce54d4x5t", "abc1")}
        # side by side, once the first one was accepted
        assert sorted(people(seen) for seen in vendor.seen) == [1, 2, 2]
    assert (done.status, done.err) == (0, "")
    assert tuple(done.json) == MEMBERS
    assert (done.json["events"], done.json["delivered"], done.json["requests"]) == (5, 5, 3)
    assert report_lines(tmp_path / "report") == []


def test_events_that_no_route_takes_are_skipped(tmp_path: Path) -> None:
    events = ndjson(tmp_path, [person(1, do="add_user_multi"), person(2, do="nothing"), person(3)])
    done = run(
        "send",
        "--sandbox",
        connection(tmp_path, actions=["add_user_multi"]),
        events,
        "--format",
        "json",
    )
    assert (done.status, done.json["skipped"], done.json["records"]) == (0, 2, 1)


def test_an_answer_from_a_sandbox_of_another_process(tmp_path: Path) -> None:
    made, events = connection(tmp_path), ndjson(tmp_path, [person(i) for i in range(3)])
    box = start("sandbox", "x_custom_audiences", "--connection", made, "--fail", "503")
    try:
        assert box.stdout
        base_url = box.stdout.readline().decode().split()[4].rstrip(";")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(base_url + USERS, b"[]", timeout=5)
        done = run("send", made, events, "--format", "json", "--set", f"base_url={base_url}")
    finally:
        box.send_signal(signal.SIGINT)
        out, err = box.communicate(timeout=5)
    refused.value.close()
    assert refused.value.code == 503
    assert (done.status, done.json["delivered"]) == (0, 3)
    said = ["503 unavailable: injected fault", "200"]
    assert err.decode().splitlines() == [f"POST {USERS} {line}" for line in said]
    assert f"{USERS}  3 people, 3 identifiers" in out.decode()


# Terminals ------------------------------------------------------------------------------------------------------------


def on_a_terminal(*arguments: str | Path) -> tuple[str, bytes]:
    """Run with a terminal as stderr and a pipe as stdout; return what came on both."""
    terminal, theirs = pty.openpty()
    command = [*COMMAND, *map(str, arguments)]
    variables = {**environment(), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL, env=variables
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    out, _ = process.communicate(timeout=20)
    return out.decode(), shown


def test_progress_is_shown_on_a_terminal_only_and_never_on_stdout(tmp_path: Path) -> None:
    made, events = connection(tmp_path), ndjson(tmp_path, [person(i) for i in range(3_000)])
    send = ("send", "--sandbox", made, events)
    (out, shown), (quiet, nothing) = on_a_terminal(*send), on_a_terminal(*send, "--no-progress")
    assert b"3,000 delivered" in shown
    assert b"\x1b[" in shown
    assert b"example.com" not in shown
    assert nothing == b""
    for text in (out, quiet):
        assert "\x1b" not in text
        assert text.startswith("events  ")


def test_progress_can_be_asked_for_without_a_terminal(tmp_path: Path) -> None:
    done = run("send", "--sandbox", *EXAMPLE, "--progress", "--format", "json")
    assert done.json["delivered"] == 5
    assert "7 events" in done.err
    assert "\x1b" not in done.err
