"""Addresses that identifiers or secrets are sent to: https, except on this machine."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


def is_local(url: str) -> bool:
    """Whether an address is on this machine."""
    return bool(_LOOPBACK.fullmatch(urlsplit(url).hostname or ""))


def wrong_address(
    url: str, kind: str = "the base of a URL", travels: str = "identifiers"
) -> tuple[str, str]:
    """Return what is wrong with an address and how to mend it, two empty texts when nothing is."""
    hint = "write it like https://host or http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        return f"is not {kind}", hint
    if parts.username is not None:
        return (
            "holds a user name or password",
            "take it out; secrets are referred to under 'credentials'",
        )
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        return f"is not {kind}", hint
    if parts.scheme == "http" and not is_local(url):
        return (
            f"https is required: {travels} would travel in the clear",
            "http is allowed on loopback only",
        )
    return "", ""
