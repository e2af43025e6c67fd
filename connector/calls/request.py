"""The requests of a call: the first one, and those for further pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from connector.connection.model import Connection
from connector.definitions.model import Call
from connector.definitions.uri_template import expand, placeholders
from connector.model import Request
from connector.pipeline.addresses import filled_headers, more_headers, path_of, query_of
from connector.templating.data import text as as_text
from connector.templating.template import read_template

#: The names that the template of a body sees.
BODY_NAMES = ("params", "settings")

_PORTS = {"https": 443, "http": 80}


class ForeignLinkError(ValueError):
    """A link leads to another host than that of the connection."""


class Requests:
    """Builds the requests of one call for one connection and these parameters."""

    def __init__(self, call: Call, connection: Connection, params: Mapping[str, Any]) -> None:
        """Raise RenderError or OSError for a definition that lint refuses."""
        self._call = call
        self._base_url = connection.base_url.rstrip("/")
        self._values = {**params, **connection.settings}
        headers = {"accept": "application/json", **call.headers}
        self._body = b""
        if call.body:
            headers = {"content-type": "application/json", **headers}
            self._body = self._rendered(connection, params)
        more = more_headers(call.more_headers, connection.settings)
        self._headers = filled_headers(headers, self._values, more)

    def page(self, members: Mapping[str, str]) -> Request:
        """Return the request for a page: `members` of the query go before those of the call.

        Raise ExpressionError when a parameter would lead to another path.
        """
        url = self._base_url + path_of(self._call.path, self._values)
        query = query_of({**self._query(), **members}.items())
        return self._request(f"{url}?{query}" if query else url)

    def linked(self, url: str) -> Request:
        """Return the request for the page that a link leads to.

        Raise ForeignLinkError when it leads to another host, or is no URL.
        """
        try:
            same = _host(urlsplit(url)) == _host(urlsplit(self._base_url))
        except ValueError:
            same = False
        if not same:
            raise ForeignLinkError
        return self._request(url)

    def _request(self, url: str) -> Request:
        call = self._call
        return Request(call.method, url, self._headers, self._body, repeatable=call.reads)

    def _query(self) -> dict[str, str]:
        """Return the members of the query whose parameters are all there."""
        query = {}
        for name, template in self._call.query.items():
            if all(part in self._values for part in placeholders(template)):
                query[name] = expand(template, self._texts(template), encode=False)
        return query

    def _texts(self, template: str) -> dict[str, str]:
        texts = {}
        for name in placeholders(template):
            value = self._values[name]
            elements = value if isinstance(value, list) else [value]
            texts[name] = ",".join(map(as_text, elements))
        return texts

    def _rendered(self, connection: Connection, params: Mapping[str, Any]) -> bytes:
        """Return the body; a parameter that is absent is none in the template."""
        templates = connection.destination.templates
        template = read_template(templates, self._call.body, "", BODY_NAMES)
        visible = dict.fromkeys(self._call.parameters) | dict(params)
        return template.render({"params": visible, "settings": connection.settings})


def _host(url: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    """Return what leads to a host: scheme, host, port, and the user that nobody may slip in.

    Raise ValueError for an invalid port.
    """
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme), url.username
