"""Sending: one attempt of one request over HTTP. TLS is always verified, redirects are never followed."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from .values import Request, Response

#: Sends a request once. Raises SendError when there is no answer.
Send = Callable[[Request], Response]

# Seconds: to connect, for the answer, and to hand over each piece of the body.
_TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=60.0)
_MAX_ANSWER = 8_000_000


class SendError(Exception):
    """There is no answer: the text says why and names no URL."""


class HttpSender:
    """Sends over one pool of connections; a context manager."""

    def __init__(self, auth: httpx.Auth, connections: int, timeout: float | None = None) -> None:
        """`connections`: at most so many at a time; `timeout`: seconds to wait for an answer."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        wait = httpx.Timeout(_TIMEOUT.connect, read=timeout, write=timeout, pool=None) if timeout else _TIMEOUT
        # trust_env: a proxy or a .netrc of the environment must not see, or replace, credentials
        self._client = httpx.Client(auth=auth, limits=limits, timeout=wait, follow_redirects=False, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def __call__(self, request: Request) -> Response:
        """Send once. Raises SendError."""
        try:
            with self._client.stream(
                request.method, request.url, headers=dict(request.headers), content=request.body
            ) as answer:
                response = Response(answer.status_code, dict(answer.headers), _json(_read(answer)))
        except httpx.TransportError as error:
            raise SendError(_why(error)) from None
        except httpx.InvalidURL:
            raise SendError("the URL is not valid") from None
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


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _why(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "connecting took too long"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError) and "SSL" in str(error):
        return "cannot connect: TLS with the host fails; its certificate may not hold"
    if isinstance(error, httpx.ConnectError):
        return "cannot connect: the host is not reachable or refuses"
    return f"the connection broke before the whole answer came ({type(error).__name__})"
