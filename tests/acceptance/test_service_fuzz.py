"""Whatever is sent to the service: it answers, stays up, and delivers what it accepted."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import socket
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from connector.model import Event
from tests.kit.cli import connection, person
from tests.kit.http_vendor import Vendor
from tests.kit.service import Served, ask, lines

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

REQUESTS = 1_000
HOST = b"Host: 127.0.0.1\r\n"
#: Requests as they are, and what the answer may be; b"" for none.
HOSTILE: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "two lengths": (
        b"POST /v1/events HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        (b"400",),
    ),
    "a length and chunks": (
        b"POST /v1/events HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\n\r\n",
        (b"400",),
    ),
    "chunks hidden": (
        b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        (b"400",),
    ),
    "an unknown transfer encoding": (
        b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        (b"400",),
    ),
    "a negative length": (
        b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        (b"400",),
    ),
    "a bad chunk": (
        b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        (b"400", b""),
    ),
    "a folded header": (
        b"GET /v1/status HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
        (b"400", b"200"),
    ),
    "no host": (b"GET /v1/status HTTP/1.1\r\n\r\n", (b"400", b"403")),
    "two hosts": (
        b"GET /v1/status HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
        (b"400", b"403"),
    ),
    "an absolute address": (
        b"GET http://evil.example/v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        (b"400", b"403", b"404"),
    ),
    "a line feed in the path": (b"GET /v1/\nstatus HTTP/1.1\r\n" + HOST + b"\r\n", (b"400", b"")),
    "lines for the log in the path": (
        b'GET /%0a%7b"event":"listening"%7d HTTP/1.1\r\n' + HOST + b"\r\n",
        (b"404",),
    ),
    "dots": (b"GET /healthz/../v1/status HTTP/1.1\r\n" + HOST + b"\r\n", (b"404", b"400")),
    "two slashes": (b"GET //v1/status HTTP/1.1\r\n" + HOST + b"\r\n", (b"404",)),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00", (b"400", b"")),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (b"400", b"")),
    "a long head": (
        b"GET /v1/status HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000,
        (b"400", b"431", b""),
    ),
    "many headers": (
        b"GET /v1/status HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 30_000,
        (b"400", b"431", b""),
    ),
    "an upgrade": (
        b"GET /v1/status HTTP/1.1\r\n"
        + HOST
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        (b"200", b"400", b"404"),
    ),
    "a body of nulls": (
        b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n\0\0\0\0",
        (b"400",),
    ),
}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with Vendor() as one:
        yield one


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, vendor: Vendor) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fuzzed")
    made = connection(folder, base_url=vendor.base_url)
    with Served(made, "--state", Path(folder) / "state") as one:
        yield one


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request(served: Served, name: str) -> None:
    request, allowed = HOSTILE[name]
    try:
        answer = served.raw(request, seconds=0.3)
    except ConnectionResetError:
        answer = b""
    status = answer[9:12]
    assert status in allowed, answer[:200]
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert served.call("/healthz").status == 200


def test_a_client_that_never_ends_its_head_or_body(served: Served) -> None:
    """Others are answered meanwhile."""
    address = ("127.0.0.1", int(served.url.rpartition(":")[2]))
    slow = [socket.create_connection(address) for _ in range(50)]
    for number, one in enumerate(slow):
        head = b"POST /v1/events HTTP/1.1\r\n" + HOST
        one.sendall(head + (b"Content-Length: 9\r\n\r\n{" if number % 2 else b"X: "))
    assert served.post(person(1)).status == 202
    for one in slow:
        one.close()
    assert served.call("/readyz").status == 200


def bodies(number: int) -> list[bytes]:
    """Bodies that may be events, about people of their own."""
    one = json.dumps(person(number)).encode()
    several = [person(1000 * number + more) for more in range(5)]
    return [
        one,
        json.dumps(person(number), indent=1).encode(),
        json.dumps(several).encode(),
        lines(several),
        lines(several),
        b'{"a": 1e999}',
        b'{"audience": "1nmth", "email": ["\\ud800", null, {}]}',
        b'{"audience": 1, "email": {"x": ' + b"[" * 100 + b"]" * 100 + b"}}",
        json.dumps({"audience": "1nmth", "email": "\x00 x@example.com"}).encode(),
        "{'ä': 1}".encode("utf-16"),
    ]


def mutated(chance: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.choice([0, 0, 1, 3, 30])):
        place = chance.randrange(len(changed))
        kind = chance.randrange(3)
        if kind == 0:
            changed[place] = chance.randrange(256)
        elif kind == 1:
            del changed[place : place + chance.randrange(1, 9)]
        else:
            junk = [b"{", b"[", b'"', b"\\", b"\n", b"\xff", b"0" * 30]
            changed[place:place] = chance.choice(junk)
        if not changed:
            changed = bytearray(b"x")
    return bytes(changed)


TYPES = ["application/json", "application/x-ndjson", "text/html; charset=x", ";;;", "\xe9"]


def headers_for(chance: random.Random, number: int) -> dict[str, str]:
    headers = {}
    if chance.random() < 0.5:
        headers["Content-Type"] = chance.choice(TYPES)
    if chance.random() < 0.3:
        headers["Content-Encoding"] = chance.choice(["gzip", "gzip", "identity", "deflate"])
    if chance.random() < 0.3:
        headers["Idempotency-Key"] = chance.choice([f"key{number}", f"{number} k", "a", "x" * 300])
    return headers


def people_of(body: bytes, kind: str, rejected: Collection[int]) -> set[tuple[str, str]]:
    """Who is in a body that was accepted: audiences and digests."""
    from connector.service.body import entries_of

    found = set()
    for entry in entries_of(body, kind, ""):
        if entry.position not in rejected:
            assert isinstance(entry, Event)
            email = entry.data["email"].strip().lower()
            found.add((entry.data["audience"], hashlib.sha256(email.encode()).hexdigest()))
    return found


def delivered_to(vendor: Vendor) -> set[tuple[str, str]]:
    found = set()
    for seen in vendor.seen:
        audience = seen.url.split("/")[-2]
        for operation in json.loads(seen.body):
            for user in operation["params"]["users"]:
                for digest in user["email"]:
                    found.add((audience, digest))
    return found


def test_a_thousand_mutated_posts(served: Served, vendor: Vendor) -> None:
    """What was accepted, and nothing else, is delivered."""
    chance = random.Random(20261130)
    served.drain()
    before = served.status()["counts"].get("accepted", 0)
    vendor.seen.clear()
    accepted = repeats = 0
    expected: set[tuple[str, str]] = set()
    first: dict[str, tuple[bytes, bytes, dict[str, str]]] = {}
    statuses: Counter[int] = Counter()
    client = served.connect()
    for number in range(REQUESTS):
        body = mutated(chance, chance.choice(bodies(number)))
        headers = headers_for(chance, number)
        packed = body
        if headers.get("Content-Encoding") == "gzip" and chance.random() < 0.9:
            packed = gzip.compress(body)
        if first and chance.random() < 0.1:
            body, packed, headers = chance.choice(list(first.values()))
        answer = ask(client, "/v1/events", packed, headers=headers)

        statuses[answer.status] += 1
        assert answer.status in {202, 400, 413, 415, 422}, answer.body
        if answer.status != 202:
            assert answer.code
            continue
        key = headers.get("Idempotency-Key", "")
        if key in first:
            assert packed == first[key][1]
            repeats += 1
            continue
        if key:
            first[key] = (body, packed, headers)
        accepted += answer.json["accepted"]
        rejected = {line["position"] for line in answer.json["rejected"]}
        expected |= people_of(body, headers.get("Content-Type", ""), rejected)
    client.close()
    assert min(statuses[202], statuses[400], 10 * statuses[415], 10 * repeats) > REQUESTS // 5

    served.drain()
    counts = served.status()["counts"]
    assert delivered_to(vendor) == expected
    assert counts["accepted"] - before == accepted
    assert counts["records"] == counts["delivered"] + counts.get("superseded", 0)
    assert served.process.poll() is None
