"""Commands without their start: a process that has imported the connector forks for each `python -m connector`.

Half a second of every command goes into imports. What runs is a process of its own all the same: its arguments,
environment, folder and three streams are those asked for, signals reach it, and it ends as the interpreter ends. What
is decided when Python starts (the locale, the hash seed) is that of the tests; `tests.kit.cli.start` is for what
depends on it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from tests.kit import ROOT

_LONGEST_MESSAGE = 1 << 20
# pytest has to import its plugins itself
_NOT_PRELOADED = (
    "connector.__main__",
    "connector.testing.plugin",
    "connector.testing.snapshots",
)


class WarmPython:
    """The parent of the commands; one for a test process."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.kit.warm", str(theirs.fileno())]
        # it ends when the tests do: its end of the socket is closed then
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        self._lock = threading.Lock()

    def run(
        self,
        arguments: Sequence[str],
        *,
        streams: Sequence[BinaryIO],
        env: Mapping[str, str],
        folder: Path,
        timeout: float,
    ) -> int:
        """Run `python -m connector` to its end, and return its status; `streams` are the three standard ones."""
        answer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        message = {"arguments": list(arguments), "env": dict(env), "folder": str(folder)}
        descriptors = [*(stream.fileno() for stream in streams), theirs.fileno()]
        with answer:
            with theirs, self._lock:
                socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)
            answer.settimeout(timeout)
            pid = int(answer.recv(32))
            try:
                return int(answer.recv(32))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise

    def close(self) -> None:
        """End the parent."""
        self._socket.close()
        self._process.wait()


_STARTING = threading.Lock()


def warm_python() -> WarmPython:
    """Return the one of this test process, started when it is first needed."""
    with _STARTING:  # commands that run side by side may be the first
        return _warm_python()


@cache
def _warm_python() -> WarmPython:
    return WarmPython()


def close_warm_python() -> None:
    """End the one of this test process, if it was started."""
    if _warm_python.cache_info().currsize:
        _warm_python().close()
        _warm_python.cache_clear()


def _preload() -> None:
    """Import what commands import, and read once what they keep."""
    import connector

    for module in pkgutil.walk_packages(connector.__path__, "connector."):
        if module.name not in _NOT_PRELOADED:
            importlib.import_module(module.name)
    # what they import when they are called
    for name in ("encodings.idna", "phonenumbers", "pytest"):
        importlib.import_module(name)
    httpx = importlib.import_module("httpx")
    httpx.Client().close()
    # most commands of the tests are about the destination of the example: its templates are compiled
    connection = connector.load_connection(ROOT / "examples" / "connection.yaml")
    list(connector.preview(connection, []))
    connector.Sandbox(connection)


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns the request in the child, None in the parent when nobody asks any more."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == woken:
                    os.read(woken, 4096)
                    _tell_ends(running)
                    continue
                message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST_MESSAGE, 4)
                if not message:
                    return None
                *streams, answer = descriptors
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for number, stream in enumerate(streams):
                        os.dup2(stream, number)
                    os.closerange(3, max(descriptors[-1], requests.fileno(), waker) + 1)
                    requests.detach()
                    loaded: dict[str, Any] = json.loads(message)
                    return loaded
                for stream in streams:
                    os.close(stream)
                running[pid] = socket.socket(fileno=answer)
                running[pid].send(str(pid).encode())


def _tell_ends(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        # whoever asked may have given up
        with running.pop(pid) as answer, suppress(OSError):
            answer.send(str(os.waitstatus_to_exitcode(status)).encode())


def _main() -> None:
    _preload()
    gc.collect()
    gc.freeze()
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if request is None:
        return
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    # packages are found there too, as if they had been there from the start
    for path in request["env"].get("PYTHONPATH", "").split(os.pathsep):
        if path not in sys.path:
            sys.path.insert(1, path)
    sys.argv[1:] = request["arguments"]
    runpy.run_module("connector", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
