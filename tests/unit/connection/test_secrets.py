"""Secrets: what stands in a reference's place is never shown, whatever it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.connection.load import load_connection
from connector.connection.secrets import ROTATE_HINT, SecretRef, find_secrets
from connector.connection.store import FOLDER_VARIABLE
from connector.definitions.catalog import Catalog
from connector.definitions.model import AuthConfig
from connector.errors import ConfigError

SECRETS = [
    "sk_live_51Hx",
    "sk.live.51hx",
    "wJalrXUtnFEMI/K7MDENG+bPx",
    "/wJalrXUtnFEMI/K7MDENG",
    "1//0gabcdef-ghijkl",
    "1//0gAbCdEf-ghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOi.eyJzdWIiOj.SflKxwRJSM",
    # longer than a file's name may be
    "eyJhbGciOi." + "eyJzdWIiOj" * 40 + ".SflKxwRJSM",
    "hunter2\x00",
]
CONNECTION = """
destination: x_custom_audiences
settings: {{account_id: 18ce54d4x5t}}
credentials:
  consumer_key: {consumer_key}
  consumer_secret: {{env: A}}
  access_token: {{env: A}}
  access_token_secret: {{env: A}}
routes:
  - {{action: add_user, map: {{custom_audience_id: {{value: 1nmth}}, email: {{from: email}}}}}}
"""


@pytest.mark.parametrize("kind", ["env", "file"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_instead_of_its_place_is_not_shown(kind: str, secret: str) -> None:
    auth = AuthConfig("bearer", ("access_token",))
    reference = SecretRef(kind, secret)
    with pytest.raises(ConfigError) as caught:
        find_secrets(auth, {"access_token": reference}, "c")

    (problem,) = caught.value.problems
    assert (problem.code, problem.pointer) == ("C216", "/credentials/access_token")
    assert secret not in str(caught.value)
    assert secret not in repr(reference)


@pytest.mark.parametrize(
    ("kind", "location", "is_unusual"),
    [
        ("env", "X_TOKEN_2", False),
        ("env", "sk_live_51Hx", True),
        ("file", "secrets/token.txt", False),
        ("file", "/run/secrets/token", False),
        ("file", "wJalrXUtnFEMI/K7MDENG+bPx", True),
        ("stored", "loyalty-eu", False),
        ("stored", "sk_live_51Hx", True),
    ],
)
def test_a_name_that_may_be_a_secret_is_to_be_rotated(
    kind: str,
    location: str,
    is_unusual: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    auth = AuthConfig("bearer", ("access_token",))
    with pytest.raises(ConfigError) as caught:
        find_secrets(auth, {"access_token": SecretRef(kind, location)}, "c")
    said = str(caught.value)
    assert said.endswith(f"; {ROTATE_HINT}") is is_unusual
    assert location not in said


@pytest.mark.parametrize(("path", "is_relative"), [("no/such", True), ("/no/such", False)])
def test_where_a_relative_path_starts_is_said(path: str, is_relative: bool) -> None:
    auth = AuthConfig("bearer", ("access_token",))
    with pytest.raises(ConfigError) as caught:
        find_secrets(auth, {"access_token": SecretRef("file", path)}, "c")
    assert (str(Path.cwd()) in str(caught.value)) is is_relative


WRITTEN = [
    ("hunter2", "C203", "/credentials/consumer_key"),
    ("{hunter2}", "C102", "/credentials/consumer_key"),
    ("{hunter2: {env: A}}", "C102", "/credentials/consumer_key"),
    ("{env: 'hunter2!'}", "C106", "/credentials/consumer_key/env"),
    ("{env: hunter2, hunter2: hunter2}", "C102", "/credentials/consumer_key"),
    ("[hunter2]", "C203", "/credentials/consumer_key"),
    ("{env: A}\n  Hunter2-: {env: A}", "C106", "/credentials"),
    ("!hunter2", "C101", ""),
    ("!!hunter2 x", "C101", ""),
    ("!hunter2! x", "C101", ""),
    ("*hunter2", "C101", ""),
]


@pytest.mark.parametrize(("written", "code", "pointer"), WRITTEN)
def test_a_secret_instead_of_a_reference_is_not_shown(
    tmp_path: Path, written: str, code: str, pointer: str
) -> None:
    path = tmp_path / "connection.yaml"
    path.write_text(CONNECTION.format(consumer_key=written), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_connection(path, Catalog(()))

    (problem,) = caught.value.problems
    assert (problem.code, problem.pointer) == (code, pointer)
    assert "hunter2" not in str(caught.value).lower()
