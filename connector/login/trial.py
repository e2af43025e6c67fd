"""Trying what was pasted: one harmless call shows whether the vendor accepts it."""

from __future__ import annotations

from connector.audiences.check import first_answer
from connector.connection.model import Connection
from connector.delivery.courier import Transport
from connector.errors import CallError, ConfigError, LoginError


def why_not_tried(connection: Connection, transport: Transport) -> str:
    """Return "" when the vendor accepts the credentials of a transport, else why nobody knows.

    Raise LoginError when it refuses them.
    """
    try:
        answer = first_answer(connection, transport)
    except ConfigError as error:
        return error.problems[0].message
    if answer is None:
        return "there is nothing harmless to ask for"
    if not isinstance(answer, CallError):
        return ""

    message, _, hint = answer.reason.partition("; ")
    if answer.code == "unauthorized":
        raise LoginError(f"the vendor refuses what was pasted: {message}; nothing is stored")
    return f"{message}; {hint}" if hint else message
