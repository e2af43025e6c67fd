"""What feeds an outbox and what delivers it, made of connections: for a service, and for a pipe."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from connector.connection.model import Connection
from connector.delivery.clock import SystemClock
from connector.delivery.outbox.model import Outbox
from connector.delivery.rate_limit import Limiter
from connector.delivery.worker.channel import Channel, Sender, Sent
from connector.delivery.worker.mapping import Mapper, Observer
from connector.delivery.worker.pace import SharedLimiter, account_of
from connector.delivery.worker.terms import Events, Terms
from connector.delivery.worker.worker import Worker
from connector.library.arguments import remembered_in, require_routes
from connector.library.transports import http_transport
from connector.model import Request, Response
from connector.pipeline.audiences import asks_for_audiences
from connector.pipeline.pipeline import Pipeline

# A lease of one process, which nobody else can take, and of several, in attempts.
_LONG_LEASE = 3600.0
_ATTEMPTS = 3

#: Opens what sends the requests of a connection. May raise ConfigError.
Open = Callable[[Connection], Sender]


@dataclass(frozen=True)
class Means:
    """How an outbox is delivered: by several processes if it `is_shared`.

    `folder`: where the ids of audiences are remembered, if anywhere. `timeout`: seconds of an
    attempt. `retries`, and `look_ups` for audiences that are asked for while events wait: how often
    a request is sent again, None for as often as the destination says. `open`: by default it opens
    what sends over HTTP, with the secrets that the connection refers to. `deadline`: see `Terms`.
    `sent` gives what hears of each request of a connection, by its name and its destination's id.
    """

    folder: Path | None
    timeout: float
    retries: int | None = None
    look_ups: int | None = None
    deadline: float | None = None
    is_shared: bool = False
    open: Open | None = None
    sent: Callable[[str, str], Sent | None] | None = None


class Outgoing:
    """A mapper for each connection, by its name, and the worker that delivers all of them."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        outbox: Outbox,
        means: Means,
        clock: SystemClock,
        events: Events,
        observer: Observer | None = None,
    ) -> None:
        """Read the credentials and the audiences of all connections.

        `clock` ends the worker, which tells `events`; `observer` hears of what becomes no record.

        Raise ConfigError and DefinitionError.
        """
        self.mappers: dict[str, Mapper] = {}
        self.channels: list[Channel] = []
        self._outbox = outbox
        self._means = means
        self._clock = clock

        limiters: dict[str, Limiter] = {}
        for name, connection in connections.items():
            require_routes(connection)
            limiter = self._limiter(connection, limiters)
            opening = self._opening(connection)
            on_sent = means.sent(name, connection.destination.id) if means.sent else None
            channel = Channel(name, connection, opening, limiter, clock, means.retries, on_sent)
            channel.open()
            self.channels.append(channel)
            make_pipeline = self._pipelines(connection, channel, events)
            self.mappers[name] = Mapper(name, connection, make_pipeline, observer)

        lease = _ATTEMPTS * means.timeout
        if not means.is_shared:
            lease = max(lease, _LONG_LEASE)
        terms = Terms(lease, means.timeout, deadline=means.deadline)
        worker = f"{platform.node()}-{os.getpid()}"
        self.worker = Worker(worker, outbox, self.channels, clock, terms, events)

    def _opening(self, connection: Connection) -> Callable[[], Sender]:
        open_sender = self._means.open
        if open_sender is not None:
            return lambda: open_sender(connection)
        return lambda: http_transport(connection, timeout=self._means.timeout)

    def _limiter(self, connection: Connection, known: dict[str, Limiter]) -> Limiter:
        """Return the limiter of an account, which its connections share."""
        secrets = connection.secrets() if self._means.open is None else {}
        account = account_of(connection, secrets)
        if account not in known:
            rates = connection.destination.rates
            if self._means.is_shared:
                timeout = self._means.timeout
                known[account] = SharedLimiter(rates, self._clock, self._outbox, account, timeout)
            else:
                known[account] = Limiter(rates, self._clock)
        return known[account]

    def _pipelines(
        self, connection: Connection, channel: Channel, events: Events
    ) -> Callable[[], Pipeline]:
        """Return what makes a connection's pipeline, which may ask the vendor for audiences."""
        if not asks_for_audiences(connection):
            return lambda: Pipeline(connection)
        from connector.audiences.names import RunAudiences

        remembered = remembered_in(self._means.folder, connection)

        def ask(request: Request) -> Response:
            turn = channel.limiter.wait()
            response = channel.send(request)
            if turn is not None:
                channel.limiter.answered(turn)
            return response

        def make() -> Pipeline:
            if remembered is not None:
                remembered.prepare()
            audiences = RunAudiences(
                connection,
                ask,
                remembered,
                clock=self._clock,
                retries=self._means.look_ups,
                notify=events.waiting,
            )
            audiences.prepare()
            return Pipeline(connection, audiences)

        return make
