"""`python -m benchmarks.service`: what `connector serve` costs, in about two minutes.

Exits with 1 when a figure misses its bound.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from .__main__ import ROOT, SECRETS, Figures, cpu_of, print_figures, send_command, vendor
from .mapping import event, write_connection, write_events

EVENTS = 150_000
POST = 1_000
RUNS = 5
#: Connections that post one event after the other, and how many of these.
CONNECTIONS = 32
SINGLE_POSTS = 10_000
PENDING = 1_000_000


class Running(NamedTuple):
    """A process that takes posts."""

    process: subprocess.Popen[str]
    port: int

    def cpu(self) -> float:
        """Return the seconds of CPU that it took until now."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Return the most memory that it had."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1e3
        raise LookupError

    def pending(self) -> int:
        """Return how many records are not delivered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/v1/status")
        status = json.loads(connection.getresponse().read())
        connection.close()
        return sum(one["pending"] for one in status["connections"].values())


def main() -> int:
    """Print each figure with its bound; return how many miss it, as an exit status."""
    return print_figures("python -m benchmarks.service", __doc__, (large, small, restart))


def large(folder: Path) -> Figures:
    """CPU of posts of 1,000 events, delivered, against `send` and the bare handler together."""
    write_events(folder / "large.ndjson", EVENTS)
    write_events(folder / "nothing.ndjson", 1)
    posts = _posts(EVENTS)
    ratios = []
    with vendor() as base_url:
        for _ in range(RUNS):
            send = cpu_of(send_command(folder, base_url, "large.ndjson"))
            send -= cpu_of(send_command(folder, base_url, "nothing.ndjson"))
            with bare(folder) as handler:
                bare_cpu = _cpu_of_posts(handler, posts)
            with served(folder, base_url) as service:
                ours = _cpu_of_posts(service, posts, lambda: _wait_for(service, POST))
            ratios.append(ours / (send + bare_cpu))
    yield (
        f"posts of {POST:,}: CPU against `send` and a bare handler, median of {RUNS}",
        statistics.median(ratios),
        1.5,
    )


def small(folder: Path) -> Figures:
    """Requests a second of posts of one event, the bare handler's against ours."""
    bodies = [event(number) for number in range(SINGLE_POSTS + 2 * CONNECTIONS)]
    ratios = []
    with vendor() as base_url:
        for _ in range(RUNS):
            with bare(folder) as handler:
                bare_rate = _rate(handler.port, bodies)
            with served(folder, base_url) as service:
                ratios.append(bare_rate / _rate(service.port, bodies))
    yield (
        f"posts of one: a bare handler's requests a second against ours, median of {RUNS}",
        statistics.median(ratios),
        2.5,
    )


def restart(folder: Path) -> Figures:
    """A million pending records: seconds from the start to the first delivery, and memory."""
    posts = _posts(POST)
    with vendor() as base_url:
        # Nothing listens there: all of it stays pending.
        with served(folder, "http://127.0.0.1:9", keep=True) as service:
            for _ in range(PENDING // POST):
                _post(service.port, posts)
            filled = service.megabytes()
            assert service.pending() == PENDING
        _forget_stops(folder)
        started = time.perf_counter()
        with served(folder, base_url, keep=True) as service:
            while service.pending() == PENDING:
                time.sleep(0.02)
            seconds = time.perf_counter() - started
            _wait_for(service, POST)
            emptied = service.megabytes()
    yield f"restart: seconds to the first delivery with {PENDING:,} pending", seconds, 5.0
    yield f"memory: MB of a service that takes {PENDING:,} and delivers none", filled, 300.0
    yield f"memory: MB of a service that delivers {PENDING:,} that were pending", emptied, 300.0


@contextmanager
def bare(folder: Path) -> Iterator[Running]:
    """Run the bare handler."""
    file = folder / f"bare-{time.time()}.db"
    command = [sys.executable, "-m", "benchmarks.bare_service", str(file)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    try:
        yield Running(process, port)
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def served(folder: Path, base_url: str, *, keep: bool = False) -> Iterator[Running]:
    """Run `connector serve`, with a new state unless it is kept."""
    path = write_connection(folder, f"base_url: {base_url}\nlimits: {{age: 1h}}\n")
    state = folder / ("state" if keep else f"state-{time.time()}")
    command = [sys.executable, "-m", "connector", "serve", str(path), "--port", "0"]
    command += ["--state", str(state), "--max-pending", str(2 * PENDING)]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **SECRETS}
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    url = json.loads(line).get("url")
    if url is None:
        raise SystemExit(line)
    try:
        yield Running(process, urlsplit(url).port or 0)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def _posts(events: int) -> list[bytes]:
    posts = []
    for start in range(0, events, POST):
        lines = [event(number) for number in range(start, start + POST)]
        posts.append(b"\n".join(lines))
    return posts


def _cpu_of_posts(
    running: Running, posts: Sequence[bytes], wait: Callable[[], None] = lambda: None
) -> float:
    """Return the seconds of CPU that posts take until they are delivered."""
    _post(running.port, posts[:2])  # what is done once is done then
    wait()
    before = running.cpu()
    _post(running.port, posts)
    wait()
    return running.cpu() - before


def _post(port: int, posts: Sequence[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for body in posts:
        connection.request("POST", "/v1/events", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise SystemExit(f"the service answered {answer.status}")
    connection.close()


def _wait_for(service: Running, pending: int) -> None:
    """Wait until fewer records than these are pending."""
    while service.pending() >= pending:
        time.sleep(0.05)


def _rate(port: int, bodies: Sequence[bytes]) -> float:
    """Return how many posts are answered in a second, over many connections."""
    head = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
    requests = iter([head % len(body) + body for body in bodies])
    sockets = {}
    answers = {}
    readable = select.epoll()
    for _ in range(CONNECTIONS):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[one.fileno()] = one
        answers[one.fileno()] = b""
        readable.register(one, select.EPOLLIN)

    started = time.perf_counter()
    for one in sockets.values():
        one.sendall(next(requests))
    answered = 0
    while answered < SINGLE_POSTS:
        for number, _ in readable.poll():
            answers[number] += sockets[number].recv(65_536)
            if not answers[number].endswith(b"}"):
                continue
            if not answers[number].startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"a post was not taken: {answers[number].decode()}")
            answers[number] = b""
            answered += 1
            sockets[number].sendall(next(requests))
    seconds = time.perf_counter() - started
    for one in sockets.values():
        one.close()
    readable.close()
    return answered / seconds


def _forget_stops(folder: Path) -> None:
    """Let every lane be tried again at once, as it would be after a while."""
    import sqlite3

    with sqlite3.connect(folder / "state" / "outbox.db") as database:
        database.execute("UPDATE lane SET probe_at = NULL")
    database.close()


if __name__ == "__main__":
    sys.exit(main())
