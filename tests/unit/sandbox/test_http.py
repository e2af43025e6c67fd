"""The sandbox's HTTP as the RFCs say it, over real sockets: bodies, schemes, tokens, OAuth 1.0a, and a line for each refusal."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpx
import pytest
from oauthlib.oauth1 import SIGNATURE_TYPE_BODY, SIGNATURE_TYPE_QUERY, Client

from connector.sandbox import request_body
from connector.sandbox import server as sandbox_server
from connector.sandbox.local import Sandbox
from connector.sandbox.server import SandboxServer
from tests.kit.destination import NO_AUTH, SOURCE, define_people

JSON = {"content-type": "application/json"}
FORM = "application/x-www-form-urlencoded"
BODY = b'{"people": [{"email": "a"}]}'
HEAD = b"POST /people HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n"

pytestmark = pytest.mark.filterwarnings("error")


class Served:
    """A sandbox that listens, and what it logged."""

    def __init__(self, box: Sandbox, server: SandboxServer) -> None:
        self.box = box
        self.url = server.base_url + "/people"
        self.token_url = server.token_url
        self.log: list[str] = []
        box.vendor.log = self.log.append

    @property
    def people(self) -> int:
        return sum(held.people for held in self.box.holdings())

    def post(self, **headers: str) -> httpx.Response:
        return httpx.post(self.url, content=BODY, headers={**JSON, **headers}, trust_env=False)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", urlsplit(self.url).port or 0), 5)

    def talk(self, *parts: bytes) -> bytes:
        """Send some bytes, and return all that comes back until the other side closes."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[SandboxServer] = []

    def start(
        auth: Mapping[str, Any] = NO_AUTH, *faults: str, secrets: dict[str, str] | None = None
    ) -> Served:
        destination = define_people(tmp_path, {"source": SOURCE, **auth}).load("tiny")
        box = Sandbox(destination, secrets=secrets, faults=faults)
        servers.append(box.serve().__enter__())
        return Served(box, servers[-1])

    yield start
    for server in servers:
        server.close()


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


# --- bodies in chunks ---


@pytest.mark.parametrize(
    "sent",
    [
        b"1c\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"5\r\n" + BODY[:5] + b"\r\n17\r\n" + BODY[5:] + b"\r\n0\r\n\r\n",
        b'0001C ; name=value;other="x;y"\r\n' + BODY + b"\r\n000\r\n\r\n",
        b"1C\r\n" + BODY + b"\r\n0\r\nchecksum: abc\r\nother: 1\r\n\r\n",
        b"1c\n" + BODY + b"\n0\n\n",
    ],
    ids=["one", "two", "extensions", "trailers", "bare line feeds"],
)
def test_chunks_are_read(serve: Serve, sent: bytes) -> None:
    served = serve()
    one_after_the_other = served.talk(CHUNKED + b"\r\n" + sent, CHUNKED + b"\r\n" + sent)
    assert one_after_the_other.count(b"HTTP/1.1 200 ") == 2
    assert served.people == 1


def test_a_client_that_streams(serve: Serve) -> None:
    served = serve()

    def content() -> Iterator[bytes]:
        for position in range(len(BODY)):
            yield BODY[position : position + 1]

    answer = httpx.post(served.url, content=content(), headers=JSON, trust_env=False)
    assert (answer.status_code, served.people) == (200, 1)
    assert answer.request.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize(
    "sent",
    [
        b"xyz\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1c\r\n",
        b"0x1c\r\n",
        b"1c 1c\r\n",
        b"1b\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"1c\r\n" + BODY + b"0\r\n\r\n",
        b"1c\r\n" + BODY + b"\rx",
        b"1" * 16 + b"\r\n",
        b"1;" + b"x" * 9000,
        b"0\r\n" + b"a: b\r\n" * 101,
        b"0\r\n" + b"a" * 9000,
    ],
)
def test_malformed_chunks_are_refused_at_once(serve: Serve, sent: bytes) -> None:
    served = serve()
    started = time.monotonic()
    with served.connect() as client:
        client.sendall(CHUNKED + b"\r\n" + sent)
        answer = client.recv(65536)  # and not after the end of what is sent
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536) == b""
    assert time.monotonic() - started < 2
    assert status_of(answer) == 400
    assert b"connection: close" in answer
    assert served.log == ["POST (not read) 400 unreadable: a chunk of the body is malformed"]
    assert served.people == 0


@pytest.mark.parametrize("sent", [b"", b"5", b"5\r\nab", b"2\r\nab\r\n", b"0\r\n"])
def test_chunks_that_end_too_early(serve: Serve, sent: bytes) -> None:
    served = serve()
    assert served.talk(CHUNKED + b"\r\n" + sent) == b""
    assert served.log == ["POST (not read) the client went away"]
    assert served.people == 0


@pytest.mark.parametrize(
    ("head", "sent"),
    [
        (CHUNKED, b"3e9\r\n"),
        (CHUNKED, b"fffffffffffffff\r\n"),
        (CHUNKED, b"1\r\n{\r\n" * 400),
        (HEAD + b"content-length: 1001\r\n", b""),
    ],
)
def test_too_long_a_body_is_refused_before_it_is_read(
    serve: Serve, head: bytes, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "MAX_BODY", 1000)
    served = serve()
    assert status_of(served.talk(head + b"\r\n" + sent)) == 413
    assert served.log == [
        "POST (not read) 413 unreadable: the body has more than 1000 bytes",
    ]


def test_a_refusal_reaches_a_client_that_is_still_sending(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "MAX_BODY", 1000)
    served = serve()
    answer = httpx.post(served.url, content=b" " * 20_000_000, headers=JSON, trust_env=False)
    assert answer.status_code == 413


@pytest.mark.parametrize("head", [CHUNKED, HEAD + b"content-length: 28\r\n"])
def test_a_body_that_pauses_is_given_up(
    serve: Serve, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_server, "PAUSE_SECONDS", 0.1)
    served = serve()
    with served.connect() as client:
        client.sendall(head + b"\r\n1")
        assert status_of(client.recv(65536)) == 408
    assert served.log == ["POST (not read) 408 unreadable: the rest of the body does not come"]


# --- framing ---


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (CHUNKED + b"content-length: 28\r\n", 400),
        (HEAD + b"content-length: 28\r\ncontent-length: 29\r\n", 400),
        (HEAD + b"content-length: 28, 28\r\n", 400),
        (HEAD + b"content-length: 0x1c\r\n", 400),
        (HEAD + b"transfer-encoding: gzip\r\n", 400),
        (HEAD + b"transfer-encoding: chunked, chunked\r\n", 400),
        (HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n", 400),
        (HEAD + b"transfer-encoding: gzip, chunked\r\n", 501),
        (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (HEAD.replace(b"host: a\r\n", b""), 400),
        (HEAD + b"host: b\r\n", 400),
        (HEAD.replace(b"POST", b"ann@example.com"), 501),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/x"), 400),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/2.0"), 505),
        (HEAD + b"a: b\r\n" * 200, 431),
        (HEAD + b"a: " + b"b" * 70_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 70_000, 414),
        (b"ann@example.com", 400),
    ],
)
def test_what_is_refused_has_an_answer_and_a_line_and_no_value(
    serve: Serve, head: bytes, status: int
) -> None:
    served = serve()
    answer = served.talk(head + b"\r\n")
    assert status_of(answer) == status
    assert answer.startswith(b"HTTP/1.1 ")
    [line] = served.log
    assert re.match(rf"(POST|\(unknown method\)) \(not read\) {status} unreadable: \w", line)
    assert "ann" not in line
    assert b"ann" not in answer


def test_the_same_length_twice_is_one(serve: Serve) -> None:
    served = serve()
    answer = served.talk(HEAD + b"content-length: 28\r\n" * 2 + b"\r\n" + BODY)
    assert (status_of(answer), served.people) == (200, 1)


def test_a_full_url_as_for_a_proxy(serve: Serve) -> None:
    served = serve()
    head = HEAD.replace(b"/people", b"http://api.example.com/people")
    answer = served.talk(head + b"content-length: 28\r\n\r\n" + BODY)
    assert (status_of(answer), served.people) == (200, 1)


@pytest.mark.parametrize("word", [b"100-continue", b"100-Continue"])
def test_a_client_that_waits_before_its_body_is_told_to_go_on(serve: Serve, word: bytes) -> None:
    served = serve()
    with served.connect() as client:
        client.sendall(HEAD + b"expect: " + word + b"\r\ncontent-length: 28\r\n\r\n")
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert status_of(client.recv(65536)) == 200


def test_a_client_that_waits_is_refused_without_its_body(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        client.sendall(HEAD + b"expect: 100-continue\r\ncontent-length: 999999999\r\n\r\n")
        assert status_of(client.recv(65536)) == 413


# --- the name of a scheme ---


BEARER = {"scheme": "bearer"}
BASIC = {"scheme": "basic"}
PREFIXED = {
    "scheme": "api_key",
    "in": "header",
    "name": "Authorization",
    "prefix": "Token ",
}
PAIR = b64encode(b"sandbox-username:sandbox-password").decode()


@pytest.mark.parametrize(
    ("auth", "header", "challenge"),
    [
        (BEARER, "{} sandbox-access_token", "Bearer"),
        (BASIC, "{} " + PAIR, 'Basic realm="sandbox", charset="UTF-8"'),
        (PREFIXED, "{} sandbox-api_key", None),
    ],
    ids=["bearer", "basic", "api_key"],
)
def test_the_name_of_a_scheme_has_no_case(
    serve: Serve, auth: dict[str, Any], header: str, challenge: str | None
) -> None:
    served = serve(auth)
    name = auth.get("prefix", auth["scheme"]).strip()
    for spelled in (name.lower(), name.upper(), name.title(), f"{name} "):
        assert served.post(authorization=header.format(spelled)).status_code == 200
    for wrong in (header.format("Digest"), header.format(name) + "x", name, "", header.upper()):
        refused = served.post(authorization=wrong)
        assert refused.status_code == 401
        assert refused.headers.get("www-authenticate") == challenge


# --- tokens ---


OAUTH2 = {
    "scheme": "oauth2",
    "grant": "refresh_token",
    "token_url": "https://auth.example.com/token",
    "scope": "read write",
}
CLIENT_CREDENTIALS = {
    **OAUTH2,
    "grant": "client_credentials",
}
CLIENT = {"client_id": "sandbox-client_id", "client_secret": "sandbox-client_secret"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "sandbox-refresh_token"}
BY_HEADER = ("sandbox-client_id", "sandbox-client_secret")


def ask(served: Served, form: Any, **more: Any) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        answer = client.post(served.token_url, data=form, **more)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    return answer


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ({}, "read write"),
        ({"scope": ""}, "read write"),
        ({"scope": "write read"}, "write read"),
        ({"scope": "read"}, "read"),
    ],
)
@pytest.mark.parametrize("by_header", [False, True])
def test_a_refresh_may_leave_out_its_scope_and_any_client_may_use_basic(
    serve: Serve, scope: dict[str, str], granted: str, by_header: bool
) -> None:
    served = serve(OAUTH2)
    if by_header:
        answer = ask(served, {**REFRESH, **scope}, auth=BY_HEADER)
    else:
        answer = ask(served, {**REFRESH, **CLIENT, **scope, "unknown": "x"})
    assert answer.status_code == 200
    assert answer.json().items() >= {"token_type": "Bearer", "scope": granted}.items()
    assert served.post(authorization=f"bearer {answer.json()['access_token']}").status_code == 200
    assert served.people == 1


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({**CLIENT, **REFRESH, "scope": "read admin"}, "invalid_scope"),
        ({**CLIENT, **REFRESH, "refresh_token": "wrong"}, "invalid_grant"),
        ({**CLIENT, "grant_type": "refresh_token"}, "invalid_request"),
        ({**CLIENT, "refresh_token": "sandbox-refresh_token"}, "invalid_request"),
        ({**CLIENT, **REFRESH, "grant_type": "password"}, "unsupported_grant_type"),
        ({**CLIENT, **REFRESH, "client_id": ["sandbox-client_id", "x"]}, "invalid_request"),
        ({**REFRESH, **CLIENT, "client_secret": "wrong"}, "invalid_client"),
        (REFRESH, "invalid_client"),
    ],
)
def test_why_there_is_no_token(serve: Serve, form: Any, error: str) -> None:
    served = serve(OAUTH2)
    answer = ask(served, form)
    said = answer.json()
    assert set(said) == {"error", "error_description"}
    assert said["error"] == error
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", said["error_description"])
    assert answer.status_code == (401 if error == "invalid_client" else 400)
    assert ("www-authenticate" in answer.headers) == (error == "invalid_client")
    expected = f"POST /token {answer.status_code} {error}: {said['error_description']}"
    assert served.log == [expected]
    assert "sandbox-" not in answer.text


def test_a_client_that_fails_in_the_header_is_challenged(serve: Serve) -> None:
    served = serve(OAUTH2)
    answer = ask(served, REFRESH, auth=("sandbox-client_id", "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    twice = ask(served, {**REFRESH, **CLIENT}, auth=BY_HEADER)
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")


def test_a_client_on_its_own_behalf_says_its_scope(serve: Serve) -> None:
    served = serve(CLIENT_CREDENTIALS)
    grant = {"grant_type": "client_credentials", **CLIENT}
    assert ask(served, grant).json()["error"] == "invalid_scope"
    assert ask(served, {**grant, "scope": "write read"}).status_code == 200


# --- OAuth 1.0a ---


OAUTH1 = {
    "scheme": "oauth1",
}


def client_of(box: Sandbox, **more: Any) -> Client:
    secrets = box.secrets
    return Client(
        secrets["consumer_key"],
        client_secret=secrets["consumer_secret"],
        resource_owner_key=secrets["access_token"],
        resource_owner_secret=secrets["access_token_secret"],
        **more,
    )


def in_other_order(header: str) -> str:
    fields = header.removeprefix("OAuth ").split(", ")
    return "OAuth " + ", ".join(reversed(fields))


def escaped_throughout(header: str) -> str:
    """Escape what need not be escaped, in lower case."""

    def escape(match: re.Match[str]) -> str:
        escaped = "".join(f"%{byte:02x}" for byte in unquote(match[1]).encode())
        return f'="{escaped}"'

    return re.sub(r'="([^"]*)"', escape, header)


VARIANTS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "another order": in_other_order,
    "a realm first": lambda header: header.replace("OAuth ", 'OAuth realm="Photos", '),
    "a realm with a comma": lambda header: header.replace("OAuth ", 'OAuth Realm="a, b=\\"c", '),
    "no spaces": lambda header: header.replace(", ", ","),
    "more spaces": lambda header: header.replace(", ", "  ,   ").replace("OAuth ", "OAuth   "),
    "lower case": lambda header: header.replace("OAuth ", "oauth "),
    "no version": str,
}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_a_header_may_be_written_in_many_ways(serve: Serve, variant: str) -> None:
    served = serve(OAUTH1)
    client = client_of(served.box)
    if variant == "no version":
        get_params = client.get_oauth_params

        def without_version(request: Any) -> list[tuple[str, str]]:
            return [pair for pair in get_params(request) if pair[0] != "oauth_version"]

        client.get_oauth_params = without_version  # type: ignore[method-assign]
    _, headers, _ = client.sign(served.url, "POST")
    header = VARIANTS[variant](headers["Authorization"])
    assert served.post(authorization=header).status_code == 200
    again = served.post(authorization=header)
    assert (again.status_code, again.headers["www-authenticate"]) == (401, "OAuth")
    assert "the nonce is already used" in served.log[1]


def test_percent_encoding_may_differ(serve: Serve) -> None:
    served = serve(OAUTH1)
    query = "?q=a%20b%7Ec&q=%c3%a9&empty=&none"
    other = "?none=&q=%C3%A9&empty&q=a+b~c"
    _, headers, _ = client_of(served.box).sign(
        served.url + query.replace("&none", "&none="), "POST"
    )
    header = escaped_throughout(headers["Authorization"])
    assert header.count("%") > headers["Authorization"].count("%")
    answer = httpx.post(
        served.url + other, content=BODY, headers={**JSON, "authorization": header}, trust_env=False
    )
    assert (answer.status_code, served.people) == (200, 1)


def test_its_parameters_may_be_in_the_query(serve: Serve) -> None:
    served = serve(OAUTH1)
    client = client_of(served.box, signature_type=SIGNATURE_TYPE_QUERY)
    url, _, _ = client.sign(served.url + "?realm=x&b=1", "POST")
    for status in (200, 401):
        answer = httpx.post(url, content=BODY, headers=JSON, trust_env=False)
        assert answer.status_code == status
    assert served.people == 1


def test_its_parameters_may_be_in_a_form(serve: Serve) -> None:
    """The signature is right, and then the vendor wants JSON."""
    served = serve(OAUTH1)
    client = client_of(served.box, signature_type=SIGNATURE_TYPE_BODY)
    headers = {"content-type": FORM}
    _, headers, form = client.sign(served.url, "POST", body="a=1&b=x%20y", headers=headers)
    statuses = []
    for content in (form + "&c=1", form):
        answer = httpx.post(served.url, content=content, headers=headers, trust_env=False)
        statuses.append(answer.status_code)
    assert statuses == [401, 415]


def test_a_parameter_that_is_sent_twice(serve: Serve) -> None:
    served = serve(OAUTH1)
    client = client_of(served.box, signature_type=SIGNATURE_TYPE_QUERY)
    url, _, _ = client.sign(served.url, "POST")
    fields = dict(parse_qsl(urlsplit(url).query))
    header = f'OAuth oauth_nonce="{quote(fields["oauth_nonce"])}"'
    headers = {**JSON, "authorization": header}
    assert httpx.post(url, content=BODY, headers=headers, trust_env=False).status_code == 401
    assert "an OAuth parameter is sent twice" in served.log[0]


def test_another_version(serve: Serve) -> None:
    served = serve(OAUTH1)
    client = client_of(served.box)
    get_params = client.get_oauth_params

    def with_version(request: Any) -> list[tuple[str, str]]:
        params = dict(get_params(request))
        params["oauth_version"] = "2.0"
        return list(params.items())

    client.get_oauth_params = with_version  # type: ignore[method-assign]
    _, headers, _ = client.sign(served.url, "POST")
    assert served.post(authorization=headers["Authorization"]).status_code == 401
    assert "oauth_version must be 1.0" in served.log[0]


# --- faults that answer ---


def test_an_answer_without_a_body(serve: Serve) -> None:
    served = serve(NO_AUTH, "204:2", "202")
    with httpx.Client(trust_env=False) as client:
        answers = []
        for _ in range(4):
            answers.append(client.post(served.url, content=BODY, headers=JSON))
    assert [answer.status_code for answer in answers] == [204, 204, 202, 200]
    for answer in answers[:2]:
        assert answer.content == b""
        assert not {"content-length", "content-type"} & set(answer.headers)
    assert answers[2].json() == answers[3].json() == {}
    assert served.log == [f"POST /people {status}" for status in (204, 204, 202, 200)]
    assert served.people == 1


def test_a_refused_request_is_refused_whatever_the_fault(serve: Serve) -> None:
    served = serve(NO_AUTH, "204", "202", "slow=9")
    for _ in range(3):
        answer = httpx.post(served.url, content=b"{}", headers=JSON, trust_env=False, timeout=2)
        assert answer.status_code == 400


def test_a_slow_answer_is_of_a_request_that_was_applied(serve: Serve) -> None:
    served = serve(NO_AUTH, "slow=0.4")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(served.url, content=BODY, headers=JSON, trust_env=False, timeout=0.1)
    assert served.people == 1

    served = serve(NO_AUTH, "slow=0.4:2")
    started = time.monotonic()
    assert served.post().status_code == 200
    assert 0.4 <= time.monotonic() - started < 2


def test_slow_answers_do_not_hold_up_others_nor_the_end(serve: Serve) -> None:
    served = serve(NO_AUTH, "slow=60")
    started = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(served.url, content=BODY, headers=JSON, trust_env=False, timeout=0.1)
    assert served.post().status_code == 200
    assert time.monotonic() - started < 2


def people(*names: str) -> bytes:
    written = ",".join(f'{{"email": "{name}"}}' for name in names)
    return f'{{"people": [{written}]}}'.encode()


def test_one_person_who_is_refused_ever_after(serve: Serve) -> None:
    served = serve(NO_AUTH, "person")
    statuses = []
    for names in ("abc", "bc", "a", "cda", "d"):
        answer = httpx.post(served.url, content=people(*names), headers=JSON, trust_env=False)
        statuses.append(answer.status_code)
    assert statuses == [400, 200, 400, 400, 200]
    assert served.people == 3
    assert served.log[0] == "POST /people 400 invalid: a person is refused: injected fault"


@pytest.mark.parametrize("fault", ["timeout", "drop", "applied-drop", "html"])
def test_a_fault_leaves_a_line(serve: Serve, fault: str) -> None:
    served = serve(NO_AUTH, fault)
    with contextlib.suppress(httpx.TransportError):
        httpx.post(served.url, content=BODY, headers=JSON, trust_env=False, timeout=0.2)
    [line] = served.log
    assert line.startswith("POST /people ")
    assert line.endswith(": injected fault")
