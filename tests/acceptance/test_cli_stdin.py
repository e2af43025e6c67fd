"""Events on standard input: delivered while the input is still open, once the oldest of them is old enough."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.kit.cli import AUDIENCE, assert_adds_up, connection, environment, person, run, start
from tests.kit.http_vendor import Vendor, people


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def test_what_is_old_enough_is_sent_while_the_input_is_open(tmp_path: Path) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes="limits: {age: 2s}")
        process = start("send", made, "-", "--format", "json", stdin=subprocess.PIPE)
        assert process.stdin
        began = time.monotonic()
        for number in range(3):
            process.stdin.write(line(person(number)))
            time.sleep(0.2)
        assert vendor.arrived.wait(6)
        waited = time.monotonic() - began
        assert process.poll() is None
        assert [people(seen) for seen in vendor.seen] == [3]
        assert waited > 1.9
        process.stdin.write(line(person(3)))
        out, err = process.communicate(timeout=5)
        assert [people(seen) for seen in vendor.seen] == [3, 1]
    summary = json.loads(out)
    assert_adds_up(summary)
    assert (process.returncode, summary["events"], summary["delivered"], err) == (0, 4, 4, b"")


def test_a_full_batch_does_not_wait(tmp_path: Path) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes="limits: {records: 2}")
        process = start("send", made, "-", "--no-progress", stdin=subprocess.PIPE)
        assert process.stdin
        process.stdin.write(b"".join(line(person(number)) for number in range(3)))
        assert vendor.arrived.wait(5)
        assert process.poll() is None
        process.communicate(timeout=5)
        assert [people(seen) for seen in vendor.seen] == [2, 1]


def test_a_batch_that_is_just_full_does_not_wait(tmp_path: Path) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes="limits: {records: 2}")
        with start("send", made, "-", stdin=subprocess.PIPE) as process:
            assert process.stdin
            process.stdin.write(b"".join(line(person(number)) for number in range(2)))
            arrived = vendor.arrived.wait(4)
            process.communicate(timeout=5)
        assert arrived


def test_a_line_in_two_pieces_and_a_last_line_without_end(tmp_path: Path) -> None:
    process = start(
        "send", "--sandbox", connection(tmp_path), "-", "--format", "json", stdin=subprocess.PIPE
    )
    assert process.stdin
    text = (
        line(person(1))
        + b"not json\n\n"
        + line({"id": "é", "audience": AUDIENCE, "email": "é@example.com"})
    )
    cut = text.index(b"\\u00e9") + 2
    process.stdin.write(text[:cut])
    time.sleep(0.5)
    out, err = process.communicate(text[cut:].rstrip(b"\n"), timeout=5)
    summary = json.loads(out)
    assert (summary["events"], summary["delivered"], summary["rejected"]) == (3, 2, 1)
    assert (process.returncode, err) == (1, b"")


def test_nothing_on_standard_input(tmp_path: Path) -> None:
    done = run("send", "--sandbox", connection(tmp_path), "-", "--format", "json")
    assert (done.status, done.json["events"]) == (0, 0)


def test_a_closed_standard_input_is_an_error(tmp_path: Path) -> None:
    made = connection(tmp_path)
    script = f'exec "$0" -m connector send --sandbox "{made}" - <&-'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        capture_output=True,
        check=False,
        env=environment(),
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"standard input: ")
    assert b"Traceback" not in done.stderr


def test_limit_ends_the_reading_of_an_open_input(tmp_path: Path) -> None:
    process = start("send", "--sandbox", connection(tmp_path), "-", "--limit", "2", "--format", "json",
                    stdin=subprocess.PIPE)  # fmt: skip
    assert process.stdin
    process.stdin.write(b"".join(line(person(number)) for number in range(2)))
    out = process.stdout.readline() if process.stdout else b""
    assert json.loads(out)["events"] == 2
    assert process.wait(5) == 0
    process.communicate()
