"""docs/service.md: what its commands print."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.auth.base import Message
from tests.kit import ROOT
from tests.kit.cli import connection, succeed
from tests.kit.cli import environment as variables
from tests.kit.http_vendor import Reply, Vendor, reply, success
from tests.kit.service import Answered, Served

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

PAGE = (ROOT / "docs" / "service.md").read_text("utf-8")
TOKEN = "0123456789abcdef0123456789abcdef"
VENDOR = "https://ads-api.x.com"
ROUTES = """
  - name: add
    action: add_user
    when: event.left is not defined
    map: {custom_audience_id: {from: audience}, email: {from: email}}
  - name: remove
    action: remove_user
    when: event.left is defined
    map: {custom_audience_id: {from: audience}, email: {from: email}}
"""
#: Each command with what it prints; those that print nothing start the service.
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
    made = connection(tmp_path, base_url=vendor.base_url)
    head, _, _ = made.read_text("utf-8").partition("routes:")
    made.write_text(f"{head}routes:{ROUTES}", "utf-8")
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
    dead = ""
    for command, printed in COMMANDS:
        if command.startswith("curl"):
            assert answer(served, command).json == json.loads(printed), command
            continue
        if not printed:
            assert command.startswith(("openssl rand", "connector serve"))
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


def test_the_codes_of_the_page_are_those_of_the_service() -> None:
    source = ""
    for path in (ROOT / "connector" / "service").glob("*.py"):
        source += path.read_text("utf-8")
    rows = re.findall(r"^\| [\d, ]+ \| (.*?) \|", PAGE, re.MULTILINE)
    codes = re.findall(r"`(\w+)`", " ".join(rows))
    assert len(codes) == 24
    for code in codes:
        assert f'"{code}"' in source, code
