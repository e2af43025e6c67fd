"""Schemes whose credential travels as it is: bearer token, user name and password, API key."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

import orjson

from connector.auth.base import Ask, Message, Scheme, same
from connector.definitions.model import AuthConfig
from connector.errors import UnauthorizedError


class Bearer(Scheme):
    """A token in the Authorization header (RFC 6750)."""

    CREDENTIALS: ClassVar[tuple[str, ...]] = ("access_token",)
    MAY_LACK: ClassVar[tuple[str, ...]] = CREDENTIALS

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        token = secrets.get("access_token")
        self._header = None if token is None else f"Bearer {token}"

    def sign(self, message: Message, ask: Ask) -> Message:
        """Add the header."""
        return (
            message if self._header is None else message.with_header("authorization", self._header)
        )

    def verify(self, message: Message) -> str | None:
        """Compare the header."""
        if self._header is None or same(message.headers.get("authorization", ""), self._header):
            return None
        return "the bearer token is missing or wrong"


class Basic(Scheme):
    """User name and password in the Authorization header (RFC 7617), as UTF-8; the password may be empty."""

    CREDENTIALS: ClassVar[tuple[str, ...]] = ("username", "password")
    MAY_LACK: ClassVar[tuple[str, ...]] = ("password",)

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._header = basic(secrets["username"], secrets.get("password", ""))

    def sign(self, message: Message, ask: Ask) -> Message:
        """Add the header."""
        return message.with_header("authorization", self._header)

    def verify(self, message: Message) -> str | None:
        """Compare the header."""
        if same(message.headers.get("authorization", ""), self._header):
            return None
        return "the user name or the password is missing or wrong"


def basic(username: str, password: str) -> str:
    """Return the value of the Authorization header."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


class ApiKey(Scheme):
    """A key in a header, in the query or, as its first member, in the JSON object of the body."""

    CREDENTIALS: ClassVar[tuple[str, ...]] = ("api_key",)
    MAY_LACK: ClassVar[tuple[str, ...]] = CREDENTIALS

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._place = config.key_in
        self._name = config.key_name
        key = secrets.get("api_key")
        self._key = None if key is None else config.key_prefix + key

    def sign(self, message: Message, ask: Ask) -> Message:
        """Add the key where it has to stand."""
        if self._key is None:
            return message
        if self._place == "header":
            return message.with_header(self._name, self._key)
        if self._place == "query":
            joint = "&" if urlsplit(message.url).query else "?"
            return message._replace(
                url=f"{message.url}{joint}{quote(self._name)}={quote(self._key, safe='')}"
            )
        return message._replace(body=_with_member(message.body, self._name, self._key))

    def verify(self, message: Message) -> str | None:
        """Compare the key."""
        if self._key is None or same(self._given(message), self._key):
            return None
        return f"the key '{self._name}' in the {self._place} is missing or wrong"

    def _given(self, message: Message) -> str:
        if self._place == "header":
            return message.headers.get(self._name.lower(), "")
        if self._place == "query":
            return dict(parse_qsl(urlsplit(message.url).query)).get(self._name, "")
        try:
            body = orjson.loads(message.body)
        except orjson.JSONDecodeError:
            return ""
        found = body.get(self._name) if isinstance(body, dict) else ""
        return found if isinstance(found, str) else ""

    def opened(self, body: Any) -> Any:
        """Return the body without the key."""
        if self._place != "body" or self._key is None or not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if name != self._name}


def _with_member(body: bytes, name: str, text: str) -> bytes:
    """Return a JSON object with one more member at its front; all other bytes stay as they are."""
    inner = body.lstrip()
    if not inner.startswith(b"{"):
        raise UnauthorizedError("the key has to stand in the body, and the body is no JSON object")
    inner = inner[1:].lstrip()
    member = f"{json.dumps(name)}:{json.dumps(text)}".encode()
    return b"{" + member + (b"" if inner.startswith(b"}") else b",") + inner
