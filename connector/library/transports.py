"""What sends requests over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from connector.connection.model import Connection
from connector.connection.secrets import missing
from connector.delivery.clock import Clock, SystemClock
from connector.delivery.courier import Transport
from connector.delivery.lanes import REQUESTS
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.delivery.http import HttpSender


def http_transport(
    connection: Connection,
    *,
    secrets: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> HttpSender:
    """Return the transport that signs requests and sends them over HTTP.

    It is a context manager and may serve several runs.

    `secrets`: by the names of the credentials, for a program that has them from elsewhere; by
    default those that the connection refers to; of these, one in a login of the store is kept there
    when the vendor renews it. `timeout`: seconds for one attempt of a request, from connecting to
    the end of its answer and with a token that it needs first; by default 60.

    Raise ConfigError when a secret is missing, or would go where it should not.
    """
    are_its_own = secrets is None
    if secrets is None:
        secrets = connection.secrets()

    problems = []
    for name in missing(connection.auth(), secrets):
        message = f"missing credential '{name}'"
        pointer = f"/credentials/{name}"
        problems.append(Problem("C204", connection.file, pointer, message, "add it to secrets"))
    if problems:
        raise ConfigError(problems)

    # A preview does without what speaks HTTP and signs.
    from connector.auth.schemes import Auth, scheme_of
    from connector.delivery.http import HttpSender

    auth = connection.auth()
    renewed = scheme_of(auth).RENEWED
    kept = connection.kept_secret(renewed) if are_its_own else None
    return HttpSender(Auth(auth, secrets, kept), REQUESTS, timeout)


def sender_of(
    connection: Connection,
    transport: Transport | None,
    timeout: float | None,
    clock: Clock | None = None,
) -> AbstractContextManager[Transport]:
    """Return the transport of whoever calls, left open, else one of its own, which `clock` cuts.

    Raise ConfigError.
    """
    if transport is not None:
        return nullcontext(transport)
    sender = http_transport(connection, timeout=timeout)
    if isinstance(clock, SystemClock):
        clock.when_cut(sender.cut)
    return sender
