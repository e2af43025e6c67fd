"""Bounds for clients: how many there are, how slow they are, and how much they send in vain."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Sized
from typing import Any

# Seconds in which the head of a request has to come, or the rest of what is answered already.
HEAD_SECONDS = 15.0
# How long a head may be, in bytes.
HEAD_BYTES = 64 * 1024
# How much of a body is read that is answered already: who is still sending looks for no answer.
VAIN_BYTES = 16 * 1024 * 1024
# Seconds for which a client may read nothing of an answer.
READ_SECONDS = 30.0
# How many requests wait for the answer of the one before them.
PIPELINED = 16
# How many connections are open at most, and how many files the service opens besides.
CONNECTIONS = 1_000
FILES = 400


class BoundedClients:
    """Goes before a protocol of uvicorn; each object is a connection."""

    # Of the protocol.
    cycle: Any
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    pipeline: Sized

    #: How many may be open.
    most = CONNECTIONS
    _open = 0
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    # What came since there was last something to answer.
    _bytes = 0
    _is_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, unless there are too many."""
        super().connection_made(transport)  # type: ignore[misc]
        BoundedClients._open += 1
        if BoundedClients._open > BoundedClients.most:
            transport.abort()
        else:
            self._expect_head()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget a connection."""
        BoundedClients._open -= 1
        self._forget_head()
        self._forget_reading()
        super().connection_lost(error)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """Take bytes; they may belong to a head that is not complete."""
        was_in_body = self._is_in_body
        super().data_received(data)  # type: ignore[misc]
        if self._is_busy:
            self._forget_head()
            return
        self._bytes += len(data)
        is_in_vain = was_in_body or self._is_in_body
        if self._bytes > (VAIN_BYTES if is_in_vain else HEAD_BYTES):
            self.transport.abort()
        elif self._head_timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Take a head, as the parser calls it; one of too many is not looked at."""
        self._is_in_body = True
        if len(self.pipeline) < PIPELINED:
            super().on_headers_complete()  # type: ignore[misc]
        else:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """Take the end of a body, as the parser calls it."""
        self._is_in_body = False
        self._bytes = 0
        super().on_message_complete()  # type: ignore[misc]

    def pause_writing(self) -> None:
        """Wait for a client that reads too slowly, for a while."""
        super().pause_writing()  # type: ignore[misc]
        self._read_timer = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        self._forget_reading()
        super().resume_writing()  # type: ignore[misc]

    def timeout_keep_alive_handler(self) -> None:
        """End a connection without a request, also when its last answer was not read."""
        self.transport.abort()

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _forget_head(self) -> None:
        self._bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_reading(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._is_busy:
            self.transport.abort()


def allow_connections() -> None:
    """Let this process open as many files as clients, vendors and the store need.

    Many systems allow 1,024 by default, and more to whoever asks.
    """
    wanted = CONNECTIONS + FILES
    allowed, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return
    if allowed < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    BoundedClients.most = max(1, min(CONNECTIONS, allowed - FILES))


def bounded(protocol: type[Any]) -> type[Any]:
    """Return a protocol of uvicorn with these bounds."""
    return type("BoundedProtocol", (BoundedClients, protocol), {})
