"""Canaries through every path and failure of the service: nobody and no secret is found where they need not be."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connector.auth.base import Message
from tests.kit.cli import SECRETS, at_once, connection, environment, run
from tests.kit.http_vendor import Reply, Vendor, reply, success
from tests.kit.service import Answered, Served, lines

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

CANARY = "canary.person"
PHONE = "+4915112345678"
TOKEN = "canary-token-0123456789abcdef"
STORE = "canary-of-the-store"
WRONG = "canary-wrong-0123456789abcdef"
REFUSED = ("refused", "refused2")


def address(name: str) -> str:
    return f"{CANARY}.{name}@example.com"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def event(name: str, audience: str = "good") -> dict[str, Any]:
    return {"id": "e1", "audience": audience, "email": address(name), "phone": PHONE}


class Quoting(Vendor):
    """Quotes all that it gets in whatever it refuses: by audience, or who is refused."""

    def __init__(self) -> None:
        super().__init__(self._answer_to)
        self.hangs = False

    def _answer_to(self, seen: Message) -> Reply:
        audience = seen.url.split("/")[-2]
        quoted = f"{seen.headers} {seen.body.decode()}"
        if self.hangs:
            time.sleep(1)
        if audience in ("away", "unauthorized", "forbidden"):
            status = {"away": 500, "unauthorized": 401, "forbidden": 403}[audience]
            error = {"code": quoted, "message": quoted}
            return reply(status, {"errors": [error], "error": quoted}, **{"x-quoted": quoted[:900]})
        refused = [digest(address(name)) for name in REFUSED]
        errors = []
        for operation in json.loads(seen.body):
            found = [one for one in refused if one in json.dumps(operation)]
            error = {"code": "INVALID", "message": f"bad {found} {quoted}"}
            errors.append([error] if found else [])
        if any(errors):
            return reply(400, {"operation_errors": errors})
        return success(seen)


def spellings(text: str) -> set[bytes]:
    """A secret as it may stand in a file or an answer."""
    found = {text, quote(text, ""), json.dumps(text)[1:-1], text.upper()}
    packed = base64.b64encode(text.encode()).decode().rstrip("=")
    return {one.encode() for one in (*found, packed)}


#: What is nowhere, at no time.
PLAIN: set[bytes] = set()
for _secret in (CANARY, PHONE, PHONE[1:], TOKEN, WRONG, STORE, *SECRETS.values()):
    PLAIN |= spellings(_secret)


def digests(*names: str) -> set[bytes]:
    """What tells somebody, though not by name: digests as text, as bytes, and their beginning."""
    found = set()
    for name in names:
        told = digest(address(name))
        found |= {told.encode(), bytes.fromhex(told), bytes.fromhex(told)[:8]}
    return found


def assert_nowhere(secrets: set[bytes], places: Mapping[str, bytes]) -> None:
    for place, content in places.items():
        for secret in secrets:
            assert secret not in content, (secret, place)


def answers(served: Served) -> dict[str, bytes]:
    """What is answered to posts and questions that hold canaries and are wrong."""
    told: dict[str, Answered] = {}
    post: Callable[..., Answered] = served.post
    bad = [
        {**event("bad"), "email": f"{CANARY} no address", "phone": CANARY},
        {**event("bad"), "audience": f"{CANARY}/../{PHONE}"},
        {**event("bad"), "audience": [CANARY]},
        {CANARY: CANARY},
    ]
    told["rejected"] = post(*bad)
    unreadable = f'{{"email": "{address("x")}" oops}}\n{{"{CANARY}\n'.encode()
    told["unreadable"] = served.call("/v1/events", unreadable)
    told["not gzip"] = served.call("/v1/events", unreadable, headers={"Content-Encoding": "gzip"})
    told["encoding"] = post(event("x"), Content_Encoding=CANARY)
    told["charset"] = post(event("x"), Content_Type=f"application/json; charset={CANARY}")
    told["key"] = post(event("key"), Idempotency_Key=f"{CANARY}-key")
    told["other body"] = post(event("key2"), Idempotency_Key=f"{CANARY}-key")
    told["long key"] = post(event("x"), Idempotency_Key=CANARY * 30)
    told["name"] = post(event("x"), query=f"?connection={CANARY}")
    told["parameter"] = post(event("x"), query=f"?{CANARY}={CANARY}")
    told["path"] = served.call(f"/v1/{address('path')}")
    told["method"] = served.call("/v1/events", method="DELETE")
    told["large"] = served.call("/v1/events", lines([event("large")]) * 100_000)
    told["many"] = served.call("/v1/events", b"1\n" * 50_001)
    for authorization in (f"Bearer {WRONG}", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}{CANARY}"):
        told[authorization] = post(event("x"), Authorization=authorization)
    statuses = {name: one.status for name, one in told.items()}
    assert statuses.pop("rejected") == statuses.pop("key") == 202
    assert set(statuses.values()) == {400, 401, 404, 405, 413, 415, 422}
    return {name: one.body + repr(one.headers).encode() for name, one in told.items()}


def asked(served: Served, where: tuple[str | Path, ...]) -> dict[str, bytes]:
    """What everybody who asks is told."""
    told = {path: served.call(path).body for path in ("/metrics", "/v1/status", "/openapi.json")}
    commands: list[tuple[str, ...]] = [("dead", "list"), ("status",)]
    for row in run("dead", "list", *where, "--format", "json").json:
        commands.append(("dead", "show", row["id"]))
    for command in commands:
        for form in ("text", "json"):
            done = run(*command, *where, "--format", form)
            assert done.status == 0, done.err
            told[f"{command} {form}"] = done.text.encode()
    process = Path(f"/proc/{served.process.pid}/cmdline")
    if process.exists():
        told["arguments"] = process.read_bytes()
    return told


def go_wrong(served: Served) -> dict[str, bytes]:
    """Post canaries that are delivered, refused, kept and rejected; return what is told."""
    told = answers(served)
    for name, audience in (("fine", "good"), *[(name, "good") for name in REFUSED]):
        told[name] = served.post(event(name, audience)).body
        wait(lambda: not pending(served, "good"))
    for audience in ("away", "forbidden", "unauthorized"):
        told[audience] = served.post(event(f"kept-{audience}", audience)).body
        wait(lambda audience=audience: stopped(served, audience))
    codes = {stopped(served, name) for name in ("away", "forbidden", "unauthorized")}
    assert codes == {"gave_up", "forbidden", "unauthorized"}
    assert served.status()["dead"] == 2
    return told


def lanes(served: Served, audience: str) -> list[dict[str, Any]]:
    found = served.status()["lanes"]
    return [lane for lane in found if lane["lane"].endswith(f"/{audience}/users")]


def pending(served: Served, audience: str) -> int:
    return sum(lane["pending"] for lane in lanes(served, audience))


def stopped(served: Served, audience: str) -> str:
    found = [lane["stopped"] for lane in lanes(served, audience) if lane["stopped"]]
    return str(found[0]["code"]) if found else ""


def wait(is_so: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.03)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def log_of(served: Served) -> dict[str, bytes]:
    return {"log": json.dumps(served.lines).encode(), "traces": served.out.encode()}


def test_no_canary_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", TOKEN)
    try:
        import opentelemetry.sdk  # noqa: F401 - traces are looked at where they can be

        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    except ImportError:
        pass
    folder = tmp_path / "state"
    state: tuple[str | Path, ...] = ("--state", folder)
    with Quoting() as vendor:
        made = connection(
            tmp_path, base_url=vendor.base_url, changes="limits: {records: 1, age: 1h}"
        )
        options = (made, *state, "--token", "env:SERVICE_TOKEN", "--retries", "0", "--grace", "0.3")
        with Served(*options) as served:
            served.headers = {"Authorization": f"Bearer {TOKEN}"}
            told = go_wrong(served)
            told |= asked(served, state)
            assert_nowhere(PLAIN | digests("fine", *REFUSED, "kept-away", "kept-forbidden"), told)
            assert_nowhere(PLAIN, files(folder))
            assert any(digest(address("refused")).encode() in one for one in files(folder).values())

            # with the credentials read again
            assert served.stop() == 0
            served.start()

            # interrupted while the vendor does not answer: in good order, and not
            vendor.hangs = True
            vendor.arrived.clear()
            served.post(event("hanging"))
            assert vendor.arrived.wait(5)
            assert served.stop() == 0
            assert_nowhere(PLAIN | digests("hanging", *REFUSED), log_of(served))
            assert_nowhere(PLAIN, files(folder))
            vendor.arrived.clear()
            served.start()
            assert vendor.arrived.wait(10)
            served.kill()
            assert_nowhere(PLAIN, files(folder))

            vendor.hangs = False
            served.start()
            wait(lambda: not pending(served, "good"))
            purged = run("dead", "purge", "--all", *state)
            assert purged.out == "2 purged\n"
            # while it goes on: not even their digests are left in its files
            assert_nowhere(PLAIN | digests(*REFUSED), files(folder))
            assert served.stop() == 0
        assert_nowhere(PLAIN | digests(*REFUSED), {**log_of(served), **files(folder)})


def test_no_secret_of_a_database_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.kit.outbox import TABLES, PostgresWorld

    world = PostgresWorld()
    url = world.url.replace(":@", f":{STORE}@", 1)
    assert STORE in url
    monkeypatch.setenv("STORE", url)
    monkeypatch.setenv("SERVICE_TOKEN", TOKEN)
    store: tuple[str | Path, ...] = ("--store", "env:STORE")
    with Quoting() as vendor:
        made = connection(
            tmp_path, base_url=vendor.base_url, changes="limits: {records: 1, age: 1h}"
        )
        options = (made, *store, "--token", "env:SERVICE_TOKEN", "--retries", "0")
        with Served(*options) as served:
            served.headers = {"Authorization": f"Bearer {TOKEN}"}
            told = go_wrong(served)
            told |= asked(served, store)
            assert_nowhere(PLAIN | digests("fine", *REFUSED), told)
            assert_nowhere(PLAIN, rows(world, TABLES))
            assert run("dead", "purge", "--all", *store).out == "2 purged\n"
            assert_nowhere(PLAIN | digests(*REFUSED), rows(world, TABLES))
            served.stop()
        assert_nowhere(PLAIN | digests("fine", *REFUSED), log_of(served))

        gone = environment(STORE=url.replace("host=", "host=/nowhere"))
        commands: list[tuple[str | Path, ...]] = [("serve", made), ("status",)]
        works = [partial(run, *command, *store, env=gone) for command in commands]
        for done in at_once(works):
            assert done.status == 2
            assert_nowhere(PLAIN, {"error": done.text.encode()})
    world.close()


def rows(world: Any, tables: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for table in tables:
        found[table] = repr(world.sql(f"SELECT * FROM {table}")).encode()
    return found
