"""`connector serve`: what is answered to whom, and that what is answered 202 is delivered."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli import connection, environment, person, run
from tests.kit.http_vendor import Vendor, people, reply, success
from tests.kit.service import Served, ask, lines

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

TOKEN = "0123456789abcdef0123456789abcdef"
LIMITS = "limits: {records: 10, age: 1h}"


def two(folder: Path, vendor: Vendor) -> list[Path]:
    """Two connections, the second of which takes no removals."""
    made = connection(folder, base_url=vendor.base_url, changes=LIMITS)
    other = folder / "other.yaml"
    text = made.read_text("utf-8")
    other.write_text(
        text.replace(
            "  - name: add_user_multi\n", "  - name: other\n    when: event.id != 'mine'\n"
        ),
        "utf-8",
    )
    return [made, other]


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with Vendor() as one:
        yield one


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, vendor: Vendor) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "token").write_text(TOKEN, "utf-8")
    token = f"file:{folder / 'token'}"
    with Served(*two(folder, vendor), "--state", folder / "state", "--token", token) as one:
        one.headers = {"Authorization": f"Bearer {TOKEN}"}
        yield one


def event(number: int, **more: Any) -> dict[str, Any]:
    return person(number, **more)


# What is taken --------------------------------------------------------------------------------------------------------


def test_each_form_of_a_body(served: Served) -> None:
    one, other = json.dumps(event(1)).encode(), json.dumps(event(2)).encode()
    pretty = json.dumps(event(1), indent=2).encode()
    bodies = {
        one: 1,
        b"\xef" + b"": 0,
        b"[" + one + b",\n" + other + b"]": 2,
        one + b"\n\n" + other + b"\n": 2,
        pretty: 1,
    }
    for body, count in bodies.items():
        for kind in ("application/json", "application/x-ndjson", "text/plain"):
            answer = served.call("/v1/events", body, headers={"Content-Type": kind})
            if not count or (body == pretty and kind != "application/json"):
                assert (answer.status, answer.code) == (400, "unreadable")
            elif body.startswith(b"[") and kind == "application/x-ndjson":
                assert answer.code == "unreadable"
            else:
                assert (answer.status, answer.json["accepted"]) == (202, count), (body, kind)

    packed = gzip.compress(one)
    assert served.call("/v1/events", packed, headers={"Content-Encoding": "gzip"}).json == {
        "accepted": 1,
        "skipped": 0,
        "rejected": [],
    }


def test_bad_events_are_rejected_one_by_one(served: Served) -> None:
    good = json.dumps(event(1)).encode()
    nobody = json.dumps({**event(2), "email": "no address"}).encode()
    deep = b'{"id": ' + b"[" * 200 + b"]" * 200 + b"}"
    body = b"\n".join([good, b"nope", nobody, b"", deep, b"7"])
    answer = served.call("/v1/events?connection=connection", body).json
    assert (answer["accepted"], answer["skipped"]) == (1, 0)
    found = [(line["position"], line["code"]) for line in answer["rejected"]]
    assert found == [(2, "unreadable"), (3, "no_identifier"), (5, "unreadable"), (6, "unreadable")]
    assert "nested" in answer["rejected"][2]["reason"]
    assert "no address" not in json.dumps(answer)


def test_what_is_no_utf_8_is_said_in_words_of_http(served: Served) -> None:
    good, bad = json.dumps(event(1)).encode(), b'{"id": "\xe9"}'
    told = "not text in UTF-8; write the body in UTF-8"
    answer = served.call("/v1/events", b"\n".join([good, bad]))
    assert answer.status == 202
    assert answer.json["rejected"] == [{"position": 2, "code": "unreadable", "reason": told}]
    for body in (bad, b"[" + bad + b"]"):
        answer = served.call("/v1/events", body)
        assert (answer.status, answer.code) == (400, "unreadable")
        assert answer.json["rejected"][0]["reason"].startswith(told)
        assert b"--" not in answer.body
        assert "gzip" not in answer.json["detail"]


def test_a_packed_body_without_its_header_is_told_the_header(served: Served) -> None:
    packed = gzip.compress(json.dumps(event(1)).encode())
    for headers in ({}, {"Content-Encoding": "identity"}):
        answer = served.call("/v1/events", packed, headers=headers)
        assert (answer.status, answer.code) == (400, "unreadable")
        assert answer.json["detail"].endswith("post it with Content-Encoding: gzip")
        assert b"--" not in answer.body
    # Packed twice: the header is there, and would be no help.
    twice = gzip.compress(packed)
    answer = served.call("/v1/events", twice, headers={"Content-Encoding": "gzip"})
    assert (answer.status, "gzip" in answer.json["detail"]) == (400, False)


def test_connections_by_name(served: Served) -> None:
    before = served.status("other")["counts"].get("accepted", 0)
    both = served.post(event(1), event(2, id="mine")).json
    assert (both["accepted"], both["skipped"]) == (2, 0)
    alone = served.post(event(1), event(2, id="mine"), query="?connection=other").json
    assert (alone["accepted"], alone["skipped"]) == (1, 1)
    assert served.status("other")["counts"]["accepted"] == before + 2
    twice = served.post(event(1), query="?connection=other&connection=connection").json
    assert twice["accepted"] == 1

    unknown = served.post(event(1), query="?connection=nobody")
    assert (unknown.status, unknown.code) == (404, "unknown_connection")
    assert "connection, other" in unknown.json["detail"]
    typo = served.post(event(1), query="?conection=other")
    assert (typo.status, typo.code) == (400, "unknown_parameter")


def test_idempotency_keys(served: Served) -> None:
    before = served.status()["counts"].get("accepted", 0)
    first = served.post(event(1), Idempotency_Key="k1")
    again = served.post(event(1), Idempotency_Key="k1")
    assert (first.status, again.status, first.body) == (202, 202, again.body)
    assert served.status()["counts"]["accepted"] == before + 1

    other = served.post(event(2), Idempotency_Key="k1")
    assert (other.status, other.code) == (422, "other_body")
    # of other connections it is another key
    assert served.post(event(2), query="?connection=other", Idempotency_Key="k1").status == 202
    for key in ("", "k" * 256):
        invalid = served.post(event(1), Idempotency_Key=key)
        assert (invalid.status, invalid.code) == (400, "invalid_key")


def test_a_key_whose_post_is_not_answered_yet(served: Served) -> None:
    body = lines([event(1)])
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Idempotency-Key: slow\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as client:
        client.sendall(head.encode() + body[:5])
        ends = time.monotonic() + 5
        while (answer := served.post(event(1), Idempotency_Key="slow")).status != 409:
            assert time.monotonic() < ends
            # it came first
            assert answer.status == 202
        assert (answer.code, answer.headers["retry-after"]) == ("running", "1")
        client.sendall(body[5:])
        assert client.recv(100).startswith(b"HTTP/1.1 202")


# What is refused ------------------------------------------------------------------------------------------------------


def test_nobody_gets_in_without_the_token(served: Served) -> None:
    wrong = [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN]
    for given in wrong:
        for path in ("/v1/events", "/v1/status", "/metrics", "/openapi.json", "/nowhere"):
            headers = {"Authorization": given} if given is not None else {}
            served.headers, kept = {}, served.headers
            answer = served.call(path, headers=headers)
            served.headers = kept
            assert (answer.status, answer.code) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    head = f"GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += "Authorization: Bearer other\r\nConnection: close\r\n\r\n"
    assert served.raw(head.encode()).startswith(b"HTTP/1.1 401")
    # before the body is looked at
    assert served.raw(
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    ).startswith(b"HTTP/1.1 401")


def test_open_paths_need_no_token(served: Served) -> None:
    served.headers, kept = {}, served.headers
    assert served.call("/healthz").json == {"status": "alive"}
    assert served.call("/readyz").json == {"status": "ready"}
    served.headers = kept


def test_paths_and_methods(served: Served) -> None:
    assert served.call("/nowhere").code == "not_found"
    for path, body, allowed in (
        ("/v1/events", None, {"POST"}),
        ("/v1/status", b"", {"GET", "HEAD"}),
    ):
        refused = served.call(path, body)
        assert refused.code == "method_not_allowed"
        assert set(refused.headers["allow"].split(", ")) == allowed
    assert served.call("/v1/status?x=1").code == "unknown_parameter"
    slash = served.call("/v1/status/", headers={"Host": "evil.example"})
    assert (slash.code, "location" in slash.headers) == ("not_found", False)


def test_who_is_refused_early_is_told_why_though_the_body_is_long(served: Served) -> None:
    body = b"x" * (4 * 1024 * 1024)
    wrong: list[tuple[str, dict[str, str], str]] = [
        ("/v1/events", {"Authorization": "Bearer wrong"}, "unauthorized"),
        ("/v1/events?connection=nobody", {}, "unknown_connection"),
        ("/v1/events", {"Content-Encoding": "br"}, "unknown_encoding"),
        ("/v1/events", {"Idempotency-Key": ""}, "invalid_key"),
        ("/nowhere", {}, "not_found"),
    ]
    client = served.connect()
    for path, headers, code in wrong:
        answer = ask(client, path, body, headers={**served.headers, **headers})
        assert answer.code == code
    client.close()


def test_sizes(served: Served) -> None:
    large = b'{"x": "' + b"a" * (16 * 1024 * 1024) + b'"}'
    assert served.call("/v1/events", large).status == 413
    bomb = gzip.compress(b" " * (17 * 1024 * 1024))
    answer = served.call("/v1/events", bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (413, "too_large")
    assert served.call("/v1/events", b"1\n" * 50_001).code == "too_many_events"
    long = b'{"x": "' + b"a" * (4 * 1024 * 1024) + b'"}'
    answer = served.call("/v1/events", long)
    assert (answer.status, answer.code) == (400, "unreadable")
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n"
    assert b" 413 " in served.raw(head.encode() + chunk * 257 + b"0\r\n\r\n")


def test_encodings(served: Served) -> None:
    for encoding, code in (("br", "unknown_encoding"), ("gzip, gzip", "unknown_encoding")):
        answer = served.call("/v1/events", b"{}", headers={"Content-Encoding": encoding})
        assert (answer.status, answer.code) == (415, code)
    for body in (b"{}", gzip.compress(b"{}")[:-4], gzip.compress(b"{}") + b"x"):
        answer = served.call("/v1/events", body, headers={"Content-Encoding": "gzip"})
        assert (answer.status, answer.code) == (400, "not_gzip")
    answer = served.call(
        "/v1/events", b"{}", headers={"Content-Type": "application/json; charset=latin-1"}
    )
    assert (answer.status, answer.code) == (415, "not_utf_8")
    for empty in (b"", b"\n \n", b"[]"):
        assert served.call("/v1/events", empty).code == "no_event"


def test_the_document_names_every_path(served: Served) -> None:
    from connector.service.app import PATHS

    document = served.call("/openapi.json").json
    assert set(document["paths"]) == {*PATHS} - {"/openapi.json"}


# What becomes of it ---------------------------------------------------------------------------------------------------


def test_what_is_taken_is_delivered_and_counted(served: Served, vendor: Vendor) -> None:
    served.drain()
    before, sent = served.status()["counts"], sum(map(people, vendor.seen))
    answer = served.post(*[event(number) for number in range(100, 125)], query="?connection=other")
    assert answer.json["accepted"] == 25
    served.drain()
    assert sum(map(people, vendor.seen)) - sent == 25
    after = served.status()["counts"]
    assert {**after, "flushes": 0} == {**before, "flushes": 0}
    metrics = served.call("/metrics").body.decode()
    assert 'connector_pending_records{connection="other"} 0.0' in metrics
    assert 'connector_http_requests_total{path="/v1/events",status="202"}' in metrics
    assert "1nmth" not in metrics


def counted(served: Served, outcome: str) -> int:
    text = served.call("/metrics").body.decode()
    found = re.findall(rf'connector_events_total{{outcome="{outcome}"}} (\d+)', text)
    return int(found[0]) if found else 0


def test_what_is_rejected_is_counted_by_event_and_by_connection(served: Served) -> None:
    nobody = json.dumps({**event(2), "email": "no address"}).encode()
    both = ("connection", "other")
    before = [served.status(name)["counts"].get("rejected", 0) for name in both]
    events = counted(served, "rejected")
    body = b"\n".join([json.dumps(event(1)).encode(), b"nope", nobody])
    assert served.call("/v1/events", body).status == 202
    assert served.call("/v1/events", b"nope").status == 400
    after = [served.status(name)["counts"]["rejected"] for name in both]
    assert after == [count + 1 for count in before]
    assert counted(served, "rejected") == events + 2


def is_open(served: Served) -> bool:
    connection = served.connect()
    try:
        connection.connect()
    except ConnectionError:  # reset in the moment of its end, refused from then on
        return False
    finally:
        connection.close()
    return True


def test_the_port_closes_before_what_is_in_flight_ends(tmp_path: Path) -> None:
    asked, answered = threading.Event(), threading.Event()

    def held(seen: Any) -> Any:
        asked.set()
        assert answered.wait(15)
        return success(seen)

    with Vendor(held) as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes=LIMITS)
        with Served(made, "--state", tmp_path / "state") as served:
            served.post(*[event(number) for number in range(10)])
            assert asked.wait(5)
            served.process.send_signal(signal.SIGTERM)
            ends = time.monotonic() + 10
            while is_open(served):
                assert time.monotonic() < ends
                time.sleep(0.02)
            assert served.process.poll() is None
            answered.set()
            assert served.process.wait(10) == 0
        assert sum(map(people, vendor.seen)) == 10


def test_a_run_from_its_start_to_its_end(tmp_path: Path) -> None:
    """What is pending when it ends goes out when it starts again, with new credentials as well."""
    asked = threading.Event()

    def slow(seen: Any) -> Any:
        asked.set()
        time.sleep(0.4)
        return success(seen)

    with Vendor(slow) as vendor:
        made = connection(tmp_path, base_url=vendor.base_url, changes=LIMITS)
        state = tmp_path / "state"
        served = Served(made, "--state", state)
        second = run("serve", made, "--state", state, "--port", "0")
        assert (second.status, "another process delivers from this folder" in second.err) == (
            2,
            True,
        )
        served.post(*[event(number) for number in range(15)])
        assert asked.wait(5)
        assert served.stop() == 0
        assert [line["event"] for line in served.lines] == ["listening", "stopping", "stopped"]
        assert sum(map(people, vendor.seen)) == 10
        files = [file for file in state.iterdir() if file.is_file()]
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

        served = Served(made, "--state", state)
        assert served.status()["pending"] == 5
        served.drain()
        assert sum(map(people, vendor.seen)) == 15
        assert served.stop(signal.SIGINT) == 0


def test_a_stopped_connection_alone_pushes_back(tmp_path: Path) -> None:
    with Vendor(lambda seen: reply(401)) as refusing, Vendor() as vendor:
        made, other = two(tmp_path, vendor)
        text = made.read_text("utf-8").replace(vendor.base_url, refusing.base_url)
        made.write_text(text, "utf-8")
        with Served(made, other, "--state", tmp_path / "s", "--max-pending", "12") as served:
            assert served.post(*[event(number) for number in range(12)]).status == 202
            ends = time.monotonic() + 10
            while served.status("other")["pending"] > 2 or not served.status()["stopped"]:
                assert time.monotonic() < ends
                time.sleep(0.05)
            full = served.post(event(1))
            assert (full.status, full.code, full.headers["retry-after"]) == (429, "full", "10")
            assert "'connection'" in full.json["detail"]
            assert served.post(event(2), query="?connection=other").status == 202
            stop = served.status()["lanes"][0]["stopped"]
            assert (stop["code"], stop["times"]) == ("unauthorized", 1)
            served.stop()
        [line] = [line for line in served.lines if line["event"] == "lane_stopped"]
        assert (line["code"], line["connection"]) == ("unauthorized", "connection")


def test_mistakes_of_the_command_line(tmp_path: Path) -> None:
    made = connection(tmp_path)
    (tmp_path / "more").mkdir()
    twin = connection(tmp_path / "more")
    (tmp_path / "short").write_text("short", "utf-8")
    state = ("--state", tmp_path / "s")
    wrong: list[tuple[tuple[str | Path, ...], str]] = [
        ((made,), "C046 --state: exactly one of --state and --store says where the records are"),
        ((made, *state, "--store", "x"), "C046 --state: exactly one"),
        (
            (made, "--store", "mysql://user:secret@host"),
            "C046 --store: is no URL of a database: it must begin with postgresql://, or be a reference",
        ),
        ((made, *state, "--host", "0.0.0.0"), "C047 --host: whoever reaches this host"),
        ((made, *state, "--token", "secret"), "C045 --token: is not a reference to a secret"),
        ((made, *state, "--token", "env:NOT_SET"), "C045 --token: the environment variable is not"),
        ((made, *state, "--token", f"file:{tmp_path / 'short'}"), "C045 --token: the token has to"),
        ((made, *state, "--tls-cert", "x"), "C047 --tls-cert: TLS needs a key, too"),
        ((made, *state, "--tls-cert", "x", "--tls-key", "x"), "C047 --tls-cert: cannot be read"),
        ((made, *state, "--keep-dead", "often"), "C049 --keep-dead: is not a duration"),
        ((made, twin, *state), "C048"),
    ]
    for arguments, words in wrong:
        done = run("serve", *arguments)
        assert done.status == 2
        assert done.err.startswith(words), done.err
        assert "secret@" not in done.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", made, *state, "--port", port)
    assert (done.status, "cannot listen on 127.0.0.1" in done.err) == (2, True)
    missing = run("serve", made, *state, env=environment(X_ACCESS_TOKEN=None))
    assert (missing.status, missing.err[:4]) == (2, "C216")


def test_without_a_token_pages_and_other_names_get_nothing(tmp_path: Path) -> None:
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        with Served(made, "--state", tmp_path / "s") as served:
            assert served.post(event(1)).status == 202
            page = served.post(event(1), Origin="http://evil.example")
            assert (page.status, page.code) == (403, "foreign_host")
            for host in ("evil.example", "127.0.0.1.evil.example", ""):
                head = f"GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                assert served.raw(head.encode()).startswith(b"HTTP/1.1 403"), host


def test_the_process_arguments_hold_no_secret(served: Served) -> None:
    content = Path(f"/proc/{served.process.pid}/cmdline")
    if content.exists():
        assert TOKEN.encode() not in content.read_bytes()
    assert os.environ.get("X_ACCESS_TOKEN") != TOKEN
