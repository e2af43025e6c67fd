"""Outputs that are closed, full or read by nobody: what is sent, what is said, and the exit status."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.kit.cli import COMMAND, connection, environment, ndjson, person
from tests.kit.http_vendor import Vendor

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def shell(redirections: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command with redirections of a shell."""
    script = f'exec "$@" {redirections}'
    command = ["sh", "-c", script, "sh", *COMMAND, *map(str, arguments)]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=30,
        check=False,
    )


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Events of which one is delivered and one rejected."""
    return ndjson(tmp_path, [person(1), "{"])


@pytest.mark.parametrize(
    "redirection", ["2>&-", pytest.param(f"2>{FULL}", marks=needs_full), "0<&- 2>&-"]
)
def test_standard_error_never_decides(redirection: str, broken: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        options = ("--progress", "--format", "json", "--report", report)
        done = shell(redirection, "send", made, broken, *options)
        assert len(vendor.seen) == 1
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["delivered"], summary["rejected"]) == (1, 1, 1)
    # Nothing that is meant for standard error is in a file that was opened later.
    assert len([json.loads(line) for line in report.read_bytes().splitlines()]) == 1


@needs_full
@pytest.mark.parametrize("command", [("list",), ("--version",), ("--help",), ("send",)])
def test_a_full_disk_is_said_and_no_usage_error(command: tuple[str], tmp_path: Path) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        more = (made, ndjson(tmp_path, [person(1)])) if command == ("send",) else ()
        done = shell(f">{FULL}", *command, *more)
    assert (done.returncode, done.stderr) == (
        1,
        b"cannot write the output: No space left on device\n",
    )


def test_a_closed_output_is_said(tmp_path: Path) -> None:
    done = shell(">&-", "list")
    assert (done.returncode, done.stderr) == (1, b"cannot write the output: Bad file descriptor\n")


@needs_full
def test_a_report_that_cannot_be_written_is_said_and_everything_sent(
    broken: Path, tmp_path: Path
) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        done = shell("", "send", made, broken, "--report", FULL, "--format", "json")
        text = shell("", "send", made, broken, "--report", FULL)
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["delivered"]) == (1, 1)
    assert summary["report_error"] == "No space left on device"
    assert b"the report is incomplete: No space left on device" in text.stdout


def test_a_named_pipe_that_nobody_reads_is_an_error_at_once(broken: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        done = shell("", "send", made, broken, "--report", pipe)
        assert vendor.seen == []
    message = f"C013 {pipe}: cannot write the report: nobody reads from this named pipe\n"
    assert (done.returncode, done.stderr.decode()) == (2, message)


def test_a_named_pipe_that_is_read_gets_the_report(broken: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(pipe.read_bytes().splitlines()))
    reader.start()
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        done = shell("", "send", made, broken, "--report", pipe)
    reader.join(10)
    assert (done.returncode, len(lines)) == (1, 1)
