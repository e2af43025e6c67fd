"""What RFC 6749 lets a client leave out when it renews a token, tried at Microsoft's sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

import connector
from connector.definitions.catalog import Catalog
from tests.witness.kit import RefusedError, call

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def sandbox() -> connector.Sandbox:
    return connector.Sandbox(Catalog().load("microsoft_customer_lists"))


@pytest.fixture
def url(sandbox: connector.Sandbox) -> Iterator[str]:
    with sandbox.serve() as server:
        yield server.token_url


def _renew(url: str, **form: str) -> Any:
    return call("POST", url, urlencode(form).encode(), Content_Type=FORM)


def _form(sandbox: connector.Sandbox) -> dict[str, str]:
    names = ("client_id", "client_secret", "refresh_token")
    secrets = {name: sandbox.secrets[name] for name in names}
    return {"grant_type": "refresh_token", **secrets}


SCOPE = {"scope": "https://ads.microsoft.com/msads.manage offline_access"}


def test_a_token_is_renewed(url: str, sandbox: connector.Sandbox) -> None:
    assert _renew(url, **_form(sandbox), **SCOPE)["token_type"] == "Bearer"


def test_the_scope_is_optional(url: str, sandbox: connector.Sandbox) -> None:
    assert _renew(url, **_form(sandbox))["access_token"]


def test_another_scope_is_refused(url: str, sandbox: connector.Sandbox) -> None:
    with pytest.raises(RefusedError) as refused:
        _renew(url, **_form(sandbox), scope="everything")
    assert (refused.value.status, refused.value.body["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("client_secret", "invalid_client"),
        ("refresh_token", "invalid_grant"),
        ("grant_type", "unsupported_grant_type"),
    ],
)
def test_a_refusal_is_explained(
    url: str, sandbox: connector.Sandbox, name: str, error: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        _renew(url, **{**_form(sandbox), **SCOPE, name: "wrong"})
    assert refused.value.body["error"] == error
    assert refused.value.body["error_description"]
