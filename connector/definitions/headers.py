"""Headers: which ones a definition or a connection may set, and what none of them may hold."""

from __future__ import annotations

import re

#: What no header may hold.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: Headers that the connector sets itself.
OWN_HEADERS = frozenset(
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
