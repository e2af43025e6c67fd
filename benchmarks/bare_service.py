"""A handler that keeps the bytes of each post in SQLite, and nothing else: what a service costs.

`python -m benchmarks.bare_service FILE` prints its port. Posts that come meanwhile share a commit.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import sqlite3
import sys
import threading
from collections.abc import Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Waiting = tuple[bytes, "asyncio.Future[None]"]


class Commits:
    """Commits bodies in a thread."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE post (body BLOB)")
        self._queue: queue.SimpleQueue[Waiting] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    async def post(self, request: Request) -> Response:
        """Answer once the body is on disk."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((await request.body(), done))
        await done
        return Response(b'{"accepted":0,"skipped":0,"rejected":[]}', 202)

    def _run(self) -> None:
        while True:
            group = [self._queue.get()]
            while not self._queue.empty():
                group.append(self._queue.get())
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO post VALUES (?)", [(body,) for body, _ in group]
            )
            self._database.execute("COMMIT")
            group[0][1].get_loop().call_soon_threadsafe(_answer, group)


def _answer(group: Sequence[Waiting]) -> None:
    for _, done in group:
        if not done.done():
            done.set_result(None)


if __name__ == "__main__":
    app = Starlette(routes=[Route("/v1/events", Commits(sys.argv[1]).post, methods=["POST"])])
    bound = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(bound.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([bound])
