"""`connector serve` in a process of its own, and what talks to it."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.kit.cli import start


@dataclass
class Answered:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, whose shape is checked."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert {"type", "title", "status", "code", "detail"} <= problem.keys()
        assert problem["status"] == self.status
        return str(problem["code"])


class Served:
    """A service that listens; a context manager, which ends it in good order."""

    def __init__(self, *arguments: str | Path) -> None:
        self.arguments = arguments
        self.lines: list[dict[str, Any]] = []
        self.out = ""
        self.url = ""
        self.folder = Path()
        self.headers: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        self.process = start("serve", *self.arguments, "--port", "0")
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), True)
        line = self.process.stderr.readline()
        try:
            listening = json.loads(line)
        except ValueError:
            rest = self.process.communicate(timeout=10)[1]
            raise AssertionError((line + rest).decode()) from None
        self.lines.append(listening)
        self.url = listening["url"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            assert self.stop() == 0
        self._close()

    def _close(self) -> None:
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30) -> int:
        """End it; `out` is what it printed then, beside its log."""
        self.process.send_signal(number)
        status = self.process.wait(timeout)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out += self.process.stdout.read().decode()
        for line in self.process.stderr.read().splitlines():
            self.lines.append(json.loads(line))
        self._close()
        return status

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._close()

    def call(
        self,
        path: str,
        body: bytes | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        connection = self.connect()
        try:
            return ask(
                connection, path, body, method=method, headers={**self.headers, **(headers or {})}
            )
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """A connection for several requests."""
        address = urlsplit(self.url)
        return http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)

    def post(self, *events: Mapping[str, Any], query: str = "", **headers: str) -> Answered:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.call(f"/v1/events{query}", lines(events), headers=named)

    def status(self, name: str = "connection") -> dict[str, Any]:
        found = self.call("/v1/status").json["connections"]
        return dict(found.get(name, {"pending": 0, "dead": 0, "counts": {}, "lanes": []}))

    def drain(self, seconds: float = 30.0) -> None:
        """Flush, and wait until nothing is pending."""
        assert self.call("/v1/flush", b"").status == 200
        ends = time.monotonic() + seconds
        while any(one["pending"] for one in self.call("/v1/status").json["connections"].values()):
            assert time.monotonic() < ends, self.call("/v1/status").body
            time.sleep(0.03)

    def raw(self, request: bytes, seconds: float = 3.0) -> bytes:
        """Send bytes as they are; return what comes until it is quiet, or closed."""
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname or "", address.port or 0), 10) as client:
            client.sendall(request)
            received = b""
            while select.select([client], [], [], seconds)[0]:
                data = client.recv(65536)
                if not data:
                    break
                received += data
                if b"\r\n\r\n" in received and b"connection: close" not in received.lower():
                    seconds = 0.1
            return received


def ask(
    connection: http.client.HTTPConnection,
    path: str,
    body: bytes | None = None,
    *,
    method: str | None = None,
    headers: Mapping[str, str],
) -> Answered:
    connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers))
    answer = connection.getresponse()
    return Answered(answer.status, answer.read(), lower(answer.getheaders()))


def lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): text for name, text in headers}


def lines(events: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)
