"""Scripts for the webhook: curl, and a script that keeps one connection."""

from __future__ import annotations

import hmac
import json
import shutil
import subprocess
from functools import cache
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.witness.kit import Client, RefusedError, Visit, assert_refused, assert_taken, digest

LOYAL = "audience loyal"
ANN = {"email_sha256": [digest("ann@example.com")], "external_id": ["crm-1"]}
BEN = {"phone_sha256": [digest("+12025550123")]}
EVE = {"device_id": ["38400000-8cf0-11bd-b23e-10b96e40000d"]}


def _person(action: str, person: dict[str, list[str]]) -> dict[str, Any]:
    return {"action": action, "audience": "loyal", **person}


def _says(told: Any) -> str:
    return str(told.status if isinstance(told, RefusedError) else told)


def _visit(tool: str, language: str, program: Any) -> Visit:
    known = {}
    for name, person in (("Ann", ANN), ("Ben", BEN), ("Eve", EVE)):
        known[name] = {(wire, value) for wire, values in person.items() for value in values}
    seen = Visit(Client("Webhook", tool, "", language), "webhook", known, _says)
    with seen.server() as server:
        token = f"Bearer {seen.secrets['access_token']}"
        key = seen.secrets["signing_secret"].encode()

        def send(body: Any, token: str = token, key: bytes = key, *, chunked: bool = False) -> int:
            content = json.dumps(body).encode()
            headers = _headers(token, hmac.new(key, content, "sha256").hexdigest())
            status: int = program(server.base_url, headers, content, chunked=chunked)
            if status >= 300:
                raise RefusedError(status, None)
            return status

        both = {"people": [_person("add", ANN), _person("add", BEN)]}
        seen.adds("Ann and Ben", lambda: send(both))
        seen.removes("Ben, alone", lambda: send(_person("remove", BEN)))
        small = token.replace("Bearer", "bearer")
        seen.adds("Ben, by a `bearer`", lambda: send({"people": [_person("add", BEN)]}, small))
        chunks = {"people": [_person("remove", BEN)]}
        seen.removes("Ben, in chunks", lambda: send(chunks, chunked=True))
        eve = {"people": [_person("add", EVE)]}
        seen.is_refused("with a wrong token", lambda: send(eve, "Bearer wrong"))
        seen.is_refused("with a wrong signature", lambda: send(eve, key=b"wrong"))
        other = {"people": [_person("add", EVE), _person("add", {})]}
        seen.is_refused("with somebody without an identifier", lambda: send(other))
        named = {"persons": [_person("add", EVE)]}
        seen.is_refused("under another name than `people`", lambda: send(named))
    return seen


def _headers(token: str, signature: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Authorization": token, "X-Signature": signature}


def _curl(url: str, headers: dict[str, str], content: bytes, *, chunked: bool) -> int:
    command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}"]
    for name, text in headers.items():
        command += ["--header", f"{name}: {text}"]
    if chunked:
        command += ["--header", "Transfer-Encoding: chunked"]
    command += ["--data-binary", "@-", url]
    done = subprocess.run(command, input=content, capture_output=True, check=True, timeout=30)
    return int(done.stdout.decode().rpartition("\n")[2])


def _script(url: str, headers: dict[str, str], content: bytes, *, chunked: bool) -> int:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    pieces = [content[:20], content[20:]] if chunked else content
    try:
        connection.request("POST", parts.path, pieces, headers, encode_chunked=chunked)
        return connection.getresponse().status
    finally:
        connection.close()


@cache
def visit() -> Visit:
    return _visit("a script", "Python", _script)


@cache
def visit_by_curl() -> Visit:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    return _visit("`curl`", "shell", _curl)


VISITS = [visit, visit_by_curl]


@pytest.mark.parametrize("by", VISITS)
@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann and Ben", ["Ann", "Ben"]),
        ("Ben, alone", ["Ann"]),
        ("Ben, by a `bearer`", ["Ann", "Ben"]),
        ("Ben, in chunks", ["Ann"]),
    ],
)
def test_people_are_added_and_removed(by: Any, step: str, held: list[str]) -> None:
    assert assert_taken(by(), step, {LOYAL: held}) == 200


@pytest.mark.parametrize("by", VISITS)
@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("with a wrong token", 401),
        ("with a wrong signature", 401),
        ("with somebody without an identifier", 400),
        ("under another name than `people`", 400),
    ],
)
def test_what_is_wrong_is_refused(by: Any, step: str, status: int) -> None:
    assert assert_refused(by(), step, RefusedError).status == status
