"""Prepared records: what is written and read again is sent as it would have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.connection.model import AfterNow, Connection, FieldMapping, FromPaths, Route
from connector.definitions.catalog import Catalog
from connector.definitions.model import Destination
from connector.model import Batch, Event, Record
from connector.pipeline.audiences import KnownAudiences
from connector.pipeline.batching import Batcher
from connector.pipeline.commuting import Change
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.prepared import PreparedError, PreparedRecords
from tests.kit import records as kit
from tests.kit.accounts import opt_out, to
from tests.kit.clock import NOW
from tests.kit.records import tries
from tests.laws import test_every_destination as every

YEAR = 365 * 24 * 3600.0


def connection(destination: Destination) -> Connection:
    """Return a connection with two routes for every action: one of events, one of their elements.

    Moments are a time after the request is built.
    """
    simple = every.connection(destination)
    routes = []
    for route in simple.routes:
        mapped: dict[str, FieldMapping] = dict(route.map)
        of_item: dict[str, FieldMapping] = {}
        for name, field in route.action.parameters.items():
            if field.is_moment:
                # Of a beginning and an end, the end is the later one.
                mapped[name] = AfterNow(f"P{300 + len(of_item)}D")
            of_item[name] = mapped[name]
            if isinstance(mapped[name], FromPaths):
                of_item[name] = FromPaths((f"item.{name}",))
        routes.append(replace(route, map=mapped))
        when = f"item.action == '{route.action.id}'"
        routes.append(Route(f"{route.name}-each", route.action, when, of_item, each="people"))
    return replace(simple, routes=tuple(routes), event_id="id")


def events(destination: Destination) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Some events of people, some of which hold others, and some of which have an id."""
    people = every.events(destination)

    def nested(found: list[dict[str, Any]], inner: list[dict[str, Any]]) -> list[dict[str, Any]]:
        made = []
        for number, event in enumerate(found):
            more: dict[str, Any] = {"id": f"e{number}"} if number % 2 else {}
            if number == 0:
                more["people"] = inner
            made.append({**event, **more})
        return made

    return st.builds(nested, people, people)


def examples(destination: Destination) -> list[dict[str, Any]]:
    """Return an event of a person for each route: the examples of the actions."""
    people = []
    for action in destination.actions.values():
        people.append({**next(iter(action.schema["examples"])), "action": action.id})
    return [*people, {"action": "none", "people": people}]


def prepared(pipeline: Pipeline, rows: Sequence[Mapping[str, Any]]) -> list[Record]:
    chunk = [Event(number, dict(row)) for number, row in enumerate(rows, 1)]
    return [one for one in pipeline.prepare(chunk, NOW) if isinstance(one, Record)]


def batches(records: Sequence[Record]) -> list[Batch]:
    batcher = Batcher()
    return [*batcher.take(records), *batcher.flush()]


def assert_same(record: Record, again: Record) -> None:
    """All that delivery asks of a record is the same."""
    assert again._replace(target=record.target) == record
    target, other = record.target, again.target
    for name in (
        *("route", "action", "operation", "url", "lane", "key", "request", "group", "params"),
        *("base_bytes", "group_bytes", "room", "part", "shared", "details", "moments"),
    ):
        assert getattr(other, name) == getattr(target, name), name
    assert other.endpoint.limits == target.endpoint.limits
    assert other.endpoint.caps == target.endpoint.caps
    assert [part.part for part in other.parts] == [part.part for part in target.parts]


def assert_sent_alike(records: Sequence[Record], again: Sequence[Record]) -> None:
    """The requests are the same, byte for byte, whenever they are built."""
    batches_then, batches_now = batches(records), batches(again)
    assert len(batches_then) == len(batches_now)
    for then, now in zip(batches_then, batches_now, strict=True):
        assert stretches(then) == stretches(now)
        for moment in (NOW, NOW + YEAR):
            assert now.endpoint.build(now, moment) == then.endpoint.build(then, moment)
            assert now.endpoint.places(now, moment) == then.endpoint.places(then, moment)
    for first, second in zip(batches_then[1:], batches_now[1:], strict=True):
        assert commutes(batches_then[0], first) == commutes(batches_now[0], second)


def stretches(batch: Batch) -> list[int]:
    """Return the runs of a batch, whose numbers mean nothing beyond it."""
    return [run - batch.runs[0] for run in batch.runs]


def commutes(one: Batch, other: Batch) -> bool:
    return Change(other).commutes_with(Change(one), strict=True)


@pytest.mark.parametrize("name", every.DESTINATIONS)
def test_what_is_read_is_sent_as_what_was_written(name: str) -> None:
    destination = Catalog(()).load(name)
    here = connection(destination)
    pipeline = Pipeline(here)
    writer, reader = PreparedRecords(here), PreparedRecords(here)
    seen: set[str] = set()

    @given(events(destination))
    @tries(8)
    def law(rows: list[dict[str, Any]]) -> None:
        records = prepared(pipeline, [*rows, *examples(destination)])
        again = []
        for record in records:
            content = writer.write(record)
            assert b"\n" not in content
            # What the definition hashes stands nowhere, but for what is open beside it.
            rest = every._DIGEST.sub(b"", content).decode().lower()
            assert every.WORD.lower() not in rest
            assert str(every.NUMBER) not in rest
            again.append(reader.read(content))
            assert_same(record, again[-1])
            seen.add(record.target.route)
        assert_sent_alike(records, again)

    law()
    assert seen == {route.name for route in here.routes}


MAP = {
    "custom_audience_id": {"from": "audience"},
    "email": {"from": "emails[*]"},
    "partner_user_id": {"from": "id"},
    "expires_at": {"now": "P12M"},
}


def x(**changes: Any) -> Connection:
    """Return a connection to X: additions whose expiry is known later, and removals."""
    routes: list[dict[str, Any]] = [
        {"name": "in", "action": "add_user_multi", "when": "event.add", "map": MAP},
        {"name": "out", "action": "remove_user_multi", "when": "not event.add", "map": MAP},
    ]
    routes[1]["map"] = {name: MAP[name] for name in MAP if name != "expires_at"}
    return kit.connection(changes.pop("routes", routes), **changes)


ANN = {"add": True, "audience": "1nmth", "emails": ["ann@example.com"], "id": "a"}


def one_record(here: Connection) -> Record:
    [record] = prepared(Pipeline(here), [ANN])
    return record


def test_a_moment_is_known_when_the_request_is_built() -> None:
    here = x()
    codec = PreparedRecords(here)
    [batch] = batches([codec.read(codec.write(one_record(here)))])
    assert b"2027-01-15T00:00:00Z" in batch.endpoint.build(batch, NOW).body
    assert b"2028-01-15T00:00:00Z" in batch.endpoint.build(batch, NOW + YEAR).body


def test_an_opt_out_and_an_audience_by_its_name_have_the_ids_that_they_had() -> None:
    routes = [to({"audience": {"create": "All"}}, "event.out is undefined"), opt_out("event.out")]
    routes[1]["opt_out"] = {"do_not_reach": True}
    here = kit.connection(routes)
    codec = PreparedRecords(here)
    rows: list[dict[str, Any]] = [{"email": "ann@example.com"}]
    rows.append({"email": "bob@example.com", "out": True})
    known = KnownAudiences(here, lambda wanted: "9only" if wanted.only else "2all")
    records = prepared(Pipeline(here, known), rows)
    assert len({record.target.action for record in records}) == 3
    again = [codec.read(codec.write(record)) for record in records]
    for record, other in zip(records, again, strict=True):
        assert_same(record, other)
    assert_sent_alike(records, again)
    assert {one.target.params.get("custom_audience_id") for one in again} == {"2all", None}

    # What stands in the place of an id is never sent.
    shown = PreparedRecords(here).write(prepared(Pipeline(here), rows)[0])
    with pytest.raises(PreparedError):
        codec.read(shown)


def test_other_definition_files_are_refused() -> None:
    here = x()
    codec = PreparedRecords(here)
    document = orjson.loads(codec.write(one_record(here)))
    document["definition"] = "0" * 64
    with pytest.raises(PreparedError, match=r"^was prepared by other definition files"):
        codec.read(orjson.dumps(document))


OTHER_ROUTES = [{"name": "other", "action": "add_user_multi", "map": MAP}]
OTHER_ACTION = [
    {
        "name": "in",
        "action": "add_user",
        "map": {name: MAP[name] for name in MAP if name != "email"},
    },
]


@pytest.mark.parametrize("routes", [OTHER_ROUTES, OTHER_ACTION])
def test_other_routes_are_refused(routes: list[dict[str, Any]]) -> None:
    content = PreparedRecords(x()).write(one_record(x()))
    with pytest.raises(PreparedError, match=r"^is no prepared record of this connection's routes$"):
        PreparedRecords(x(routes=routes)).read(content)


CANARY = "canary"
DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]

#: Paths into a record, each with what must not stand there.
DAMAGE: list[tuple[tuple[str | int, ...], Any]] = [
    *((("ids",), value) for value in (None, CANARY, [CANARY, 1], [], [[CANARY]], {CANARY: 1})),
    *((("wires",), value) for value in (None, [], [CANARY, CANARY], [1, 2])),
    *((("companions",), value) for value in (None, CANARY, [CANARY], [1], {CANARY: 1})),
    *((("item",), value) for value in (None, 1, CANARY, "{", "", DEEP, "[" * 5000)),
    *((("event",), value) for value in (None, CANARY, [], [1], [1, 2, 3], [1, None, CANARY])),
    *((("event",), value) for value in ([True, None, None], [-1, None, None], ["1", None, None])),
    *((("event",), value) for value in ([1, [], None], [1, None, 1.5], [1, None, None, None])),
    *((("prepared_at",), value) for value in (None, CANARY, "1", True, DEEP)),
    *((("target",), value) for value in (None, CANARY, [], {}, DEEP)),
    *((("target", "route"), value) for value in (None, CANARY, [], {}, 1)),
    *((("target", "action"), value) for value in (None, CANARY, [], {}, "remove_user_multi")),
    *((("target", "part"), value) for value in (None, CANARY, 1, -1, 10**30, True, 0.0)),
    *((("target", "params"), value) for value in (None, CANARY, [], {}, DEEP)),
    *((("target", "params", CANARY), value) for value in (None, CANARY)),
    *((("target", "params", "custom_audience_id"), value) for value in ("../" + CANARY, DEEP, 5)),
    *((("target", "moments"), value) for value in (None, CANARY, {CANARY: "P12M"}, DEEP)),
    *((("target", "moments", "expires_at"), value) for value in (None, CANARY, 1, "P9999999Y")),
    *(((name,), CANARY) for name in ("definition", "more")),
]


@pytest.mark.parametrize(("path", "value"), DAMAGE)
def test_what_is_damaged_is_refused_and_not_quoted(path: tuple[str | int, ...], value: Any) -> None:
    codec, content = written()
    document: Any = orjson.loads(content)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(PreparedError) as refused:
        codec.record_of(document)
    assert CANARY not in str(refused.value)
    assert "5" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"canary", b"\xff", b"{", b"[" * 100_000, b"[]", b"1"])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(PreparedError) as refused:
        written()[0].read(content)
    assert CANARY not in str(refused.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@cache
def written() -> tuple[PreparedRecords, bytes]:
    codec = PreparedRecords(x())
    return codec, codec.write(one_record(x()))


@given(st.data())
@tries(100)
def test_a_record_without_a_member_or_with_any_value_is_a_record_or_refused(
    data: st.DataObject,
) -> None:
    codec, content = written()
    document = orjson.loads(content)
    place = data.draw(st.sampled_from([document, document["target"], document["target"]["params"]]))
    name = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[name]
    else:
        place[name] = data.draw(ANYTHING)
    try:
        record = codec.record_of(document)
    except PreparedError:
        return
    [batch] = batches([record])
    batch.endpoint.build(batch, NOW)
