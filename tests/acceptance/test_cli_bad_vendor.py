"""A vendor that is away, broken or elsewhere: the records are kept as undelivered, with a reason, and nobody is named."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector.auth.base import Message
from tests.kit.cli import (
    AUDIENCE,
    Done,
    assert_adds_up,
    at_once,
    connection,
    ndjson,
    person,
    report_lines,
    run,
)
from tests.kit.http_vendor import Reply, Vendor, success

PAGE = b"<html><body>Bad gateway for person1@example.com</body></html>"
HTML = {"content-type": "text/html"}
REFUSAL = b'{"errors": [{"code": "X", "message": "person1@example.com"}]}'


def attempt(folder: Path, base_url: str, *options: str) -> tuple[Done, list[dict[str, Any]]]:
    """One attempt to deliver three events, one of them without identifiers."""
    events = ndjson(folder, [person(1), {"id": "nobody", "audience": AUDIENCE}, person(2)])
    made, report = connection(folder, base_url=base_url), folder / "report"
    options = options or ("--retries", "0")
    done = run("send", made, events, "--format", "json", "--report", report, *options)
    assert_adds_up(done.json)
    everything = done.text + report.read_text("utf-8")
    assert "example.com" not in everything
    assert "<html>" not in everything
    assert base_url not in everything
    lines = report_lines(report)
    assert [line["event"] for line in lines if line["code"] == "no_identifier"] == ["nobody"]
    return done, [line for line in lines if line["code"] != "no_identifier"]


def kept(done: Done, lines: list[dict[str, Any]], code: str, says: str) -> None:
    """Both people are undelivered for this reason."""
    assert done.status == 1
    assert (done.json["delivered"], done.json["rejected"], done.json["undelivered"]) == (0, 1, 2)
    assert [line["event"] for line in lines] == ["e1", "e2"]
    assert {(line["outcome"], line["code"]) for line in lines} == {("undelivered", code)}
    assert all(says in line["reason"] for line in lines)


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done, lines = attempt(tmp_path, f"http://127.0.0.1:{port}")
    kept(done, lines, "gave_up", f"gave up after 1 attempt: cannot connect to 127.0.0.1:{port}: ")


def test_a_host_without_certificate(tmp_path: Path) -> None:
    with Vendor() as vendor:
        done, lines = attempt(tmp_path, vendor.base_url.replace("http://", "https://"))
        address = vendor.base_url.removeprefix("http://")
        kept(
            done,
            lines,
            "gave_up",
            f"cannot connect to {address}: the TLS handshake failed; check the host's certificate, or set SSL_CERT_FILE",
        )
        assert not vendor.seen


REPLIES = {
    "html 200": (Reply(200, PAGE, HTML), "gave_up", ""),
    "{} 200": (Reply(200, b"{}"), "gave_up", ""),
    "empty 200": (Reply(200, b""), "gave_up", ""),
    "html 502": (Reply(502, PAGE, HTML), "gave_up", ""),
    "empty 503": (Reply(503, b""), "gave_up", ""),
    "closed": (Reply(cut=True), "gave_up", "the connection closed before the answer was complete"),
    **{str(status): (Reply(status, REFUSAL), "", "X ") for status in (401, 403, 404, 405, 415)},
}


def test_answers_that_deliver_nothing(tmp_path: Path) -> None:
    def scenario(name: str) -> tuple[Done, list[dict[str, Any]], int]:
        (tmp_path / name).mkdir()
        with Vendor(lambda _: REPLIES[name][0]) as vendor:
            return *attempt(tmp_path / name, vendor.base_url), len(vendor.seen)

    found = at_once([partial(scenario, name) for name in REPLIES])
    for (done, lines, requests), (_, code, says) in zip(found, REPLIES.values(), strict=True):
        kept(done, lines, code or lines[0]["code"], says)
        assert (code == "gave_up") == lines[0]["reason"].startswith("gave up after 1 attempt: ")
        assert requests == done.json["requests"] == 1


def test_no_answer_in_time(tmp_path: Path) -> None:
    go_on = threading.Event()

    def answer(seen: Message) -> Reply:
        go_on.wait(20)
        return success(seen)

    with Vendor(answer) as vendor:
        done, lines = attempt(tmp_path, vendor.base_url, "--timeout", "1", "--retries", "0")
        go_on.set()
    kept(done, lines, "gave_up", "gave up after 1 attempt: timed out waiting for an answer")
    assert 1 <= done.json["seconds"] < 10


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    with (
        Vendor() as elsewhere,
        Vendor(lambda _: Reply(status, b"", {"location": elsewhere.base_url})) as vendor,
    ):
        done, lines = attempt(tmp_path, vendor.base_url)
        assert not elsewhere.seen
        assert len(vendor.seen) == 1
    kept(done, lines, lines[0]["code"], "redirect")


def test_retries_are_counted_and_then_it_is_given_up(tmp_path: Path) -> None:
    with Vendor(lambda _: Reply(503, b"")) as vendor:
        done, lines = attempt(tmp_path, vendor.base_url, "--retries", "1")
        assert len(vendor.seen) == done.json["requests"] == 2
    kept(done, lines, "gave_up", "gave up after 2 attempts: ")


def once(*replies: Reply) -> Callable[[Message], Reply]:
    """Give each of these answers once, then take everything."""
    left = [*replies]
    return lambda seen: left.pop(0) if left else success(seen)


def test_the_next_attempt_delivers(tmp_path: Path) -> None:
    # the second wait of the vendor's schedule is a minute: the answer names a shorter one
    soon = {**HTML, "retry-after": "0.1"}
    with Vendor(once(Reply(502, PAGE, HTML), Reply(200, PAGE, soon))) as vendor:
        done, lines = attempt(tmp_path, vendor.base_url, "--retries", "2")
        assert len({seen.body for seen in vendor.seen}) == 1
        assert len(vendor.seen) == 3
    assert (done.json["delivered"], done.json["undelivered"], lines) == (2, 0, [])
    assert done.status == 1  # somebody was rejected


def test_what_names_nobody_is_halved_until_the_offender_is_alone(tmp_path: Path) -> None:
    events = ndjson(
        tmp_path, [person(i, **({"partner": "refuse-me"} if i == 5 else {})) for i in range(16)]
    )

    def answer(seen: Message) -> Reply:
        refused = Reply(400, b'{"errors": [{"code": "INVALID", "message": "refuse-me"}]}')
        return refused if b"refuse-me" in seen.body else success(seen)

    with Vendor(answer) as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        done = run("send", made, events, "--format", "json", "--report", tmp_path / "report")
    assert_adds_up(done.json)
    assert (done.status, done.json["delivered"], done.json["rejected"]) == (1, 15, 1)
    [line] = report_lines(tmp_path / "report")
    assert (line["event"], line["outcome"]) == ("e5", "rejected")
    assert "refuse-me" not in done.text + str(line)
