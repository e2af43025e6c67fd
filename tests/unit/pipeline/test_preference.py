"""Which identifier counts where a person may have only one of several, as a setting says."""

from __future__ import annotations

from typing import Any

import pytest

from connector.connection.model import Connection, FromPaths, Route
from connector.definitions.catalog import Catalog
from connector.definitions.model import Limits
from connector.model import Event, Record, Rejection
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW

BOTH = {"email": "ann@example.com", "user_id": "customer-1"}
PREFERS_EMAIL = {"identify_by": "email"}
PREFERS_ID = {"identify_by": "user_id"}


def sent(settings: dict[str, str], *people: dict[str, Any]) -> list[list[str]]:
    """Return the values that are sent of each person; those of a rejected one are its code."""
    destination = Catalog(()).load("iterable_lists")
    action = destination.actions["add_person"]
    sources = {name: FromPaths((name,)) for name in action.parameters}
    route = Route("in", action, None, sources)
    url = "https://api.iterable.com"
    settings = {**destination.example_settings, **settings}
    connection = Connection("", destination, settings, {}, url, Limits(), None, (route,))

    found: list[list[str]] = [[] for _ in people]
    events = [Event(number, {"list_id": "1", **one}) for number, one in enumerate(people)]
    for result in Pipeline(connection).prepare(events, NOW):
        assert isinstance(result, Record | Rejection)
        values = list(result.ids) if isinstance(result, Record) else [result.code]
        found[int(result.event_id)] += values
    return found


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, ["missing_parameter"]),
        (PREFERS_EMAIL, ["ann@example.com"]),
        (PREFERS_ID, ["customer-1"]),
    ],
)
def test_one_of_two_counts(settings: dict[str, str], values: list[str]) -> None:
    assert sent(settings, BOTH) == [values]
    assert sent(settings, BOTH, BOTH, {"email": "ben@example.com"})[1:] == [
        values,
        ["ben@example.com"],
    ]


@pytest.mark.parametrize("settings", [{}, PREFERS_EMAIL, PREFERS_ID])
@pytest.mark.parametrize("person", [{"email": "ann@example.com"}, {"user_id": "customer-1"}])
def test_a_single_one_counts_whatever_is_preferred(
    settings: dict[str, str], person: dict[str, str]
) -> None:
    assert sent(settings, person) == [list(person.values())]
    assert sent(settings, person, BOTH)[0] == list(person.values())


@pytest.mark.parametrize("value", ["null", "@", "", None, ["n/a", 1.5]])
def test_a_value_that_cannot_be_used_counts_for_nothing(value: Any) -> None:
    assert sent(PREFERS_EMAIL, {**BOTH, "email": value}) == [["customer-1"]]
    assert sent(PREFERS_EMAIL, {**BOTH, "email": value}, BOTH)[0] == ["customer-1"]


def test_all_values_of_it_count() -> None:
    person = {"email": ["ann@example.com", "n/a", "ben@example.com"], "user_id": ["1", "2"]}
    assert sent(PREFERS_EMAIL, person) == [["ann@example.com", "ben@example.com"]]
    assert sent(PREFERS_ID, person) == [["1", "2"]]
