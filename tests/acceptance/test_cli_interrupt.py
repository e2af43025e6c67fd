"""Ctrl-C: the request in flight is finished, nothing more is sent, and every record is accounted for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from connector.auth.base import Message
from tests.kit.cli import assert_adds_up, connection, ndjson, person, report_lines, start
from tests.kit.http_vendor import Reply, SlowVendor, Vendor, success


class Patient(Vendor):
    """A vendor that answers when it is let."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.go_on = threading.Event()

    def _wait(self, seen: Message) -> Reply:
        self.go_on.wait(30)
        return success(seen)


def ended(process: subprocess.Popen[bytes], within: float) -> tuple[int, str, str]:
    """Status, stdout and stderr of a process that has to end in so many seconds."""
    try:
        out, err = process.communicate(timeout=within)
    finally:
        process.kill()
    assert b"Traceback" not in err, err.decode()
    return process.returncode, out.decode(), err.decode()


def line_about_ending(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr
    return process.stderr.readline().decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_request_in_flight_is_finished_and_the_rest_reported(
    number: signal.Signals, tmp_path: Path
) -> None:
    events = ndjson(tmp_path, [person(i) for i in range(25)])
    report = tmp_path / "report"
    with Patient() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes="limits: {records: 10}")
        process = start("send", made, events, "--format", "json", "--report", report)
        assert vendor.arrived.wait(10)
        process.send_signal(number)
        assert "Ctrl-C again to stop at once" in line_about_ending(process)
        assert process.poll() is None
        vendor.go_on.set()
        status, out, _ = ended(process, 5)
        assert len(vendor.seen) == 1
    summary = json.loads(out)
    assert_adds_up(summary)
    assert (status, summary["delivered"], summary["undelivered"], summary["requests"]) == (
        1,
        10,
        15,
        1,
    )
    assert summary["interrupted"]
    lines = report_lines(report)
    # What was not batched yet may be reported before what was.
    assert sorted(line["event"] for line in lines) == [f"e{i}" for i in range(10, 25)]
    assert {(line["outcome"], line["code"]) for line in lines} == {("undelivered", "interrupted")}
    assert "example.com" not in out + report.read_text("utf-8")


def test_the_text_summary_says_that_it_was_interrupted(tmp_path: Path) -> None:
    with Patient() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes="limits: {records: 1}")
        process = start("send", made, ndjson(tmp_path, [person(1), person(2)]))
        assert vendor.arrived.wait(10)
        process.send_signal(signal.SIGINT)
        line_about_ending(process)
        vendor.go_on.set()
        status, out, _ = ended(process, 5)
    assert status == 1
    assert ", interrupted" in out
    assert "undelivered 1 x interrupted: " in out


def test_a_wait_for_a_retry_ends_at_once(tmp_path: Path) -> None:
    reset = {"content-type": "application/json", "x-rate-limit-reset": str(int(time.time()) + 600)}
    with Vendor(lambda _: Reply(429, b"{}", reset)) as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        process = start("send", made, ndjson(tmp_path, [person(1)]), "--format", "json")
        assert vendor.arrived.wait(10)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        status, out, _ = ended(process, 5)
    assert (status, json.loads(out)["undelivered"]) == (1, 1)


def test_an_answer_that_never_ends_is_waited_for_no_longer_than_the_timeout(
    tmp_path: Path,
) -> None:
    endless = SlowVendor(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", 0.02)
    with endless as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        events = ndjson(tmp_path, [person(1)])
        process = start("send", made, events, "--format", "json", "--timeout", "1")
        assert vendor.arrived.wait(10)
        process.send_signal(signal.SIGTERM)
        status, out, _ = ended(process, 5)
    assert (status, json.loads(out)["undelivered"]) == (1, 1)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_one_gives_up_what_is_in_flight_and_accounts_for_it(
    second: signal.Signals, tmp_path: Path
) -> None:
    # An audience of its own for each, so that many requests are in flight.
    events = ndjson(tmp_path, [person(i, audience=f"a{i}") for i in range(12)])
    report = tmp_path / "report"
    with Patient() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes="limits: {records: 1}")
        process = start("send", made, events, "--format", "json", "--report", report)
        assert vendor.arrived.wait(10)
        process.send_signal(signal.SIGINT)
        line_about_ending(process)
        process.send_signal(second)
        try:
            status, out, _ = ended(process, 5)
        finally:
            vendor.go_on.set()
    summary = json.loads(out)
    assert_adds_up(summary)
    assert (status, summary["undelivered"], summary["interrupted"]) == (1, 12, True)
    lines = report_lines(report)
    assert sorted(line["event"] for line in lines) == sorted(f"e{i}" for i in range(12))
    assert {(line["outcome"], line["code"]) for line in lines} == {("undelivered", "interrupted")}
    in_flight = {line["event"] for line in lines if line["reason"].endswith("it may have arrived")}
    arrived = {f"e{seen.url.split('/')[-2].removeprefix('a')}" for seen in vendor.seen}
    assert arrived
    assert arrived <= in_flight


def test_a_third_one_ends_the_process_whatever_it_does(tmp_path: Path) -> None:
    pipe = tmp_path / "events.ndjson"
    os.mkfifo(pipe)
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        process = start("send", made, pipe)
        with pipe.open("wb"):  # the command waits for a first event, within the operating system
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            line_about_ending(process)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            status, _, _ = ended(process, 5)
    assert status == 128 + signal.SIGTERM


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")
def test_the_signal_for_pipes_ends_neither_a_start_nor_a_run_of_a_file(tmp_path: Path) -> None:
    events = ndjson(tmp_path, [person(1)])
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with Patient() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        process = start("send", pipe, events, "--format", "json")
        with pipe.open("wb") as opened:  # the command waits for its connection
            process.send_signal(signal.SIGUSR1)
            opened.write(made.read_bytes())
        assert vendor.arrived.wait(10)
        process.send_signal(signal.SIGUSR1)
        vendor.go_on.set()
        status, out, err = ended(process, 10)
    assert (status, json.loads(out)["delivered"], err) == (0, 1, "")


def test_whoever_uses_nohup_is_not_ended(tmp_path: Path) -> None:
    with Patient() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            process = start("send", made, ndjson(tmp_path, [person(1)]), "--format", "json")
        finally:
            signal.signal(signal.SIGHUP, before)
        assert vendor.arrived.wait(10)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        vendor.go_on.set()
        status, out, err = ended(process, 5)
    assert (status, err, json.loads(out)["delivered"]) == (0, "", 1)


def test_a_process_that_is_killed_leaves_the_lines_of_its_report(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with Patient() as vendor:
        events = ndjson(tmp_path, ["{", person(1), person(2, email="no address")])
        made = connection(tmp_path, base_url=vendor.base_url)
        process = start("send", made, events, "--report", report)
        assert vendor.arrived.wait(10)
        process.kill()
        ended(process, 5)
        vendor.go_on.set()
    assert len(report.read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("limits", "sent", "pending"), [("{age: 1s}", 1, 0), ("{records: 2}", 2, 1)]
)
def test_reading_from_an_idle_pipe_ends(
    tmp_path: Path, limits: str, sent: int, pending: int
) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes=f"limits: {limits}")
        process = start(
            "send",
            made,
            "-",
            "--format",
            "json",
            "--report",
            tmp_path / "report",
            stdin=subprocess.PIPE,
        )
        assert process.stdin
        process.stdin.write(
            b"".join(json.dumps(person(i)).encode() + b"\n" for i in range(sent + pending))
        )
        assert vendor.arrived.wait(10)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(5) == 1
        assert time.monotonic() - began < 2
        _, out, _ = ended(process, 1)
        assert len(vendor.seen) == 1
    summary = json.loads(out)
    assert_adds_up(summary)
    assert (summary["events"], summary["delivered"], summary["undelivered"]) == (
        sent + pending,
        sent,
        pending,
    )
    assert len(report_lines(tmp_path / "report")) == pending


def test_a_sandbox_ends_and_shows_what_it_holds(tmp_path: Path) -> None:
    process = start("sandbox", "x_custom_audiences")
    assert process.stdout
    assert (
        "sandbox of x_custom_audiences at http://127.0.0.1:" in process.stdout.readline().decode()
    )
    process.send_signal(signal.SIGINT)
    status, out, err = ended(process, 5)
    assert (status, err) == (0, "")
    assert out.rstrip().endswith("the sandbox holds:\n  nothing")
