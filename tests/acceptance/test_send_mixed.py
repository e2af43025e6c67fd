"""`connector send` against an independent strict server ends with what applying the events one by one gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit import ROOT

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

Sent = tuple[dict[str, int], list[dict[str, str]], subprocess.CompletedProcess[bytes]]


def send(folder: Path, base_url: str, *options: str, limits: str = "{}") -> Sent:
    """Run the real command line in a process of its own."""
    connection, report = folder / "connection.yaml", folder / "report.ndjson"
    connection.write_text(connection_yaml(base_url, limits=limits), "utf-8")
    command = [
        sys.executable,
        "-m",
        "connector",
        "send",
        str(connection),
        str(folder / "events.ndjson"),
    ]
    command += ["--format", "json", "--report", str(report), "--no-progress", *options]
    command += ["--definitions", str(without_rate(folder / "definitions"))]
    done = subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, **ENVIRONMENT}
    )
    failed = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    return json.loads(done.stdout), failed, done


def without_rate(folder: Path) -> Path:
    """Copy the definitions with a rate that never makes a test wait: the vendor's own is 1,500 requests a minute."""
    for part in ("schemas", "templates"):
        shutil.copytree(ROOT / part, folder / part)
    file = folder / "schemas" / "x_custom_audiences" / "destination.json"
    definition = json.loads(file.read_text("utf-8"))
    definition["destination"]["rate"][0]["requests"] = 1_000_000
    file.write_text(json.dumps(definition), "utf-8")
    return folder


def server(**options: object) -> StrictServer:
    return StrictServer(
        CREDENTIALS, ACCOUNT_ID, set(AUDIENCES), {DNR_LIST_ID}, rate=10**9, **options
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "seed", "limits"),
    [(100_000, 1, "{}"), (5_000, 2, "{records: 7}"), (5_000, 3, "{bytes: 3000}")],
)
def test_mixed(tmp_path: Path, count: int, seed: int, limits: str) -> None:
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
        assert vendor.concurrent == 1
    assert done.returncode == 1
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
