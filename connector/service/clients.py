"""Bounds for clients: how many there are, how slow they are, and how much they send as a head."""

from __future__ import annotations

import asyncio
from typing import Any

# Seconds in which the head of a request has to come.
HEAD_SECONDS = 15.0
# How long it may be, in bytes.
HEAD_BYTES = 64 * 1024
# How many connections are open at most.
CONNECTIONS = 1_000


class BoundedClients:
    """Goes before a protocol of uvicorn; each object is a connection."""

    # Of the protocol.
    cycle: Any
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    _open = 0
    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, unless there are too many."""
        super().connection_made(transport)  # type: ignore[misc]
        BoundedClients._open += 1
        if BoundedClients._open > CONNECTIONS:
            transport.close()
        else:
            self._expect_head()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget a connection."""
        BoundedClients._open -= 1
        self._forget()
        super().connection_lost(error)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """Take bytes; they may belong to a head that is not complete."""
        super().data_received(data)  # type: ignore[misc]
        if self._is_busy:
            self._forget()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self.transport.close()
        elif self._timer is None:
            self._expect_head()

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _forget(self) -> None:
        self._head_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self._is_busy:
            self.transport.close()


def bounded(protocol: type[Any]) -> type[Any]:
    """Return a protocol of uvicorn with these bounds."""
    return type("BoundedProtocol", (BoundedClients, protocol), {})
