"""One attempt of one request over HTTP: TLS is always verified, redirects are never followed."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Self

import certifi
import httpx

from connector.auth.base import Message, Scheme
from connector.errors import ConfigError, Problem, SendError
from connector.model import Request, Response

# Seconds: to connect, for the answer, and to hand over each piece of the body.
_TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=60.0)
_MAX_ANSWER_BYTES = 8_000_000

# The libraries underneath log whole URLs, headers and signature base strings, which hold keys and
# identifiers. A filter works only on the logger that it is added to, so each one is named.
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
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


class HttpSender:
    """A transport over one pool of connections; a context manager."""

    def __init__(self, auth: Scheme, connections: int, timeout: float | None = None) -> None:
        """Open nothing yet.

        `connections`: the most that are open at a time; `timeout`: seconds to wait for an answer.
        Raise ConfigError (C023) when the certificates that SSL_CERT_FILE or SSL_CERT_DIR names
        cannot be read.
        """
        wait = _TIMEOUT
        if timeout:
            wait = httpx.Timeout(_TIMEOUT.connect, read=timeout, write=timeout, pool=None)
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)

        self._auth = auth
        self._client = httpx.Client(
            verify=tls_context(),
            limits=limits,
            timeout=wait,
            follow_redirects=False,
            # A proxy or a .netrc of the environment must not see, or replace, credentials.
            trust_env=False,
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
            self._client.close()

    def __call__(self, request: Request) -> Response:
        """Send once; a second time when new credentials may help.

        Raise SendError when there is no answer, UnauthorizedError when credentials are refused.
        """
        with _quiet_logs():
            return self._auth.send_signed(_message(request), self._exchange)

    def _exchange(self, message: Message) -> Response:
        """Send a signed message and read its answer."""
        # As bytes: httpx takes nothing but ASCII in the text of a header.
        headers = []
        for name, text in message.headers.items():
            headers.append((name.encode(), text.encode()))

        try:
            with self._client.stream(
                message.method, message.url, headers=headers, content=message.body
            ) as answer:
                body = _read(answer)
        except httpx.RequestError as error:
            raise SendError(_explain(error)) from None
        except httpx.InvalidURL:
            raise SendError("invalid URL") from None

        # An answer and its stream hold each other, and so the request's body: let go of it now.
        answer.stream = httpx.ByteStream(b"")
        return Response.parsed(answer.status_code, dict(answer.headers), body)


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


def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise SendError(f"the answer is longer than {_MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _explain(error: httpx.RequestError) -> str:
    """Return why there is no answer. The text of the error itself may hold the URL."""
    if isinstance(error, httpx.ConnectTimeout):
        return "timed out while connecting"
    if isinstance(error, httpx.TimeoutException):
        return "timed out waiting for an answer"
    if isinstance(error, httpx.ConnectError) and "SSL" in str(error):
        return (
            "cannot connect: the TLS handshake failed; "
            "check the host's certificate, or set SSL_CERT_FILE"
        )
    if isinstance(error, httpx.ConnectError):
        return "cannot connect: host unreachable or connection refused"
    if isinstance(error, httpx.DecodingError):
        return "the answer cannot be decoded"
    return f"the connection closed before the answer was complete ({type(error).__name__})"
