"""Where the browser comes back to: this machine alone, one answer, one port, and not for ever."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest

from connector.errors import ConfigError, LoginError
from connector.login.callback import Callback, callback_problem
from tests.kit.browser import get


def test_one_answer_and_then_nobody_listens() -> None:
    with Callback("http://127.0.0.1:0/back", 5) as callback:
        assert urlsplit(callback.url).path == "/back"
        status, page, _ = get(callback.url + "?code=first&state=a%26b")
        assert (status, "first" in page) == (200, False)
        get(callback.url + "?code=second&state=c")
        assert callback.wait() == {"code": "first", "state": "a&b"}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(callback.url).port or 0), 5)


def test_other_machines_are_not_listened_to() -> None:
    with Callback("http://localhost:0", 5) as callback:
        assert callback._server.server_address[0] == "127.0.0.1"
        assert callback.url == f"http://localhost:{callback._server.server_address[1]}"


@pytest.mark.parametrize(
    "path",
    ["/", "/back", "/back?", "/back/?code=a", "/other?code=a", "/BACK?code=a"],
)
def test_what_is_no_answer(path: str) -> None:
    with Callback("http://127.0.0.1:0/back", 0.1) as callback:
        assert get(callback.url.removesuffix("/back") + path)[0] == 404
        with pytest.raises(LoginError, match=r"within 0\.1 seconds; start again"):
            callback.wait()


def test_a_page_under_another_name_of_this_machine_gets_no_answer_in() -> None:
    with Callback("http://127.0.0.1:0/back", 0.1) as callback:
        assert get(callback.url + "?code=a", host="rebound.example.com")[0] == 404
        with pytest.raises(LoginError):
            callback.wait()


def test_a_parameter_that_is_there_twice_is_left_out() -> None:
    with Callback("http://127.0.0.1:0/", 5) as callback:
        get(callback.url + "?state=mine&state=yours&code=a")
        assert callback.wait() == {"code": "a"}


def test_a_client_that_says_nothing_holds_nobody_up() -> None:
    started = time.monotonic()
    with Callback("http://127.0.0.1:0/", 5) as callback:
        port = urlsplit(callback.url).port or 0
        with socket.create_connection(("127.0.0.1", port), 5) as silent:
            silent.sendall(b"GET /?code=x")
            get(callback.url + "?code=a")
            assert callback.wait() == {"code": "a"}
    assert time.monotonic() - started < 4


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"C027 --callback: port {port} cannot be used"):
            Callback(f"http://127.0.0.1:{port}/", 1)


@pytest.mark.parametrize(
    "address",
    [
        "", "127.0.0.1:80", "http://127.0.0.1", "https://127.0.0.1:80/", "http://10.0.0.1:80/", "http://127.0.0.1.nip.io:80/",
        "http://127.0.0.1:80/?a=b", "http://127.0.0.1:80/#a", "http://a@127.0.0.1:80/", "http://[::1:80/", "http://127.0.0.1:99999/",
    ],
)  # fmt: skip
def test_an_address_that_is_no_callback(address: str) -> None:
    assert "allowed: http://127.0.0.1:PORT/" in callback_problem(address)
    assert callback_problem("http://127.0.0.1:8765/") == ""
    assert callback_problem("http://localhost:8765") == ""
