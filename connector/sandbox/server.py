"""The sandbox over HTTP, on this machine only."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import orjson

from connector.sandbox.request_body import GoneError, UnreadableError, length_of, read_body
from connector.sandbox.vendor import Answer, Vendor

#: For how long a request under the fault "timeout" is left without an answer, in seconds.
TIMEOUT_SECONDS = 3600.0

#: For how long a body may pause before the rest of it is given up, in seconds.
PAUSE_SECONDS = 30.0

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
_LINGER_SECONDS = 2.0
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one piece
    default_request_version = "HTTP/1.0"  # an answer of HTTP/0.9 would have no status
    server: _Server

    def _handle(self) -> None:
        try:
            self._check_host()
            body = self._read()
        except UnreadableError as error:
            self._refuse(error.status, str(error))
            return
        except (GoneError, ConnectionError):
            self.close_connection = True
            self._log("the client went away")
            return

        headers = {}
        for name, text in self.headers.items():
            # http.server reads bytes as Latin-1, and they are UTF-8
            headers[name] = text.encode("latin-1").decode("utf-8", "replace")

        answer = self.server.vendor.answer(self.command, self._url(), headers, body)
        self.server.before_answer()
        if isinstance(answer, Answer):
            if answer.delay:
                self.server.stopping.wait(answer.delay)
            self._send(answer)
            return
        if answer.kind == "timeout":
            self.server.stopping.wait(TIMEOUT_SECONDS)
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle  # noqa: N815

    def _check_host(self) -> None:
        """Raise UnreadableError unless there is one Host (RFC 9112, 3.2)."""
        hosts = self.headers.get_all("host", [])
        if len(hosts) > 1 or (not hosts and self.request_version != "HTTP/1.0"):
            raise UnreadableError(HTTPStatus.BAD_REQUEST, "expected one Host header")

    def _url(self) -> str:
        if not self.path.startswith("/"):
            return self.path  # a full URL, as it is sent to a proxy (RFC 9112, 3.2.2)
        return f"http://{self.headers.get('host', self.server.authority)}{self.path}"

    def _read(self) -> bytes:
        """Return the body. Raise UnreadableError, GoneError and ConnectionError."""
        length = length_of(self.headers, self.request_version)
        if self._waits_for_continue():
            self.send_response_only(HTTPStatus.CONTINUE)
            self.end_headers()
            self.wfile.flush()

        self.connection.settimeout(PAUSE_SECONDS)
        try:
            return read_body(cast(BinaryIO, self.rfile), length)
        except TimeoutError:
            message = "the rest of the body does not come"
            raise UnreadableError(HTTPStatus.REQUEST_TIMEOUT, message) from None
        finally:
            self.connection.settimeout(None)

    def _waits_for_continue(self) -> bool:
        expected = self.headers.get("expect", "").lower() == "100-continue"
        return expected and self.request_version != "HTTP/1.0"

    def handle_expect_100(self) -> bool:
        """Leave it to `_read`, which knows whether the body is wanted."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server cannot read; its messages quote the request, ours do not."""
        status = HTTPStatus(code)
        self._refuse(status, status.phrase)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Refuse a request that does not get as far as the vendor, and close the connection."""
        self._log(f"{status.value} unreadable: {reason}")
        body = orjson.dumps({"code": "unreadable", "message": reason})
        headers = {"content-type": "application/json", "connection": "close"}
        self._send(Answer(status.value, headers, body))
        self._linger()

    def _send(self, answer: Answer) -> None:
        has_body = answer.status != HTTPStatus.NO_CONTENT
        self.send_response(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        if has_body:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(answer.body)

    def _linger(self) -> None:
        """Read what is still under way: closing at once would destroy the answer on its way."""
        ends = time.monotonic() + _LINGER_SECONDS
        try:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            while (left := ends - time.monotonic()) > 0:
                self.connection.settimeout(left)
                if not self.connection.recv(65536):
                    return
        except OSError:  # the client has gone
            return

    def _log(self, text: str) -> None:
        """Log a line about a request that the vendor does not see.

        Neither its path nor an unknown method is shown: they may be anything.
        """
        method = self.command if self.command in _METHODS else "(unknown method)"
        self.server.vendor.log(f"{method} (not read) {text}")

    def version_string(self) -> str:
        return "sandbox"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
        """Log nothing: URLs and headers are private."""


class _Server(ThreadingHTTPServer):
    """Track open connections, so that closing the server closes them as well."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, vendor: Vendor, port: int) -> None:
        self.vendor = vendor
        self.before_answer: Callable[[], None] = lambda: None
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__((_HOST, port), _Handler)
        self.authority = f"{_HOST}:{self.server_port}"

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for this machine's name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # a client that went away is no error of ours
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        """Close the listening socket and every connection."""
        self.stopping.set()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                continue


class SandboxServer:
    """A sandbox behind an HTTP server on the loopback interface.

    As a context manager it serves in the background from entry to exit.
    """

    def __init__(self, vendor: Vendor, port: int = 0) -> None:
        """`port` 0 picks a free one. Raise OSError when the port is not available."""
        self._server = _Server(vendor, port)
        self._thread: threading.Thread | None = None
        #: Replaces the definition's base URL in a connection.
        self.base_url = f"http://{self._server.authority}{vendor.prefix}"
        #: Replaces the definition's token endpoint in a connection, "" when it has none.
        self.token_url = (
            f"http://{self._server.authority}{vendor.token_path}" if vendor.token_path else ""
        )
        #: Stands for the hosts of the definition's pages for signing in, "" when it has none.
        self.login_url = f"http://{self._server.authority}" if vendor.has_sign_in else ""

    def before_answer(self, act: Callable[[], None]) -> None:
        """Have something done between applying each request and answering it.

        An OSError of it leaves the request without an answer.
        """
        self._server.before_answer = act

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def serve_forever(self) -> None:
        """Serve until another thread closes the server, or until an interrupt.

        The interrupt is passed on.
        """
        self._start()
        try:
            self._server.stopping.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving, close every connection and free the port; a second time it does nothing."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.end()

    def _start(self) -> None:
        if self._thread is None and not self._server.stopping.is_set():
            self._thread = threading.Thread(
                target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True
            )
            self._thread.start()
