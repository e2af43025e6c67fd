"""What an operator is told of the delivery: how often, and of which lane."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

from connector.delivery.outbox.model import Status
from connector.service.metrics import Metrics
from connector.service.told import Told


class Kept:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **values: object) -> None:
        self.lines.append(("info", event, values))

    def warning(self, event: str, **values: object) -> None:
        self.lines.append(("warning", event, values))

    def error(self, event: str, **values: object) -> None:
        self.lines.append(("error", event, values))


def test_a_lane_that_tries_again_is_named_once_a_minute() -> None:
    now = 0.0
    log = Kept()
    metrics = Metrics(lambda: Status(time.time(), {}), ["c"], [])
    told = Told(metrics, log, lambda: now)
    for moment, lane in ((0, "a"), (1, "a"), (2, "b"), (59, "a"), (60, "a"), (61, "b"), (62, "b")):
        now = float(moment)
        told.retrying("c", lane, "the connection is refused")
    found = [(values["lane"], values["reason"]) for _, _, values in log.lines]
    assert found == [(lane, "the connection is refused") for lane in ("a", "b", "a", "b")]
    assert {(level, event) for level, event, _ in log.lines} == {("warning", "retrying")}
    # It does not grow with the lanes that there ever were.
    now = 1_000.0
    told.retrying("c", "d", "the connection is refused")
    assert list(told._said) == [("c", "d")]


def test_what_dies_and_what_goes_on_is_said_each_time() -> None:
    log = Kept()
    told = Told(Metrics(lambda: Status(time.time(), {}), ["c"], []), log, time.monotonic)
    for _ in range(2):
        told.buried("c", "a", "refused", "it is not known", 3)
        told.resumed("c", "a")
    lane = {"connection": "c", "lane": "a"}
    dead = {**lane, "code": "refused", "reason": "it is not known", "records": 3}
    assert log.lines == [("warning", "dead_letters", dead), ("info", "lane_resumed", lane)] * 2
