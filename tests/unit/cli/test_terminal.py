"""What reaches the terminal: no control character of an event, a definition or an answer acts on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connector.cli.list import list_text
from connector.cli.output import on_one_line, visible
from connector.cli.show_text import show_text
from connector.cli.summary import holdings_text, summary_text
from connector.definitions.catalog import Catalog
from connector.delivery.report import Counts, Report
from connector.guide.describe import describe, summaries
from connector.sandbox.vendor import Holding
from tests.kit import ROOT

#: Clears the screen, colours, returns to the beginning of the line, sets the title, turns the text around.
EVIL = "a\x1b[2J\x1b[31m\rb\x9b1m\x07\x7f\u202ec\nd\u2028e"
TINY = ROOT / "tests" / "bad" / "tiny"


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "connector", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False, env={"PYTHONPATH": str(ROOT)})  # fmt: skip


def assert_harmless(text: str) -> None:
    acting = {char for char in text if not char.isprintable() and char not in "\n\t"}
    assert not acting, text


def test_control_characters_are_escaped_as_json_does() -> None:
    assert visible("a\x1b[0m\tb\n\x9b") == "a\\u001b[0m\tb\n\\u009b"
    assert on_one_line("a\tb\nc") == "a\\u0009b\\u000ac"
    assert visible("Zoë, 漢字, 👋🏽, שלום") == "Zoë, 漢字, 👋🏽, שלום"
    assert_harmless(visible(EVIL))
    assert json.loads(f'"{on_one_line(EVIL)}"') == EVIL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    document: dict[str, Any] = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "18ce54d4x5t"},
        "event_id": "id",
        "routes": [
            {
                "action": "add_user",
                "map": {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}},
            }
        ],
    }
    (tmp_path / "connection.yaml").write_text(json.dumps(document), "utf-8")
    (tmp_path / "events.ndjson").write_text(json.dumps({"id": EVIL}) + "\n", "utf-8")
    return tmp_path


def test_preview_escapes_ids_of_events(folder: Path) -> None:
    done = run("preview", "connection.yaml", "events.ndjson", cwd=folder)
    text = done.stdout.decode()
    assert_harmless(text)
    line, _ = text.split("\n", 1)
    assert line.startswith("# event a\\u001b[2J")
    assert "\\u000ad\\u2028e (route add_user-1): rejected, no_identifier: " in line
    done = run("preview", "connection.yaml", "events.ndjson", "--format", "json", cwd=folder)
    first, *_ = done.stdout.splitlines()
    assert json.loads(first)["event"] == EVIL


def test_errors_escape_what_they_quote(folder: Path) -> None:
    done = run("preview", "connection.yaml", "no\x1b[2J.ndjson", cwd=folder)
    assert done.returncode == 2
    assert_harmless(done.stderr.decode())


def test_summaries_escape_reasons_and_paths() -> None:
    report = Report(Counts(), {("rejected", "code", EVIL): 1})
    text = summary_text(report, [EVIL], [Holding(f"/{EVIL}", 1, 1)])
    assert_harmless(text)
    assert len([line for line in text.splitlines() if line.startswith("d")]) == 0
    assert_harmless(holdings_text([Holding(EVIL, 1, 1)]))


def test_show_and_list_escape_what_definitions_say(tmp_path: Path) -> None:
    for kind in ("schemas", "templates"):
        shutil.copytree(TINY / kind, tmp_path / kind)
    evil = EVIL.replace("\n", "")
    for name in ("destination.json", "add.json"):
        path = tmp_path / "schemas" / "tiny" / name
        document = json.loads(path.read_text("utf-8"))
        document |= {"title": evil, "description": evil}
        path.write_text(json.dumps(document), "utf-8")

    shown = run("show", "tiny", "--definitions", ".", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert_harmless(shown.stdout.decode())
    catalog = Catalog([tmp_path])
    assert_harmless(list_text(summaries(catalog)[0]))
    assert "\\u001b[2J" in show_text(describe(catalog, "tiny")).splitlines()[0]
    assert "\\u001b[2J" in show_text(describe(catalog, "tiny.add")).splitlines()[0]
