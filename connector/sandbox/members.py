"""Bodies that do not come as JSON: their members are fields of a form, or of the query."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from connector.auth.oauth2 import FORM

#: The field of a bearer token in a form or a query (RFC 6750, 2.2 and 2.3).
TOKEN = "access_token"  # noqa: S105 - a name


class Fields:
    """The fields of a request, from where a vendor takes them: `form` and `query`."""

    def __init__(self, url: str, media_type: str, body: bytes, places: Collection[str]) -> None:
        self.fields: dict[str, str] = {}
        #: Whether the fields are the body, so that there is no JSON.
        self.are_body = False
        if "query" in places:
            self.fields |= _parsed(urlsplit(url).query)
            self.are_body = not body
        if "form" in places and media_type == FORM:
            self.fields |= _parsed(body.decode("utf-8", "replace"))
            self.are_body = True
        self.token = self.fields.pop(TOKEN, None)

    def headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of a request, with the token where only a field has it."""
        if self.token is None or "authorization" in headers:
            return headers
        return {**headers, "authorization": f"Bearer {self.token}"}

    def body(self) -> dict[str, Any]:
        """Return the fields as the members of a body; an object or a list in them is JSON."""
        return {name: _value(text) for name, text in self.fields.items()}


def _parsed(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def _value(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
