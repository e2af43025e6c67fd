"""docs/contract.md says every option of the service's commands, every key of their JSON, and every code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.core

from connector.cli.app import app
from connector.cli.dead import _origin, _row
from connector.delivery.outbox.model import (
    ConnectionStatus,
    DeadLetter,
    LaneStatus,
    Status,
    Stopped,
)
from connector.service.status import status_json
from tests.kit import ROOT

PAGE = (ROOT / "docs" / "contract.md").read_text("utf-8")
SECTION = PAGE.partition("`serve CONNECTION…` needs")[2].partition("`call` prints")[0]


def commands() -> Iterator[tuple[str, Any]]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for name in ("serve", "status", "flush"):
        yield name, group.commands[name]
    dead = group.commands["dead"]
    assert isinstance(dead, typer.core.TyperGroup)
    for name, command in dead.commands.items():
        yield f"dead {name}", command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_said(name: str) -> None:
    assert f"`{name}" in f"`serve{SECTION}"
    options = [option for parameter in COMMANDS[name].params for option in parameter.opts]
    for option in options:
        if option.startswith("--"):
            assert f"`{option}" in SECTION, option


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, dict | list):
            yield from keys(one)


def test_every_key_is_said() -> None:
    lane = LaneStatus("lane", 1, 0.0, 1, Stopped("code", "reason", 1, 2.0), "worker")
    status = Status(1.0, {"name": ConnectionStatus(1, 1, {}, [lane])})
    letter = DeadLetter("1-1", "c", "l", "add", b"", 0.0, 1.0, 1, "code", "reason", False)
    origin = _origin(b'{"event": [1, null, null], "target": {"route": "r", "action": "a"}}')
    found = {*keys(status_json(status)), *_row(letter, 1.0), *origin} - {"name"}
    assert "tried_again_in_seconds" in found
    for key in found:
        assert re.search(f'"{key}"', SECTION), key


def test_every_code_is_said() -> None:
    source = ""
    for folder in ("cli", "service"):
        for path in (ROOT / "connector" / folder).glob("*.py"):
            source += path.read_text("utf-8")
    raised = set(re.findall(r'"(C04[4-9]|C05\d)"', source))
    assert raised == set(re.findall(r"C04[4-9]|C05\d", SECTION))
