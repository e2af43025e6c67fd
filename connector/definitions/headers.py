"""Headers of requests: which are valid, and which neither a definition nor a connection may set.

A request's headers come from the definition, then from the connection where the definition allows
further ones, then from authentication, then from the HTTP client. Headers set by the last two may
not be set elsewhere; the sets below differ in what else has its own key in a file.
"""

from __future__ import annotations

import re
from typing import Any

#: What no header may hold.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: The HTTP client sets these, or they would change how a request is framed.
TRANSPORT = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)

#: A definition may not set these: credentials come from `auth` alone.
NOT_IN_DEFINITIONS = TRANSPORT | {"authorization", "cookie"}

#: No credential may be sent in these: they say what the body is, or belong to a session.
NOT_FOR_CREDENTIALS = TRANSPORT | {"content-type", "cookie"}

#: A connection may not set these; of the others it may set none that `names_a_secret`.
NOT_IN_CONNECTIONS = TRANSPORT

_NAME = re.compile("[A-Za-z0-9-]+")
_SECRET_NAME = re.compile("auth|cookie|key|password|secret|token", re.IGNORECASE)


def is_header(name: str, value: Any) -> bool:
    """Return whether a name and a value can be a header."""
    if not isinstance(value, str) or CONTROL.search(value):
        return False
    return bool(_NAME.fullmatch(name))


def names_a_secret(name: str) -> bool:
    """Return whether a header's name says that its value is a secret."""
    return bool(_SECRET_NAME.search(name))
