"""docs/service.md: what its commands print."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import ROOT
from tests.kit.cli import connection
from tests.kit.http_vendor import Vendor
from tests.kit.service import Answered, Served

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

PAGE = (ROOT / "docs" / "service.md").read_text("utf-8")
TOKEN = "0123456789abcdef0123456789abcdef"
ROUTES = """
  - name: add
    action: add_user
    map: {custom_audience_id: {from: audience}, email: {from: email}}
"""
POSTS = re.findall(r"^\$ (curl .*)\n(\{.*\})$", PAGE, re.MULTILINE)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "token").write_text(f"{TOKEN}\n", "utf-8")
    with Vendor() as vendor:
        made = connection(tmp_path, base_url=vendor.base_url)
        head, _, _ = made.read_text("utf-8").partition("routes:")
        made.write_text(f"{head}routes:{ROUTES}", "utf-8")
        options = ("--token", f"file:{tmp_path / 'token'}", "--state", tmp_path / "state")
        with Served(made, *options) as one:
            yield one


def answer(served: Served, command: str) -> Answered:
    """What a command of the page gets."""
    words = shlex.split(command.replace("$TOKEN", TOKEN).replace("$URL", ""))
    headers = {}
    path, body = "", b""
    remaining = iter(words[1:])
    for word in remaining:
        if word == "-H":
            name, _, value = next(remaining).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(remaining).encode()
        elif word.startswith("/"):
            path = word
        else:
            assert (word, next(remaining)) == ("-X", "POST")
    return served.call(path, body, headers={"Content-Type": "application/json", **headers})


def test_the_commands_of_the_page(served: Served) -> None:
    assert len(POSTS) == 6
    for command, printed in POSTS:
        assert answer(served, command).json == json.loads(printed), command
