"""The pages about the language: their examples are real, and nothing is left out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.guide.reference import Reference
from connector.linting.engine import lint_destination

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "language.md").read_text("utf-8")
BLOCK = re.compile(r"^```(json|jinja)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(PAGE)]
MOST_CONCEPTS = 20


def documents() -> Iterator[Any]:
    for folder in (ROOT / "docs" / "acme" / "schemas", ROOT / "schemas"):
        for path in sorted(folder.rglob("*.json")):
            if path.parent.name != "meta":
                yield json.loads(path.read_text("utf-8"))


def nodes(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from nodes(part)


@pytest.mark.parametrize("block", [text for language, text in BLOCKS if language == "json"])
def test_every_json_example_stands_in_a_definition(block: str) -> None:
    example = json.loads(block if block.startswith("{") else "{" + block + "}")
    assert any(says(document, example) for document in documents())


def says(document: Any, example: dict[str, Any]) -> bool:
    """Return whether an object of the document has all of the example's members."""
    for node in nodes(document):
        if all(node.get(key) == value for key, value in example.items()):
            return True
    return False


@pytest.mark.parametrize("block", [text for language, text in BLOCKS if language == "jinja"])
def test_every_template_of_the_page_is_a_file(block: str) -> None:
    templates = (ROOT / "docs" / "acme" / "templates").glob("*/*.j2")
    assert block in [path.read_text("utf-8") for path in templates]


def test_the_language_has_few_concepts() -> None:
    numbers = re.findall(r"^## (\d+)\. ", PAGE, re.MULTILINE)
    assert list(map(int, numbers)) == list(range(1, len(numbers) + 1))
    assert len(numbers) <= MOST_CONCEPTS


def test_the_page_names_every_normaliser_step() -> None:
    meta = json.loads((ROOT / "schemas/meta/action.schema.json").read_text("utf-8"))
    step = meta["$defs"]["step"]
    for name in (*step["then"]["enum"], *step["properties"]):
        assert f"`{name}`" in PAGE or f'"{name}":' in PAGE, name


def test_the_reference_is_that_of_the_meta_schemas() -> None:
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert page == Reference().text(), "run: make reference"


TWO_LISTS = """{
  {% for change in ["add", "remove"] %}
  {{ change }}: [
    {% for group in groups if group.change == change %}
    {% for item in group.items %}{{ item }},{% endfor %}
    {% endfor %}
  ],
  {% endfor %}
}
"""


def test_an_envelope_that_sorts_operations_into_lists_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "acme", tmp_path / "acme")
    folder = tmp_path / "acme"
    assert lint_destination(folder / "schemas" / "acme_lists") == []

    envelope = folder / "templates" / "acme_lists" / "changes.json.j2"
    envelope.write_text(TWO_LISTS, "utf-8")
    [problem] = lint_destination(folder / "schemas" / "acme_lists")
    assert (problem.code, problem.message) == (
        "D228",
        "additions and removals change places in the body",
    )
    assert "'items' and 'share' instead of 'groups'" in problem.hint
