"""A vendor on loopback that keeps what it got, and tiny destinations with any `auth`."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from connector.auth.base import Message
from connector.definitions.catalog import Catalog
from connector.model import Request, Response

NOTE = {"read": "assumed", "note": "A test."}
#: Status, headers, body.
Reply = tuple[int, dict[str, str], bytes]


def reply(status: int = 200, body: Any = None, **headers: str) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return status, {"content-type": "application/json", **headers}, content


class Vendor:
    """Answers with `api`, and with `token` at /token, over HTTPS when it is given a context; a context manager."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.api: Callable[[Message], Reply] = lambda _: reply()
        self.token: Callable[[Message], Reply] = lambda _: reply(
            200, {"access_token": "first", "expires_in": 3600}
        )
        self.calls: list[Message] = []
        self.tokens: list[Message] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): text for name, text in self.headers.items()}
                seen = Message(self.command, self.path, headers, body)
                asked = self.path == "/token"
                (vendor.tokens if asked else vendor.calls).append(seen)
                status, more, content = (vendor.token if asked else vendor.api)(seen)
                self.send_response(status)
                for name, text in {**more, "content-length": str(len(content))}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the names are inherited

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the client went away

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self.token_url = f"{self.base_url}/token"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def request(self, path: str = "/people", body: bytes = b'{"people": []}') -> Request:
        return Request("POST", self.base_url + path, {"content-type": "application/json"}, body)


def never(message: Message) -> Response:
    raise AssertionError("nothing has to be fetched")


def define(
    root: Path,
    auth: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    *,
    envelope: str = '{"people": {{ items }}}',
    **members: Any,
) -> Catalog:
    """Write the destination `tiny`, and return the catalog that has it."""
    destination = {
        "title": "Tiny",
        "description": "A test.",
        "type": "object",
        "properties": dict(settings or {}),
        "required": [name for name, schema in (settings or {}).items() if "default" not in schema],
        "additionalProperties": False,
        "destination": {
            "api": {"name": "Tiny", "version": "1", "source": NOTE},
            "base_url": "https://api.example.com",
            "auth": auth,
            "limits": {"source": NOTE},
            "sandbox": {"reads": "reads.json.j2"},
            **members,
        },
    }
    action = {
        "title": "Add",
        "description": "Adds a person.",
        "type": "object",
        "properties": {
            "email": {
                "title": "Email",
                "description": "The address.",
                "type": ["string", "integer", "array"],
                "identifier": {"normalize": ["trim", "lowercase"], "hash": "sha256", "source": NOTE},
            }
        },
        "additionalProperties": False,
        "examples": [{"email": "ann@example.com"}],
        "action": {
            "operation": "add", "method": "POST", "path": "/people", "envelope": "people.json.j2", "source": NOTE,
            "accepts": {"$ref": "people.accepts.json"},
        },
    }  # fmt: skip
    accepts = {
        "type": "object",
        "properties": {"people": {"type": "array"}},
        "required": ["people"],
        "additionalProperties": False,
    }
    for kind in ("schemas", "templates"):
        (root / kind / "tiny").mkdir(parents=True, exist_ok=True)
    for name, document in {
        "destination": destination,
        "add": action,
        "people.accepts": accepts,
    }.items():
        (root / "schemas" / "tiny" / f"{name}.json").write_text(json.dumps(document), "utf-8")
    reads = '[{"operation": "add", "people": {{ body.people }}}]'
    for name, text in {"people": envelope, "reads": reads}.items():
        (root / "templates" / "tiny" / f"{name}.json.j2").write_text(text, "utf-8")
    return Catalog([root])


def connect(root: Path, *lines: str) -> Path:
    """Write a connection to the destination `tiny`, with further lines."""
    path = root / "connection.yaml"
    routes = "routes: [{action: add, map: {email: {from: email}}}]"
    path.write_text("\n".join(["destination: tiny", *lines, routes]) + "\n", "utf-8")
    return path


def events(root: Path, count: int = 1) -> Path:
    path = root / "events.ndjson"
    path.write_text(
        "".join(f'{{"email": "person{n}@example.com"}}\n' for n in range(count)), "utf-8"
    )
    return path
