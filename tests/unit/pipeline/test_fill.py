"""Which parameters a route finds in its events, and the nearest field of what it never finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import connector
from connector.connection.mapping import Element
from connector.connection.model import (
    AfterNow,
    AllPaths,
    Constant,
    FieldMapping,
    FromExpression,
    FromPaths,
)
from connector.pipeline.fill import Fill, count_present
from connector.templating.data import ABSENT


def nearest(source: FieldMapping, *rows: Any, **others: FieldMapping) -> str:
    fill = Fill("r", {"p": source, **others})
    fill.took(rows)
    return fill.results()[0].nearest


@pytest.mark.parametrize(
    ("path", "event", "near"),
    [
        ("Email", {"E-Mail": "x"}, "E-Mail"),
        ("mesage_id", {"message_id": 1, "type": "x"}, "message_id"),
        ("trait.email", {"traits": {"email": "x", "phone": "y"}}, "traits.email"),
        ("email", {"user": {"contact": {"email": "x"}}}, "user.contact.email"),
        ("traits.mail[0]", {"traits": {"mails": ["x"]}}, "traits.mails"),
        ("straße", {"Strasse": "x"}, "Strasse"),
        ("e_mail_adresse", {"E-Mail Adresse": "x"}, "E-Mail Adresse"),
        # there, and always empty: no other field is meant
        ("email", {"email": None, "emails": "x"}, ""),
        # an object is no value
        ("trait", {"traits": {"a": 1}}, ""),
        # nothing is near
        ("email", {"phone": "x"}, ""),
        ("email", {}, ""),
        # names that can be data
        ("ann@example.com", {"anne@example.com": 1}, ""),
        ("id12345678", {"id12345679": 1}, ""),
        ("+4930901820", {"+4930901821": 1}, ""),
        ("email", {"email" + 40 * "l": 1}, ""),
        ("email", {"email\n": 1}, ""),
        ("people.ann", {"people": {"ann@example.com": {"ann": 1}}}, ""),
    ],
)
def test_the_nearest_field(path: str, event: dict[str, Any], near: str) -> None:
    assert nearest(FromPaths((path,)), event) == near
    assert nearest(AllPaths((path,)), event) == near


def test_the_nearest_field_of_an_element_and_of_an_expression() -> None:
    row = Element({"list": [], "Mail": "x"}, {"e_mail": "x"})
    assert nearest(FromPaths(("item.email",)), row) == "item.e_mail"
    assert nearest(FromExpression("item.emial | lower"), row) == "item.e_mail"
    assert nearest(FromExpression("event.mail"), row) == "Mail"
    assert nearest(FromPaths(("item",)), Element({}, "text")) == ""


def test_the_field_of_another_parameter_is_not_meant() -> None:
    event = {"email": "x"}
    other = FromPaths(("email",))
    assert nearest(FromPaths(("emails",)), event) == "email"
    assert nearest(FromPaths(("emails",)), event, other=other) == ""


def test_what_is_constant_is_not_counted_and_few_rows_are_looked_at() -> None:
    sources: Mapping[str, FieldMapping] = {
        "a": Constant(1),
        "b": AfterNow("P1D"),
        "c": FromPaths(("c",)),
    }
    fill = Fill("r", sources)
    for number in range(1_000):
        fill.took([{f"cc{number % 10}{'x' * (number // 10)}": 1}])
        fill.found("a", 1)
    (result,) = fill.results()
    assert (result.parameter, result.of, result.found) == ("c", 1_000, 0)
    assert len(fill._names._seen) == 200


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([], 0),
        (["a", "b"], 2),
        (["a", None, "", [], ABSENT], 1),
        ([0, False, "0", [0], {}], 5),
    ],
)
def test_values_that_are_present(values: list[Any], count: int) -> None:
    assert count_present(values) == count


def fills(mapping: Mapping[str, Any], events: list[dict[str, Any]], **route: Any) -> Any:
    document = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "a"},
        "event_id": "id",
        "routes": [{"action": "add_user_multi", "name": "r", "map": mapping, **route}],
    }
    preview = connector.preview(connector.make_connection(document), events)
    list(preview)
    return {one.parameter: (one.of, one.found) for one in preview.fill}


MAPPING = {
    "custom_audience_id": {"from": "audience"},
    "email": {"from": "email"},
    "phone_number": {"from": "phone"},
    "handle": {"from": "handles[*]"},
    "twitter_id": {"expr": "event.number"},
}


def test_values_are_counted_whatever_becomes_of_them() -> None:
    events = [
        {"id": 1, "audience": "1nmth", "email": "a@example.com", "phone": "no phone"},
        {"id": 2, "audience": "1nmth", "email": "b@example.com", "handles": ["a", "b"]},
        # refused, as it names no audience; it is counted nevertheless
        {"email": "c@example.com", "number": 12, "handles": []},
        {"id": "", "audience": "1nmth", "email": None, "phone": ""},
        {"id": 5, "audience": "1nmth", "email": "d@example.com", "take": False},
    ]
    assert fills(MAPPING, events, when="event.take != false") == {
        "event_id": (5, 3),
        "custom_audience_id": (4, 3),
        "email": (4, 3),
        "phone_number": (4, 1),
        "handle": (4, 1),
        "twitter_id": (4, 1),
    }


def test_elements_are_counted_with_each() -> None:
    mapping = {"custom_audience_id": {"value": "1"}, "email": {"from": "item.email"}}
    people = [{"email": "a@example.com"}, {"email": ""}, None, {}]
    many = [{"email": f"a{number}@example.com"} for number in range(12_000)]
    events = [{"people": people}, {"people": []}, {}, {"people": many}]
    assert fills(mapping, events, each="people")["email"] == (12_003, 12_001)


def test_the_country_of_a_number_is_counted_too() -> None:
    mapping = {
        "custom_audience_id": {"value": "1"},
        "phone_number": {"from": "phone", "country": {"from": "land"}},
    }
    events = [
        {"id": 1, "phone": "030 901820", "land": "DE"},
        {"id": 2, "phone": "+4930901820"},
    ]
    found = fills(mapping, events)
    assert found == {"event_id": (2, 2), "phone_number": (2, 2), "phone_number.country": (2, 1)}
    # of a row that names no audience, too
    mapping["custom_audience_id"] = {"from": "audience"}
    found = fills(mapping, events)
    assert found["phone_number.country"] == (2, 1)


def test_the_nearest_field_of_a_country_may_be_mapped_elsewhere() -> None:
    phone = FromPaths(("phone",), country=FromPaths(("contry",)))
    fill = Fill("r", {"phone": phone, "land": FromPaths(("country",))})
    fill.took([{"country": "DE", "phone": "1"}])
    near = {one.parameter: one.nearest for one in fill.results()}
    assert near["phone.country"] == "country"


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"Kundennummer": "K1", "email": "ann@example.com"}, ""),
        ({"Kundennumer ": "K1", "Kundennumer_2": "x"}, "Kundennumer_2"),
    ],
)
def test_the_id_of_events_is_no_field_of_an_identifier(fields: dict[str, Any], near: str) -> None:
    mapped = {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}}
    mapped["partner_user_id"] = {"from": "Kundennummer"}
    document = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "a"},
        "event_id": "Kundennumer",
        "routes": [{"action": "add_user_multi", "map": mapped}],
    }
    preview = connector.preview(connector.make_connection(document), [fields])
    list(preview)
    assert preview.fill[0].nearest == near
