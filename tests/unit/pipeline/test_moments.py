"""A date or a number where a moment is asked for: the reason says how to map it."""

from __future__ import annotations

from typing import Any

import pytest

from connector.model import Event, Record, Rejection
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW
from tests.kit.records import connection

DATE = """"event['G\u00fcltig bis'] | date('%d.%m.%Y')\""""
SECONDS = """"event['G\u00fcltig bis'] | from_epoch\""""
WHY: list[tuple[Any, str]] = [
    ("31.12.2097", f"00Z; or map it with expr: {DATE} or {SECONDS}"),
    ("2097-12-31", f"+02:00; or map it with expr: {DATE} or {SECONDS}"),
    ("4038163200", f"00Z; or map it with expr: {DATE} or {SECONDS}"),
    (4038163200, f"; map it with expr: {SECONDS}"),
    ("2097-12-31T00:00:00", "add Z or an offset such as +02:00"),
    ("2097-02-30T00:00:00Z", "is not a valid date and time"),
    (True, "got true or false"),
]


def prepared(entry: dict[str, Any], event: dict[str, Any], **more: Any) -> Record | Rejection:
    mapped = {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}}
    route = {"action": "add_user_multi", "map": {**mapped, "expires_at": entry}, **more}
    [found] = Pipeline(connection([route])).prepare(
        [Event(1, {"email": "ann@example.com", **event})], NOW
    )
    assert isinstance(found, Record | Rejection)
    return found


@pytest.mark.parametrize(("value", "end"), WHY)
def test_the_reason_names_the_fix(value: Any, end: str) -> None:
    found = prepared({"from": "G\u00fcltig bis"}, {"G\u00fcltig bis": value})
    assert isinstance(found, Rejection)
    assert found.code == "invalid_parameter"
    assert found.reason.endswith(end)


@pytest.mark.parametrize("value", ["31.12.2097", "4038163200", 4038163200])
def test_the_fix_works(value: Any) -> None:
    step = "date('%d.%m.%Y')" if value == "31.12.2097" else "from_epoch"
    found = prepared({"expr": f"event['G\u00fcltig bis'] | {step}"}, {"G\u00fcltig bis": value})
    assert isinstance(found, Record)


def test_a_path_is_written_as_an_expression() -> None:
    found = prepared({"from": "a.b[0]"}, {"a": {"b": ["31.12.2097"]}})
    assert isinstance(found, Rejection)
    assert """"event['a']['b'][0] | from_epoch\"""" in found.reason


@pytest.mark.parametrize("value", ["k.A.", " NULL ", "-", "", None, "#WERT!"])
@pytest.mark.parametrize("step", ["date('%d.%m.%Y')", "from_epoch"])
def test_a_word_for_no_value_makes_the_moment_absent(step: str, value: Any) -> None:
    found = prepared({"expr": f"event['G\u00fcltig bis'] | {step}"}, {"G\u00fcltig bis": value})
    assert isinstance(found, Record)
    assert found.target.params["expires_at"] is None
