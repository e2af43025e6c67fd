"""The page on calls: its examples stand in definitions, and its tables are those of the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.kit import ROOT

PAGE = (ROOT / "docs" / "calls.md").read_text("utf-8")
META = json.loads((ROOT / "schemas" / "meta" / "call.schema.json").read_text("utf-8"))
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def nodes(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        return [document, *(node for part in document.values() for node in nodes(part))]
    if isinstance(document, list):
        return [node for part in document for node in nodes(part)]
    return []


def first_cells(heading: str) -> set[str]:
    """Return the words in code in the first cells of the table under a heading."""
    table = PAGE[PAGE.index(f"\n| {heading} |") :].split("\n\n")[0]
    cells = [row.split(" | ")[0] for row in table.strip().splitlines()[2:]]
    return set(re.findall(r"`([^`]+)`", " ".join(cells)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_stands_in_a_definition(example: str) -> None:
    written = json.loads(example)
    folder = ROOT / "schemas" / "x_custom_audiences" / "calls"
    found = [
        node
        for file in folder.glob("*.json")
        for node in nodes(json.loads(file.read_text("utf-8")))
    ]
    assert any(written.items() <= {k: node.get(k) for k in written}.items() for node in found)


def test_every_key_of_a_call_is_in_the_table() -> None:
    assert first_cells("key of `action`") == META["$defs"]["action"]["properties"].keys()


def test_everything_that_a_sandbox_does_is_in_the_table() -> None:
    does = META["$defs"]["sandbox"]["properties"]["does"]["enum"]
    assert first_cells("`does`") == set(does)


def test_every_code_of_an_error_is_in_the_table() -> None:
    source = (ROOT / "connector" / "calls" / "run.py").read_text("utf-8")
    codes = set(re.findall(r'_error\(\s*"(\w+)"', source)) | {"not_built", "not_confirmed"}
    assert codes <= first_cells("code of the error")
