"""Sockets that keep to a deadline, for the pool of connections.

The pool gives each call that waits a time limit of its own, so that a vendor which keeps sending a
little could hold an attempt forever. Here the limit is a moment, by `time.monotonic`: the same one
for every call of an attempt. Only looking up a name is left to the operating system's own limits.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

# Seconds for each address of a host, so that one that is dead leaves time for the next.
_LONGEST_CONNECT = 10.0


class DeadlineBackend(httpcore.NetworkBackend):
    """Connects; `timeout` is the moment by which each call has to end."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers."""
        failure: Exception = httpcore.ConnectError()
        for address in _addresses(host, port):
            seconds = _left(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._backend.connect_tcp(
                    address, port, min(seconds, _LONGEST_CONNECT), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection; `timeout` is the moment by which each call has to end."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, b"" at the end."""
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it. The inner stream would begin its time limit anew for each piece."""
        sock: socket.socket = self._stream.get_extra_info("socket")
        rest = memoryview(buffer)
        while rest:
            sock.settimeout(_left(timeout, httpcore.WriteTimeout))
            try:
                sent = sock.send(rest)
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error
            rest = rest[sent:]

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the connection under TLS."""
        seconds = min(_left(timeout, httpcore.ConnectTimeout), _LONGEST_CONNECT)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        """Return what the inner stream knows."""
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raise ConnectError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return [str(address[0]) for *_, address in found]


def _left(moment: float | None, error: type[Exception]) -> float:
    """Return the seconds until a moment. Raise this error when it has passed."""
    if moment is None:
        return _LONGEST_CONNECT
    seconds = moment - time.monotonic()
    if seconds <= 0:
        raise error("the deadline has passed")
    return seconds
