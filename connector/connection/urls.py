"""Addresses that identifiers or secrets are sent to: https, except on this machine."""

from __future__ import annotations

from enum import Enum
from ipaddress import ip_address
from urllib.parse import urlsplit

_EXAMPLES = "write it like https://host or http://127.0.0.1:8080"


class Purpose(Enum):
    """What an address is for: its name in messages, and what is sent there."""

    BASE = ("a base URL", "identifiers")
    TOKEN = ("a token endpoint URL", "secrets")
    LOGIN = ("a sign-in address", "secrets")


def is_local(url: str) -> bool:
    """Return whether an address is on this machine. Raise ValueError for what is not a URL."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def address_problem(url: str, purpose: Purpose) -> tuple[str, str]:
    """Return what is wrong with an address, and the fix; two empty texts when it is valid."""
    name, content = purpose.value
    invalid = (f"is not {name}", _EXAMPLES)
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError:
        return invalid

    if parts.username is not None:
        hint = "remove it; refer to secrets under 'credentials'"
        return "contains a user name or password", hint
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return invalid
    if parts.query or parts.fragment:
        return invalid
    if parts.scheme == "http" and not is_local(url):
        message = f"https is required: {content} would be sent unencrypted"
        return message, "http is allowed on loopback only"
    return "", ""
