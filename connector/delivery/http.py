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
import httpcore
import httpx

from connector import __version__
from connector.auth.base import Message, Scheme
from connector.auth.oauth2 import FORM
from connector.delivery.sockets import DeadlineBackend
from connector.errors import ConfigError, Problem, SendError, UnreachableError
from connector.model import Request, Response

#: For a whole attempt, its tokens included.
TIMEOUT_SECONDS = 60.0

_MAX_ANSWER_BYTES = 8_000_000
_GZIP = zlib.MAX_WBITS | 16
_UNREADABLE = "the answer cannot be decoded"

# A connection is closed when it was not used for so long, before the vendor closes it.
_IDLE_SECONDS = 5.0

_HEADERS = {
    "user-agent": f"audience-connector/{__version__}",
    # What is packed small may be huge: nothing is asked for that has to be unpacked.
    "accept-encoding": "identity",
}

_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)

# The libraries underneath log whole URLs, headers and signature base strings, which hold keys and
# identifiers. A filter works only on the logger that it is added to, so each one is named.
_LOGGERS = (
    "httpcore.connection",
    "httpcore.http11",
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
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls_context(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=DeadlineBackend(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _quiet_logs():
            self._pool.close()

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
            status, _, content = self._answer(signed, deadline)
        return Fetched(status, content)

    def _exchange(self, message: Message, deadline: float) -> Response:
        """Send a signed message and read its answer."""
        return Response.parsed(*self._answer(message, deadline))

    def _answer(self, message: Message, deadline: float) -> tuple[int, dict[str, str], bytes]:
        url = httpx.URL(message.url)
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        headers = [(b"host", url.netloc)]
        for name, text in {**_HEADERS, **message.headers}.items():
            headers.append((name.encode(), text.encode()))

        # The pool waits for so many seconds; the sockets read the others as moments.
        limits = dict.fromkeys(("connect", "write", "read"), deadline)
        limits["pool"] = max(0.0, deadline - time.monotonic())
        try:
            with self._pool.stream(
                message.method,
                target,
                headers=headers,
                content=message.body,
                extensions={"timeout": limits},
            ) as answer:
                body = _read(answer.iter_stream())
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise UnreachableError(_explain(error)) from None
        except _FAILURES as error:
            raise SendError(_explain(error)) from None

        fields = _fields(answer.headers)
        body = _unpacked(body, fields.get("content-encoding", ""))
        return answer.status, fields, body


def tls_context() -> ssl.SSLContext:
    """Return the context of every connection: certificates and host names are verified.

    It trusts the file SSL_CERT_FILE, else the folder SSL_CERT_DIR (a company's own authority, say),
    else the public authorities. Session keys are never logged. Raise ConfigError (C023).
    """
    # Not `ssl.create_default_context`: with SSLKEYLOGFILE it writes down the keys that decrypt
    # every request.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

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
        raise SendError("invalid URL") from None
    return Message(request.method, url, headers, request.body)


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by their names in lower case; repeated ones are joined."""
    fields: dict[str, str] = {}
    for raw_name, raw_text in headers:
        name = raw_name.decode("latin-1").lower()
        text = raw_text.decode("latin-1")
        fields[name] = f"{fields[name]}, {text}" if name in fields else text
    return fields


def _read(pieces: Iterable[bytes]) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        _check_size(body)
    return bytes(body)


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body as it was before it was packed, once and as asked for by nobody."""
    if encoding.lower() in ("", "identity") or not body:
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise SendError(_UNREADABLE)

    reader = zlib.decompressobj(_GZIP)
    try:
        unpacked = reader.decompress(body, _MAX_ANSWER_BYTES + 1)
    except zlib.error:
        raise SendError(_UNREADABLE) from None
    _check_size(unpacked)
    if not reader.eof or reader.unused_data:
        raise SendError(_UNREADABLE)
    return unpacked


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > _MAX_ANSWER_BYTES:
        raise SendError(f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")


def _explain(error: Exception) -> str:
    """Return why there is no answer. The text of the error itself may hold the URL."""
    if isinstance(error, httpcore.ConnectTimeout):
        return "timed out while connecting"
    if isinstance(error, httpcore.TimeoutException):
        return "timed out waiting for an answer"
    if isinstance(error, httpcore.ConnectError) and "SSL" in str(error):
        return (
            "cannot connect: the TLS handshake failed; "
            "check the host's certificate, or set SSL_CERT_FILE"
        )
    if isinstance(error, httpcore.ConnectError):
        return "cannot connect: host unreachable or connection refused"
    return f"the connection closed before the answer was complete ({type(error).__name__})"
