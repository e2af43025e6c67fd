"""Authentication schemes, made of what a definition's `auth` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.auth import schemes
from connector.definitions.model import AuthConfig
from connector.definitions.read import read_auth

Written = AuthConfig | Mapping[str, Any]


def auth_config(written: Written) -> AuthConfig:
    """Return the typed value of one scheme."""
    return written if isinstance(written, AuthConfig) else read_auth(written).schemes[""]


def auth(written: Written, secrets: Mapping[str, str]) -> schemes.Auth:
    """Return the authentication with these secrets."""
    return schemes.Auth(auth_config(written), secrets)


def credentials_of(written: Written) -> list[str]:
    """Return the names of the credentials that the scheme uses."""
    return schemes.credentials_of(auth_config(written))


def may_lack(written: Written) -> list[str]:
    """Return the credentials that a connection may leave out."""
    return schemes.may_lack(auth_config(written))
