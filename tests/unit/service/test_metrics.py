"""The metrics of a service: what is said while the outbox is away."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

from connector.delivery.outbox.model import ConnectionStatus, OutboxError, Status
from connector.service.app import PATHS
from connector.service.metrics import Metrics


def test_the_counters_of_a_process_outlive_its_store() -> None:
    is_away = False

    def status() -> Status:
        if is_away:
            raise OutboxError("the database is away")
        return Status(time.time(), {"c": ConnectionStatus(3, 0, {}, [])})

    metrics = Metrics(status, ["c"], PATHS)
    metrics.answered("/v1/events", 503)
    counted = 'connector_http_requests_total{path="/v1/events",status="503"} 1.0'
    pending = 'connector_pending_records{connection="c"} 3.0'
    for is_away in (False, True, False):
        lines = metrics.text()[0].decode().splitlines()
        assert counted in lines
        assert (pending in lines) == (not is_away)
        assert f"connector_store_up {0.0 if is_away else 1.0}" in lines
        assert any(line.startswith("connector_pending_records") for line in lines) != is_away
