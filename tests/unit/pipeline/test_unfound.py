"""What `when` and `each` read and no event has, though a field of nearly the same name is there."""

from __future__ import annotations

from typing import Any

import pytest

import connector
from connector.pipeline.unfound import Unfound

MAP = {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}}


def doubts(events: list[dict[str, Any]], **route: Any) -> list[str]:
    document = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "a"},
        "routes": [{"action": "add_user_multi", "name": "r", "map": MAP, **route}],
    }
    preview = connector.preview(connector.make_connection(document), events)
    list(preview)
    return preview.doubts


def people(**more: Any) -> list[dict[str, Any]]:
    return [{"email": f"p{number}@example.com", **more} for number in range(30)]


@pytest.mark.parametrize(
    ("when", "more", "line"),
    [
        ("not event.opt_out", {"optOut": "yes"}, "event.opt_out, found in 0 of 30; did you mean 'event.optOut'?"),
        ("event.typ == 'a'", {"type": "a"}, "event.typ, found in 0 of 30; did you mean 'event.type'?"),
        ("event.stauts is defined", {"status": 0}, "event.stauts, found in 0 of 30; did you mean 'event.status'?"),
        ("event.optin", {"user": {"optin": False}}, "event.optin, found in 0 of 30; did you mean 'event.user.optin'?"),
    ],
)  # fmt: skip
def test_a_misspelt_field_of_when(when: str, more: dict[str, Any], line: str) -> None:
    assert doubts(people(**more), when=when) == [f"route r: 'when' reads {line}"]


@pytest.mark.parametrize(
    ("when", "more"),
    [
        # found once, with a value that is false
        ("not event.opt_out", {"opt_out": False, "optOut": 1}),
        # nothing is near: an event need not have every field
        ("not event.deleted", {"type": "x"}),
        # what is near is mapped, or read by the same condition
        ("not event.email_optout", {}),
        ("event.type == 'a' or event.typ == 'a'", {"type": "a"}),
        # there and empty
        ("not event.opt_out", {"opt_out": None, "optOut": "x"}),
        ("event.list[0] == 1 or settings.account_id == 'a'", {"list": [1]}),
    ],
)
def test_what_is_no_mistake(when: str, more: dict[str, Any]) -> None:
    assert doubts(people(**more), when=when) == []


def test_elements_and_their_list() -> None:
    events = [{"people": people(optIn="yes")}]
    mapping = {**MAP, "email": {"from": "item.email"}}
    right = {"each": "people", "map": mapping}
    assert doubts(events, **right, when="item.optIn") == []
    assert doubts(events, **right, when="item.opt_in") == [
        "route r: 'when' reads item.opt_in, found in 0 of 30; did you mean 'item.optIn'?"
    ]
    assert doubts(events, each="peple", map=mapping) == [
        "route r: 'each' reads event.peple, found in 0 of 1; did you mean 'event.people'?"
    ]


def test_one_late_value_is_enough() -> None:
    unfound = Unfound("when", [("event", "typ"), ("event", "zzz")], (), each=False)
    for _ in range(20):
        unfound.saw(20 * [{"type": "x"}])
    # what has no near name is no longer looked for
    assert list(unfound._left) == [("event", "typ")]
    assert len(unfound.doubts()) == 1
    unfound.saw([{"typ": "y"}])
    assert unfound.doubts() == []
