"""A channel: what the lanes of one connection share, credentials and pace above all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from connector.connection.model import Connection
from connector.delivery.clock import Clock
from connector.delivery.lanes import REQUESTS
from connector.delivery.rate_limit import Limiter
from connector.delivery.retry import RetryPolicy
from connector.delivery.worker.bundles import Bundles
from connector.errors import ConfigError, HaltedError, UnauthorizedError
from connector.model import Batch, Request, Response, Stop

#: Seconds until a stopped lane is tried again, the first time and later; the last one repeats.
PROBES = (60.0, 300.0, 900.0)

#: How many requests are on their way at the same time, over all channels of a process.
SLOTS = threading.BoundedSemaphore(REQUESTS)
#: How many seconds a request waits for its turn among them.
SLOT_SECONDS = 10.0

#: Called with a batch that was sent, its answer, the outcome in a word, and how long it took.
Sent = Callable[[Batch, Response | None, str, float], None]


class Sender(AbstractContextManager[object], Protocol):
    """A transport that can be ended, and closed."""

    def __call__(self, request: Request) -> Response:
        """Send once."""
        ...

    def cut(self) -> None:
        """End the requests in flight, and each later one."""
        ...


def probe_after(stops: int) -> float:
    """Return the seconds until a lane is tried again that was stopped so often before."""
    return PROBES[min(stops, len(PROBES) - 1)]


class Channel:
    """What sends the requests of a connection, whose name in the outbox is `name`.

    Credentials or an account that are refused stop all lanes. The credentials are read again when a
    lane is tried again.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        open_sender: Callable[[], Sender],
        limiter: Limiter,
        clock: Clock,
        retries: int | None = None,
        on_sent: Sent | None = None,
    ) -> None:
        """`open_sender` reads the credentials and may raise ConfigError.

        `on_sent` is called in the thread of each request.
        """
        self.name = name
        self.bundles = Bundles(name, connection)
        self.strict = connection.order == "strict"
        self.policy = RetryPolicy.of(connection.destination.retry, retries)
        self.advice = connection.sign_in_advice
        self.limiter = limiter
        self._clock = clock
        self.pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix=f"lane-{name}")
        self._open_sender = open_sender
        self._on_sent = on_sent
        # Of the request of this thread: when it started.
        self._started = threading.local()
        self._lock = threading.Lock()
        self._sender: Sender | None = None
        self._is_cut = False
        self._refused: Stop | None = None
        self._refusals = 0
        self._refused_until = 0.0

    def send(self, request: Request) -> Response:
        """Send once. Raise SendError and UnauthorizedError as a transport does.

        HaltedError while all of the connection is stopped.
        """
        if self._on_sent is not None:
            self._started.at = self._clock.monotonic()
        return self._opened()(request)

    def sent(self, batch: Batch, response: Response | None, word: str) -> None:
        """Tell what became of the request of this thread."""
        if self._on_sent is None:
            return
        started = getattr(self._started, "at", None)
        if started is not None:
            self._started.at = None
            self._on_sent(batch, response, word, self._clock.monotonic() - started)

    def open(self) -> None:
        """Read the credentials. Raise ConfigError."""
        with self._lock:
            if self._sender is None:
                self._sender = self._open_sender()

    def refuse(self, stop: Stop) -> None:
        """Note why nothing is sent until the credentials are read again."""
        with self._lock:
            if self._refused is not None:
                return
            # The courier adds the advice again.
            reason = stop.reason.removesuffix(f"; {self.advice}")
            self._refused = replace(stop, reason=reason)
            self._refused_until = self._clock.monotonic() + probe_after(self._refusals)
            self._refusals += 1
            sender, self._sender = self._sender, None
        if sender is not None:
            sender.__exit__(None, None, None)

    def accept(self) -> None:
        """Note that the account and the credentials are good."""
        if self._refusals:
            with self._lock:
                if self._refused is None:
                    self._refusals = 0

    def refused(self) -> tuple[Stop, float] | None:
        """Return why nothing is sent, and for how many seconds; None when something may be."""
        with self._lock:
            if self._refused is None:
                return None
            left = self._refused_until - self._clock.monotonic()
            if left > 0:
                return self._refused, left
            self._refused = None
            return None

    def cut(self) -> None:
        """End the requests in flight, and each later one."""
        with self._lock:
            self._is_cut = True
            if self._sender is not None:
                self._sender.cut()

    def close(self) -> None:
        """End the threads, once nothing is on its way."""
        self.pool.shutdown(wait=True)
        if self._sender is not None:
            self._sender.__exit__(None, None, None)

    def _opened(self) -> Sender:
        refused = self.refused()
        if refused is not None:
            raise HaltedError(refused[0].code, refused[0].reason)
        with self._lock:
            if self._sender is None:
                try:
                    self._sender = self._open_sender()
                except ConfigError as error:
                    reasons = "; ".join(problem.message for problem in error.problems)
                    raise UnauthorizedError(reasons) from None
                if self._is_cut:
                    self._sender.cut()
            return self._sender
