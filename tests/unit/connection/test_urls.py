"""Addresses: what is this machine, what may travel without TLS, and where nothing is ever sent."""

from __future__ import annotations

import pytest

from connector.connection.urls import (
    ALLOW_VARIABLE,
    Purpose,
    address_problem,
    host_problem,
    is_forbidden,
    is_local,
)

LOCAL = ["localhost", "LOCALHOST", "127.0.0.1", "127.255.0.3", "[::1]"]
ELSEWHERE = [
    "127.999.0.1",
    "127.\u0966.\u0966.\u0967",  # other digits
    "127.0.0.1.example.com",
    "127.1",
    "2130706433",
    "0.0.0.0",
    "localhost.example.com",
    "10.0.0.1",
    "[::]",
    "[fd00::1]",
]


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine_may_speak_plain_http(host: str) -> None:
    assert is_local(f"http://{host}:8080/x")
    assert address_problem(f"http://{host}:8080", Purpose.BASE) == ("", "")


@pytest.mark.parametrize("host", ELSEWHERE)
def test_any_other_host_needs_https(host: str) -> None:
    url = f"http://{host}:8080"
    assert not is_local(url)
    message, _ = address_problem(url, Purpose.TOKEN)
    assert message == "https is required: secrets would be sent unencrypted"


FORBIDDEN = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "100.100.100.200",
    "fd00:ec2::254",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_nothing_is_ever_sent_to_where_a_cloud_keeps_its_credentials(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW_VARIABLE, address)
    assert is_forbidden(address)
    host = f"[{address}]" if ":" in address else address
    for scheme in ("http", "https"):
        message, _ = address_problem(f"{scheme}://{host}/", Purpose.BASE)
        assert message == "is a link-local address, which nothing is ever sent to"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1", "fd00::1", "a.example.com", ""])
def test_other_addresses_are_not_forbidden(host: str) -> None:
    assert not is_forbidden(host)


@pytest.mark.parametrize(
    ("host", "allowed", "is_allowed"),
    [
        ("api.example.com", "", True),  # the destination's own
        ("127.0.0.1", "", True),
        ("proxy.example.org", "", False),
        ("proxy.example.org", "proxy.example.org", True),
        ("PROXY.example.org", "x.example.net, Proxy.Example.Org", True),
        ("a.proxy.example.org", "proxy.example.org", False),
        ("a.proxy.example.org", "*.proxy.example.org", True),
        ("proxy.example.org", "*.proxy.example.org", False),
        ("evilproxy.example.org", "*.proxy.example.org", False),
        ("proxy.example.org", "*", False),
    ],
)
def test_another_host_has_to_be_allowed(
    host: str, allowed: str, is_allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW_VARIABLE, allowed)
    message, hint = host_problem(f"https://{host}/v1", {"api.example.com"})
    assert (not message) == is_allowed
    if not is_allowed:
        assert message == f"leads to {host}, which is no host of the destination"
        assert "allowed: api.example.com, this machine; " in hint
