"""Sending: one attempt of one request over HTTP; TLS is always verified, redirects are never followed."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx

from connector.auth.base import Message, Scheme
from connector.errors import SendError
from connector.model import Request, Response

# Seconds: to connect, for the answer, and to hand over each piece of the body.
_TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=60.0)
_MAX_ANSWER = 8_000_000

# httpx tells its log of whole URLs, and a key may stand in the query: of what is sent here it tells nothing
_SENDING: ContextVar[bool] = ContextVar("_SENDING", default=False)
logging.getLogger("httpx").addFilter(lambda record: not _SENDING.get())


class HttpSender:
    """Sends over one pool of connections; a context manager."""

    def __init__(self, auth: Scheme, connections: int, timeout: float | None = None) -> None:
        """`connections`: at most so many at a time; `timeout`: seconds to wait for an answer."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        wait = (
            httpx.Timeout(_TIMEOUT.connect, read=timeout, write=timeout, pool=None)
            if timeout
            else _TIMEOUT
        )
        # trust_env: a proxy or a .netrc of the environment must not see, or replace, credentials
        self._client = httpx.Client(
            limits=limits, timeout=wait, follow_redirects=False, trust_env=False
        )
        self._auth = auth

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def __call__(self, request: Request) -> Response:
        """Send once; a second time when new credentials may help. Raises SendError and UnauthorizedError."""
        headers = {name.lower(): text for name, text in request.headers.items()}
        try:
            # signed is what is sent: the URL as httpx spells it
            message = Message(request.method, str(httpx.URL(request.url)), headers, request.body)
        except httpx.InvalidURL:
            raise SendError("the URL is not valid") from None
        signed = self._auth.sign(message, self._ask)
        response = self._ask(signed)
        if response.status == HTTPStatus.UNAUTHORIZED and self._auth.renew(signed):
            response = self._ask(self._auth.sign(message, self._ask))
        return response

    def _ask(self, message: Message) -> Response:
        # as bytes: httpx takes nothing but ASCII in the text of a header
        headers = [(name.encode(), text.encode()) for name, text in message.headers.items()]
        quiet = _SENDING.set(True)
        try:
            with self._client.stream(
                message.method, message.url, headers=headers, content=message.body
            ) as answer:
                response = Response.parsed(answer.status_code, dict(answer.headers), _read(answer))
        except httpx.RequestError as error:
            raise SendError(_why(error)) from None
        except httpx.InvalidURL:
            raise SendError("the URL is not valid") from None
        finally:
            _SENDING.reset(quiet)
        # an answer and its stream hold each other, and so the request's body: let go of it now
        answer.stream = httpx.ByteStream(b"")
        return response


def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise SendError(f"the answer is longer than {_MAX_ANSWER} bytes")
    return bytes(body)


def _why(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "connecting took too long"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError) and "SSL" in str(error):
        return "cannot connect: TLS with the host fails; its certificate may not hold"
    if isinstance(error, httpx.ConnectError):
        return "cannot connect: the host is not reachable or refuses"
    if isinstance(error, httpx.DecodingError):
        return "the answer cannot be decoded"
    return f"the connection broke before the whole answer came ({type(error).__name__})"
