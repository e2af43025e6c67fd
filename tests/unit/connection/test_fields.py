"""Which fields of the events a connection reads."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import connector
from connector.connection.fields import fields_read
from connector.connection.model import Connection, FieldMapping, OfOptOut, field_mapping
from connector.templating.reads import members_read
from tests.kit import ROOT

EXPRESSIONS = [
    ("event.a", {("a",)}),
    ("event.a.b == 'x' and not event['odd.name']", {("a", "b"), ("odd.name",)}),
    ("event.list[0].name ~ event.other | trim", {("list", 0, "name"), ("other",)}),
    ("event.list[event.at].name", {("list",), ("at",)}),
    ("event.list[-1].name ~ event.text[1:event.to].x", {("list",), ("text",), ("to",)}),
    ("event.a.b ~ event['c'] ~ settings.d ~ event.l[0]", {("a", "b"), ("c",), ("l", 0)}),
    ("event", {()}),
    ("event[settings.field]", {()}),
    ("settings.event.a", set()),
    ("[event.a, {'k': event.b}] | length + (event.c if event.d else event.e)",
     {("a",), ("b",), ("c",), ("d",), ("e",)}),
    ("event | length", {()}),
    ("event.a is defined and event.b in ['x', event.c]", {("a",), ("b",), ("c",)}),
    ("event.a | replace(event.b, 'x')", {("a",), ("b",)}),
    ("'event.a'", set()),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), EXPRESSIONS)
def test_what_an_expression_reads(source: str, expected: set[tuple[str | int, ...]]) -> None:
    assert set(members_read(source, "event")) == expected


def made(**members: object) -> connector.Connection:
    route = {
        "action": "add_user_multi",
        "when": "event.kind == 'in'",
        "map": {
            "custom_audience_id": {"value": "1nmth"},
            "email": {"from": ["traits.email", 'mails[0]["odd.name"]']},
            "handle": {"expr": "event.handle | lower"},
        },
    }
    document = {"destination": "x_custom_audiences", "settings": {"account_id": "18ce54d4x5t"}}
    return connector.make_connection({**document, "routes": [route], **members})


def test_what_a_connection_reads() -> None:
    fields = {("kind",), ("traits", "email"), ("mails",), ("handle",)}
    assert fields_read(made()) == fields
    assert fields_read(made(event_id="id.of[0]")) == fields | {("id", "of")}


def test_a_connection_that_may_read_any_field() -> None:
    route = {
        "action": "add_user_multi",
        "when": "event | length > 3",
        "map": {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}},
    }
    assert fields_read(made(routes=[route])) is None


EACH = "basket.people"
ENTRIES: list[tuple[dict[str, object], set[tuple[str, ...]]]] = [
    ({"from": "traits.email"}, {("traits", "email")}),
    ({"from": ["a", "b.c", '["odd.name"]["of.it"].d']}, {("a",), ("b", "c"), ("odd.name", "of.it", "d")}),
    ({"from": ["a.list[0].b", "c[*].d", "ids[type=IDFA].value"]}, {("a", "list"), ("c",), ("ids",)}),
    ({"from": "ids[type='no.name'][0]"}, {("ids",)}),
    ({"from": ["item.mail.work", "item[0]"]}, {("basket", "people", "mail", "work")}),
    ({"from": ["item", '["item"].a']}, {("item", "a")}),
    ({"all": "a.b"}, {("a", "b")}),
    ({"all": ["a.b", "item['odd.name']", "item.ids[type=IDFA].value"]},
     {("a", "b"), ("basket", "people", "odd.name"), ("basket", "people", "ids")}),
    ({"value": "a.b"}, set()),
    ({"now": "P30D"}, set()),
    ({"audience": "Loyal {customers}"}, set()),
    ({"audience": {"only": True}}, set()),
    ({"audience": {"create": "A {{ event.a.b }} {{ item.c | upper }} {{ now | format('%Y') }} {{ settings.f }}"}},
     {("a", "b"), ("basket", "people", "c")}),
    ({"expr": "event.a.b ~ item.c['d.e'] ~ settings.f"}, {("a", "b"), ("basket", "people", "c", "d.e")}),
    ({"expr": "event.l[0].name or item[0].name"}, {("l",)}),
    ({"expr": "item | length"}, set()),
    ({"from": "a", "country": "DE"}, {("a",)}),
    ({"from": "a", "country": {"value": "DE"}}, {("a",)}),
    ({"from": "a", "country": {"from": ["b.c", "item.land"]}}, {("a",), ("b", "c"), ("basket", "people", "land")}),
    ({"all": ["a"], "country": {"expr": "event.b | upper"}}, {("a",), ("b",)}),
    ({"value": "0151", "country": {"from": "b"}}, {("b",)}),
    ({"expr": "event.a", "country": {"from": "b"}, "prehashed": "auto"}, {("a",), ("b",)}),
]  # fmt: skip


def reading(entry: dict[str, object]) -> Connection:
    """Return a connection of one route with `each` that maps an entry, which need not be valid."""
    given = made()
    route = replace(given.routes[0], when=None, each=EACH, map={"any": field_mapping(entry)})
    return replace(given, routes=(route,))


@pytest.mark.parametrize(("entry", "expected"), ENTRIES)
def test_what_an_entry_of_map_reads(
    entry: dict[str, object], expected: set[tuple[str, ...]]
) -> None:
    assert fields_read(reading(entry)) == {("basket", "people")} | expected


def test_every_kind_of_entry_is_known() -> None:
    kinds, keys = set(), set()
    for entry, _ in ENTRIES:
        kinds.add(type(field_mapping(entry)))
        keys.update(entry)
    assert kinds | {OfOptOut} == set(FieldMapping.__subclasses__())
    # what a file may hold
    meta = json.loads((ROOT / "schemas/meta/connection.schema.json").read_text("utf-8"))
    assert keys == set(meta["$defs"]["mapped"]["properties"])


@pytest.mark.parametrize(
    ("each", "when", "fields"),
    [
        ("people", "item.kind == event.kind", {("people",), ("people", "kind"), ("kind",)}),
        ("a.people[0].of", "item.kind", {("a", "people")}),
        ("a[*].people", "event.b", {("a",), ("b",)}),
        ('["odd.name"]', "item", {("odd.name",)}),
        ("groups[type=family].people", "not event.a['b.c']", {("groups",), ("a", "b.c")}),
        (None, "event['item'].a", {("item", "a")}),
    ],
)
def test_what_each_and_when_read(each: str | None, when: str, fields: set[tuple[str, ...]]) -> None:
    given = made()
    route = replace(given.routes[0], each=each, when=when, map={})
    assert fields_read(replace(given, routes=(route,))) == fields


def test_a_kind_of_entry_that_is_not_known_may_read_any_field() -> None:
    given = made()
    route = replace(given.routes[0], map={"email": FieldMapping()})
    assert fields_read(replace(given, routes=(route,))) is None
