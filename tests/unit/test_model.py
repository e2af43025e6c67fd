"""The values that travel show no content: not in a traceback, a log line or an assertion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from connector.model import (
    Batch,
    Event,
    NamedRecords,
    Record,
    Rejected,
    Request,
    Response,
    Target,
)

SECRET = "ann@example.com"

TARGET = Target(
    route="people",
    operation="add",
    url=f"https://example.com/{SECRET}",
    lane=SECRET,
    key=("POST", SECRET),
    request={"list": SECRET},
    group=(("list", SECRET),),
    params={"list": SECRET},
    base_bytes=2,
    group_bytes=10,
    room=1.0,
    endpoint=SimpleNamespace(secret=SECRET),
    family=SECRET,
)
RECORD = Record(TARGET, (SECRET,), ("email",), SECRET.encode(), 1, 0.0, frozenset({SECRET}))
NAMED = NamedRecords("value", (SECRET,), (SECRET,), words=(SECRET,))

VALUES: list[Any] = [
    Event(1, {SECRET: SECRET}),
    TARGET,
    RECORD,
    Batch((RECORD,), (1,)),
    Request("POST", "https://example.com", {"x-secret": SECRET}, SECRET.encode()),
    Response(200, {"set-cookie": SECRET}, {"error": SECRET}),
    Response.parsed(200, {"set-cookie": SECRET}, SECRET.encode()),
    NAMED,
    Rejected("refused", "no", NAMED),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_repr_shows_no_content(value: Any) -> None:
    shown = f"{value!r} {value} {[value]}"
    assert type(value).__name__ in shown
    assert SECRET not in shown
