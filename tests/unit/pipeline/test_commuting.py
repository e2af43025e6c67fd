"""Which batches may change places, and that identifiers are looked at only where it matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connector.definitions.model import Limits
from connector.model import Batch, Event, Record, Target
from connector.pipeline.commuting import Change
from connector.pipeline.pipeline import Pipeline
from tests.kit.records import connection, record, target, x


def where(operation: str = "add", group: str = "g", **more: Any) -> Target:
    return replace(target("lane", operation, group, Limits()), **more)


def change(*people: tuple[Target, str], companions: bool = False) -> Change:
    records: list[Record] = []
    for number, (goes_to, name) in enumerate(people):
        made = record(goes_to, [("email", name)], number)
        if companions:
            made = made._replace(companions=frozenset({"country"}))
        records.append(made)
    return Change(Batch(tuple(records), (1,) * len(records)))


ADD = where()
REMOVE = where("remove")
LATER = where(group="later")
PART = where(request={"wire": "phone"})
OTHER_SHARE = where(shared=(("until", "2028"),))
OTHER_DETAIL = where(details=(("value", 2),))

#: Two batches, and whether they commute when they share nobody and when they do: strict, by ids.
CASES = [
    ("the same", [ADD], [ADD], (True, True), (True, True)),
    ("two routes to one audience", [ADD], [where()], (True, True), (True, True)),
    ("removals", [REMOVE], [REMOVE], (True, True), (True, True)),
    ("parts of split people", [ADD], [PART], (True, True), (True, True)),
    ("two operations", [ADD], [REMOVE], (False, False), (True, False)),
    ("other times in groups", [ADD], [LATER], (False, False), (True, False)),
    ("other values shared", [ADD], [OTHER_SHARE], (False, False), (True, False)),
    ("both operations in one", [ADD, REMOVE], [ADD], (False, False), (True, False)),
    ("both times in each", [ADD, LATER], [ADD, LATER], (False, False), (True, False)),
    ("items say other things", [ADD], [OTHER_DETAIL], (True, False), (True, False)),
    ("items differ in one", [ADD, OTHER_DETAIL], [ADD], (True, False), (True, False)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_which_batches_commute(case: Any) -> None:
    _, first, second, strict, by_identifiers = case
    for is_strict, (apart, together) in ((True, strict), (False, by_identifiers)):
        one = change(*((goes_to, "ann") for goes_to in first))
        stranger = change(*((goes_to, "bob") for goes_to in second))
        same = change(*((goes_to, "ann") for goes_to in second))
        assert one.commutes_with(stranger, strict=is_strict) == apart
        assert stranger.commutes_with(one, strict=is_strict) == apart
        assert one.commutes_with(same, strict=is_strict) == together


def test_companions_commute_only_without_a_common_identifier() -> None:
    one = change((ADD, "ann"), companions=True)
    assert one.commutes_with(change((ADD, "bob"), companions=True), strict=True)
    assert not one.commutes_with(change((ADD, "ann"), companions=True), strict=True)
    assert not one.commutes_with(change((ADD, "ann")), strict=True)
    assert not one.commutes_with(change((REMOVE, "bob")), strict=True)


def test_identifiers_are_not_looked_at_where_the_batches_alone_say_it() -> None:
    for second in (ADD, REMOVE, LATER):
        one, other = change((ADD, "ann")), change((second, "ann"))
        one.commutes_with(other, strict=True)
        assert "_ids" not in vars(one)
        assert "_ids" not in vars(other)


def test_a_connection_lowers_what_the_definition_says() -> None:
    mapped = {"custom_audience_id": {"value": "aaa"}, "email": {"from": "email"}}
    routes = [{"action": "add_user", "map": mapped}]
    assert x().concurrency.requests == 16
    for limits, expected in (({}, 16), ({"concurrency": 3}, 3)):
        pipeline = Pipeline(connection(routes, limits=limits))
        [made] = pipeline.prepare([Event(1, {"email": "ann@example.com"})], 0.0)
        assert isinstance(made, Record)
        assert made.target.endpoint.limits.concurrency == expected
