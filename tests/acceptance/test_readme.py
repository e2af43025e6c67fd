"""Every example in the README is run, and prints what the README says."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from connector.connection.load import load_connection
from connector.definitions.catalog import Catalog
from connector.definitions.model import Action
from tests.kit import ROOT
from tests.kit.cli import call

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n\$ (.+)\n((?:.*\n)*?)```$", README, re.MULTILINE)
COMMANDS = [(command, output) for command, output in BLOCKS if command != "make test"]


def command_line(text: str) -> list[str]:
    """Return what a command of the README runs; `make demo` stands for its recipe."""
    if text == "make demo":
        recipe = re.search(r"^demo:.*\n\t(.+)$", MAKEFILE, re.MULTILINE)
        assert recipe is not None
        text = recipe[1].removeprefix("@")
    program, *arguments = shlex.split(text)
    assert program == "connector"
    return arguments


def steady(text: str) -> str:
    """Put figures that differ from run to run out of sight."""
    text = re.sub(r"\d+\.\d+ ?s\b", "0.0s", text)
    text = re.sub(r'"seconds": [\d.]+', '"seconds": 0', text)
    return re.sub(r'"run": "[^"]+"', '"run": ""', text).strip()


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_prints_what_the_readme_says(command: str, output: str) -> None:
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("X_", "PYTEST_XDIST"))
    }
    environment["PYTHONPATH"] = str(ROOT)
    done = call(*command_line(command), env=environment, folder=ROOT)
    assert steady(done.out) == steady(output), done.err
    assert done.status == 0


def test_a_skipped_event_has_no_line_in_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report.ndjson"
    files = ("examples/connection.yaml", "examples/events.ndjson")
    options = ("--sandbox", "--format", "json", "--report", str(report))
    done = call("send", *options, *files, env=dict(os.environ), folder=ROOT)
    counts = done.json
    assert (counts["skipped"], counts["superseded"], counts["identifiers_dropped"]) == (1, 1, 1)
    [line] = map(json.loads, report.read_text("utf-8").splitlines())
    assert line["outcome"] == "dropped"


def test_the_second_command_runs_the_tests() -> None:
    assert re.search(r"^test:.*\n\tpytest", MAKEFILE, re.MULTILINE)
    assert any(command == "make test" for command, _ in BLOCKS)


def test_the_connection_of_the_readme_is_right(tmp_path: Path) -> None:
    [connection] = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    path = tmp_path / "connection.yaml"
    path.write_text(connection, "utf-8")
    assert [route.name for route in load_connection(path, Catalog()).routes] == ["loyal-in"]


@pytest.mark.parametrize(
    "page", ["README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


def test_the_table_of_destinations_is_right() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (\d+) \|$", README, re.MULTILINE)
    files = {
        name: [
            *(ROOT / "schemas" / name).rglob("*.json"),
            *(ROOT / "templates" / name).iterdir(),
        ]
        for name in Catalog(()).ids()
    }
    lines = {
        name: sum(len(path.read_text("utf-8").splitlines()) for path in paths)
        for name, paths in files.items()
    }
    assert {name: int(count) for name, count in rows} == lines


def test_the_readme_names_who_takes_both_operations_in_one_request() -> None:
    def told(action: Action) -> tuple[Any, ...]:
        return tuple(
            str(getattr(action, name)) for name in ("method", "path", "envelope", "request")
        )

    def mixes(name: str) -> bool:
        ways: dict[str, set[tuple[Any, ...]]] = {"add": set(), "remove": set()}
        for action in Catalog(()).load(name).actions.values():
            ways[action.operation].add(told(action))
        return bool(ways["add"] & ways["remove"])

    assert {name.split("_")[0] for name in Catalog(()).ids() if mixes(name)} == {
        "x",
        "linkedin",
        "braze",
        "webhook",
    }
    assert "(all but X, LinkedIn, Braze and the webhook)" in README
