"""The sandbox over HTTP, on this machine only."""

from __future__ import annotations

import re
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from connector.sandbox.vendor import Answer, Vendor

#: For how long a request under the fault "timeout" is left without an answer, in seconds.
TIMEOUT_SECONDS = 3600.0

_HOST = "127.0.0.1"
_MAX_BODY = 100_000_000
_POLL_SECONDS = 0.05
_LENGTH = re.compile(r"[0-9]{1,18}")


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one piece
    server: _Server

    def _handle(self) -> None:
        body = self._read()
        if body is None:
            return
        url = f"http://{self.headers.get('host', self.server.authority)}{self.path}"
        headers = {}
        for name, text in self.headers.items():
            # http.server reads bytes as Latin-1, and they are UTF-8
            headers[name] = text.encode("latin-1").decode("utf-8", "replace")

        answer = self.server.vendor.answer(self.command, url, headers, body)
        if isinstance(answer, Answer):
            self._send(answer)
            return
        if answer.kind == "timeout":
            self.server.stopping.wait(TIMEOUT_SECONDS)
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle  # noqa: N815

    def _read(self) -> bytes | None:
        """Return the body; None, after a refusal, when its length is missing or too large."""
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers:
            status = 411
        elif not _LENGTH.fullmatch(length):
            status = 400
        elif int(length) > _MAX_BODY:
            status = 413
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self.close_connection = True  # the client went away
            return None
        self._send(Answer(status, {"connection": "close"}, b""))
        return None

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

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
