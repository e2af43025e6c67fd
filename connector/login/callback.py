"""Where the browser comes back to after a sign-in: a port of this machine that takes one answer."""

from __future__ import annotations

import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from connector.errors import ConfigError, LoginError, Problem

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.05

# What the browser shows must not lead anywhere with the code in its address.
_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "connection": "close",
}
_DONE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Signing in</title></head>
<body><p>Go back to the terminal. You can close this window.</p></body></html>
"""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser."""

    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        """Take the answer; anything else is not here."""
        parts = urlsplit(self.path)
        is_answer = parts.path == self.server.path and parts.query
        if not is_answer or self.headers.get("host") != self.server.authority:
            self._send(404, b"")
            return
        self._send(200, _DONE)
        self.server.take(parts.query)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, text in _HEADERS.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def version_string(self) -> str:
        return "connector"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
        """Log nothing: the address holds the code."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Elsewhere it would let another program listen on the same port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, host: str, port: int, path: str) -> None:
        self.path = path
        self.answers: queue.Queue[str] = queue.Queue(1)
        super().__init__((_HOST, port), _Handler)
        self.authority = f"{host}:{self.server_address[1]}"

    def take(self, answer: str) -> None:
        """Take the first answer; ignore any other."""
        try:
            self.answers.put_nowait(answer)
        except queue.Full:
            return

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away."""


class Callback:
    """Listens for one answer, for a time; a context manager."""

    def __init__(self, address: str, seconds: float) -> None:
        """`address`: as in a definition; port 0 takes a free one.

        Raise ConfigError (C027) when the port is taken.
        """
        parts = urlsplit(address)
        self._seconds = seconds
        try:
            self._server = _Server(parts.hostname or "", parts.port or 0, parts.path or "/")
        except OSError as error:
            message = f"port {parts.port} cannot be used: {error.strerror}"
            hint = "end the program that uses it, or choose another port that is registered"
            raise ConfigError([Problem("C027", "--callback", "", message, hint)]) from None
        #: The address to give to the vendor.
        self.url = f"http://{self._server.authority}{parts.path}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self) -> dict[str, str]:
        """Return the parameters of the answer; one that is there twice is left out.

        Raise LoginError when there is no answer in time.
        """
        try:
            query = self._server.answers.get(timeout=self._seconds)
        except queue.Empty:
            message = f"no answer came back from the browser within {self._seconds:g} seconds"
            raise LoginError(f"{message}; start again, and consent in the browser") from None

        params = parse_qsl(query)
        names = [name for name, _ in params]
        return {name: value for name, value in params if names.count(name) == 1}


def callback_problem(address: str) -> str:
    """Return what is wrong with the address of a callback, "" when it is one."""
    allowed = "http://127.0.0.1:PORT/, as it is registered with the vendor"
    try:
        parts = urlsplit(address)
        is_here = parts.hostname in ("127.0.0.1", "localhost") and parts.port is not None
    except ValueError:
        return f"is no address; allowed: {allowed}"
    has_more = parts.query or parts.fragment or parts.username is not None
    if parts.scheme != "http" or not is_here or has_more:
        return f"is not on this machine, or has no port; allowed: {allowed}"
    return ""
