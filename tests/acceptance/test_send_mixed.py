"""`connector send` against an independent strict server ends with what applying the events one by one gives."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.kit import ROOT
from tests.kit.cli import Done, call

from .mixed_events import (
    ACCOUNT_ID,
    AUDIENCES,
    CREDENTIALS,
    DNR,
    DNR_LIST_ID,
    ENVIRONMENT,
    connection_yaml,
    expected_members,
    expected_rejected,
    generate,
    lines,
)
from .strict_server import Fault, StrictServer

#: `make soak` sends 100,000; the traps are as dense in fewer.
EVENTS = int(os.environ.get("MIXED_EVENTS", "10000"))

Sent = tuple[dict[str, int], list[dict[str, str]], Done]


def send(folder: Path, base_url: str, *options: str, limits: str = "{}") -> Sent:
    """Run the command line in a process of its own."""
    connection, report = folder / "connection.yaml", folder / "report.ndjson"
    definitions = without_waits(folder / "definitions")
    connection.write_text(connection_yaml(base_url, limits=limits), "utf-8")
    command = ["send", connection, folder / "events.ndjson", "--definitions", definitions]
    command += ["--format", "json", "--report", report, "--no-progress", *options]
    done = call(*command, env={**os.environ, **ENVIRONMENT}, timeout=600)
    failed = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    return done.json, failed, done


def without_waits(folder: Path) -> Path:
    """Copy the definitions with a rate and a retry schedule that make no test wait for minutes, as the vendor's do."""
    for part in ("schemas", "templates"):
        shutil.copytree(ROOT / part, folder / part)
    file = folder / "schemas" / "x_custom_audiences" / "destination.json"
    definition = json.loads(file.read_text("utf-8"))
    definition["destination"]["rate"][0]["requests"] = 1_000_000
    definition["destination"]["retry"]["schedule"] = ["0s", "1s"]
    file.write_text(json.dumps(definition), "utf-8")
    return folder


def server(**options: object) -> StrictServer:
    return StrictServer(
        CREDENTIALS, ACCOUNT_ID, set(AUDIENCES), {DNR_LIST_ID}, rate=10**9, **options
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "seed", "limits", "side_by_side"),
    [
        (EVENTS, 1, "{}", 16),
        (2_000, 2, "{records: 7}", 16),
        (2_000, 2, "{records: 7, concurrency: 1}", 1),
        (2_000, 3, "{bytes: 3000, concurrency: 3}", 3),
    ],
)
def test_mixed(tmp_path: Path, count: int, seed: int, limits: str, side_by_side: int) -> None:
    events = list(generate(count, seed))
    expected = expected_members(events)
    written = list(lines(events, unreadable=0.002, seed=seed))
    (tmp_path / "events.ndjson").write_text("\n".join(written), "utf-8")
    with server() as vendor:
        summary, failed, done = send(tmp_path, vendor.base_url, limits=limits)
        for audience in AUDIENCES:
            assert vendor.members(audience) == expected[audience]
        assert vendor.members(DNR_LIST_ID) == expected[DNR]
        assert not vendor.violations
        assert vendor.concurrent <= side_by_side
    assert done.status == 1
    assert summary["events"] == len(written)
    parts = ("delivered", "superseded", "rejected", "undelivered")
    assert summary["records"] == sum(summary[part] for part in parts)
    assert summary["undelivered"] == 0
    rejected = {line["event"] for line in failed if line["code"] == "no_identifier"}
    assert rejected == set(expected_rejected(events))
    assert sum(line["code"] == "unreadable" for line in failed) == len(written) - count


def test_faults(tmp_path: Path) -> None:
    events = list(generate(3_000, 4))
    expected = expected_members(events)
    (tmp_path / "events.ndjson").write_text("\n".join(lines(events)), "utf-8")
    faults = [
        Fault("drop"),
        Fault(500),
        Fault(503, 0),
        Fault("html"),
        Fault("counts"),
        Fault(429, 0),
    ] * 2
    with server(faults=faults) as vendor:
        summary, _, _ = send(tmp_path, vendor.base_url, limits="{records: 200}")
        assert {audience: vendor.members(audience) for audience in AUDIENCES} == {
            a: expected[a] for a in AUDIENCES
        }
        assert not vendor.violations
    assert summary["undelivered"] == 0
    assert summary["requests"] > len(faults)
