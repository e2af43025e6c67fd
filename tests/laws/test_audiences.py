"""Audiences and requests: what changes one set of people stays in order, and no request mixes what it has to share."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from connector.auth.base import Scheme
from connector.definitions.model import AuthConfig
from connector.delivery.clock import SystemClock
from connector.delivery.http import HttpSender
from connector.delivery.ledger import Ledger
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run
from connector.model import Batch, Event, Request, Response
from connector.pipeline.batching import Batcher
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW
from tests.kit.lists import Keeper, cached, catalog, pipeline, prepared


def rows(count: int = 24) -> list[dict[str, Any]]:
    """Adding and removing one person of each of two lists in turn: no two of them may change places, none is superseded."""
    people = [{"email": f"e{n % 2}", "phone": "p" if n % 4 < 2 else None} for n in range(count)]
    return [{"add": n % 4 < 2, "list": str(1 + n % 2), **person} for n, person in enumerate(people)]


def run(using: Pipeline, send: Any, some: list[dict[str, Any]]) -> Ledger:
    ledger = Ledger()
    Run(using, (), send, SystemClock(), RetryPolicy(), ledger).deliver(
        [[Event(n, row) for n, row in enumerate(some)]]
    )
    return ledger


def batches(using: Pipeline, some: list[dict[str, Any]], **how: Any) -> list[Batch]:
    batcher = Batcher(**how)
    return [*batcher.take(prepared(using, some)[0]), *batcher.flush()]


def test_adding_and_removing_at_two_addresses_keep_their_order_in_one_lane() -> None:
    vendor = Keeper()  # it refuses two requests for one audience at a time

    def send(request: Request) -> Response:
        time.sleep(
            0.001 if request.url.endswith("remove") else 0.003
        )  # who waits for nobody comes first
        return vendor(request)

    run(cached("{}", "[]", "{}"), send, rows())
    for name in ("1", "2"):
        assert [action for where, action in vendor.requests if where == name] == [
            "add",
            "remove",
        ] * 6


class Handler(BaseHTTPRequestHandler):
    """Keeps the order of requests, and how many there were at once, for each list."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    flying: dict[str, int]
    seen: list[tuple[str, str]]
    most: dict[str, int]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = body["groups"][0]["list"]
        with self.lock:
            self.flying[name] = self.flying.get(name, 0) + 1
            self.most[name] = max(self.most.get(name, 0), self.flying[name])
            self.seen.append((name, self.path.rpartition("/")[2]))
        time.sleep(0.002)
        with self.lock:
            self.flying[name] -= 1
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def server() -> Iterator[tuple[str, type[Handler]]]:
    kept = type("Kept", (Handler,), {"flying": {}, "seen": [], "most": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), kept) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}", kept
        finally:
            serving.shutdown()
            thread.join()


def test_over_http_one_request_for_an_audience_is_in_flight_and_they_arrive_in_order() -> None:
    with server() as (base_url, kept):
        using = pipeline(catalog({}), base_url=base_url)
        with HttpSender(Scheme(AuthConfig("none"), {}), 8) as send:
            ledger = run(using, send, rows())
    assert (ledger.counts.delivered, ledger.counts.requests) == (24, 24 - ledger.counts.superseded)
    assert kept.most == {"1": 1, "2": 1}
    for name in ("1", "2"):
        assert [action for where, action in kept.seen if where == name] == ["add", "remove"] * 6


def test_an_audience_named_in_the_body_is_a_lane_of_its_own() -> None:
    [one, two] = batches(
        cached("{}", "[]", "{}"), [{"add": True, "list": n, "email": "a"} for n in ("1", "2")]
    )
    assert (one.lane, two.lane) == ("1", "2")
    assert one.target.url == two.target.url


def test_an_audience_is_a_text_and_without_one_the_address_is_the_lane() -> None:
    [one] = batches(cached(json.dumps({"audience": "at {list_id}!"}), "[]", "{}"), rows(1))
    assert one.lane == "at 1!"  # not encoded: it stands in no address
    [one] = batches(cached(json.dumps({"audience": None}), "[]", "{}"), rows(1))
    assert one.lane == one.target.url == "https://api.example.com/v1/add"


TAGGED = json.dumps(
    {
        "envelope": "whole.json.j2",
        "share": {"until": {"param": "until", "default": "none"}, "kind": "people", "deep": 1},
    }
)


def test_no_request_mixes_what_its_records_have_to_share() -> None:
    some = [
        {"add": True, "list": "1", "until": tag, "email": f"e{n}"}
        for n, tag in enumerate(["x", "y", None, "y", "x"])
    ]
    sent = batches(cached(TAGGED, "[]", "{}"), some)
    told = [
        (batch.target.request["until"], [one.event_id for one in batch.records]) for batch in sent
    ]
    assert sorted(told) == [("none", [2]), ("x", [0, 4]), ("y", [1, 3])]


@pytest.mark.parametrize("order", ["strict", "identifiers"])
def test_of_two_requests_that_name_one_person_the_newer_one_goes_last(order: str) -> None:
    using = cached(TAGGED, "[]", json.dumps({"records": 2}))
    some = [
        {"add": True, "list": "1", "until": "old", "email": ["a", "b"]},
        {"add": True, "list": "1", "until": "new", "email": ["a"]},
        {"add": True, "list": "1", "until": "new", "email": ["c"]},  # fills the newer request first
    ]
    sent = batches(using, some, strict=order == "strict")
    assert [batch.target.request["until"] for batch in sent] == ["old", "new"]


def test_what_is_told_may_be_a_list_or_a_large_number() -> None:
    shapes = {
        name: {"title": name, "description": "Told.", "type": kind}
        for name, kind in {"tags": "array", "n": "integer"}.items()
    }
    share = {"tags": {"param": "tags"}, "until": {"param": "n"}}
    made = catalog({"envelope": "whole.json.j2", "share": share}, properties=shapes)
    using = pipeline(made, {name: {"from": name} for name in shapes})
    shared = {"add": True, "list": "1", "tags": ["x", "y"]}
    sent = batches(using, [{**shared, "email": f"e{n}", "n": 2**70 + n % 2} for n in range(4)])
    assert [[one.event_id for one in batch.records] for batch in sent] == [[0, 2], [1, 3]]
    assert b'"until":%d,' % 2**70 in sent[0].endpoint.build(sent[0], NOW).body


# --- address, method and headers from settings ---


def _setting(kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"title": str(more), "description": "A setting.", "type": kind, **more}


SETTINGS = {
    "host": _setting(pattern="^[a-z]"),
    "verb": _setting(enum=["PUT", "PATCH"], default="PUT"),
    "headers": _setting("object"),
}
FILLED = {
    "settings": SETTINGS,
    "base_url": "https://{host}/base",
    "more_headers": "headers",
    "headers": {"x-host": "{host}", "x-more": "no"},
}


def request(settings: dict[str, Any], **more: Any) -> Request:
    using = pipeline(catalog({"method": "{verb}"}, FILLED), settings=settings, **more)
    [batch] = batches(using, rows(1))
    return batch.endpoint.build(batch, NOW)


def test_settings_fill_address_method_and_headers() -> None:
    built = request(
        {"host": "eu.example.com", "verb": "PATCH", "headers": {"X-More": "mine", "X-New": "Grüße"}}
    )
    assert (built.method, built.url) == ("PATCH", "https://eu.example.com/base/v1/add")
    assert {name: built.headers[name] for name in ("x-host", "x-more", "x-new")} == {
        "x-host": "eu.example.com",
        "x-more": "mine",
        "x-new": "Grüße",
    }


def test_no_value_of_an_event_begins_a_header_of_its_own() -> None:
    using = pipeline(catalog({"headers": {"x-tag": "tag {until}"}}))
    for control in (*map(chr, range(0x20)), "\x7f", "\r\n"):
        tag = f"a{control}x-admin: yes{control}{control}"
        [batch] = batches(using, [{"add": True, "list": "1", "email": "e", "until": tag}])

        headers = batch.endpoint.build(batch, NOW).headers
        assert headers["x-tag"] == "tag ax-admin: yes", ascii(control)
        assert "x-admin" not in headers


def test_a_connections_own_address_goes_before_that_of_settings() -> None:
    built = request({"host": "eu.example.com", "headers": {}}, base_url="http://127.0.0.1:8080")
    assert (built.method, built.url) == ("PUT", "http://127.0.0.1:8080/v1/add")


def test_a_body_is_never_longer_than_what_was_added_up_whatever_the_operations() -> None:
    made = catalog({"path": "/v1/people", "share": {"do": "any"}})
    folder = made.folder("made") / "templates" / "made"
    words = '{"add": "a", "remove": "the longest", "mixed": "of both"}[operation]'
    (folder / "groups.json.j2").write_text(
        f'{{"is": {{{{ {words} }}}}, "people": {{{{ items }}}}}}', "utf-8"
    )
    (folder / "item.json.j2").write_text("{{ ids }}", "utf-8")
    for some in ([{"add": True}], [{"add": False}], [{"add": True}, {"add": False}]):
        events = [{"list": "1", "until": "x", "email": f"{n}", **one} for n, one in enumerate(some)]
        for batch in batches(pipeline(made), events):
            records = batch.records
            parts = (
                sum(len(one.item) + 1 for one in records)
                + len(batch.groups()) * records[0].target.group_bytes
            )
            assert (
                len(batch.endpoint.build(batch, NOW).body) <= records[0].target.base_bytes + parts
            )


def test_a_body_is_never_longer_than_what_was_added_up_whatever_is_shared() -> None:
    made = catalog({"path": "/v1/people", "share": {"list": {"param": "list_id"}}})
    folder = made.folder("made") / "templates" / "made"
    (folder / "groups.json.j2").write_text(
        '{"list": {{ share.list }}, "people": {{ items }}}', "utf-8"
    )
    (folder / "item.json.j2").write_text("{{ ids }}", "utf-8")
    using = pipeline(made)
    for name in ("1", "2" * 40):
        [batch] = batches(using, [{"add": True, "list": name, "email": "e"}])
        target, [record] = batch.target, batch.records
        parts = target.base_bytes + target.group_bytes + len(record.item) + 1
        body = batch.endpoint.build(batch, NOW).body
        assert name.encode() in body
        assert len(body) <= parts
