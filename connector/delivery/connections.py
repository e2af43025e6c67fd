"""HTTP/1.1 connections, which are kept open for the next request.

What comes after an answer that nobody asked for is never taken for the answer to a later request:
a connection that brings it is closed.
"""

from __future__ import annotations

import ssl
import threading
import time
from typing import Any, NamedTuple

import h11

from connector.delivery.sockets import Cut, Wire, connect
from connector.errors import SendError, StaleError, UnreachableError

MAX_ANSWER_BYTES = 8_000_000
_MAX_HEAD_BYTES = 102_400

# A connection is closed when it was not used for so long, before the vendor closes it.
_IDLE_SECONDS = 5.0

_CLOSED = "the connection closed before the answer was complete"
_STALE = "the vendor closed the connection, which was kept open"
_NO_HTTP = "the answer is no HTTP/1.1"


class Origin(NamedTuple):
    """What a connection leads to. `tls`: whether it is https."""

    tls: bool
    host: str
    port: int


class Answer(NamedTuple):
    """An answer as it came; its `repr` shows only the status."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status})"


class Connection:
    """A connection; `ask` it one thing after the other."""

    def __init__(self, origin: Origin, wire: Wire) -> None:
        self.origin = origin
        self._wire = wire
        self._http = h11.Connection(h11.CLIENT, _MAX_HEAD_BYTES)
        self._is_used = False
        self._idle_until = 0.0
        # Since the last request: whether anything came, and whether it was sent as a whole.
        self._received = False
        self._is_sent = True

    def ask(self, head: h11.Request, body: bytes, deadline: float) -> Answer:
        """Send a request and return its answer.

        Raise SendError, and StaleError on a connection that was used before and is closed.
        """
        data = self._encoded(head, body)
        self._received = False
        try:
            self._wire.send(data, deadline)
        except OSError:
            # A vendor may answer, and close, before it has read everything.
            self._is_sent = False
        return self._answer(deadline)

    def rest(self) -> bool:
        """Get ready for the next request; return whether there may be one."""
        surplus, _ = self._http.trailing_data
        states = (self._http.our_state, self._http.their_state)
        if surplus or not self._is_sent or states != (h11.DONE, h11.DONE):
            return False
        self._http.start_next_cycle()
        self._is_used = True
        self._idle_until = time.monotonic() + _IDLE_SECONDS
        return True

    @property
    def is_fit(self) -> bool:
        """Whether it can still be used after it has rested."""
        return time.monotonic() < self._idle_until and self._wire.is_quiet

    def close(self) -> None:
        """Close it."""
        self._wire.close()

    def _encoded(self, head: h11.Request, body: bytes) -> bytes:
        try:
            pieces = [self._http.send(head), self._http.send(h11.Data(body))]
            pieces.append(self._http.send(h11.EndOfMessage()))
        except h11.LocalProtocolError:
            raise SendError("the request cannot be sent: it is no valid HTTP") from None
        return b"".join(filter(None, pieces))

    def _answer(self, deadline: float) -> Answer:
        response: h11.Response | None = None
        body = bytearray()
        while True:
            event = self._next_event(deadline)
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                check_size(body)
            elif isinstance(event, h11.EndOfMessage) and response is not None:
                return Answer(response.status_code, response.headers.raw_items(), bytes(body))
            elif not isinstance(event, h11.InformationalResponse):
                raise SendError(_NO_HTTP)  # such as another protocol, which nobody asked for

    def _next_event(self, deadline: float) -> Any:
        data = None
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = self._receive(deadline)
                self._http.receive_data(data)
        except h11.RemoteProtocolError:
            raise SendError(_CLOSED if data == b"" else _NO_HTTP) from None
        return event

    def _receive(self, deadline: float) -> bytes:
        """Return further bytes, b"" at the end of an answer that may end so."""
        try:
            data = self._wire.receive(deadline)
        except OSError:
            data = b""
        if not data and self._is_used and not self._received:
            raise StaleError(_STALE)
        if not data and self._http.their_state is h11.SEND_RESPONSE:
            raise SendError(_CLOSED)
        self._received = True
        return data


class Connections:
    """Those that are open. It may be used from several threads."""

    def __init__(self, most: int, tls: ssl.SSLContext) -> None:
        """`most`: how many are in use at a time, and how many are kept open."""
        self._most = most
        self._tls = tls
        self._slots = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._resting: list[Connection] = []
        self._cut = Cut()

    def ask(
        self, origin: Origin, head: h11.Request, body: bytes, deadline: float, *, repeatable: bool
    ) -> Answer:
        """Send a request and return its answer.

        `repeatable`: whether it may arrive twice. Only then is a connection used again, as it may
        turn out to be closed. Raise SendError; StaleError then.
        """
        if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise UnreachableError("timed out while waiting for a connection")
        try:
            connection = self._rested(origin) if repeatable else None
            return self._ask(connection or self._new(origin, deadline), head, body, deadline)
        except StaleError:
            # Those that rest are no younger. The next request is sent on a new one.
            self.close()
            raise
        finally:
            self._slots.release()

    def cut(self) -> None:
        """End every request in flight, and each that would begin: they raise CutError."""
        self._cut.now()

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            resting = self._resting
            self._resting = []
        for connection in resting:
            connection.close()

    def _ask(
        self, connection: Connection, head: h11.Request, body: bytes, deadline: float
    ) -> Answer:
        try:
            answer = connection.ask(head, body, deadline)
        except BaseException:
            connection.close()
            raise
        self._put_to_rest(connection)
        return answer

    def _new(self, origin: Origin, deadline: float) -> Connection:
        tls = self._tls if origin.tls else None
        return Connection(origin, connect(origin.host, origin.port, tls, deadline, self._cut))

    def _rested(self, origin: Origin) -> Connection | None:
        """Return a connection that is still fit, of them the one that was used last."""
        while connection := self._taken(origin):
            if connection.is_fit:
                return connection
            connection.close()
        return None

    def _taken(self, origin: Origin) -> Connection | None:
        with self._lock:
            for connection in reversed(self._resting):
                if connection.origin == origin:
                    self._resting.remove(connection)
                    return connection
        return None

    def _put_to_rest(self, connection: Connection) -> None:
        if not connection.rest():
            connection.close()
            return

        surplus = None
        with self._lock:
            self._resting.append(connection)
            if len(self._resting) > self._most:
                surplus = self._resting.pop(0)
        if surplus:
            surplus.close()


def check_size(body: bytes | bytearray) -> None:
    """Raise SendError for an answer that is too long."""
    if len(body) > MAX_ANSWER_BYTES:
        raise SendError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
