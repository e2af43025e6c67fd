"""docs/service.md: what its commands print."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.auth.base import Message
from tests.kit import ROOT
from tests.kit.cli import SECRETS, succeed
from tests.kit.cli import environment as variables
from tests.kit.http_vendor import Reply, Vendor, reply, success
from tests.kit.service import Answered, Served

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

PAGE = (ROOT / "docs" / "service.md").read_text("utf-8")
TOKEN = "0123456789abcdef0123456789abcdef"
VENDOR = "https://ads-api.x.com"
#: From nothing to a record that is delivered, and what that prints.
[SCRIPT] = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[PRINTED] = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[CONNECTION] = re.findall(r"<<'END'\n(.*?)^END$", SCRIPT, re.MULTILINE | re.DOTALL)
#: Each further command with what it prints.
COMMANDS = [
    (command, printed)
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for command, printed in re.findall(r"^\$ (.+)\n((?:[^$\n].*\n)*)", block, re.MULTILINE)
]


class Picky(Vendor):
    """Refuses the operation of whom it does not want."""

    def __init__(self) -> None:
        super().__init__(self._answer_to)
        self.unwanted: set[str] = set()

    def _answer_to(self, seen: Message) -> Reply:
        errors = []
        for operation in json.loads(seen.body):
            [email] = operation["params"]["users"][0]["email"]
            errors.append([{"code": "INVALID"}] if email in self.unwanted else [])
        return reply(400, {"operation_errors": errors}) if any(errors) else success(seen)


@pytest.fixture
def vendor() -> Iterator[Picky]:
    with Picky() as one:
        yield one


@pytest.fixture
def served(tmp_path: Path, vendor: Picky) -> Iterator[Served]:
    (tmp_path / "token").write_text(f"{TOKEN}\n", "utf-8")
    made = tmp_path / "connection.yaml"
    made.write_text(CONNECTION.replace("http://127.0.0.1:8090", vendor.base_url), "utf-8")
    options = ("--token", f"file:{tmp_path / 'token'}", "--state", tmp_path / "state")
    with Served(made, *options) as one:
        one.headers = {"Authorization": f"Bearer {TOKEN}"}
        yield one


def answer(served: Served, command: str) -> Answered:
    """What a `curl` of the page gets."""
    words = shlex.split(command.replace("$TOKEN", TOKEN).replace("$URL", ""))
    headers = {}
    path, body = "", b""
    remaining = iter(words[1:])
    for word in remaining:
        if word == "-H":
            name, _, value = next(remaining).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(remaining).encode()
        elif word.startswith("/"):
            path = word
        else:
            assert (word, next(remaining)) == ("-X", "POST")
    served.headers = {}
    answered = served.call(path, body, headers={"Content-Type": "application/json", **headers})
    served.headers = {"Authorization": f"Bearer {TOKEN}"}
    return answered


def steady(text: str) -> str:
    """Put out of sight what differs from run to run: times, ids, and how wide a column is."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\S+Z", "TIME", text)
    text = re.sub(r"^(id +)?\d+-\d+", "ID", text, flags=re.MULTILINE)
    return re.sub(r"(?<=TIME )\d+|(?<=age_seconds )\d+", "AGE", re.sub(" +", " ", text))


def person(vendor: Picky, name: str, *, wanted: bool) -> dict[str, str]:
    email = f"{name}@example.com"
    digest = hashlib.sha256(email.encode()).hexdigest()
    (vendor.unwanted.discard if wanted else vendor.unwanted.add)(digest)
    return {"audience": "1nmth", "email": email}


def test_the_commands_of_the_page(served: Served, vendor: Picky, tmp_path: Path) -> None:
    assert [command.split()[0] for command, _ in COMMANDS].count("curl") == 6
    [first] = re.findall(r"-d '(.*)'", SCRIPT)
    assert served.post(json.loads(first)).status == 202
    dead = ""
    for command, printed in COMMANDS:
        if command.startswith("curl"):
            assert answer(served, command).json == json.loads(printed), command
            continue
        program, *arguments = shlex.split(command.replace("$URL", served.url))
        assert program == "connector"
        if arguments[:2] == ["dead", "list"]:
            served.post({"id": "e6", **person(vendor, "dora", wanted=False)})
            served.post({"id": "e7", **person(vendor, "eve", wanted=False)})
            served.drain()
        elif arguments[:2] == ["dead", "retry"]:
            person(vendor, "dora", wanted=True)
            served.post({"id": "e8", "left": True, **person(vendor, "eve", wanted=True)})
            served.drain()
        elif arguments[0] == "status":
            served.drain()
        if arguments[:2] == ["dead", "show"]:
            arguments[2] = dead
        found = succeed(*arguments, env=variables(), folder=tmp_path)
        assert steady(found.replace(vendor.base_url, VENDOR)) == steady(printed), command
        if arguments[:2] == ["dead", "list"]:
            dead = found.splitlines()[1].split()[0]


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def test_from_nothing_to_a_record_that_is_delivered(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "connector"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m connector "$@"\n', "utf-8")
    command.chmod(0o755)
    env = variables(PATH=f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    for name in SECRETS:
        del env[name]
    folder = tmp_path / "empty"
    folder.mkdir()

    script = SCRIPT.replace("8080", free_port()).replace("8090", free_port())
    # What a reader does by hand at last.
    script = f"trap 'kill $(jobs -p); wait' EXIT\n{script}"
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (PRINTED, "", 0)
    assert "1nmth/users  1 people, 1 identifiers" in (folder / "sandbox.txt").read_text("utf-8")
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert '"stopped"' in (folder / "serve.log").read_text("utf-8")


def test_the_codes_of_the_page_are_those_of_the_service() -> None:
    source = ""
    for path in (ROOT / "connector" / "service").glob("*.py"):
        source += path.read_text("utf-8")
    rows = re.findall(r"^\| [\d, ]+ \| (.*?) \|", PAGE, re.MULTILINE)
    codes = re.findall(r"`(\w+)`", " ".join(rows))
    assert len(codes) == 24
    for code in codes:
        assert f'"{code}"' in source, code
