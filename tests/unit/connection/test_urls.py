"""Addresses: what counts as this machine, and what may travel without TLS."""

from __future__ import annotations

import pytest

from connector.connection.urls import Purpose, address_problem, is_local

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
    "[fe80::1]",
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
