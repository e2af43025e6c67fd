"""What asks the vendor one thing: calls, audiences, and whether a connection is good."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from connector.calls.run import rows
from connector.calls.values import check_settings, find_call, values_of
from connector.connection.model import Connection
from connector.delivery.clock import Clock
from connector.delivery.courier import Transport
from connector.errors import ConfigError
from connector.library.arguments import remembered_in, require_connection
from connector.library.transports import sender_of

if TYPE_CHECKING:
    from connector.audiences.check import Check
    from connector.audiences.manager import Manager


def call(
    connection: Connection,
    name: str,
    values: Mapping[str, Any] | None = None,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    notify: Callable[[str], None] | None = None,
    retries: int | None = None,
    timeout: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Return the rows of a call, one by one; a result that is no list is one row.

    `values` are its parameters. Pages are asked for as they are wanted. `transport`, `clock`,
    `notify`, `retries` and `timeout` are as in `send`.

    Raise ConfigError for an unknown call, and for parameters that do not fit. Iterating raises
    CallError, and ConfigError for a missing secret.
    """
    require_connection(connection)
    given = dict(values or {})
    found_call = find_call(connection.destination, name)
    check_settings(found_call, connection)
    values_of(found_call, given)

    def found() -> Iterator[dict[str, Any]]:
        with sender_of(connection, transport, timeout, clock) as sender:
            yield from rows(
                connection, name, given, sender, clock=clock, retries=retries, notify=notify
            )

    return found()


@contextmanager
def open_audiences(
    connection: Connection,
    kind: str | None = None,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    notify: Callable[[str], None] | None = None,
    retries: int | None = None,
    timeout: float | None = None,
) -> Iterator[Manager]:
    """Yield the audiences of an account: `list`, `get`, `find`, `create`, `rename`, `delete`.

    `kind`: the parameter of actions that takes their ids, by default the first kind with names. The
    other arguments are as in `call`.

    Raise ConfigError for an unknown kind, and for a missing secret.
    """
    # Only who asks for audiences needs this.
    from connector.audiences.manager import Manager, find_kind

    require_connection(connection)
    chosen = find_kind(connection.destination, kind)
    with sender_of(connection, transport, timeout, clock) as sender:
        yield Manager(connection, chosen, sender, clock=clock, retries=retries, notify=notify)


def check(
    connection: Connection,
    *,
    transport: Transport | None = None,
    clock: Clock | None = None,
    timeout: float | None = None,
    state: str | os.PathLike[str] | None = None,
) -> Iterator[Check]:
    """Yield what is found of a connection, its credentials and its audiences, one by one.

    Nothing is changed. `transport`, `clock` and `timeout` are as in `send`. `state`: its folder, in
    which the ids of audiences by name are.

    Iterating raises ConfigError for a state that cannot be read.
    """
    from connector.audiences.check import check as checks_of
    from connector.audiences.check import without_secrets

    require_connection(connection)
    remembered = remembered_in(state, connection)
    if remembered is not None:
        remembered.check()
    try:
        opened = sender_of(connection, transport, timeout, clock)
    except ConfigError as error:
        yield from without_secrets(connection, error)
        return
    with opened as sender:
        yield from checks_of(connection, sender, clock, remembered)
