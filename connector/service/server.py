"""Serving the application over HTTP: its socket, slow clients, TLS, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from connector.errors import ConfigError, Problem
from connector.service.app import Api
from connector.service.clients import HEAD_BYTES, allow_connections, bounded
from connector.service.logs import Log
from connector.service.service import Service
from connector.service.tls import server_context
from connector.service.tokens import Token

# Seconds for which a connection without a request is kept.
_IDLE_SECONDS = 30
# How many connections wait to be taken.
_BACKLOG = 512


@dataclass(frozen=True)
class Address:
    """Where a service is reached. `certificate` and `key`: for TLS."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    def url(self, port: int) -> str:
        """Return it as a URL, with the port that is really listened on."""
        scheme = "http" if self.certificate is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}"

    def check(self, token: Token | None) -> None:
        """Raise ConfigError (C047) for an address that must not, or cannot, be served."""
        problems = []
        if token is None and not is_loopback(self.host):
            message = "whoever reaches this host could post events"
            hint = "add --token env:NAME, or serve --host 127.0.0.1"
            problems.append(Problem("C047", "--host", "", message, hint))
        if (self.certificate is None) != (self.key is None):
            hint = "give both --tls-cert and --tls-key"
            problems.append(Problem("C047", "--tls-cert", "", "TLS needs a key, too", hint))
        if problems:
            raise ConfigError(problems)
        self.tls()

    def tls(self) -> ssl.SSLContext | None:
        """Return what TLS needs, None without it. Raise ConfigError (C047)."""
        if self.certificate is None or self.key is None:
            return None
        return server_context(self.certificate, self.key)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host."""
    return host in ("localhost", "::1") or host.startswith("127.")


def listen(address: Address) -> socket.socket:
    """Return a socket that listens. Raise ConfigError (C047)."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address.host, address.port))
        bound.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "invalid port"
        message = f"cannot listen on {address.host}, port {address.port}: {reason}"
        raise ConfigError([Problem("C047", "--port", "", message, "choose another")]) from None
    return bound


@dataclass(frozen=True)
class Serving:
    """What is served to whom. `grace`: seconds to end in good order."""

    service: Service
    address: Address
    token: Token | None
    grace: float
    log: Log

    def run(self, bound: socket.socket) -> None:
        """Serve until a signal ends it in good order; a second one ends it at once."""
        # It speaks in plain text, and may quote what it got.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
        allow_connections()
        app = self._api().app()
        server = _Server(_config(app, self.address, self.grace))
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(self._served(server, bound))

    def _api(self) -> Api:
        return Api(self.service, self.service.connections, self.token, self.service.traces)

    async def _served(self, server: _Server, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._failed)
        ends_at = 0.0

        def stop() -> None:
            nonlocal ends_at
            if ends_at:
                server.force_exit = True
                self.service.cut()
                return
            ends_at = loop.time() + self.grace
            self.log.info("stopping", grace_seconds=self.grace)
            self.service.end()
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        self.service.start(loop)
        url = self.address.url(bound.getsockname()[1])
        server.when_started = lambda: self.log.info(
            "listening", url=url, connections=self.service.connections
        )
        try:
            await server.serve([bound])
        finally:
            # Its threads hand answers to this loop, which has to go on meanwhile.
            await asyncio.to_thread(self.service.stop, max(0.0, ends_at - loop.time()))
            self.log.info("stopped")

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.log.error("internal", error=type(error).__name__)


def _config(app: ASGIApp, address: Address, grace: float) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=bounded(AutoHTTPProtocol),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace)),
        h11_max_incomplete_event_size=HEAD_BYTES,
        ws="none",
    )
    config.load()
    config.ssl = address.tls()
    return config


class _Server(uvicorn.Server):
    """Leaves signals to us, and says when it has started."""

    when_started: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        self.when_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: `serve` has handlers of its own."""
        yield
