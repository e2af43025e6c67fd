"""Schemes whose credential is sent as it is: bearer token, user name and password, API key."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote, urlsplit

from connector.auth.base import Exchange, Message, Scheme
from connector.definitions.model import AuthConfig
from connector.errors import UnauthorizedError


class Bearer(Scheme):
    """A token in the Authorization header (RFC 6750)."""

    DESCRIPTION: ClassVar[str] = "A bearer token in the Authorization header of every request."
    CREDENTIALS: ClassVar[Mapping[str, str]] = {"access_token": "the access token"}
    CAN_BE_OPTIONAL: ClassVar[frozenset[str]] = frozenset({"access_token"})
    SIGNED_IN: ClassVar[tuple[str, ...]] = ("access_token",)

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._token = secrets.get("access_token")

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Add the header."""
        if self._token is None:
            return message
        return message.with_header("authorization", f"Bearer {self._token}")


class Basic(Scheme):
    """User name and password in the Authorization header (RFC 7617), as UTF-8.

    The password may be empty.
    """

    DESCRIPTION: ClassVar[str] = (
        "A user name and a password (HTTP Basic) in the Authorization header of every request."
    )
    CREDENTIALS: ClassVar[Mapping[str, str]] = {
        "username": "the user name",
        "password": "the password",
    }
    CAN_BE_OPTIONAL: ClassVar[frozenset[str]] = frozenset({"password"})

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._header = basic_header(secrets["username"], secrets.get("password", ""))

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Add the header."""
        return message.with_header("authorization", self._header)


def basic_header(username: str, password: str) -> str:
    """Return the value of the Authorization header."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


class ApiKey(Scheme):
    """A key in a header, in the query or, as its first member, in the JSON object of the body."""

    DESCRIPTION: ClassVar[str] = "An API key in every request."
    CREDENTIALS: ClassVar[Mapping[str, str]] = {"api_key": "the key"}
    CAN_BE_OPTIONAL: ClassVar[frozenset[str]] = frozenset({"api_key"})

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._key_in = config.key_in
        self._name = config.key_name
        key = secrets.get("api_key")
        self._key = None if key is None else config.key_prefix + key

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Add the key to the header, the query or the body."""
        if self._key is None:
            return message
        if self._key_in == "header":
            return message.with_header(self._name, self._key)
        if self._key_in == "query":
            separator = "&" if urlsplit(message.url).query else "?"
            parameter = f"{quote(self._name)}={quote(self._key, safe='')}"
            return message._replace(url=message.url + separator + parameter)
        return message._replace(body=_with_member(message.body, self._name, self._key))


def _with_member(body: bytes, name: str, value: str) -> bytes:
    """Return a JSON object with one more member at its front; all other bytes are unchanged."""
    text = body.lstrip()
    if not text.startswith(b"{"):
        raise UnauthorizedError("the key cannot be added to the body: expected a JSON object")

    members = text[1:].lstrip()
    first = f"{json.dumps(name)}:{json.dumps(value)}".encode()
    comma = b"" if members.startswith(b"}") else b","
    return b"{" + first + comma + members
