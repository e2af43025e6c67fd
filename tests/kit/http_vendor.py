"""Vendors on loopback that keep what they got."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from connector.auth.base import Message
from connector.model import Request, Response


@dataclass
class Reply:
    """An answer; `cut` closes the connection without one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    cut: bool = False


Answer = Callable[[Message], Reply]


def reply(status: int = 200, body: Any = None, **headers: str) -> Reply:
    """Return an answer with a JSON body, or with bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return Reply(status, content, {"content-type": "application/json", **headers})


def people(seen: Message) -> int:
    """Return how many people a request to X holds."""
    return sum(len(operation["params"]["users"]) for operation in json.loads(seen.body))


def success(seen: Message) -> Reply:
    """What X says when it took everybody."""
    counts = {"success_count": people(seen), "total_count": people(seen)}
    # Of a Do Not Reach list it counts each operation.
    data = [counts] if "/do_not_reach_lists/" in seen.url else counts
    return reply(200, {"data": data, "request": {}})


class Vendor:
    """Keeps what it got and answers with `answer`, over HTTPS when it is given a context; a context manager."""

    def __init__(self, answer: Answer = success, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.seen: list[Message] = []
        self.arrived = threading.Event()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): text for name, text in self.headers.items()}
                seen = Message(self.command, self.path, headers, body)
                vendor.seen.append(seen)
                vendor.arrived.set()
                reply = vendor.answer(seen)
                if reply.cut:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, text in {**reply.headers, "content-length": str(len(reply.body))}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the names are inherited

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                assert isinstance(sys.exception(), OSError)  # the client went away

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def request(self, path: str = "/people", body: bytes = b'{"people": []}') -> Request:
        return Request("POST", self.base_url + path, {"content-type": "application/json"}, body)


class TokenVendor(Vendor):
    """Answers with `api`, and with `token` at /token."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._answer, tls)
        self.token_url = f"{self.base_url}/token"
        self.api: Answer = lambda _: reply()
        self.token: Answer = lambda _: reply(200, {"access_token": "first", "expires_in": 3600})
        self.calls: list[Message] = []
        self.tokens: list[Message] = []

    def _answer(self, seen: Message) -> Reply:
        if seen.url == "/token":
            self.tokens.append(seen)
            return self.token(seen)
        self.calls.append(seen)
        return self.api(seen)


class SlowVendor:
    """Answers every request with `first`, then with `again` without end; a context manager.

    `pause`: seconds before each `again`. With `reads` false it does not even read the request.
    """

    def __init__(
        self, first: bytes = b"", again: bytes = b"", pause: float = 0.0, *, reads: bool = True
    ) -> None:
        self._first = first
        self._again = again
        self._pause = pause
        self._reads = reads
        self.arrived = threading.Event()
        self._closed = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._reads:
                connection.recv(65536)
            self.arrived.set()
            connection.sendall(self._first)
            while not self._closed.is_set():
                if self._again:
                    connection.sendall(self._again)
                time.sleep(self._pause)

    def request(self, body: bytes = b"{}", scheme: str = "http") -> Request:
        url = self.base_url.replace("http", scheme, 1)
        return Request("POST", url, {"content-type": "application/json"}, body)


class RawVendor:
    """Answers with bytes as they are; a context manager.

    `scripts`: for each connection that is made, the answers to its requests. One without a further
    answer is closed when a request comes, or at once if `hangs_up`.
    """

    def __init__(self, *scripts: list[bytes], hangs_up: bool = False) -> None:
        self._scripts = iter(scripts)
        self._hangs_up = hangs_up
        #: The number of requests on each connection.
        self.requests: list[int] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.requests.append(0)
                number, script = len(self.requests) - 1, next(self._scripts)
                threading.Thread(
                    target=self._serve, args=(connection, number, script), daemon=True
                ).start()

    def _serve(self, connection: socket.socket, number: int, script: list[bytes]) -> None:
        with contextlib.suppress(OSError), connection:
            for answer in script:
                if not connection.recv(65536):
                    return
                self.requests[number] += 1
                connection.sendall(answer)
            if not self._hangs_up and connection.recv(65536):
                self.requests[number] += 1

    def request(self, *, repeatable: bool = True) -> Request:
        return Request("POST", self.base_url, {}, b"{}", repeatable=repeatable)


def never(message: Message) -> Response:
    raise AssertionError("nothing has to be fetched")
