"""What an event holds costs no more than its size, and ends nothing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector.connection.load import make_connection
from connector.model import Event, Record, Rejection
from connector.pipeline import phones
from connector.pipeline.phones import e164_many
from connector.pipeline.pipeline import Pipeline
from tests.kit.destination import action, email, write_destination
from tests.kit.records import connection

PEOPLE = {
    "action": "add_user_multi",
    "map": {"custom_audience_id": {"from": "audience"}, "email": {"from": "email"}},
}


def kept(pipeline: Pipeline, events: Iterator[Mapping[str, Any]]) -> int:
    """Return how many bytes more a pipeline holds after events than before them."""
    tracemalloc.start()
    try:
        for number, data in enumerate(events):
            list(pipeline.prepare([Event(number, dict(data))], 0.0))
            if not number:
                before, _ = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


@pytest.mark.parametrize(
    "audience", [lambda text: text, lambda text: [text], lambda text: {"a": text}]
)
def test_refused_values_are_not_kept(audience: Callable[[str], Any]) -> None:
    events = ({"audience": audience(f"{n}!" * 300_000), "email": "a@b.c"} for n in range(40))
    assert kept(Pipeline(connection([PEOPLE])), events) < 1_000_000


def test_long_values_are_kept_in_a_bounded_number(tmp_path: Path) -> None:
    pipeline = Pipeline(tiny(tmp_path, "/a", {"audience": {"type": "string"}}))
    events = ({"audience": f"{n}" * 1_000_000, "email": "a@b.c"} for n in range(10, 60))
    assert kept(pipeline, events) < 30_000_000


def test_no_long_value_in_a_body_is_kept_with_the_size_of_that_body(tmp_path: Path) -> None:
    share = {"share": {"audience": {"param": "audience"}}, "envelope": "people.json.j2"}
    made = tiny(tmp_path, "/a", {"audience": {"type": "string"}}, **share)
    events = ({"audience": f"{n}" * 1_000_000, "email": "a@b.c"} for n in range(10, 60))
    assert kept(Pipeline(made), events) < 30_000_000


def test_people_of_very_many_values_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.pipeline.shapes._KEEP_SIZE", 5_000)
    pipeline = Pipeline(connection([PEOPLE]))
    for count in range(1_000, 1_030):
        emails = [f"a{number}@example.com" for number in range(count)]
        list(pipeline.prepare([Event(1, {"audience": "1nmth", "email": emails})], 0.0))
    [preparer] = pipeline._preparers
    assert sum(map(len, preparer._assembler._shapes._shapes)) < 7_000


def test_which_parameters_are_there_is_checked_once_whatever_their_values(tmp_path: Path) -> None:
    pipeline = Pipeline(tiny(tmp_path, "/a", {}))
    for count in range(1, 30):
        emails = [f"a{number}@example.com" for number in range(count)]
        [prepared] = pipeline.prepare([Event(1, {"email": emails})], 0.0)
        assert isinstance(prepared, Record)
    [preparer] = pipeline._preparers
    assert preparer._assembler._shapes._check_presence.cache_info().misses == 1


def test_beginnings_of_numbers_are_remembered_in_a_bounded_number() -> None:
    e164_many([f"{letter}{number:03}" for letter in "abcdefghijkl" for number in range(1_000)])
    assert phones._country_code.cache_info().currsize <= 10_000


def tiny(folder: Path, path: str, properties: Mapping[str, Any], **members: Any) -> Any:
    parameters = {}
    for name in properties:
        parameters[name] = {"title": name, "description": "A test.", **properties[name]}
    document = action({"email": email(), **parameters}, path=path, **members)
    document["required"] = ["email", *properties]
    envelope = '{"audience": {{ share.audience }}, "people": {{ items }}}'
    catalog = write_destination(folder, {"add": document}, {"people": envelope})
    mapped = {"email": {"from": "email"}}
    for name in properties:
        mapped[name] = {"from": name}
    raw = {"destination": "tiny", "routes": [{"action": "add", "map": mapped}]}
    return make_connection(raw, "test", catalog)


@pytest.mark.parametrize(
    ("path", "values", "allowed"),
    [
        ("/lists/{a}/people", {"a": ".."}, False),
        ("/lists/{a}/people", {"a": "."}, False),
        ("/lists/{a}{b}/people", {"a": ".", "b": "."}, False),
        ("/lists/.{a}", {"a": "."}, False),
        ("/lists/{a}/people", {"a": "../x"}, True),
        ("/lists/{a}/people", {"a": "..."}, True),
        ("/lists/{a}/people", {"a": "a.b"}, True),
        ("/lists/{a}/people", {"a": "%2e%2e"}, True),
    ],
)
def test_no_value_leads_to_another_path(
    tmp_path: Path, path: str, values: dict[str, str], allowed: bool
) -> None:
    properties = {name: {"type": "string"} for name in values}
    pipeline = Pipeline(tiny(tmp_path, path, properties))
    [prepared] = pipeline.prepare([Event(1, {"email": "a@b.c", **values})], 0.0)
    if allowed:
        assert isinstance(prepared, Record)
        assert prepared.target.url.count("/") == 3 + path.count("/") - 1
        assert "/../" not in prepared.target.url
    else:
        assert isinstance(prepared, Rejection)
        # A lone '.' is a word for no value, too.
        assert prepared.code in ("invalid_parameter", "missing_parameter")
        if prepared.code == "invalid_parameter":
            assert ".." in prepared.reason
