"""`connector sandbox` in scripts: it ends when it is told to, and its file says whom it holds."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.kit import ROOT
from tests.kit.cli import connection, environment, run, start

PAGE = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
[SCRIPT] = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[HELD] = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ANN = hashlib.sha256(b"ann@example.com").hexdigest()
PERSON = {"loyal": True, "email": "ann@example.com", "_update_existing_only": False}


def shell(script: str, folder: Path, within: float = 30) -> subprocess.CompletedProcess[str]:
    """Run a script as `sh script` does, with `connector` on its path."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    command = bin_folder / "connector"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m connector "$@"\n', "utf-8")
    command.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env=environment(PATH=path),
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def test_the_script_of_the_page(tmp_path: Path) -> None:
    done = shell(SCRIPT, tmp_path)
    assert done.stdout.endswith(", and Ann is in\n"), done.stdout + done.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "held.json").read_text("utf-8") == HELD
    assert json.loads(HELD)["audiences"]["loyal"]["members"] == [{"email": [ANN]}]
    assert (tmp_path / "sandbox.log").read_text("utf-8") == "POST /users/track 200\n"
    assert "loyal  1 people, 1 identifiers" in (tmp_path / "sandbox.txt").read_text("utf-8")


def test_the_start_that_the_page_shows(tmp_path: Path) -> None:
    [shown] = re.findall(
        r"^```console\n\$ connector sandbox (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    destination, text = shown
    process = start("sandbox", destination)
    try:
        assert process.stdout
        lines = [process.stdout.readline().decode() for _ in text.splitlines()]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=5)
    port = re.compile(r"(?<=127\.0\.0\.1:)\d+")
    assert port.sub("0", "".join(lines)) == port.sub("0", text)


@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_it_ends_in_the_background_of_a_script(tmp_path: Path, name: str) -> None:
    script = f"""
    connector sandbox x_custom_audiences --holdings held.json &
    until [ -s held.json ]; do sleep 0.05; done
    kill -{name} $!
    wait $!
    """
    done = shell(script, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("the sandbox holds:\n  nothing\n")
    assert json.loads((tmp_path / "held.json").read_text("utf-8")) == {"audiences": {}}


def test_a_second_signal_does_not_spoil_the_end(tmp_path: Path) -> None:
    process = start("sandbox", "braze_audiences", "--holdings", tmp_path / "held.json")
    assert process.stdout
    process.stdout.readline()
    while not (tmp_path / "held.json").exists():
        time.sleep(0.02)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    out, err = process.communicate(timeout=5)
    assert (process.returncode, err) == (0, b"")
    assert b"the sandbox holds:" in out


def test_the_file_is_there_before_the_first_answer_and_right_at_each(tmp_path: Path) -> None:
    path = tmp_path / "held.json"
    process = start("sandbox", "braze_audiences", "--holdings", path, "--fail", "drop")
    try:
        assert process.stdout
        base_url = process.stdout.readline().decode().split()[4].rstrip(";")
        headers = {
            "authorization": "bearer sandbox-access_token",
            "content-type": "application/json",
        }
        for number in range(6):
            body = json.dumps({"attributes": [{**PERSON, "loyal": number % 2 == 1}]}).encode()
            request = urllib.request.Request(base_url + "/users/track", body, headers)
            if number == 0:
                with pytest.raises(OSError):  # noqa: PT011 - it has no message of its own
                    urllib.request.urlopen(request, timeout=5)
                assert json.loads(path.read_bytes()) == {"audiences": {}}
                continue
            urllib.request.urlopen(request, timeout=5).close()
            held = json.loads(path.read_bytes())["audiences"]["loyal"]
            assert (held["people"], len(held["members"])) == (number % 2, number % 2)
    finally:
        process.kill()
        process.communicate(timeout=5)
    assert json.loads(path.read_bytes())["audiences"]["loyal"]["people"] == 1  # killed, not asked


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    done = run("sandbox", "braze_audiences", "--holdings", tmp_path / "nowhere" / "held.json")
    assert done.status == 2
    assert re.fullmatch(
        r"C024 \S+held\.json: cannot be written: No such file or directory; "
        r"choose another file for --holdings\n",
        done.err,
    )


def test_the_file_is_not_the_connection(tmp_path: Path) -> None:
    made = connection(tmp_path)
    before = made.read_bytes()
    done = run("sandbox", "x_custom_audiences", "--connection", made, "--holdings", made)
    assert done.status == 2
    assert "cannot be written: it is the connection; choose another file" in done.err
    assert made.read_bytes() == before


def test_every_fault_is_on_the_page() -> None:
    done = run("sandbox", "braze_audiences", "--fail", "nothing")
    assert done.status == 2
    allowed = done.err.partition("allowed: ")[2].partition(", each")[0]
    words = re.findall(r"(?<![\w-])(?:\d{3}|5xx|[a-z]+(?:-[a-z]+)?)(?==|,| |$)", allowed)
    assert {"5xx", "applied-drop", "202", "slow", "person"} <= set(words)
    for word in words:
        if word not in ("a", "status", "from", "to", "or"):
            assert f"`{word}`" in PAGE, word
