"""Addresses that identifiers or secrets are sent to: https, except on this machine.

A connection may move them to another host only if whoever runs it allows that host.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_EXAMPLES = "write it like https://host or http://127.0.0.1:8080"


#: The variable that names the hosts which whoever runs a connection allows, with commas.
ALLOW_VARIABLE = "CONNECTOR_ALLOW_HOSTS"

# Where machines in a cloud ask for their own credentials; others do so at link-local addresses.
_METADATA = (ip_address("100.100.100.200"), ip_address("fd00:ec2::254"))
# IPv6 addresses that stand for the IPv4 address in their last four bytes.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("::/96"))


class Purpose(Enum):
    """What an address is for: its name in messages, and what is sent there."""

    BASE = ("a base URL", "identifiers")
    TOKEN = ("a token endpoint URL", "secrets")
    LOGIN = ("a sign-in address", "secrets")


def host_of(url: str) -> str:
    """Return the host of an address, "" for what is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_local(url: str) -> bool:
    """Return whether an address is on this machine. Raise ValueError for what is not a URL."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_forbidden(host: str) -> bool:
    """Return whether a host is an address that nothing is ever sent to, under no other name."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    inner = _inner(address)
    return inner.is_link_local or inner in _METADATA


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(address.packed[-4:])
    return address


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
    if is_forbidden(host):
        message = "is a link-local address, which nothing is ever sent to"
        return message, "write the vendor's host"
    if parts.scheme == "http" and not is_local(url):
        message = f"https is required: {content} would be sent unencrypted"
        return message, "http is allowed on loopback only"
    return "", ""


def host_problem(url: str, own: Collection[str]) -> tuple[str, str]:
    """Return what is wrong with the host of a valid address, and the fix; two empty texts if none.

    `own`: the hosts of the destination.
    """
    host = urlsplit(url).hostname or ""
    if host in own or is_local(url) or _is_allowed(host):
        return "", ""
    allowed = ", ".join([*sorted(own), "this machine"])
    hint = (
        f"allowed: {allowed}; if it is meant, run 'connector --allow-host {host} …', "
        f"or name it in {ALLOW_VARIABLE}"
    )
    return f"leads to {host}, which is no host of the destination", hint


def _is_allowed(host: str) -> bool:
    for text in os.environ.get(ALLOW_VARIABLE, "").lower().split(","):
        allowed = text.strip()
        if allowed == host or (allowed.startswith("*.") and host.endswith(allowed[1:])):
            return True
    return False
