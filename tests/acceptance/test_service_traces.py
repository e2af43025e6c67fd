"""Traces of the service: what a span says, and that there is none unless it is asked for."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.auth.base import Message
from tests.kit.cli import connection, environment, person, run
from tests.kit.http_vendor import Vendor, reply, success
from tests.kit.service import Served

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

VARIABLES = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


@pytest.fixture(autouse=True)
def no_variables_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def spans_in(text: str) -> Iterator[dict[str, Any]]:
    """The spans that the console exporter printed."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        span, end = decoder.raw_decode(text)
        yield span
        text = text[end:]


def test_a_span_for_each_post_commit_and_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra 'otel'")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    answers = [reply(503)]  # after the first one, it is sent again at once
    with Vendor(lambda seen: answers.pop() if answers else success(seen)) as vendor:
        limits = "limits: {records: 10, age: 1h}"
        made = connection(tmp_path, base_url=vendor.base_url, changes=limits)
        with Served(made, "--state", tmp_path / "state") as served:
            parent = f"00-{TRACE}-{CALLER}-01"
            people = [person(1), person(2), {**person(3), "email": "nobody"}]
            headers = {"Idempotency_Key": "k", "traceparent": parent, "tracestate": "who=ann"}
            served.post(*people, **headers)
            served.post(*people, **headers)
            served.post(person(4), query="?connection=nobody")
            served.drain()
            served.stop()
            events = [line["event"] for line in served.lines]
            assert events == ["listening", "retrying", "stopping", "stopped"]

    text = served.out
    spans = list(spans_in(text))
    posts = [span for span in spans if span["name"] == "connector.post"]
    assert [span["parent_id"] for span in posts] == [f"0x{CALLER}", f"0x{CALLER}", None]
    assert [span["context"]["trace_id"] for span in posts[:2]] == [f"0x{TRACE}"] * 2
    taken = {"connector.repeated": False, "connector.events": 3, "connector.accepted": 2}
    taken |= {"connector.skipped": 0, "connector.rejected": 1, "http.response.status_code": 202}
    assert posts[0]["attributes"] == taken
    again = {"connector.repeated": True, "http.response.status_code": 202}
    assert posts[1]["attributes"] == again
    refused = {"connector.code": "unknown_connection", "http.response.status_code": 404}
    assert posts[2]["attributes"] == refused

    commits = [span["attributes"] for span in spans if span["name"] == "connector.commit"]
    assert commits == [{"connector.posts": 1, "connector.records": 2}] * 2
    sent = [span for span in spans if span["name"] == "connector.deliver"]
    told = {"connector.connection": "connection", "connector.destination": "x_custom_audiences"}
    told |= {"connector.action": "add_user_multi", "connector.records": 2}
    again = {**told, "connector.outcome": "again", "http.response.status_code": 503}
    good = {**told, "connector.outcome": "delivered", "http.response.status_code": 200}
    assert [span["attributes"] for span in sent] == [again, good]
    assert [span["status"]["status_code"] for span in sent] == ["ERROR", "UNSET"]
    assert {span["resource"]["attributes"]["service.name"] for span in spans} == {
        "audience-connector"
    }
    for word in ("person1", "nobody@", "who=", "ann", vendor.base_url, "1nmth"):
        assert word not in text.replace("nanosecond", ""), word


def test_without_the_variables_nothing_is_imported() -> None:
    program = (
        "import sys; from connector.service import service, traces;"
        "assert traces.traces_of({'OTEL_SDK_DISABLED': 'true', 'OTEL_TRACES_EXPORTER': 'console'},"
        "print) is traces.traces_of({'OTEL_TRACES_EXPORTER': 'none'}, print)"
        " is traces.traces_of({}, print) is traces.OFF;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=environment())


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra 'otel'")
    from connector.errors import ConfigError
    from connector.service.traces import traces_of

    made = connection(tmp_path)
    variables = environment(OTEL_TRACES_EXPORTER="no-such-exporter")
    done = run("serve", made, "--state", tmp_path / "state", env=variables)
    words = "C052 OTEL_TRACES_EXPORTER: an exporter of traces is asked for that is not installed"
    assert (done.status, done.err[: len(words)]) == (2, words)
    assert "no-such" not in done.err
    assert not (tmp_path / "state").exists()

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"C052 .*opentelemetry-sdk is not installed;"):
        traces_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:secret@127.0.0.1:1"}, print)


def test_spans_reach_a_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra 'otel'")
    with Vendor() as vendor, Vendor(lambda _: reply(200, b"")) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base_url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "audiences-eu")
        made = connection(tmp_path, base_url=vendor.base_url)
        with Served(made, "--state", tmp_path / "state") as served:
            assert served.post(person(1)).status == 202
        [seen] = collector.seen
    assert seen.url == "/v1/traces"
    assert b"connector.post" in gunzipped(seen)
    assert b"audiences-eu" in gunzipped(seen)
    assert b"person1" not in gunzipped(seen)


def gunzipped(seen: Message) -> bytes:
    is_packed = seen.headers.get("content-encoding") == "gzip"
    return gzip.decompress(seen.body) if is_packed else seen.body


def test_a_collector_that_is_away_neither_stops_nor_delays_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra 'otel'")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:canary@127.0.0.1:9")
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        with Served(made, "--state", tmp_path / "state") as served:
            assert served.post(person(1)).status == 202
            served.drain()
            started = time.monotonic()
            served.stop()
            assert time.monotonic() - started < 8
    assert "traces_lost" in [line["event"] for line in served.lines]
    assert "canary" not in json.dumps(served.lines)
    assert "127.0.0.1:9" not in json.dumps(served.lines)
