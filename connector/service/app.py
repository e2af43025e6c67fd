"""The HTTP application: what the service answers to whom."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.delivery.outbox.model import OutboxError, Status
from connector.errors import nearest
from connector.service.body import MAX_BODY_BYTES, TOO_LARGE, check_headers
from connector.service.intake import Result
from connector.service.openapi import DOCUMENT
from connector.service.posts import Incoming
from connector.service.problems import Problem, ProblemError, later
from connector.service.status import status_json
from connector.service.tokens import Token
from connector.service.traces import OFF, Post, Traces

JSON = "application/json"
OPEN_PATHS = ("/healthz", "/readyz")
PATHS = ("/v1/events", "/v1/flush", "/v1/status", "/metrics", "/openapi.json", *OPEN_PATHS)

# Seconds for all of a body to come.
_BODY_SECONDS = 60.0
# How many bytes of bodies are held at a time, over all posts that are not answered yet.
_HELD_BYTES = 256 * 1024 * 1024
_MAX_KEY = 255
# How much of a body that is too long is read, as a multiple of what is allowed.
_READ_IN_VAIN = 4

_UNAUTHORIZED = Problem(
    401,
    "unauthorized",
    "send the token of the service: Authorization: Bearer TOKEN",
    {"WWW-Authenticate": "Bearer"},
)
_FOREIGN = Problem(
    403,
    "foreign_host",
    "without --token only programs on this machine are answered, under the name of this machine",
)
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


class Backend(Protocol):
    """What the application asks."""

    def post(self, incoming: Incoming, done: Callable[[Result], None]) -> None:
        """Take a post; `done` is called in the loop's thread. Called there, too."""
        ...

    def flush(self, connections: Sequence[str]) -> None:
        """Send what is accepted so far. Raise OutboxError."""
        ...

    def status(self) -> Status:
        """Return what the outbox holds. Raise OutboxError."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """Return the metrics and their media type."""
        ...

    def unready(self) -> str:
        """Return why no post is taken, "" when posts are."""
        ...

    def answered(self, path: str, status: int) -> None:
        """Note an answer."""
        ...


@dataclass
class Api:
    """The handlers, and what they know."""

    backend: Backend
    connections: Sequence[str]
    token: Token | None
    traces: Traces = OFF
    held: int = 0
    #: Idempotency keys of posts that are not answered yet.
    running: set[str] = field(default_factory=set)

    def app(self) -> ASGIApp:
        """Return the application."""
        routes = [
            Route("/v1/events", self.events, methods=["POST"]),
            Route("/v1/flush", self.flush, methods=["POST"]),
            Route("/v1/status", self.status, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/healthz", self.healthy, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]
        app = Starlette(routes=routes)
        # There is one name for each path, and no answer that repeats the name of the host.
        app.router.redirect_slashes = False
        app.add_exception_handler(HTTPException, _http_problem)
        app.add_exception_handler(ProblemError, _problem)
        app.add_exception_handler(OutboxError, _no_store)
        app.add_exception_handler(Exception, _internal)
        return Guard(app, self)

    async def events(self, request: Request) -> Response:
        """Take events."""
        with self.traces.post(request.headers) as post:
            return await self._events(request, post)

    async def _events(self, request: Request, post: Post) -> Response:
        names = self._names(request)
        key = self._key(request, names)
        content_type = request.headers.get("content-type", "")
        encoding = request.headers.get("content-encoding", "")
        check_headers(content_type, encoding)
        if key in self.running:
            detail = "a post with this Idempotency-Key is being handled; post it again later"
            raise ProblemError(later(409, "running", detail, 1))

        if key:
            self.running.add(key)
        body = Body(self, request)
        try:
            incoming = Incoming(await body.read(), content_type, encoding, names, key)
            result = await self._taken(incoming)
        finally:
            body.release()
            self.running.discard(key)
        if isinstance(result, Problem):
            raise ProblemError(result)
        post.taken(result.counts)
        return Response(result.answer, 202, media_type=JSON)

    async def _taken(self, incoming: Incoming) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(result: Result) -> None:
            if not future.done():
                future.set_result(result)

        self.backend.post(incoming, done)
        return await future

    async def flush(self, request: Request) -> Response:
        """Send what is accepted so far without waiting for more."""
        names = self._names(request)
        await run_in_threadpool(self.backend.flush, names)
        return _json({"flushed": list(names)})

    async def status(self, request: Request) -> Response:
        """Say what is pending, dead and stopped."""
        _check_no_query(request)
        status = await run_in_threadpool(self.backend.status)
        return _json(status_json(status))

    async def metrics(self, request: Request) -> Response:
        """Say the same to Prometheus."""
        content, media_type = await run_in_threadpool(self.backend.metrics)
        return Response(content, media_type=media_type)

    async def openapi(self, request: Request) -> Response:
        """Describe all this."""
        return _json(DOCUMENT)

    async def healthy(self, request: Request) -> Response:
        """Say that the process lives."""
        return _json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Say whether posts are taken."""
        reason = self.backend.unready()
        if reason:
            raise ProblemError(later(503, "not_ready", reason, 1))
        return _json({"status": "ready"})

    def _names(self, request: Request) -> Sequence[str]:
        """Return the connections that a request is for."""
        if not request.scope["query_string"]:
            return self.connections
        given = request.query_params.multi_items()
        for name, _ in given:
            if name != "connection":
                detail = "the only parameter of the query is connection=NAME, which may be repeated"
                raise ProblemError(Problem(400, "unknown_parameter", detail))
        names = list(dict.fromkeys(text for _, text in given)) or self.connections
        for name in names:
            if name not in self.connections:
                detail = f"there is no connection of this name; {nearest('', self.connections)}"
                raise ProblemError(Problem(404, "unknown_connection", detail))
        return names

    def _key(self, request: Request, names: Sequence[str]) -> str:
        """Return the digest of a post's idempotency key, of its caller and connections."""
        keys = request.headers.getlist("idempotency-key")
        if not keys:
            return ""
        if len(keys) > 1 or not 0 < len(keys[0]) <= _MAX_KEY or not keys[0].isprintable():
            detail = f"Idempotency-Key has to be one text of 1 to {_MAX_KEY} characters"
            raise ProblemError(Problem(400, "invalid_key", detail))
        caller = "" if self.token is None else self.token.digest
        text = "\0".join([caller, *sorted(names), keys[0]])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


class Body:
    """Reads a body within bounds of size, time and memory; `release` it once it is handled."""

    def __init__(self, api: Api, request: Request) -> None:
        self._api = api
        self._request = request
        self._size = 0
        self._held = 0
        self._is_busy = False

    async def read(self) -> bytes:
        """Return it. Raise ProblemError."""
        chunks = []
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in self._request.stream():
                    if self._has_room_for(len(chunk)):
                        chunks.append(chunk)
                    else:
                        chunks.clear()
        except TimeoutError:
            detail = f"the body did not come within {_BODY_SECONDS:.0f} seconds; post less at once"
            raise ProblemError(Problem(408, "too_slow", detail, {"Connection": "close"})) from None
        except ClientDisconnect:
            raise ProblemError(Problem(400, "gone", "the body is not complete")) from None
        if self._size > MAX_BODY_BYTES:
            raise ProblemError(TOO_LARGE)
        if self._is_busy:
            detail = "too many posts are being handled; post again later"
            raise ProblemError(later(503, "busy", detail, 1))
        return b"".join(chunks)

    def release(self) -> None:
        """Let others have the room."""
        self._api.held -= self._held
        self._held = 0

    def _has_room_for(self, size: int) -> bool:
        """Hold so many bytes more; return whether they are kept. Raise ProblemError.

        Few clients look for an answer before they have sent everything: what is refused is read.
        """
        self._size += size
        if self._size > _READ_IN_VAIN * MAX_BODY_BYTES:
            raise ProblemError(TOO_LARGE)
        self._is_busy = self._is_busy or self._api.held + size > _HELD_BYTES
        if self._is_busy or self._size > MAX_BODY_BYTES:
            self.release()
            return False
        self._held += size
        self._api.held += size
        return True


class Guard:
    """Lets nobody in without the token, and gives every failure the same shape."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noted(message: Mapping[str, object]) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                assert isinstance(status, int)
                self._api.backend.answered(scope["path"], status)
            await send(message)  # type: ignore[arg-type]

        problem = self._refusal(scope)
        if problem is None:
            # A defect was answered already, and would be printed with what it was about.
            with suppress(Exception):
                await self._app(scope, receive, noted)
        else:
            await problem.response()(scope, receive, noted)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Return why a request is not looked at any further."""
        if scope["path"] in OPEN_PATHS:
            return None
        headers = scope["headers"]
        token = self._api.token
        if token is not None:
            given = [text for name, text in headers if name == b"authorization"]
            is_known = len(given) == 1 and token.is_in(given[0].decode("latin-1"))
            return None if is_known else _UNAUTHORIZED

        # A page in a browser of this machine may send requests here, and names may lead here.
        hosts = [text.decode("latin-1") for name, text in headers if name == b"host"]
        is_page = any(name == b"origin" for name, _ in headers)
        is_local = len(hosts) == 1 and _name_of(hosts[0]) in _LOCAL_HOSTS
        return None if is_local and not is_page else _FOREIGN


def _name_of(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.problem.response()


async def _no_store(request: Request, error: Exception) -> Response:
    detail = "the store cannot be used; see the log of the service"
    return later(503, "no_store", detail, 5).response()


async def _internal(request: Request, error: Exception) -> Response:
    return Problem(500, "internal", f"internal error: {type(error).__name__}").response()


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: ("not_found", "there is nothing at this path; see /openapi.json"),
        405: ("method_not_allowed", "this path has another method; see /openapi.json"),
    }
    code, detail = words.get(error.status_code, ("refused", str(error.detail)))
    return Problem(error.status_code, code, detail, dict(error.headers or {})).response()


def _check_no_query(request: Request) -> None:
    if request.query_params:
        raise ProblemError(Problem(400, "unknown_parameter", "this path takes no parameters"))


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type=JSON)
