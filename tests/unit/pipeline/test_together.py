"""Companions that identify a person when all of them are there."""

from __future__ import annotations

from typing import Any

import pytest

from connector.connection.model import Connection, FromPaths, Route
from connector.definitions.catalog import Catalog
from connector.definitions.model import Limits
from connector.delivery.ledger import Ledger
from connector.delivery.run import batches
from connector.model import Event, Record, Rejection
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW, FakeClock

ANN = {"first_name": "Ann", "last_name": "Smith", "country": "US", "postal_code": "94043"}
BEN = {**ANN, "first_name": "Ben"}
MAIL = {"email": "ann@example.com"}


def pipeline() -> Pipeline:
    destination = Catalog(()).load("google_customer_match")
    routes = []
    for name in ("add_contact", "remove_contact"):
        action = destination.actions[name]
        sources = {parameter: FromPaths((parameter,)) for parameter in action.parameters}
        routes.append(Route(name, action, f"event.do == '{name}'", sources))
    settings = destination.example_settings
    url = destination.base_url(settings)
    return Pipeline(Connection("", destination, settings, {}, url, Limits(), None, tuple(routes)))


def events(people: list[dict[str, Any]], do: str = "add_contact") -> list[Event]:
    return [Event(n, {"audience_id": "1", "do": do, **one}) for n, one in enumerate(people)]


def prepared(*people: dict[str, Any]) -> list[Record | Rejection]:
    found = list(pipeline().prepare(events(list(people)), NOW))
    assert all(isinstance(one, Record | Rejection) for one in found)
    return found  # type: ignore[return-value]


def wires(one: Record | Rejection) -> tuple[str, ...]:
    assert isinstance(one, Record)
    return one.wires


def ids(one: Record | Rejection) -> tuple[str, ...]:
    assert isinstance(one, Record)
    assert len(one.ids) == len(one.wires)
    return one.ids


@pytest.mark.parametrize("beside", [0, 3], ids=["alone", "in a column"])
def test_all_parts_are_one_identifier(beside: int) -> None:
    found = prepared(ANN, *[BEN] * beside)
    assert wires(found[0]) == ("address",)
    [address] = ids(found[0])
    assert address.endswith("\x1fUS\x1f94043")
    assert "ann" not in address
    assert "smith" not in address


def test_it_stands_beside_the_others() -> None:
    [both] = prepared({**ANN, **MAIL})
    assert wires(both) == ("emailAddress", "address")
    assert ids(both)[1:] == ids(prepared(ANN)[0])


@pytest.mark.parametrize("part", ANN)
def test_a_part_is_missing(part: str) -> None:
    lacking = {name: value for name, value in ANN.items() if name != part}
    [alone] = prepared(lacking)
    assert isinstance(alone, Rejection)
    assert alone.code == "no_identifier"
    assert wires(prepared({**lacking, **MAIL})[0]) == ("emailAddress",)
    assert isinstance(prepared({**ANN, part: "  "})[0], Rejection)


def test_of_several_values_the_first_counts() -> None:
    several = {**ANN, "first_name": [" ANN ", "Anna"], "postal_code": ["94043", "10001"]}
    assert ids(prepared(several)[0]) == ids(prepared(ANN)[0])


def test_who_shares_a_part_is_somebody_else() -> None:
    people = [ANN, BEN, {**ANN, "postal_code": "10001"}, {**ANN, "last_name": "Meyer"}]
    assert len({ids(one) for one in prepared(*people)}) == len(people)


def sent(*chunks: list[Event]) -> list[tuple[str, int]]:
    """Return operation and number of records of each request."""
    made = []
    for batch in batches(pipeline(), chunks, Ledger(), FakeClock()):
        made.append((batch.target.operation, len(batch.records)))
    return made


def test_the_same_address_again_takes_the_place_of_the_older_one() -> None:
    assert sent(events([ANN, BEN, ANN])) == [("add", 2)]
    assert sent(events([ANN, BEN]), events([ANN], "remove_contact")) == [
        ("add", 1),
        ("remove", 1),
    ]


def test_another_address_does_not_take_its_place() -> None:
    assert sent(events([{**ANN, **MAIL}, {**BEN, **MAIL}])) == [("add", 2)]
