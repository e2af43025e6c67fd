"""The pipeline: each event on each route is one record or one rejection, and nobody's plain text comes out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector._util import times
from connector.auth.schemes import OAuth1
from connector.connection.load import Connection, load_connection
from connector.definitions.model import AuthConfig
from connector.delivery.http import HttpSender
from connector.delivery.ledger import Ledger
from connector.delivery.run import batches
from connector.model import Batch, Event, Record, Rejection, Request, Response, Unreadable
from connector.pipeline.batching import Batcher
from connector.pipeline.pipeline import Pipeline
from tests.kit import ROOT
from tests.kit.clock import NOW, FakeClock
from tests.kit.records import catalog, connection, tries, x

LAW_60 = tries(60)

# Every identifier holds one of these words or numbers.
WORDS = ("secretann", "secretbob", "secretcleo")
NUMBERS = ("4155550", "2079460")
EVERYTHING = {
    "email": {"from": "traits.email"},
    "phone_number": {"from": ["traits.mobile", "traits.phone"]},
    "handle": {"from": "traits.handle"},
    "device_id": {"from": "traits.devices[*].id"},
    "twitter_id": {"expr": "event.traits.number"},
    "already_hashed": {"from": "hashed"},
    "custom_audience_id": {"from": "audience"},
    "effective_at": {"from": "from"},
    "expires_at": {"from": "until"},
}
ROUTES = [
    {"name": "all-in", "action": "add_user", "map": EVERYTHING},
    {"name": "some-out", "action": "remove_user", "when": "event.status == 'exited'", "map": EVERYTHING},
    {"name": "odd", "action": "add_user_multi", "when": "event.traits.age > 17", "map": {"custom_audience_id": {"value": "odd"}, "email_sha256": {"from": "traits.email"}, "email": {"expr": "event.traits.email | lower"}}},
]  # fmt: skip


@cache
def example() -> Connection:
    return load_connection(ROOT / "examples" / "connection.yaml", catalog())


@cache
def pipelines() -> dict[str, Pipeline]:
    whole = connection(ROUTES, event_id="message_id", limits={"records": 3})
    return {"example": Pipeline(example()), "whole": Pipeline(whole)}


def messy(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value in its right form, or nothing, or in a form that cannot be used."""
    wrong: st.SearchStrategy[Any] = st.sampled_from(
        [None, "", " ", True, 1.5, -1, [], {}, "null", "a\ud800" + WORDS[0], "0" * 64, "a" * 64]
    )
    return st.one_of(
        plain,
        plain,
        st.lists(plain | wrong, max_size=3),
        wrong,
        plain.map(lambda v: {v: v}),
        plain.map(lambda v: [[v]]),
    )


EMAILS = st.sampled_from(
    [f"{word}@example.com" for word in WORDS] + [f" {WORDS[0].upper()}@Example.com"]
)
PHONES = st.sampled_from(
    [f"+1{NUMBERS[0]}123", f"+1 415-555-0124 {WORDS[0]}", f"+44{NUMBERS[1]}123", NUMBERS[0]]
)
TIMES = st.sampled_from(
    [
        "2027-01-01T00:00:00Z",
        "2026-12-31T23:00:00-01:00",
        "2026-06-01T00:00:00Z",
        "2020-01-01T00:00:00Z",
        WORDS[1],
        5,
        None,
    ]
)
TRAITS = st.fixed_dictionaries(
    {},
    optional={
        "email": messy(EMAILS),
        "mobile": messy(PHONES),
        "phone": messy(PHONES),
        "handle": messy(st.sampled_from([f"@{word}" for word in WORDS])),
        "devices": st.lists(
            st.fixed_dictionaries({"id": messy(st.sampled_from(WORDS))}), max_size=2
        )
        | st.sampled_from(WORDS),
        "number": messy(st.sampled_from([int(NUMBERS[0]), NUMBERS[1]])),
        "age": st.sampled_from([17, 18, None, "18", WORDS[0]]),
    },
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "message_id": st.sampled_from(["m1", "m2", "", None, 7]),
        "type": st.sampled_from(["audience", "objection", "pageview", None, ["audience"]]),
        "status": st.sampled_from(["entered", "exited", 5]),
        "audience": st.sampled_from(["aaa", "bbb", "aaa", "AAA!", 5, "", WORDS[2]]),
        "hashed": st.sampled_from([True, False, "true", "no", None, WORDS[2]]),
        "from": TIMES,
        "until": TIMES,
        "traits": TRAITS | st.sampled_from([None, WORDS[0], [WORDS[0]]]),
    },
)
# "secretcleo" also stands for a wrong audience: an id that people can see, so only the other words are looked for
PRIVATE = (*WORDS[:2], *NUMBERS)
INPUTS = st.lists(DATA | st.just("unreadable"), max_size=10).map(
    lambda rows: [
        Unreadable(n, "not JSON") if isinstance(row, str) else Event(n, row)
        for n, row in enumerate(rows, 1)
    ]
)
each_connection = pytest.mark.parametrize("name", ["example", "whole"])
Taken = list[str | None]


def taken(name: str, one: Event | Unreadable) -> Taken:
    """Return the routes that have to take an input, told without the connector."""
    if isinstance(one, Unreadable):
        return [""]
    data = one.data
    if name == "example":
        audience = data.get("type") == "audience"
        rows = [("loyal-in", audience and data.get("status") == "entered")]
        rows += [("loyal-out", audience and data.get("status") == "exited")]
        rows += [("objections", data.get("type") == "objection")]
    else:
        traits = data.get("traits")
        age = traits.get("age") if isinstance(traits, dict) else None
        # a text is not greater than 17, and says so: one rejection
        rows = [
            ("all-in", True),
            ("some-out", data.get("status") == "exited"),
            ("odd", age is not None and age != 17),
        ]
    return [route for route, takes in rows if takes] or [None]


def route_of(found: Record | Rejection | None) -> str | None:
    if found is None:
        return None
    return found.target.route if isinstance(found, Record) else found.route


def chunked(
    inputs: Sequence[Event | Unreadable], sizes: Sequence[int]
) -> list[Sequence[Event | Unreadable]]:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(inputs[start : start + size])
        start += size
    return [chunk for chunk in (*chunks, inputs[start:]) if chunk]


@each_connection
def test_each_event_on_each_route_is_one_record_or_one_rejection(name: str) -> None:
    @LAW_60
    @given(INPUTS)
    def law(inputs: list[Event | Unreadable]) -> None:
        found = list(pipelines()[name].prepare(inputs, NOW)) if inputs else []
        assert [route_of(one) for one in found] == [
            route for one in inputs for route in taken(name, one)
        ]
        for one in found:
            if isinstance(one, Record):
                assert one.ids
                assert (
                    len(one.ids) == len(one.wires) == len(set(zip(one.wires, one.ids, strict=True)))
                )
            elif one is not None:
                assert one.code
                assert one.reason

    law()


def requests(name: str, chunks: Sequence[Any]) -> tuple[list[Request], list[Batch], Ledger]:
    ledger = Ledger()
    made = list(batches(pipelines()[name], chunks, ledger, FakeClock()))
    return [batch.endpoint.build(batch, NOW) for batch in made], made, ledger


@each_connection
def test_how_events_are_cut_into_chunks_changes_nothing(name: str) -> None:
    @LAW_60
    @given(INPUTS, st.lists(st.integers(1, 4), max_size=8))
    def law(inputs: list[Event | Unreadable], sizes: list[int]) -> None:
        whole, _, all_of_it = requests(name, [inputs] if inputs else [])
        parts, _, ledger = requests(name, chunked(inputs, sizes))
        assert parts == whole
        assert (ledger.counts, ledger.reasons) == (all_of_it.counts, all_of_it.reasons)

    law()


@cache
def validators() -> Mapping[bool, Any]:
    schemas = {"do_not_reach" in name: action.accepts for name, action in x().actions.items()}
    return {
        key: jsonschema_rs.validator_for(schema, validate_formats=True)
        for key, schema in schemas.items()
    }


@each_connection
def test_every_body_is_what_the_action_accepts(name: str) -> None:
    @LAW_60
    @given(INPUTS)
    def law(inputs: list[Event | Unreadable]) -> None:
        made, found, ledger = requests(name, [inputs] if inputs else [])
        for request, batch in zip(made, found, strict=True):
            body = json.loads(request.body)
            assert validators()["do_not_reach" in request.url].is_valid(body)
            assert sum(len(operation["params"]["users"]) for operation in body) == len(
                batch.records
            )
        s = ledger.counts
        assert s.records == s.rejected + s.superseded + sum(len(batch.records) for batch in found)

    law()


def leaked(text: str) -> list[str]:
    return [word for word in PRIVATE if word in text.lower()]


@each_connection
def test_no_plain_text_of_a_hashed_identifier_comes_out(name: str) -> None:
    @LAW_60
    @given(INPUTS)
    def law(inputs: list[Event | Unreadable]) -> None:
        made, found, ledger = requests(name, [inputs] if inputs else [])
        for request in made:
            assert not leaked(request.body.decode() + request.url)
            assert not leaked(repr(request))
        prepared = list(pipelines()[name].prepare(inputs, NOW)) if inputs else []
        for one in (*inputs, *prepared, *found, *ledger.reasons, ledger.counts):
            assert not leaked(repr(one))
        for one in prepared:
            if isinstance(one, Record):
                assert not leaked(repr(one.target))

    law()


def test_the_repr_of_what_holds_an_identifier_or_a_secret_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, ref in example().credentials.items():
        monkeypatch.setenv(ref.location, f"{WORDS[0]} {name}")
    secrets = example().secrets()
    scheme = OAuth1(AuthConfig("oauth1"), secrets)
    with HttpSender(scheme, 1) as sender:
        shown = [
            example(),
            scheme,
            sender,
            example().credentials,
            Response(200, {}, {"it": WORDS[0]}),
        ]
        assert not [one for one in map(repr, shown) if leaked(one)]
    assert all(WORDS[0] in secret for secret in secrets.values())
    pipeline = pipelines()["example"]
    event = Event(
        1, {"type": "audience", "status": "entered", "traits": {"email": f"{WORDS[0]}@example.com"}}
    )
    [record] = pipeline.prepare([event], NOW)
    assert isinstance(record, Record)
    batch = Batch((record,), (0,))
    for one in (event, record, batch, record.target, batch.endpoint.build(batch, NOW), pipeline):
        for shown_as in (repr(one), str(one), f"{one}"):
            assert WORDS[0] not in shown_as
            assert not any(value in shown_as for value in record.ids)


DROPS = {
    ("email", "not_text"): 2,
    ("email", "placeholder"): 1,
    ("email", "already_hashed"): 1,
    ("handle", "empty"): 1,
}


def test_dropped_values_are_counted_by_parameter_and_reason() -> None:
    mapped = {
        "custom_audience_id": {"value": "aaa"},
        "email": {"from": "e"},
        "handle": {"from": "h"},
    }
    pipeline = Pipeline(connection([{"action": "add_user", "map": mapped}]))
    rows: list[dict[str, Any]] = [
        {"e": [True, "null", "ann@example.com"]},
        {"e": {}, "h": "@"},
        {"e": "a" * 64},
        {},
    ]
    found = list(pipeline.prepare([Event(n, row) for n, row in enumerate(rows)], NOW))
    assert [type(one) for one in found] == [Record, Rejection, Rejection, Rejection]
    assert pipeline.dropped == DROPS
    reasons = [one.reason for one in found if isinstance(one, Rejection)]
    assert reasons == [
        "no usable identifier: email not_text, handle empty",
        "no usable identifier: email already_hashed",
        "no usable identifier: none is present; looked in e, h",
    ]


def test_equal_values_of_one_wire_key_stand_once() -> None:
    mapped = {
        "custom_audience_id": {"value": "aaa"},
        "email": {"from": "e"},
        "email_sha256": {"from": "d"},
    }
    pipeline = Pipeline(connection([{"action": "add_user_multi", "map": mapped}]))
    [first] = pipeline.prepare(
        [Event(1, {"e": ["ann@example.com", " ANN@example.com", "bob@example.com"]})], NOW
    )
    assert isinstance(first, Record)
    assert len(first.ids) == len(set(first.ids)) == 2
    [second] = pipeline.prepare([Event(1, {"e": "ann@example.com", "d": first.ids[0]})], NOW)
    assert isinstance(second, Record)
    assert second.ids == first.ids[:1]
    assert json.loads(second.item) == {"email": [first.ids[0]]}


def test_now_is_the_moment_at_which_the_request_is_built() -> None:
    route = {
        "action": "add_user",
        "map": {
            "custom_audience_id": {"value": "aaa"},
            "email": {"from": "email"},
            "expires_at": {"now": "P30D"},
        },
    }
    pipeline = Pipeline(connection([route]))
    batcher = Batcher()
    for hour in range(3):
        events = [Event(hour, {"email": f"person{hour}@example.com"})]
        prepared = pipeline.prepare(events, NOW + 3600 * hour)
        assert not list(batcher.take([one for one in prepared if isinstance(one, Record)]))

    # what was prepared at different times is one group of one request
    [batch] = batcher.flush()
    later = NOW + 86_400
    [group] = json.loads(batch.endpoint.build(batch, later).body)
    assert len(group["params"]["users"]) == 3
    assert group["params"]["expires_at"] == times.plus(times.from_epoch(later), "P30D")


@pytest.mark.parametrize(("duration", "code"), [("PT0S", "expires_before_effective"), ("P1D", "")])
def test_now_is_checked_as_what_it_would_be_at_the_moment(duration: str, code: str) -> None:
    mapped = {
        "custom_audience_id": {"value": "aaa"},
        "email": {"from": "email"},
        "expires_at": {"now": duration},
    }
    events = [Event(1, {"email": "ann@example.com"})]
    [found] = Pipeline(connection([{"action": "add_user", "map": mapped}])).prepare(events, NOW)
    assert (found.code if isinstance(found, Rejection) else "") == code
