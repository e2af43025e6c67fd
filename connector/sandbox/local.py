"""The sandbox as a transport: inside this process, or behind an HTTP server on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connector.auth.base import Message
from connector.auth.schemes import Auth
from connector.connection.model import Connection
from connector.definitions.model import Destination
from connector.errors import ConfigError, SendError
from connector.model import Request, Response
from connector.sandbox.faults import Fault, parse_fault
from connector.sandbox.server import SandboxServer
from connector.sandbox.vendor import Holding, Vendor
from connector.sandbox.verify import AuthVerifier

# What a sender of HTTP says of the two faults that have no answer.
_NO_ANSWER = {"timeout": "timed out waiting for an answer"}
_BROKEN = "the connection closed before the answer was complete"


class Sandbox:
    """A local vendor for one connection.

    It checks authentication, caps and bodies, and remembers its audiences. It is a transport:
    `send(connection, events, transport=sandbox)` needs no network. It may be used from several
    threads.
    """

    def __init__(
        self,
        connection: Connection | Destination,
        *,
        secrets: Mapping[str, str] | None = None,
        faults: Sequence[str | Fault] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Simulate the vendor of a connection, or of a destination with its example settings.

        `secrets`: those to expect, by the names of the credentials; by default the connection's
        own, or made-up ones where one of them is missing. `faults`: how the first requests fail,
        such as `429:3` or `timeout`. `clock`: seconds since the epoch.

        Raise ValueError for an unknown fault.
        """
        if isinstance(connection, Destination):
            destination, settings = connection, connection.example_settings
            base_url = destination.base_url(settings)
        else:
            destination, settings = connection.destination, connection.settings
            base_url = connection.base_url
            secrets = _secrets(connection) if secrets is None else secrets

        auth = destination.auth_of(settings)
        if secrets is None:
            secrets = {name: f"sandbox-{name}" for name in auth.credentials}

        #: The settings and secrets of a connection to this sandbox.
        self.settings: Mapping[str, Any] = settings
        self.secrets = dict(secrets)
        self.vendor = Vendor(
            destination,
            settings=settings,
            verifier=AuthVerifier(auth, self.secrets),
            faults=_parsed(faults),
            clock=clock,
        )
        self._auth = Auth(auth, self.secrets)
        self._vendor_url = destination.base_url(settings).rstrip("/")
        self._base_url = base_url.rstrip("/")

    def __repr__(self) -> str:
        return f"Sandbox({self._vendor_url!r})"

    def __call__(self, request: Request) -> Response:
        """Sign a request and answer it.

        Raise SendError for a fault that leaves the request without an answer.
        """
        # The connection may name another address than the definition, such as that of a proxy.
        url = self._vendor_url + request.url.removeprefix(self._base_url)
        headers = {name.lower(): text for name, text in request.headers.items()}
        message = Message(request.method, url, headers, request.body)
        return self._auth.send_signed(message, self._answer)

    def _answer(self, message: Message) -> Response:
        answer = self.vendor.answer(message.method, message.url, message.headers, message.body)
        if isinstance(answer, Fault):
            raise SendError(_NO_ANSWER.get(answer.kind, _BROKEN))
        if answer.delay:
            time.sleep(answer.delay)
        return Response.parsed(answer.status, answer.headers, answer.body)

    def holdings(self) -> list[Holding]:
        """Return what each audience that was ever changed holds.

        A holding has the audience's path and its numbers of people and identifiers.
        """
        return self.vendor.holdings()

    def serve(self, port: int = 0) -> SandboxServer:
        """Return a server on 127.0.0.1, a context manager that serves while it lasts.

        `port`: 0 picks a free one.

        Raise OSError when the port is taken.
        """
        return SandboxServer(self.vendor, port)


def _parsed(faults: Sequence[str | Fault]) -> list[Fault]:
    if isinstance(faults, str):
        faults = [faults]  # its letters are no faults

    parsed = []
    for fault in faults:
        parsed.append(parse_fault(fault) if isinstance(fault, str) else fault)
    return parsed


def _secrets(connection: Connection) -> dict[str, str] | None:
    try:
        return connection.secrets()
    except ConfigError:
        return None


def connected_to(connection: Connection, server: SandboxServer) -> Connection:
    """Return the connection with the addresses of a sandbox's server in place of the vendor's.

    The vendor's retry schedule is left out: nobody wants to watch its usual waits.
    """
    retry = connection.destination.retry
    if retry is not None:
        retry = replace(retry, waits=(), deadline=None)
    return replace(
        connection,
        destination=replace(connection.destination, retry=retry),
        base_url=server.base_url,
        token_url=server.token_url,
        login_url=server.login_url,
    )
