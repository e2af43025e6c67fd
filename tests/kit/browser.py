"""A browser that signs in at a sandbox: it fills in the page, and follows where it is sent.

    python tests/kit/browser.py MODE ADDRESS

MODE is what somebody does: `yes`, `no`, or `nothing`; with `foreign` the answer is changed on its way, so that it
belongs to another sign-in, and with `curious` the browser asks for other pages of the callback first.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = build_opener(_Stay, ProxyHandler({}))


def get(address: str, form: dict[str, str] | None = None, host: str = "") -> tuple[int, str, str]:
    """Return status, body and where an answer leads to."""
    request = Request(address, urlencode(form).encode() if form else None)
    if host:
        request.add_header("host", host)
    try:
        answer = _OPENER.open(request, timeout=10)
    except HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode(), answer.headers.get("location", "")


def decide(address: str, decision: str) -> tuple[str, str]:
    """Decide on the page at an address; return the page that comes, and where it leads to."""
    status, page, _ = get(address)
    assert status == 200, page
    form = {"request": re.findall(r'name="request" value="(.+?)"', page)[0], "decision": decision}
    action = re.findall(r'action="(.+?)"', page)[0]
    _, page, location = get(urljoin(address, action), form)
    return page, location


def pin_on(page: str) -> str:
    """Return the PIN that a page shows."""
    return re.findall("<code>(.+?)</code>", page)[0]


def changed(location: str) -> str:
    """Return an answer as it would be to another sign-in."""
    answer = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    for name in ("oauth_token", "state"):
        if name in answer:
            answer[name] = "x" * len(answer[name])
    return f"{location.partition('?')[0]}?{urlencode(answer)}"


def browse(mode: str, address: str) -> None:
    """Do what somebody does who is sent to an address."""
    if mode == "nothing":
        return
    _, location = decide(address, "no" if mode == "no" else "yes")
    if not location:
        return  # a PIN
    if mode == "curious":
        callback = location.partition("?")[0]
        assert get(urljoin(callback, "/favicon.ico"))[0] == 404
        assert get(callback)[0] == 404
        assert get(location, host="rebound.example.com")[0] == 404
        assert get(location, {"a": "post"})[0] == 501
    status, page, _ = get(changed(location) if mode == "foreign" else location)
    assert status == 200
    assert "Go back to the terminal" in page


def command(mode: str) -> str:
    """Return the variable BROWSER that has this browser opened."""
    return f"{sys.executable} {Path(__file__)} {mode} %s"


if __name__ == "__main__":
    browse(*sys.argv[1:])
