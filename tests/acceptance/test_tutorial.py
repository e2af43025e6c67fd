"""The tutorial is done as it is written: every file is written and every command run, in order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kit import ROOT
from tests.kit.cli import Done, call, succeed

TUTORIAL = ROOT / "docs" / "tutorial.md"
#: What a paragraph before a block ends with: `file`: · `file` at `/pointer`: · At the end of `file`:
NAMED = re.compile(r"(At the end of )?`([\w./-]+)`(?: at `(/[\w/]+)`)?:$")
PROBLEM = re.compile(r"[DCK]\d{3} ", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block, and the paragraph before it on one line."""

    line: int
    kind: str
    before: str
    text: str


def blocks() -> Iterator[Block]:
    text = TUTORIAL.read_text("utf-8")
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        *_, before = text[: found.start()].rstrip().split("\n\n")
        yield Block(
            text[: found.start()].count("\n") + 1, found[1], before.replace("\n", " "), found[2]
        )


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield the commands of a block, each with what it prints."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def matches(output: str, expected: str) -> bool:
    """Compare, but for times; a line of … stands for any lines."""
    lines = (
        r"(?:.*\n)*?" if line == "…" else re.escape(steady(line)) + "\n"
        for line in expected.splitlines()
    )
    return bool(re.fullmatch("".join(lines), steady(output)))


def steady(text: str) -> str:
    return re.sub(r"\d+\.\d+ ?s\b", "0.0s", text)


def write(folder: Path, block: Block) -> None:
    found = NAMED.search(block.before)
    assert found, f"line {block.line}: no file is named before the block"
    path = folder / found[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    if found[3]:
        document = json.loads(path.read_text("utf-8"))
        put(document, found[3].split("/")[1:], json.loads(block.text))
        path.write_text(json.dumps(document, indent=2), "utf-8")
    elif found[1]:
        path.write_text(path.read_text("utf-8") + block.text, "utf-8")
    else:
        path.write_text(block.text, "utf-8")


def put(document: Any, keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        document = document[key]
    document[keys[-1]] = value


def variables(*more_paths: Path) -> dict[str, str]:
    own = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("NORTHWIND_", "PYTEST_XDIST"))
    }
    return {**own, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *more_paths)))}


def shell(folder: Path, command: str) -> Done:
    """Run a line of the tutorial; `connector` is that of this checkout."""
    program, *arguments = shlex.split(command)
    if program == "connector":
        into = arguments[-1] if ">" in arguments else None
        done = call(*arguments[: -2 if into else None], env=variables(), folder=folder)
        if into:
            (folder / into).write_text(done.out, "utf-8")
        return replace(done, out="") if into else done
    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do the whole tutorial, and return its folder."""
    folder = tmp_path_factory.mktemp("tutorial") / "work"
    folder.mkdir()
    for block in blocks():
        if block.kind != "console":
            write(folder, block)
            continue
        for command, expected in commands(block):
            ended = shell(folder, command)
            assert matches(ended.out, expected), f"line {block.line}: $ {command}\n{ended.text}"
            assert ended.status == (1 if PROBLEM.match(expected) else 0), ended.err
    return folder


def test_every_step_does_what_the_tutorial_says(done: Path) -> None:
    kinds = {block.kind for block in blocks()}
    assert kinds == {"console", "json", "jinja", "yaml", "toml"}
    assert len(TUTORIAL.read_text("utf-8").splitlines()) <= 320


def test_the_package_of_the_tutorial_is_found_when_it_is_installed(done: Path) -> None:
    site = done.parent / "site"
    options = "--quiet --disable-pip-version-check --no-deps --no-build-isolation"
    ended = shell(done, f'"{sys.executable}" -m pip install {options} --target "{site}" .')
    assert ended.status == 0, ended.text
    shown = succeed("docs", "northwind", env=variables(site), folder=site)
    assert shown == (done / "northwind.md").read_text("utf-8")


def test_readme_and_language_lead_to_the_tutorial() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "language.md"):
        assert "tutorial.md" in page.read_text("utf-8")
