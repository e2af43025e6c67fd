"""The command line as its users run it: processes of their own, and a vendor on loopback that answers as it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.kit import ROOT

COMMAND = [sys.executable, "-m", "connector"]
SECRETS = {
    "X_CONSUMER_KEY": "secret-consumer-key",
    "X_CONSUMER_SECRET": "secret-consumer-secret",
    "X_ACCESS_TOKEN": "secret-access-token",
    "X_ACCESS_TOKEN_SECRET": "secret-access-token-secret",
}
AUDIENCE = "1nmth"
T = TypeVar("T")
COUNTS = (
    *(
        "events",
        "records",
        "delivered",
        "superseded",
        "rejected",
        "undelivered",
        "skipped",
        "identifiers_dropped",
    ),
    *("requests", "bytes", "seconds"),
)
#: What `send --format json` prints, in this order.
MEMBERS = (*COUNTS, "interrupted", "reasons", "dropped")

PARAMETERS = {
    "custom_audience_id": "audience",
    "email": "email",
    "email_sha256": "email_sha256",
    "phone_number": "phone",
    "handle": "handle",
    "twitter_id": "twitter_id",
    "device_id": "device",
    "partner_user_id": "partner",
    "effective_at": "start",
    "expires_at": "end",
}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def text(self) -> str:
        return self.out + self.err


def environment(**changes: str | None) -> dict[str, str]:
    """This process's variables with the secrets; None takes one away."""
    variables = {
        **os.environ,
        **SECRETS,
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
        "NO_COLOR": "",
        "TERM": "dumb",
    }
    variables.pop("NO_COLOR")
    return {
        name: text
        for name in {**variables, **changes}
        if (text := changes.get(name, variables.get(name))) is not None
    }


def run(
    *arguments: str | Path,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    folder: Path | None = None,
) -> Done:
    """Run a command to its end. Whatever the mistake: never a traceback, never a secret."""
    command = [*COMMAND, *map(str, arguments)]
    ended = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        check=False,
        env=env or environment(),
        cwd=folder,
        timeout=60,
    )
    done = Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert "Traceback" not in done.text, done.err
    assert not any(secret in done.text for secret in SECRETS.values())
    assert done.status in (0, 1, 2)
    return done


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do several things side by side: most of a command's time is its start."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda work: work(), works))


def start(*arguments: str | Path, stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a command and leave it running."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        bufsize=0,
    )


def connection(
    folder: Path, *, base_url: str = "", changes: str = "", actions: Iterable[str] = ()
) -> Path:
    """A connection with a route for each action, by default one that adds people; each takes the events of its `do`."""
    names = list(actions)
    lines = [
        "destination: x_custom_audiences",
        "settings: {account_id: 18ce54d4x5t}",
        "credentials:",
    ]
    lines += [f"  {name.removeprefix('X_').lower()}: {{env: {name}}}" for name in SECRETS]
    lines += [f"base_url: {base_url}"] if base_url else []
    lines += ["event_id: id", *([changes] if changes else []), "routes:"]
    for name in names or ["add_user_multi"]:
        lines += [f"  - name: {name}", f"    action: {name}"]
        lines += [f"    when: event.do == '{name}'"] if names else []
        lines += [
            "    map:",
            *(f"      {parameter}: {{from: {path}}}" for parameter, path in PARAMETERS.items()),
        ]
    path = folder / "connection.yaml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def person(number: int, **more: Any) -> dict[str, Any]:
    """An event about a person of their own."""
    return {
        "id": f"e{number}",
        "audience": AUDIENCE,
        "email": f"person{number}@example.com",
        **more,
    }


def ndjson(
    folder: Path, events: Iterable[dict[str, Any] | str], name: str = "events.ndjson"
) -> Path:
    """A file of events; a text is a line as it is."""
    path = folder / name
    path.write_text(
        "".join(f"{e if isinstance(e, str) else json.dumps(e)}\n" for e in events), "utf-8"
    )
    return path


def report_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a report, checked for their form."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        assert list(line) == ["event", "route", "outcome", "code", "reason"]
        assert line["outcome"] in ("rejected", "undelivered")
        assert line["code"]
        assert line["reason"]
    return lines


def assert_adds_up(summary: dict[str, Any]) -> None:
    """Every record has exactly one outcome."""
    outcomes = ("delivered", "superseded", "rejected", "undelivered")
    assert summary["records"] == sum(summary[outcome] for outcome in outcomes)


# A vendor that answers as it is told ----------------------------------------------------------------------------------


@dataclass
class Seen:
    """One request as it came in."""

    method: str
    path: str
    headers: str
    body: bytes

    @property
    def people(self) -> int:
        return sum(len(operation["params"]["users"]) for operation in json.loads(self.body))


@dataclass
class Reply:
    """An answer; `cut` closes the connection without one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    cut: bool = False


def success(seen: Seen) -> Reply:
    """What X says when it took everybody."""
    counts = {"success_count": seen.people, "total_count": seen.people}
    return Reply(body=json.dumps({"data": counts, "request": {}}).encode())


class Vendor:
    """A server on loopback that keeps what it got and answers with `answer`; a context manager."""

    def __init__(self, answer: Callable[[Seen], Reply] = success) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.arrived = threading.Event()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                seen = Seen(self.command, self.path, str(self.headers), body)
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

            do_GET = do_POST  # noqa: N815 - the name is inherited

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                assert isinstance(sys.exception(), OSError)  # the client went away

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
