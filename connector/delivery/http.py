"""One attempt of one request over HTTP.

TLS is always verified, redirects are never followed, nothing is kept of an answer but itself (there
are no cookies), and an attempt has one deadline from connecting to the last byte of the answer.
"""

from __future__ import annotations

import logging
import os
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlencode

import certifi
import h11
import httpx

from connector import __version__
from connector.auth.base import Message, Scheme
from connector.auth.oauth2 import FORM
from connector.delivery.connections import (
    MAX_ANSWER_BYTES,
    Answer,
    Connections,
    Origin,
    check_size,
)
from connector.errors import ConfigError, Problem, SendError
from connector.model import Request, Response

#: For a whole attempt, its tokens included.
TIMEOUT_SECONDS = 60.0

_GZIP = zlib.MAX_WBITS | 16
_UNREADABLE = "the answer cannot be decoded"

_HEADERS = {
    "user-agent": f"audience-connector/{__version__}",
    # What is packed small may be huge: nothing is asked for that has to be unpacked.
    "accept-encoding": "identity",
}

_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535
_INVALID_URL = "invalid URL"

# The library that signs logs whole URLs, headers and signature base strings, which hold keys and
# identifiers. A filter works only on the logger that it is added to, so each one is named.
_LOGGERS = (
    "oauthlib",
    "oauthlib.oauth1.rfc5849",
    "oauthlib.oauth1.rfc5849.signature",
)
_SENDING: ContextVar[bool] = ContextVar("_SENDING", default=False)


def _is_not_sending(record: logging.LogRecord) -> bool:
    return not _SENDING.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_not_sending)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Drop the log lines of this thread's requests; keep those of the surrounding program."""
    token = _SENDING.set(True)
    try:
        yield
    finally:
        _SENDING.reset(token)


class Fetched(NamedTuple):
    """The status and the body of an answer; its `repr` does not show the body."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"Fetched({self.status})"


class HttpSender:
    """A transport over one pool of connections; a context manager."""

    def __init__(self, auth: Scheme, connections: int, timeout: float | None = None) -> None:
        """Open nothing yet.

        `connections`: the most that are open at a time; `timeout`: seconds for a whole attempt, by
        default 60. Raise ConfigError (C023) when the certificates that SSL_CERT_FILE or
        SSL_CERT_DIR names cannot be read.
        """
        self._auth = auth
        self._timeout = timeout or TIMEOUT_SECONDS
        # Proxies and .netrc of the environment, which might see or replace credentials, are not
        # looked for.
        self._connections = Connections(connections, tls_context())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connections.close()

    def cut(self) -> None:
        """End the requests in flight, from any thread, and each later one: they raise SendError."""
        self._connections.cut()

    def __call__(self, request: Request) -> Response:
        """Send once; a second time when new credentials may help.

        Raise SendError when there is no answer, UnauthorizedError when credentials are refused.
        """
        exchange = partial(self._exchange, deadline=time.monotonic() + self._timeout)
        with _quiet_logs():
            return self._auth.send_signed(_message(request), exchange)

    def fetch(self, method: str, url: str, form: Mapping[str, str] | None = None) -> Fetched:
        """Sign and send a request once, with a form for its body; return what comes back.

        Raise SendError.
        """
        headers = {}
        body = b""
        if form is not None:
            headers["content-type"] = FORM
            body = urlencode(form).encode()

        deadline = time.monotonic() + self._timeout
        with _quiet_logs():
            message = _message(Request(method, url, headers, body))
            signed = self._auth.sign(message, partial(self._exchange, deadline=deadline))
            answer = self._answer(signed, deadline)
        return Fetched(answer.status, _body(answer))

    def _exchange(self, message: Message, deadline: float) -> Response:
        """Send a signed message and read its answer."""
        answer = self._answer(message, deadline)
        return Response.parsed(answer.status, _fields(answer.headers), _body(answer))

    def _answer(self, message: Message, deadline: float) -> Answer:
        url = httpx.URL(message.url)
        port = url.port or _PORTS.get(url.scheme, 0)
        if url.scheme not in _PORTS or not url.raw_host or port > _MAX_PORT:
            raise SendError(_INVALID_URL)
        origin = Origin(url.scheme == "https", url.raw_host.decode("ascii"), port)

        headers = [(b"host", url.netloc)]
        for name, text in {**_HEADERS, **message.headers}.items():
            headers.append((name.encode(), text.encode()))
        headers.append((b"content-length", str(len(message.body)).encode()))
        try:
            head = h11.Request(method=message.method, target=url.raw_path, headers=headers)
        except h11.LocalProtocolError:
            raise SendError("the request cannot be sent: it is no valid HTTP") from None
        return self._connections.ask(
            origin, head, message.body, deadline, repeatable=message.repeatable
        )


def tls_context() -> ssl.SSLContext:
    """Return the context of every connection: certificates and host names are verified.

    It trusts the file SSL_CERT_FILE, else the folder SSL_CERT_DIR (a company's own authority, say),
    else the public authorities. Session keys are never logged. Raise ConfigError (C023).
    """
    # Not `ssl.create_default_context`: with SSLKEYLOGFILE it writes down the keys that decrypt
    # every request.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])

    file = os.environ.get("SSL_CERT_FILE")
    folder = os.environ.get("SSL_CERT_DIR")
    try:
        if file:
            context.load_verify_locations(cafile=file)
        elif folder:
            context.load_verify_locations(capath=folder)
        else:
            context.load_verify_locations(cafile=certifi.where())
    except OSError as error:
        # An SSLError speaks of OpenSSL's source files.
        reason = "it contains no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        variable = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
        message = f"cannot read certificates from {file or folder}: {reason}"
        fix = "name a readable file of CA certificates (PEM), or unset it"
        raise ConfigError([Problem("C023", variable, "", message, fix)]) from None
    return context


def _message(request: Request) -> Message:
    headers = {}
    for name, text in request.headers.items():
        headers[name.lower()] = text

    try:
        # What is signed has to be what is sent: the URL as httpx spells it.
        url = str(httpx.URL(request.url))
    except httpx.InvalidURL:
        raise SendError(_INVALID_URL) from None
    return Message(request.method, url, headers, request.body, request.repeatable)


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by their names in lower case; repeated ones are joined."""
    fields: dict[str, str] = {}
    for raw_name, raw_text in headers:
        name = raw_name.decode("latin-1").lower()
        text = raw_text.decode("latin-1")
        fields[name] = f"{fields[name]}, {text}" if name in fields else text
    return fields


def _body(answer: Answer) -> bytes:
    """Return a body as it was before it was packed, once and as asked for by nobody."""
    encoding = _fields(answer.headers).get("content-encoding", "").lower()
    body = answer.body
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise SendError(_UNREADABLE)

    reader = zlib.decompressobj(_GZIP)
    try:
        unpacked = reader.decompress(body, MAX_ANSWER_BYTES + 1)
    except zlib.error:
        raise SendError(_UNREADABLE) from None
    check_size(unpacked)
    if not reader.eof or reader.unused_data:
        raise SendError(_UNREADABLE)
    return unpacked
