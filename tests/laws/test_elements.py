"""`each`: its records are those of the same event split by hand, one event for each element, in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.connection.mapping import Row
from connector.delivery.ledger import Ledger
from connector.delivery.run import batches
from connector.model import Batch, Event, EventId, ItemId, Record, Rejection, Unreadable
from connector.pipeline import elements, preparation
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.records import Preparer
from tests.kit.clock import NOW, FakeClock
from tests.kit.records import connection, tries

MAP: dict[str, Any] = {
    "custom_audience_id": {"from": ["item.audience", "audience"]},
    "email": {"from": ["item.email", "item"], "prehashed": "auto"},
    "phone_number": {"from": "item.phone", "country": {"from": ["item.country", "country"]}},
    "handle": {"all": ["item.handles[*]", "item.ids[type=x].value", "handle"]},
    "device_id": {"expr": "item.device | default(event.device)"},
    "expires_at": {"now": "P30D"},
}
ROUTES = [
    {"name": "in", "action": "add_user_multi", "each": "added", "when": "item.optin", "map": MAP},
    {"name": "event", "action": "add_user", "when": "event.also", "map": {"custom_audience_id": {"value": "aaa"}, "email": {"from": "email"}}},
    {"name": "out", "action": "remove_user_multi", "each": "groups[*].removed", "map": MAP},
]  # fmt: skip


def by_hand(routes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the routes for events that hold one element, at `item`, for one route, at `route`."""
    changed = []
    for route in routes:
        text = f"event.route == '{route['name']}'"
        when = route.get("when", "true").replace("item.", "event['item'].")
        changed.append(
            {
                **{key: value for key, value in route.items() if key != "each"},
                "when": f"{text} and {when}" if "when" in route else text,
                "map": _read_from_event(route["map"]),
            }
        )
    return changed


def _read_from_event(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read_from_event(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_read_from_event(one) for one in value]
    if not isinstance(value, str):
        return value
    if " " in value:
        return value.replace("item.", "event['item'].")
    return '["item"]' + value.removeprefix("item") if value.split(".")[0] == "item" else value


def split_by_hand(event: Event) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Yield an event for each record that the routes make of one, and which element it holds."""
    data = {key: value for key, value in event.data.items() if key != "item"}
    for index, element in enumerate(_list(data.get("added"))):
        if element is not None:
            yield index, {**data, "item": element, "route": "in"}
    yield None, {**data, "route": "event"}
    removed: list[Any] = []
    for group in data.get("groups") or []:
        one = group.get("removed")
        removed += one if isinstance(one, list) else [] if one is None else [one]
    for index, element in enumerate(removed):
        if element is not None:
            yield index, {**data, "item": element, "route": "out"}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


TEXTS = st.sampled_from(
    ["ann@example.com", "ben@example.com", " Ann@Example.com", "0" * 64, "", "null"]
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "optin": st.sampled_from(["yes", "no", "maybe", True, False, None, "1", 0]),
        "audience": st.sampled_from(["aaa", "bbb", "AAA!"]),
        "email": TEXTS,
        "phone": st.sampled_from(["030 901820", "+49 30 901820", "0044 20 7946 0123", "XX", 5]),
        "country": st.sampled_from(["de", "GB", "Germany", None]),
        "handles": st.lists(st.sampled_from(["@ann", "ann", "ben"]), max_size=3),
        "ids": st.just([{"type": "x", "value": "ann"}, {"type": "y", "value": "cat"}]),
        "device": st.sampled_from(["4b61639e-47cc-4056-a16a-c8217e029462", "nothing"]),
    },
)
LIST = st.lists(ITEM | TEXTS | st.none() | st.sampled_from([5, True]), max_size=4)
DATA = st.fixed_dictionaries(
    {"audience": st.sampled_from(["aaa", "bbb"])},
    optional={
        "added": LIST | ITEM | st.none() | st.just(""),
        "groups": st.lists(
            st.fixed_dictionaries({}, optional={"removed": LIST | ITEM}), max_size=2
        ),
        "item": st.just({"email": "never@example.com"}),
        "email": TEXTS,
        "also": st.sampled_from(["yes", "off", "perhaps"]),
        "country": st.sampled_from(["DE", "??"]),
        "handle": st.just("@cleo"),
        "device": st.just("5b61639e-47cc-4056-a16a-c8217e029462"),
    },
)
EVENTS = st.lists(DATA, max_size=4).map(
    lambda rows: [Event(n, row) for n, row in enumerate(rows, 1)]
)

EACH = Pipeline(connection(ROUTES))
BY_HAND = Pipeline(connection(by_hand(ROUTES)))


def shown(one: Record | Rejection, element: int | None, position: int) -> tuple[Any, ...]:
    """Return what a result says, with its event and element."""
    if isinstance(one, Rejection):
        return position, element, one.route, one.code, one.reason
    target = one.target
    return position, element, target.route, target.lane, target.group, one.wires, one.ids, one.item


def of_elements(events: list[Event]) -> list[tuple[Any, ...] | None]:
    found: list[tuple[Any, ...] | None] = []
    for one in EACH.prepare(events, NOW):
        if one is None:
            found.append(None)
        elif isinstance(one.event_id, ItemId):
            found.append(shown(one, one.event_id.item, int(one.event_id.event_id)))
        else:
            found.append(shown(one, None, int(one.event_id)))
    return found


def of_events(events: list[Event]) -> list[tuple[Any, ...] | None]:
    found: list[tuple[Any, ...] | None] = []
    for event in events:
        of_event = []
        for element, data in split_by_hand(event):
            for one in BY_HAND.prepare([Event(event.position, data)], NOW):
                if one is not None:
                    of_event.append(shown(one, element, event.position))
        found += of_event
        if not of_event:
            found.append(None)
    return found


def words(found: list[tuple[Any, ...] | None]) -> list[Any]:
    """Where `item` is looked for is told in other words."""
    texts = []
    for one in found:
        texts.append(repr(one).replace('["item"]', "item"))
    return texts


@given(EVENTS)
@example(
    [Event(1, {"audience": "aaa", "added": [{"optin": True, "email": "ann@example.com"}] * 2})]
)
@tries(300)
def test_elements_are_events_split_by_hand(events: list[Event]) -> None:
    assert words(of_elements(events)) == words(of_events(events))


@given(EVENTS, st.integers(1, 5))
@tries(100)
def test_lists_that_are_prepared_in_slices_are_the_same(events: list[Event], size: int) -> None:
    whole = of_elements(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elements, "SLICE", size)
        patch.setattr(preparation, "SLICE", size)
        assert of_elements(events) == whole


REFUSED: list[tuple[Any, str | None, list[Any]]] = [
    # what is at `each`, `when`, (item, code) of each result
    ("text", None, [(None, "each_not_a_list")]),
    (5, None, [(None, "each_not_a_list")]),
    (0, None, [(None, "each_not_a_list")]),
    (False, None, [(None, "each_not_a_list")]),
    ("text", "item.optin", [(None, "each_not_a_list")]),
    ("text", "event.go == 'yes'", [(None, "each_not_a_list")]),
    ("text", "event.go == 'no'", [None]),
    ("text", "event.odd", [(None, "not_a_boolean")]),
    (None, None, [None]),
    ("", None, [None]),
    ([], None, [None]),
    ([None, None], None, [None]),
    ([[]], None, [(0, "item_not_allowed")]),
    ([None, ["ann@example.com"], "ann@example.com"], None, [(1, "item_not_allowed"), (2, "")]),
    ([["ann@example.com"]], "item.optin", [(0, "item_not_allowed")]),
    ([["ann@example.com"]], "event.go == 'no'", [None]),
    # a number is an element, and no address
    ([5], None, [(0, "no_identifier")]),
    ([{}], None, [(0, "no_identifier")]),
    ({"email": "ann@example.com"}, None, [(0, "")]),
    ({}, None, [(0, "no_identifier")]),
    (["ann@example.com"], "item == 'ann@example.com'", [(0, "")]),
    (["ann@example.com", "ben@example.com"], "item == 'ben@example.com'", [(1, "")]),
    (["ann@example.com"], "item", [(0, "not_a_boolean")]),
    (["ann@example.com"], "item > 5", [(0, "expression_failed")]),
]


@pytest.mark.parametrize(("found", "when", "expected"), REFUSED)
def test_what_is_at_each(found: Any, when: str | None, expected: list[Any]) -> None:
    route: dict[str, Any] = {
        "action": "add_user_multi",
        "each": "added",
        "map": {"custom_audience_id": {"value": "aaa"}, "email": {"from": ["item.email", "item"]}},
    }
    if when is not None:
        route["when"] = when
    event = Event(7, {"added": found, "go": "yes", "odd": "perhaps"})
    results: list[Any] = []
    for one in Pipeline(connection([route])).prepare([event], NOW):
        if one is None:
            results.append(None)
            continue
        item = one.event_id.item if isinstance(one.event_id, ItemId) else None
        results.append((item, one.code if isinstance(one, Rejection) else ""))
    assert results == expected


def people(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(count)]


def test_a_long_list_is_prepared_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    route = {
        "action": "add_user_multi",
        "each": "added",
        "map": {"custom_audience_id": {"value": "aaa"}, "email": {"from": "item"}},
    }
    prepared: list[int] = []
    plain = Preparer.prepare

    def prepare(self: Preparer, data: Sequence[Row], ids: Sequence[EventId], now: float) -> Any:
        prepared.append(len(data))
        return plain(self, data, ids, now)

    monkeypatch.setattr(Preparer, "prepare", prepare)
    events = [Event(1, {"added": people(3 * elements.SLICE)}), Event(2, {"added": people(1)})]
    results = iter(Pipeline(connection([route])).prepare(events, NOW))
    next(results)
    assert sum(prepared) == elements.SLICE
    assert sum(1 for _ in results) == 3 * elements.SLICE
    assert max(prepared) == elements.SLICE


@given(st.lists(LIST, max_size=3), st.booleans())
@tries(50)
def test_events_are_counted_once_and_everything_else_is_records(
    lists: list[list[Any]], unreadable: bool
) -> None:
    chunk: list[Event | Unreadable] = []
    for position, added in enumerate(lists, 1):
        chunk.append(Event(position, {"audience": "aaa", "added": added}))
    if unreadable:
        chunk.append(Unreadable(9, "not JSON"))
    ledger = Ledger(keep_failures=True)
    made: list[Batch] = list(batches(EACH, [chunk], ledger, FakeClock()))
    counts = ledger.counts
    kept = sum(len(batch.records) for batch in made)
    assert counts.events == len(chunk)
    assert counts.records == kept + counts.superseded + counts.rejected
    for failure in ledger.failures:
        line = failure.ndjson().decode()
        assert ('"item":' in line) == (failure.item is not None) == (failure.route is not None)
