"""The command line with every scheme: a sandbox that verifies, secrets that are nowhere to be seen, and room for a key."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.connection.load import load_connection
from connector.definitions.catalog import Catalog
from connector.definitions.model import KEY_ROOM
from connector.delivery.clock import SystemClock
from connector.delivery.http import HttpSender
from connector.delivery.ledger import Ledger
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run
from connector.errors import ConfigError
from connector.linting.engine import lint
from connector.pipeline.pipeline import Pipeline
from connector.sandbox.faults import parse_fault
from connector.sandbox.server import SandboxServer
from connector.sandbox.vendor import Answer, Vendor
from connector.sources.files import open_source
from tests.kit import ROOT
from tests.kit.auth import auth as auth_with
from tests.kit.auth import credentials_of
from tests.kit.cli import call
from tests.kit.destination import SOURCE, connect, define_people, events

SIGNED = {
    "header": "X-Signature",
    "hash": "sha256",
    "encoding": "hex",
    "prefix": "sha256=",
    "credential": "signing_secret",
}
TOKENS = {"scheme": "oauth2", "token_url": "https://login.example.com/{region}/token"}
SCHEMES: dict[str, dict[str, Any]] = {
    "bearer": {"scheme": "bearer"},
    "basic": {"scheme": "basic"},
    "a key in a header": {"scheme": "api_key", "in": "header", "name": "Api-Key"},
    "a key in the query": {"scheme": "api_key", "in": "query", "name": "key"},
    "a key in the body": {
        "scheme": "api_key",
        "in": "body",
        "name": "api_key",
        "body_signature": SIGNED,
    },
    "oauth1": {"scheme": "oauth1"},
    "client credentials": {
        **TOKENS,
        "grant": "client_credentials",
        "scope": "people",
    },
    "refresh token": {
        **TOKENS,
        "grant": "refresh_token",
        "headers": {"Developer-Token": "developer_token"},
    },
    "none": {
        "scheme": "none",
        "headers": {"X-Secret": "shared_secret"},
        "body_signature": [SIGNED],
    },
    "nothing at all": {"scheme": "none"},
}
REGION = {
    "title": "Region",
    "description": "Where.",
    "type": "string",
    "enum": ["eu", "us"],
    "default": "eu",
}
each_scheme = pytest.mark.parametrize("auth", SCHEMES.values(), ids=SCHEMES)


def whole(auth: dict[str, Any]) -> dict[str, Any]:
    return {**auth, "source": SOURCE}


def given(auth: dict[str, Any], root: Path) -> tuple[str, dict[str, str]]:
    """Return the line of a connection, and the secrets in files that it refers to."""
    secrets = {name: f"correct-horse {name}" for name in credentials_of(auth)}
    for name, text in secrets.items():
        (root / name).write_text(text)
    return (
        f"credentials: {{{', '.join(f'{name}: {{file: {root / name}}}' for name in secrets)}}}",
        secrets,
    )


def command(root: Path, *arguments: str | Path) -> tuple[int, str]:
    done = call(*arguments, "--definitions", root, env=os.environ, folder=root)
    assert "correct-horse" not in done.text
    return done.status, done.text


def deliver(
    root: Path,
    *lines: str,
    fail: str = "",
    expect: dict[str, str] | None = None,
    count: int = 3,
    report: Any = None,
) -> Ledger:
    """Send events to a sandbox over HTTP, as `connector send` does; `expect`: the secrets that the sandbox takes."""
    connection = load_connection(connect(root, *lines), Catalog([root]))
    secrets = connection.secrets()
    destination, settings = connection.destination, connection.settings
    ledger, clock = Ledger(report), SystemClock()
    issuer = auth_with(destination.auth_of(settings), expect or secrets)
    box = Vendor(
        destination, settings=settings, verifier=issuer, faults=[parse_fault(fail)] if fail else ()
    )
    with SandboxServer(box) as server:
        auth = destination.auth_of(settings)
        if server.token_url:
            auth = replace(auth, token_url=server.token_url)
        reached = load_connection(
            root / "connection.yaml", Catalog([root]), [f"base_url={server.base_url}"]
        )
        with (
            HttpSender(auth_with(auth, secrets), 8) as sender,
            open_source(str(events(root, count))) as source,
        ):
            run = Run(
                Pipeline(reached), (), sender, clock, RetryPolicy(retries=1, base=0.0), ledger
            )
            run.deliver(source)
    return ledger


@each_scheme
def test_every_scheme_lints_and_is_verified(tmp_path: Path, auth: dict[str, Any]) -> None:
    catalog = define_people(tmp_path, whole(auth), {"region": REGION})
    assert lint([tmp_path / "schemas"], catalog) == []
    line, secrets = given(auth, tmp_path)
    assert deliver(tmp_path, line).counts.delivered == 3
    for name in secrets:
        refused = deliver(tmp_path, line, expect={**secrets, name: "another"}).counts
        assert (refused.delivered, refused.undelivered) == (0, 3)


@pytest.mark.parametrize("grant", ["client_credentials", "refresh_token"])
@pytest.mark.parametrize(("fail", "delivered"), [("401:1", 3), ("401:2", 0)])
def test_a_401_renews_the_token_once(tmp_path: Path, grant: str, fail: str, delivered: int) -> None:
    auth = {**TOKENS, "grant": grant}
    define_people(tmp_path, whole(auth), {"region": REGION})
    line, _ = given(auth, tmp_path)
    assert deliver(tmp_path, line, fail=fail).counts.delivered == delivered


def test_a_refused_refresh_token_stops_the_lane(tmp_path: Path) -> None:
    auth = {**TOKENS, "grant": "refresh_token"}
    define_people(tmp_path, whole(auth), {"region": REGION})
    line, secrets = given(auth, tmp_path)
    report = io.BytesIO()
    expect = {**secrets, "refresh_token": "another"}
    assert deliver(tmp_path, line, expect=expect, report=report).counts.undelivered == 3
    told = [json.loads(line) for line in report.getvalue().splitlines()]
    look = "check the credentials client_id, client_secret, refresh_token"
    reason = f"the token endpoint refuses the request (invalid_grant, HTTP 400); {look}"
    assert {(one["outcome"], one["code"], one["reason"]) for one in told} == {
        ("undelivered", "unauthorized", reason)
    }


@each_scheme
def test_a_sandbox_inside_needs_no_secrets(tmp_path: Path, auth: dict[str, Any]) -> None:
    define_people(tmp_path, whole(auth), {"region": REGION})
    status, text = command(
        tmp_path, "send", "--sandbox", connect(tmp_path), events(tmp_path, 2), "--no-progress"
    )
    assert status == 0, text
    assert "/people  2 people, 2 identifiers" in text


@pytest.mark.parametrize("name", ["a key in the query", "a key in the body", "refresh token"])
def test_a_preview_shows_requests_without_credentials(tmp_path: Path, name: str) -> None:
    auth = SCHEMES[name]
    define_people(tmp_path, whole(auth), {"region": REGION})
    line, _ = given(auth, tmp_path)
    status, text = command(tmp_path, "preview", connect(tmp_path, line), events(tmp_path, 2))
    assert status == 0, text
    assert "POST https://api.example.com/people\n" in text
    assert not [
        word for word in ("authorization", "api_key", "X-Signature", "token") if word in text
    ]


def test_a_sandbox_of_its_own_says_what_to_set(tmp_path: Path) -> None:
    auth = {**TOKENS, "grant": "refresh_token", "body_signature": SIGNED}
    define_people(tmp_path, whole(auth), {"region": {**REGION, "default": "us"}})
    called = [sys.executable, "-m", "connector", "sandbox", "tiny", "--definitions", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(called, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip() for _ in range(9)]
            told = dict(line.split(": ", 1) for line in lines[2:] if ": " in line)
            assert told["token_url"] == f"{told['base_url']}/us/token"
            for name in credentials_of(auth):
                (tmp_path / name).write_text(told[name])
            refs = ", ".join(
                f"{name}: {{file: {tmp_path / name}}}" for name in credentials_of(auth)
            )
            addresses = [f"base_url: {told['base_url']}", f"token_url: {told['token_url']}"]
            path = connect(tmp_path, f"credentials: {{{refs}}}", *addresses)
            status, text = command(
                tmp_path, "send", path, events(tmp_path), "--no-progress", "--format", "json"
            )
            assert (status, json.loads(text)["delivered"]) == (0, 1)
            (tmp_path / "refresh_token").write_text("correct-horse")
            status, text = command(tmp_path, "send", path, events(tmp_path), "--no-progress")
            assert status == 1
            assert "unauthorized" in text
            # without the address of its token endpoint nothing is sent anywhere
            path = connect(tmp_path, f"credentials: {{{refs}}}", addresses[0])
            status, text = command(tmp_path, "send", path, events(tmp_path), "--no-progress")
            assert (status, text.split(":")[0]) == (2, f"C217 {path}#/token_url")
            assert (
                command(tmp_path, "send", "--sandbox", path, events(tmp_path), "--no-progress")[0]
                == 0
            )
            assert command(tmp_path, "preview", path, events(tmp_path))[0] == 0
        finally:
            process.terminate()


def test_a_sandbox_for_a_connection_takes_its_settings(tmp_path: Path) -> None:
    define_people(tmp_path, whole({"scheme": "bearer"}))
    status, text = command(
        tmp_path, "sandbox", "x_custom_audiences", "--connection", connect(tmp_path)
    )
    assert status == 2
    said = "is 'tiny', and the sandbox is to stand in for 'x_custom_audiences'; use a connection to that destination, or change the argument"
    assert text.strip().endswith(said)


# --- a choice by a setting ---

CHOICE = {
    "setting": "authentication",
    "schemes": {
        "token": whole({"scheme": "bearer"}),
        "refresh": whole({"scheme": "oauth2", "grant": "refresh_token", "token_url": "{login}"}),
        "nothing": {"scheme": "none", "source": SOURCE},
    },
}
CHOOSER = {
    "authentication": {
        "title": "Authentication", "description": "How.", "type": "string", "enum": ["token", "refresh", "nothing"], "default": "token",
    },
    "login": {"title": "Login", "description": "Where.", "type": "string", "examples": ["https://login.example.com/a"]},
}  # fmt: skip


@pytest.fixture
def chosen(tmp_path: Path) -> Path:
    catalog = define_people(tmp_path, CHOICE, CHOOSER)
    path = tmp_path / "schemas" / "tiny" / "destination.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"required": []}))
    assert lint([tmp_path / "schemas"], catalog) == []
    return tmp_path


def test_a_setting_chooses(chosen: Path) -> None:
    lines = {
        "token": ["settings: {authentication: token}"],
        "refresh": ["settings: {authentication: refresh, login: https://login.example.com/a/b}"],
        "nothing": ["settings: {authentication: nothing}"],
    }
    for name, settings in lines.items():
        line, secrets = given(CHOICE["schemes"][name], chosen)
        connection = load_connection(connect(chosen, line, *settings), Catalog([chosen]))
        assert connection.secrets() == secrets
        assert connection.auth().scheme == CHOICE["schemes"][name]["scheme"]
        assert deliver(chosen, line, *settings).counts.delivered == 3
        assert (
            command(
                chosen,
                "send",
                "--sandbox",
                connect(chosen, *settings),
                events(chosen),
                "--no-progress",
            )[0]
            == 0
        )
    assert (
        load_connection(connect(chosen), Catalog([chosen])).auth().scheme == "bearer"
    )  # the default


def test_the_whole_address_may_be_a_setting(chosen: Path) -> None:
    line = "settings: {authentication: refresh, login: https://login.example.com/a/b}"
    connection = load_connection(connect(chosen, line), Catalog([chosen]))
    assert connection.auth().token_url == "https://login.example.com/a/b"
    for wrong in (
        "http://login.example.com/a",
        "https://u:p@login.example.com",
        "login",
        "https://h/?a=1",
    ):
        with pytest.raises(ConfigError, match=r"C205 .*#/settings/login"):
            load_connection(
                connect(chosen, line.replace("https://login.example.com/a/b", f'"{wrong}"')),
                Catalog([chosen]),
            )


def test_a_part_of_the_address_is_encoded(tmp_path: Path) -> None:
    tenant = {"title": "Tenant", "description": "Which.", "type": "string", "default": "a/../b?c"}
    url = "https://login.example.com/{tenant}/token"
    define_people(
        tmp_path,
        whole({"scheme": "oauth2", "grant": "client_credentials", "token_url": url}),
        {"tenant": tenant},
    )
    connection = load_connection(connect(tmp_path), Catalog([tmp_path]))
    assert connection.auth().token_url == "https://login.example.com/a%2F..%2Fb%3Fc/token"


def test_secrets_stay_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    define_people(tmp_path, whole({**TOKENS, "grant": "client_credentials"}), {"region": REGION})
    catalog = Catalog([tmp_path])
    for host in ("127.0.0.1:8080", "localhost", "[::1]:80", "127.1.2.3"):
        with pytest.raises(ConfigError, match="C217"):
            load_connection(connect(tmp_path, f"base_url: 'http://{host}/v1'"), catalog).auth()
    local = load_connection(
        connect(tmp_path, "base_url: http://127.0.0.1:1"),
        catalog,
        ["token_url=http://127.0.0.1:1/t"],
    )
    assert local.auth().token_url == "http://127.0.0.1:1/t"
    monkeypatch.setenv("CONNECTOR_ALLOW_HOSTS", "proxy.example.com")
    proxied = load_connection(connect(tmp_path, "base_url: https://proxy.example.com"), catalog)
    assert proxied.auth().token_url == "https://login.example.com/eu/token"


def test_optional_credentials_may_be_missing(tmp_path: Path) -> None:
    auth = {
        **whole({"scheme": "basic", "body_signature": SIGNED}),
        "optional": ["password", "signing_secret"],
    }
    define_people(tmp_path, auth)
    (tmp_path / "username").write_text("key")
    line = f"credentials: {{username: {{file: {tmp_path / 'username'}}}}}"
    assert load_connection(connect(tmp_path, line), Catalog([tmp_path])).secrets() == {
        "username": "key"
    }
    assert deliver(tmp_path, line).counts.delivered == 3
    more = line.replace("{username", "{password: {env: NOWHERE}, username")
    with pytest.raises(ConfigError, match=r"C216 .*#/credentials/password.* variable is not set"):
        load_connection(connect(tmp_path, more), Catalog([tmp_path])).secrets()


# --- room for a key in the body ---


def test_a_body_with_its_key_is_under_the_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap, auth = 5000, whole({"scheme": "api_key", "in": "body", "name": "api_key"})
    define_people(tmp_path, auth, limits={"caps": {"bytes": cap}, "source": SOURCE})
    key = "k" * (KEY_ROOM - len(json.dumps(["api_key", ""])))
    (tmp_path / "api_key").write_text(key)
    line = f"credentials: {{api_key: {{file: {tmp_path / 'api_key'}}}}}"
    sizes = []
    answer = Vendor.answer

    def measured(self: Vendor, method: str, url: str, headers: Any, body: bytes) -> Any:
        sizes.append(len(body))
        said = answer(self, method, url, headers, body)
        assert isinstance(said, Answer)
        assert said.status == 200, said.body
        return said

    monkeypatch.setattr(Vendor, "answer", measured)
    assert deliver(tmp_path, line, count=500).counts.delivered == 500
    item = len(json.dumps({"email": ["0" * 64]}, separators=(",", ":"))) + 1
    assert cap - item - 10 < max(sizes) <= cap
    (tmp_path / "api_key").write_text(key + "k")
    with pytest.raises(ConfigError, match="too long for a body"):
        deliver(tmp_path, line)
