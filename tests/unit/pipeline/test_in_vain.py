"""A route that takes nothing beside one that does, and a parameter whose values are all dropped."""

from __future__ import annotations

from typing import Any

import pytest

import connector

AUDIENCE = {"custom_audience_id": {"value": "1nmth"}}
EMAIL = {**AUDIENCE, "email": {"from": "email"}}
GOOD = [{"ok": "in", "email": f"p{n}@example.com"} for n in range(4)]


def doubts(events: list[dict[str, Any]], *routes: dict[str, Any]) -> list[str]:
    document = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "a"},
        "routes": [{"action": "add_user_multi", "map": EMAIL, **route} for route in routes],
    }
    preview = connector.preview(connector.make_connection(document), events)
    list(preview)
    return preview.doubts


IN = {"name": "in", "when": "event.ok == 'in'"}
OUT = {"name": "out", "when": "event.ok == 'out'", "action": "remove_user_multi"}
NONE = "route out: took none of 4; check its 'when'; text is compared as it stands"


@pytest.mark.parametrize(
    ("events", "routes", "starts"),
    [
        (GOOD, [IN, OUT], [NONE]),
        (GOOD, [{"name": "in"}, OUT], [NONE]),
        ([*GOOD, {"ok": "out", "email": "x@example.com"}], [IN, OUT], []),
        # nothing matches: the run says that itself
        (GOOD, [{**IN, "when": "event.ok == 'inside'"}, OUT], []),
        (GOOD, [IN], []),
        (GOOD[:2], [IN, OUT], []),
        ([], [IN, OUT], []),
        # it has refused events, which is said of each
        (GOOD, [IN, {**OUT, "when": "event.ok"}], []),
        (GOOD, [IN, {**OUT, "each": "people", "when": "true"}], ["route out: took nothing; check its 'each'"]),
        ([{**GOOD[0], "people": [{"ok": 1}] * 3}], [IN, {**OUT, "each": "people"}], ["route out: took none of 3;"]),
    ],
)  # fmt: skip
def test_a_route_that_takes_nothing(
    events: list[dict[str, Any]], routes: list[dict[str, Any]], starts: list[str]
) -> None:
    found = doubts(events, *routes)
    assert len(found) == len(starts)
    assert all(map(str.startswith, found, starts))


def values(*of_email: Any) -> list[dict[str, Any]]:
    return [{"email": value, "handle": f"h{n}"} for n, value in enumerate(of_email)]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (values("a", "b", "c"), ["all 3 values of email were dropped: not_of_the_form"]),
        (
            values("a", "n/a", "c", None, ["x", "y"]),
            ["all 5 values of email were dropped: not_of_the_form, placeholder"],
        ),
        (values("a", "b"), []),
        (values("a", "b", "c", "ann@example.com"), []),
        (values("a", "b", "c", ["d", "ann@example.com"]), []),
        (values(None, None, None), []),
    ],
)
def test_a_parameter_whose_values_are_all_dropped(
    events: list[dict[str, Any]], said: list[str]
) -> None:
    mapped = {**EMAIL, "handle": {"from": "handle"}}
    found = doubts(events, {"name": "in", "map": mapped})
    assert found == [f"route in: {one}" for one in said]
